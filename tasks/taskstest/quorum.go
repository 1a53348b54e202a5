package taskstest

import (
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// WithoutQuorum wants that the step, on a host that it would change, changes nothing
// where the node has no quorum, says so, and that a check still tells what differs.
func (s Suite) WithoutQuorum(t *testing.T, h tasks.Host) {
	t.Helper()
	rec := NewRecorder(noQuorum{h})
	if res, _ := s.step(t, rec, tasks.ModeCheck); res.Status != tasks.StatusWouldChange {
		t.Errorf("check: %s", show(res))
	}
	res := s.Apply(t, rec)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "the node has no quorum") {
		t.Errorf("run: %s", show(res))
	}
	if ops := rec.Changes(); len(ops) > 0 {
		t.Errorf("did %v", ops)
	}
}

// noQuorum shows the link as pmxcfs does in a minority.
type noQuorum struct{ tasks.Host }

func (h noQuorum) Stat(p string) (tasks.FileInfo, error) {
	fi, err := h.Host.Stat(p)
	if p == pve.LocalLink {
		fi.Mode &^= 0o222
	}
	return fi, err
}
