package taskstest_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

// which names the broken family that a child process of this test runs.
const which = "PHOENIX_TASKSTEST_BROKEN"

// broken is a family that wants "new" in /etc/x, "whole" in /etc/y, and has one defect.
type broken struct {
	Defect string `json:"defect"`

	applied bool
}

func (b *broken) Validate() []tasks.Problem { return nil }
func (b *broken) Task() tasks.Task          { return &broken{Defect: b.Defect} }

func (b *broken) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	if b.Defect == "changes the host in a check" {
		if _, err := h.Run(ctx, tasks.Cmd{Argv: []string{"touch"}, ReadOnly: true}); err != nil {
			return nil, err
		}
	}
	data, err := h.ReadFile("/etc/x")
	if b.Defect == "takes what it cannot read for right" && err != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	y, there, err := tasks.ReadIfExists(h, "/etc/y")
	if err != nil {
		return nil, err
	}
	there = string(y) == "whole" || there && b.Defect == "is content with half a file"
	if b.Defect == "believes what it did" && b.applied || there && string(data) == "new" && b.Defect != "is never content" {
		return nil, nil
	}
	return tasks.Diff{{Path: "content", From: string(data), To: "new " + b.Defect, Effect: tasks.EffectLive}}, nil
}

func (b *broken) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	if b.Defect == "tells a secret" {
		v, err := tasks.SecretValue(ctx, "token")
		tasks.Logf(ctx, "the token is %s", v)
		if err != nil {
			return err
		}
	}
	b.applied = true
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"write"}})
	if b.Defect == "does not return when it is cancelled" && errors.Is(err, context.Canceled) {
		<-time.After(1200 * time.Millisecond)
	}
	if b.Defect == "does not name what is missing" && errors.Is(err, fs.ErrNotExist) {
		return errors.New("a program is missing")
	}
	if b.Defect == "believes what it did" {
		return nil
	}
	if err != nil {
		return err
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/y", Data: []byte("whole")})
}

func suite(defect string) taskstest.Suite {
	s := taskstest.Suite{
		Kind:    tasks.Kind{Name: "broken", New: func() tasks.Spec { return new(broken) }},
		Spec:    `{"defect":"` + defect + `"}`,
		Secrets: map[string]string{"token": "hf_abcdefgh"},
		New: func(t *testing.T) taskstest.Machine {
			tr := taskstest.NewTree(t, map[string]string{"/etc/x": "old"})
			put := func(path string) taskstest.Program {
				return func(ctx context.Context, h tasks.Host, _ tasks.Cmd) tasks.Output {
					taskstest.Put(t, h, path, "new")
					return tasks.Output{}
				}
			}
			tr.Programs["write"], tr.Programs["touch"] = put("/etc/x"), put("/etc/touched")
			return taskstest.Machine{Host: tr}
		},
	}
	if defect == "shows another property" {
		s.Drifts = []taskstest.Drift{{Name: "by hand", Paths: []string{"mode"}, Make: func(t *testing.T, h tasks.Host) {
			taskstest.Put(t, h, "/etc/x", "other")
		}}}
	}
	return s
}

// TestSuite_findsEachDefect runs the suite on a sound family, which must pass, and
// on broken ones, each of which must fail in the case that is there for it.
func TestSuite_findsEachDefect(t *testing.T) {
	if defect, child := os.LookupEnv(which); child {
		suite(defect).Run(t)
		return
	}
	for defect, wanted := range map[string]string{
		"":                                     "",
		"is never content":                     "apply,_then_nothing_differs",
		"changes the host in a check":          "a_dry_run_leaves_the_host_as_it_is",
		"believes what it did":                 "every_injected_fault_leaves_a_truthful_check",
		"does not name what is missing":        "every_injected_fault_leaves_a_truthful_check/write:_it_is_not_installed",
		"is content with half a file":          "every_injected_fault_leaves_a_truthful_check/put_∕etc∕y:_a_new_file_is_half_written",
		"takes what it cannot read for right":  "what_cannot_be_read_is_never_taken_for_right",
		"does not return when it is cancelled": "cancelling_returns_within_a_second",
		"tells a secret":                       "no_secret_in_any_event,_argument_or_environment",
		"shows another property":               "drift:_by_hand",
	} {
		t.Run("a family that "+defect, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuite_findsEachDefect$")
			cmd.Env = append(os.Environ(), which+"="+defect)
			out, err := cmd.CombinedOutput()
			if wanted == "" {
				if err != nil {
					t.Errorf("a sound family fails:\n%s", out)
				}
				return
			}
			if err == nil || !bytes.Contains(out, []byte("--- FAIL: TestSuite_findsEachDefect/"+wanted)) {
				t.Errorf("the case %s does not fail:\n%s", strings.ReplaceAll(wanted, "_", " "), out)
			}
		})
	}
}
