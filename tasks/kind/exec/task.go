// Package exec runs one command, on the host or inside a running container.
//
// It is what `phoenix exec` sends. It is not idempotent and does not pretend to be:
// a check says that the command would run, a run runs it once. There is no shell.
// Start reading at Spec.
package exec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// Name of the family in steps and in step IDs.
const Name = "exec"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Data is what the step reports beside its output.
type Data struct {
	// Code is the exit status of the command, 127 when there is no such program.
	Code int `json:"code"`
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if len(s.Argv) == 0 || s.Argv[0] == "" {
		out.Add("argv", "names no program", `such as ["pveversion"]`)
	}
	for i, a := range s.Argv {
		if strings.ContainsRune(a, 0) {
			out.Add(fmt.Sprintf("argv.%d", i), "has a zero byte", "")
		}
	}
	if s.CTID != 0 && (s.CTID < 100 || s.CTID > 999999999) {
		out.Add("ctid", fmt.Sprintf("%d is no CTID", s.CTID), "100 to 999999999, or 0 for the host")
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{spec: *s} }

type task struct {
	spec Spec
	ran  bool
}

// Check differs until the command has run.
func (t *task) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	if t.ran {
		return nil, nil
	}
	if t.spec.CTID != 0 {
		if err := running(h, t.spec.CTID); err != nil {
			return nil, err
		}
	}
	return tasks.Diff{{Path: "command", To: strings.Join(t.spec.Argv, " "), Effect: tasks.EffectLive}}, nil
}

// Apply runs the command; a status other than 0 is a failure, and is reported as
// data in any case.
func (t *task) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	c := tasks.Cmd{Argv: t.argv()}
	if t.spec.Stdin != "" {
		c.Stdin = []byte(t.spec.Stdin)
	}
	out, err := h.Run(ctx, c)
	if errors.Is(err, fs.ErrNotExist) {
		out.Code = 127
	}
	if dataErr := tasks.SetData(ctx, Data{Code: out.Code}); dataErr != nil {
		return dataErr
	}
	t.ran = err == nil
	return tasks.Failed(c, out, err)
}

// argv enters the container without the host's environment, which is no business
// of a guest.
func (t *task) argv() []string {
	if t.spec.CTID == 0 {
		return t.spec.Argv
	}
	return append([]string{"lxc-attach", "-n", strconv.Itoa(t.spec.CTID), "--clear-env", "--"}, t.spec.Argv...)
}

// running tells a stopped and an unknown container apart, for the message.
func running(h tasks.Host, ctid int) error {
	active, err := pve.ActiveContainers(h)
	if err != nil {
		return err
	}
	if active[ctid] {
		return nil
	}
	_, exists, err := tasks.ReadIfExists(h, fmt.Sprintf("/etc/pve/lxc/%d.conf", ctid))
	switch {
	case err != nil:
		return err
	case !exists:
		return fmt.Errorf("enter container %d: there is none on this host", ctid)
	}
	return fmt.Errorf("enter container %d: it is stopped (pct start %d)", ctid, ctid)
}
