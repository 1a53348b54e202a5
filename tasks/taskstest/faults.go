package taskstest

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"phoenix/tasks"
)

// Fault is what goes wrong once, at one op.
type Fault struct {
	// Name says what happens: "the download is cut off".
	Name string
	// Op is the beginning of a command line, or "put PATH" and the like.
	Op string
	// Do says that the op happens before it is answered.
	Do bool
	// Make, when set, is what happens instead.
	Make func(t *testing.T, h tasks.Host)
	// Output is the answer of a command; Err the answer of anything.
	Output tasks.Output
	Err    error

	half  bool   // a new file gets the first half of its content before it is answered
	names string // what the step's reason has to name
}

// faultsAreTold runs the step once to see what it does, and then once for every
// change in every way in which it can go wrong, and for the family's own faults.
func (s Suite) faultsAreTold(t *testing.T) {
	rec := NewRecorder(s.New(t))
	s.step(t, rec, tasks.ModeRun)
	ops := rec.Changes()
	if len(ops) == 0 {
		t.Fatal("the run of a fresh host did nothing, so no fault can be injected")
	}
	for i, op := range ops {
		if op.matches(s.Tolerates) {
			continue
		}
		for _, f := range general(op) {
			t.Run(fmt.Sprintf("%s: %s", strings.ReplaceAll(op.String(), "/", "∕"), f.Name), func(t *testing.T) {
				s.faultIsTold(t, f, func(n int, _ Op) bool { return n == i })
			})
		}
	}
	for _, f := range s.Faults {
		t.Run(f.Name, func(t *testing.T) {
			s.faultIsTold(t, f, func(_ int, o Op) bool { return strings.HasPrefix(o.String(), f.Op) })
		})
	}
}

// general are the ways in which any op can go wrong.
func general(op Op) []Fault {
	if op.Edit != nil {
		out := []Fault{
			{Name: "no space is left", Err: fmt.Errorf("%s %s: %w", op.Edit.Verb, op.Edit.Path, syscall.ENOSPC)},
			{Name: "it is done and then reports an error", Do: true, Err: syscall.EIO},
		}
		if op.Edit.Verb == tasks.VerbPut {
			out = append(out, Fault{Name: "a new file is half written", half: true, Err: syscall.EIO})
		}
		return out
	}
	broken := tasks.Output{Code: 255, Stderr: []byte("injected fault\n")}
	return []Fault{
		{Name: "it fails and does nothing", Output: broken},
		{Name: "it claims success and does nothing"},
		{Name: "it does its work and then fails", Do: true, Output: broken},
		{Name: "it cannot be started", Err: syscall.EAGAIN},
		{Name: "it is not installed", Err: notInstalled(op), names: path.Base(op.Cmd.Name())},
	}
}

// notInstalled is what a host says of a program that it does not have. The error is also
// that of a file that is not there, which is often as good as an empty one.
func notInstalled(op Op) error {
	return fmt.Errorf("run %s: no such program: %w", op.Cmd.Name(), fs.ErrNotExist)
}

// guardDir has what package guard keeps while a change waits: it is gone when the step has
// ended, and half of a ticket confirms a change that was made whole.
const guardDir = "/var/lib/phoenix/guard/"

// halved is an edit that writes the first half of what e writes, and sets short. A file
// that is there gets all of it: what others have in it, and would lose, nobody could
// write again.
func halved(e tasks.Edit, short *bool) tasks.Edit {
	whole := e.Update
	e.Update = func(old []byte) (data []byte, err error) {
		if data = e.Data; whole != nil {
			data, err = whole(old)
		}
		if old == nil && len(data) > 0 && !strings.HasPrefix(e.Path, guardDir) {
			data, *short = data[:len(data)/2], true
		}
		return data, err
	}
	return e
}

// faultIsTold injects f once, at the first change that at accepts (n counts changes).
func (s Suite) faultIsTold(t *testing.T, f Fault, at func(n int, o Op) bool) {
	m := s.New(t)
	rec := NewRecorder(m)
	n, hit, short := -1, false, false
	rec.Inject = func(ctx context.Context, o Op) *Answer {
		if o.Read != "" || hit {
			return nil
		}
		if o.changes() {
			n++
		}
		if !at(n, o) {
			return nil
		}
		hit = true
		if f.Make != nil {
			f.Make(t, m.Host)
		}
		if f.half {
			if err := m.Write(ctx, halved(*o.Edit, &short)); err != nil {
				t.Error(err)
			}
		}
		return &Answer{Do: f.Do, Output: f.Output, Err: f.Err}
	}
	res, _ := s.step(t, rec, tasks.ModeRun)
	if !hit {
		t.Fatalf("the fault was not reached; the step did %v", rec.Changes())
	}
	if res.Status != tasks.StatusOK && res.Status != tasks.StatusChanged && !strings.Contains(res.Why, f.names) {
		t.Errorf("the run does not name %s: %s", f.names, show(res))
	}
	if now, _ := s.step(t, NewRecorder(m), tasks.ModeCheck); short && now.Status == tasks.StatusOK {
		t.Error("half of the file is enough for the check")
	}
	s.truthful(t, m, res)
}

// truthful wants that a step which did not converge does not say so, and that a
// later run repairs the host.
func (s Suite) truthful(t *testing.T, m Machine, res tasks.Result) {
	t.Helper()
	now, _ := s.step(t, NewRecorder(m), tasks.ModeCheck)
	well := res.Status == tasks.StatusOK || res.Status == tasks.StatusChanged
	if well && now.Status != tasks.StatusOK {
		t.Errorf("the run said %s, the check says %s", show(res), show(now))
	}
	if !well && res.Why == "" {
		t.Errorf("the run does not say why: %s", show(res))
	}
	if again, _ := s.step(t, NewRecorder(m), tasks.ModeRun); again.Status != tasks.StatusOK && again.Status != tasks.StatusChanged {
		t.Errorf("a later run does not repair the host: %s", show(again))
	}
	if now, _ := s.step(t, NewRecorder(m), tasks.ModeCheck); now.Status != tasks.StatusOK {
		t.Errorf("check after the repair: %s", show(now))
	}
}

// unreadableIsTold breaks each file and each question that a check depends on, on a
// host that is as wanted.
func (s Suite) unreadableIsTold(t *testing.T) {
	m := s.New(t)
	s.converge(t, m)
	rec := NewRecorder(m)
	s.step(t, rec, tasks.ModeCheck)
	var seen []string
	for _, op := range rec.Ops() {
		name := op.String()
		if slices.Contains(seen, name) || op.matches(s.Tolerates) {
			continue
		}
		seen = append(seen, name)
		faults := []error{syscall.EIO}
		if op.Cmd != nil {
			faults = append(faults, notInstalled(op))
		}
		for _, fault := range faults {
			broken := NewRecorder(m)
			broken.Inject = func(_ context.Context, o Op) *Answer {
				if o.String() != name {
					return nil
				}
				return &Answer{Err: fault}
			}
			if res, _ := s.step(t, broken, tasks.ModeCheck); res.Status != tasks.StatusFailed && res.Status != tasks.StatusUnknown {
				t.Errorf("%s ends with %q, and the check says %s", name, fault, show(res))
			}
		}
	}
	if len(seen) == 0 {
		t.Error("the check read nothing")
	}
}

// cancelReturns cancels the step in each of its changes, which then never end by
// themselves.
func (s Suite) cancelReturns(t *testing.T) {
	rec := NewRecorder(s.New(t))
	s.step(t, rec, tasks.ModeRun)
	for i := range rec.Changes() {
		m := s.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		var n atomic.Int64
		var tidies atomic.Bool
		hung := NewRecorder(m)
		hung.Inject = func(ctx context.Context, o Op) *Answer {
			if !o.changes() || n.Add(1)-1 != int64(i) {
				return nil
			}
			if ctx.Done() == nil { // tidying up, which no cancel stops
				tidies.Store(true)
				return nil
			}
			cancel()
			<-ctx.Done()
			return &Answer{Err: ctx.Err()}
		}
		begin := time.Now()
		res, _ := s.stepContext(ctx, t, hung, tasks.ModeRun)
		cancel()
		if tidies.Load() {
			continue
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("cancelled in change %d, the step returned after %s", i, d)
		}
		if res.Status == tasks.StatusOK || res.Status == tasks.StatusChanged {
			t.Errorf("cancelled in change %d, the step says %s", i, show(res))
		}
		s.truthful(t, m, res)
	}
}
