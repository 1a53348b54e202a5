// Package taskstest is the conformance suite that every family must pass, and a
// small machine to run it on.
//
// A family says how a machine looks before its step; the suite then tries to break
// each promise of the Task contract: that a check tells the truth after every fault
// it can inject, that a second run changes nothing, that a dry run writes nothing,
// that no secret gets into an event. It works with any tasks.Host, and imports no
// family and no simulator. Start reading at Suite.
package taskstest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
)

// Suite is one family's step on one kind of machine.
type Suite struct {
	// Kind is the family.
	Kind tasks.Kind
	// Spec is the JSON of the step's spec.
	Spec string
	// New makes a machine on which the step has something to do. It is called for
	// every case.
	New func(t *testing.T) Machine
	// Secrets and Consent travel with the job.
	Secrets map[string]string
	Consent tasks.Consent
	// Drifts are changes by hand on a machine that is as wanted.
	Drifts []Drift
	// Faults are those that only the family can know; the suite injects the general
	// ones by itself.
	Faults []Fault
	// Tolerates lists what may fail or lie without the step failing, since the family
	// says so in its package comment: the beginning of a command line, or a path.
	Tolerates []string
}

// Machine is a host under test.
type Machine struct {
	tasks.Host
	// Digest is equal exactly when nothing changed; nil means Digest(Host, "/").
	Digest func() (string, error)
}

// Drift is a change by hand.
type Drift struct {
	// Name says what was done: "the mode was changed".
	Name string
	// Make does it.
	Make func(t *testing.T, h tasks.Host)
	// Paths are the changes that a check must show, and no others.
	Paths []string
}

// Run runs every case as a subtest.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	t.Run("a fresh host differs", s.freshDiffers)
	t.Run("apply, then nothing differs", s.applyConverges)
	t.Run("a second run changes nothing", s.secondRunIsIdle)
	t.Run("a dry run leaves the host as it is", s.dryRunWritesNothing)
	for _, d := range s.Drifts {
		t.Run("drift: "+d.Name, func(t *testing.T) { s.driftShows(t, d) })
	}
	t.Run("every injected fault leaves a truthful check", s.faultsAreTold)
	t.Run("what cannot be read is never taken for right", s.unreadableIsTold)
	t.Run("cancelling returns within a second", s.cancelReturns)
	if len(s.Secrets) > 0 {
		t.Run("no secret in any event, argument or environment", s.secretsStay)
	}
}

func (s Suite) freshDiffers(t *testing.T) {
	res, _ := s.step(t, NewRecorder(s.New(t)), tasks.ModeCheck)
	if res.Status != tasks.StatusWouldChange || len(res.Changes) == 0 {
		t.Fatalf("check of a fresh host: %s", show(res))
	}
	s.wellFormed(t, res.Changes)
}

// wellFormed holds what every reader of a Diff relies on.
func (s Suite) wellFormed(t *testing.T, d tasks.Diff) {
	t.Helper()
	seen := make(map[string]bool)
	for _, c := range d {
		if c.Path == "" || c.Effect == "" || c.From == c.To {
			t.Errorf("change %+v: want a path, an effect, and two values that differ", c)
		}
		if seen[c.Path] {
			t.Errorf("two changes of %s", c.Path)
		}
		seen[c.Path] = true
	}
}

func (s Suite) applyConverges(t *testing.T) {
	m := s.New(t)
	s.converge(t, m)
	if res, _ := s.step(t, NewRecorder(m), tasks.ModeCheck); res.Status != tasks.StatusOK {
		t.Fatalf("check after a run: %s", show(res))
	}
}

func (s Suite) secondRunIsIdle(t *testing.T) {
	m := s.New(t)
	s.converge(t, m)
	before := s.digest(t, m)
	rec := NewRecorder(m)
	if res, _ := s.step(t, rec, tasks.ModeRun); res.Status != tasks.StatusOK {
		t.Fatalf("second run: %s", show(res))
	}
	if ops := rec.Changes(); len(ops) > 0 {
		t.Errorf("the second run did %v", ops)
	}
	if s.digest(t, m) != before {
		t.Error("the second run changed the host")
	}
}

func (s Suite) dryRunWritesNothing(t *testing.T) {
	m := s.New(t)
	before := s.digest(t, m)
	rec := NewRecorder(m)
	if res, _ := s.step(t, rec, tasks.ModeCheck); res.Status != tasks.StatusWouldChange {
		t.Fatalf("dry run: %s", show(res))
	}
	if ops := rec.Changes(); len(ops) > 0 {
		t.Errorf("the dry run did %v", ops)
	}
	if s.digest(t, m) != before {
		t.Error("the dry run changed the host")
	}
}

func (s Suite) driftShows(t *testing.T, d Drift) {
	m := s.New(t)
	s.converge(t, m)
	d.Make(t, m.Host)
	res, _ := s.step(t, NewRecorder(m), tasks.ModeCheck)
	var paths []string
	for _, c := range res.Changes {
		paths = append(paths, c.Path)
	}
	if !slices.Equal(paths, d.Paths) {
		t.Fatalf("check shows %q, want exactly %q: %s", paths, d.Paths, show(res))
	}
	s.converge(t, m)
}

func (s Suite) secretsStay(t *testing.T) {
	m := s.New(t)
	for _, mode := range []tasks.Mode{tasks.ModeCheck, tasks.ModeRun, tasks.ModeRun} {
		rec := NewRecorder(m)
		_, events := s.step(t, rec, mode)
		raw, err := json.Marshal(events)
		if err != nil {
			t.Fatal(err)
		}
		told := string(raw) + strings.Join(rec.Arguments(), "\n")
		for name, value := range s.Secrets {
			if strings.Contains(told, value) {
				t.Errorf("the value of secret %s was told in mode %s", name, mode)
			}
		}
	}
}

// converge runs the step and wants it to end well.
func (s Suite) converge(t *testing.T, m Machine) {
	t.Helper()
	if res, _ := s.step(t, NewRecorder(m), tasks.ModeRun); res.Status != tasks.StatusChanged {
		t.Fatalf("run: %s", show(res))
	}
}

func (s Suite) digest(t *testing.T, m Machine) string {
	t.Helper()
	f := m.Digest
	if f == nil {
		f = func() (string, error) { return Digest(m.Host, "/") }
	}
	d, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return d
}
