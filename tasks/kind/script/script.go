// Package script runs a step that the operator wrote: one script that says whether the
// host is as wanted, and one that makes it so.
//
// Both are idempotent by contract. The first also runs in a check and in a dry run, and
// must change nothing; phoenix cannot see to that. Scripts go to their interpreter on
// its standard input and are never written to the host. No secret can be handed to
// them: there is no way that other users could not look at. Start reading at Spec.
package script

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/interp"
)

// Name of the family in steps and in step IDs.
const Name = "script"

// The exit statuses of a check; any other is a failure.
const (
	asWanted = 0
	differs  = 1
)

// Spec is a pair of scripts.
type Spec struct {
	// Name of the step.
	Name string `json:"name"`
	// Check ends with status 0 when the host is as wanted, and with 1 when Apply has
	// something to do; what it prints then is shown.
	Check string `json:"check"`
	// Apply makes the host as wanted. Check runs again after it.
	Apply string `json:"apply"`
	// Interpreter reads a script from its standard input; empty means /bin/sh -s.
	Interpreter []string `json:"interpreter,omitempty"`
	// Env are variables for both scripts, none of them secret.
	Env map[string]string `json:"env,omitempty"`
}

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`).MatchString(s.Name) {
		out.Add("name", fmt.Sprintf("%q is no name of a step", s.Name), "letters, digits and _ . - (64 at most)")
	}
	check, apply := s.scripts()
	out = append(out, check.Problems("check")...)
	out = append(out, apply.Problems("apply")...)
	return append(out, check.CommonProblems()...)
}

func (s *Spec) scripts() (check, apply interp.Script) {
	check = interp.Script{Text: s.Check, Interpreter: s.Interpreter, Env: s.Env}
	apply = check
	apply.Text = s.Apply
	return check, apply
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check runs the first script, which promises to change nothing.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	check, _ := t.spec.scripts()
	c := check.Cmd()
	c.ReadOnly = true
	out, err := h.Run(ctx, c)
	switch {
	case err == nil && out.Code == asWanted:
		return nil, nil
	case err == nil && out.Code == differs:
		return tasks.Diff{{Path: "check", From: "differs", To: "as wanted", Effect: tasks.EffectLive, Note: note(out.Stdout)}}, nil
	}
	failed := fmt.Errorf("check by the script of %s: %w", t.spec.Name, tasks.Failed(c, out, err))
	if err == nil {
		failed = fmt.Errorf("%w (a check ends with 0 where all is as wanted, and with 1 where there is something to do)", failed)
	}
	return nil, failed
}

// maxNote is how many lines of a script's output are shown.
const maxNote = 50

// note is what the script printed, as far as people will read it.
func note(stdout []byte) string {
	var lines []string
	for _, line := range tasks.Lines(strings.TrimSpace(string(stdout))) {
		if len(lines) == maxNote {
			lines = append(lines, "…")
			break
		}
		lines = append(lines, tasks.LogLine([]byte(line)))
	}
	return strings.Join(lines, "\n")
}

// Apply runs the second script.
func (t *task) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	_, apply := t.spec.scripts()
	if _, err := tasks.Succeed(ctx, h, apply.Cmd()); err != nil {
		return fmt.Errorf("apply the script of %s: %w", t.spec.Name, err)
	}
	return nil
}
