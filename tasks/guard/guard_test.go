package guard_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guard"
	"phoenix/tasks/taskstest"
)

const (
	managed = "/etc/network/interfaces"
	fresh   = "/etc/network/interfaces.d/vmbr9"
)

// stage is a machine with a guarded change on it.
type stage struct {
	t     *testing.T
	h     *taskstest.Tree
	token chan tasks.Confirm
	live  atomic.Value // a string: what the restore programs have put into effect
}

// newStage makes a machine whose watchdog is a real one when watch is set, and one
// that never acts otherwise.
func newStage(t *testing.T, watch bool) *stage {
	s := &stage{t: t, token: make(chan tasks.Confirm, 1)}
	s.h = taskstest.NewTree(t, map[string]string{managed: "old\n", "/etc/network/interfaces.d/": "", "/var/lib/phoenix/": ""})
	if watch {
		t.Cleanup(func() { <-time.After(10 * time.Minute) }) // until the watchdog has seen that it is over
	}
	s.h.Programs["systemd-run"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		if !watch {
			return taskstest.SystemdRun(ctx, h, c)
		}
		go func() { _ = guard.Watch(context.WithoutCancel(ctx), h, c.Argv[len(c.Argv)-1]) }()
		return tasks.Output{}
	}
	s.h.Programs["ifreload"] = func(_ context.Context, h tasks.Host, _ tasks.Cmd) tasks.Output {
		s.live.Store(taskstest.Get(t, h, managed))
		return tasks.Output{}
	}
	return s
}

// now is what is in effect; empty where nothing was put back.
func (s *stage) now() string {
	live, _ := s.live.Load().(string)
	return live
}

func (s *stage) scope(ctx context.Context) context.Context {
	return tasks.WithScope(ctx, tasks.Scope{Helper: "/var/lib/phoenix/agentlet-x", Confirm: func(c tasks.Confirm) { s.token <- c }})
}

// make makes the change; apply, when set, comes after the files were written.
func (s *stage) make(ctx context.Context, apply func() error) error {
	change := guard.Change{What: "network", Files: []string{managed, fresh}, Restore: [][]string{{"ifreload", "-a"}}, Timeout: time.Minute}
	return guard.Make(s.scope(ctx), s.h, change, func(context.Context) error {
		taskstest.Put(s.t, s.h, managed, "new\n")
		taskstest.Put(s.t, s.h, fresh, "new\n")
		if apply != nil {
			return apply()
		}
		return nil
	})
}

// confirm gets in twice, as the workstation does.
func (s *stage) confirm(ctx context.Context) error {
	c := <-s.token
	for {
		ticket, err := guard.Confirm(ctx, s.h, c.Token, "")
		if errors.Is(err, guard.ErrNotYet) {
			<-time.After(time.Second)
			continue
		}
		if err != nil {
			return err
		}
		_, err = guard.Confirm(ctx, s.h, c.Token, ticket)
		return err
	}
}

func (s *stage) isOld(t *testing.T) {
	t.Helper()
	if got := taskstest.Get(t, s.h, managed); got != "old\n" || s.now() != "old\n" {
		t.Errorf("the file is %q, in effect is %q; want the old", got, s.now())
	}
	if _, err := s.h.Stat(fresh); err == nil {
		t.Error("a file that was not there before is still there")
	}
}

func (s *stage) isClean(t *testing.T) {
	t.Helper()
	if names, err := s.h.ReadDir(guard.Dir); err == nil && len(names) > 0 {
		t.Errorf("%v is left in %s", names, guard.Dir)
	}
}

func TestAConfirmedChangeStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, true)
		said := make(chan error, 1)
		go func() { said <- s.confirm(t.Context()) }()
		if err := s.make(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := <-said; err != nil {
			t.Errorf("confirm: %v", err)
		}
		if got := taskstest.Get(t, s.h, managed); got != "new\n" {
			t.Errorf("the file is %q", got)
		}
		<-time.After(10 * time.Minute) // the watchdog has nothing to do
		if got := taskstest.Get(t, s.h, managed); got != "new\n" {
			t.Errorf("the watchdog made it %q", got)
		}
		s.isClean(t)
	})
}

func TestAChangeThatNobodyConfirmsIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, true)
		begin := time.Now()
		err := s.make(t.Context(), nil)
		if !errors.Is(err, guard.ErrTakenBack) || !strings.Contains(err.Error(), "as it was before") {
			t.Errorf("error %v", err)
		}
		if d := time.Since(begin); d < time.Minute || d > 62*time.Second {
			t.Errorf("taken back after %s, want a minute", d)
		}
		s.isOld(t)
		<-time.After(time.Minute)
		s.isClean(t)
	})
}

func TestAHelperThatDiesLeavesItToTheWatchdog(t *testing.T) {
	for name, dies := range map[string]bool{"before the change is whole": true, "while it waits": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, true)
				end := make(chan struct{})
				defer close(end)
				dead := &dying{Host: s.h, end: end}
				go func() {
					change := guard.Change{What: "network", Files: []string{managed, fresh}, Restore: [][]string{{"ifreload", "-a"}}, Timeout: time.Minute}
					_ = guard.Make(s.scope(t.Context()), dead, change, func(context.Context) error {
						taskstest.Put(t, s.h, managed, "new\n")
						dead.gone.Store(dies)
						if dies {
							<-end
						}
						return nil
					})
				}()
				<-s.token
				<-time.After(time.Second)
				dead.gone.Store(true)
				<-time.After(5 * time.Minute)
				s.isOld(t)
			})
		})
	}
}

// dying is a host whose helper may be gone: nothing that it does has an effect.
type dying struct {
	tasks.Host
	gone atomic.Bool
	end  <-chan struct{} // of the test
}

func (d *dying) Write(ctx context.Context, e tasks.Edit) error {
	if d.gone.Load() {
		<-d.end
		return errors.New("gone")
	}
	return d.Host.Write(ctx, e)
}

func (d *dying) ReadFile(p string) ([]byte, error) {
	if d.gone.Load() {
		<-d.end
		return nil, errors.New("gone")
	}
	return d.Host.ReadFile(p)
}

func TestAFailedOrCancelledChangeIsTakenBackAtOnce(t *testing.T) {
	for name, cancelled := range map[string]bool{"failed": false, "cancelled": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, true)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				begin := time.Now()
				broken := errors.New("ifreload: error: vmbr9: no such port")
				err := s.make(ctx, func() error {
					if cancelled {
						cancel()
						return nil
					}
					return broken
				})
				if err == nil || !cancelled && !errors.Is(err, broken) || cancelled && !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				if d := time.Since(begin); d > time.Second {
					t.Errorf("taken back after %s", d)
				}
				s.isOld(t)
				<-time.After(10 * time.Minute)
				s.isClean(t)
			})
		})
	}
}

// ifreload tells of every interface that has a fault, also of those that nobody changed.
func TestAStatusOfWhatPutsBackIsToldAndNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, true)
		reload := s.h.Programs["ifreload"]
		s.h.Programs["ifreload"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
			reload(ctx, h, c)
			return tasks.Output{Code: 1, Stderr: []byte("error: eno2: cmd failed")}
		}
		err := s.make(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), "has its old files back") || !strings.Contains(err.Error(), "eno2") {
			t.Errorf("error %v", err)
		}
		s.isOld(t)
		<-time.After(10 * time.Minute)
		s.isClean(t)
	})
}

func TestWithoutAWatchdogNothingIsBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, run := range map[string]taskstest.Program{
			"it cannot be started": nil,
			"it says nothing":      func(context.Context, tasks.Host, tasks.Cmd) tasks.Output { return tasks.Output{} },
		} {
			s := newStage(t, false)
			s.h.Programs["systemd-run"] = run
			if run == nil {
				delete(s.h.Programs, "systemd-run")
			}
			if err := s.make(t.Context(), nil); err == nil {
				t.Errorf("%s: no error", name)
			}
			if got := taskstest.Get(t, s.h, managed); got != "old\n" {
				t.Errorf("%s: the file is %q", name, got)
			}
			s.isClean(t)
		}
		s := newStage(t, false)
		err := guard.Make(t.Context(), s.h, guard.Change{What: "network"}, func(context.Context) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "nobody follows the run") {
			t.Errorf("without anybody to confirm: %v", err)
		}
	})
}

func TestOneConnectionIsNotEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, true)
		go func() {
			c := <-s.token
			for range 300 { // again and again over the connection from before the change
				if ticket, err := guard.Confirm(t.Context(), s.h, c.Token, ""); err == nil && ticket == "" {
					t.Error("confirmed without a ticket")
				}
				_, _ = guard.Confirm(t.Context(), s.h, c.Token, "0123")
				<-time.After(100 * time.Millisecond)
			}
		}()
		if err := s.make(t.Context(), nil); !errors.Is(err, guard.ErrTakenBack) {
			t.Errorf("error %v", err)
		}
		s.isOld(t)
	})
}

func TestConfirm_refusesWhatIsNoToken(t *testing.T) {
	s := newStage(t, false)
	for _, token := range []string{"", "../../../etc", strings.Repeat("A", 32), strings.Repeat("a", 31)} {
		if _, err := guard.Confirm(t.Context(), s.h, token, ""); err == nil || !strings.Contains(err.Error(), "no token looks like that") {
			t.Errorf("%q: %v", token, err)
		}
	}
	if _, err := guard.Confirm(t.Context(), s.h, strings.Repeat("a", 32), ""); err == nil || !strings.Contains(err.Error(), "decided already") {
		t.Errorf("an unknown token: %v", err)
	}
}

func TestPending_namesAChangeUntilItIsDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, true)
		if what, _, err := guard.Pending(s.h, time.Now()); what != "" || err != nil {
			t.Fatalf("pending %q, %v", what, err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.make(t.Context(), nil) }()
		<-s.token
		<-time.After(time.Second)
		what, left, err := guard.Pending(s.h, time.Now())
		if what != "network" || left <= 0 || err != nil {
			t.Errorf("pending %q for %s, %v", what, left, err)
		}
		guard.Forget(t.Context(), s.h, time.Now())
		<-ended
		if what, _, _ := guard.Pending(s.h, time.Now()); what != "" {
			t.Errorf("decided, and still pending: %q", what)
		}
		s.isOld(t)
	})
}

// A reboot ends the watchdog; who comes after it gets in, and that is what counts.
func TestForget_removesWhatAWatchdogLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, false)
		end := make(chan struct{})
		t.Cleanup(func() { close(end); <-time.After(10 * time.Minute) })
		dead := &dying{Host: s.h, end: end}
		go func() {
			_ = guard.Make(s.scope(t.Context()), dead, guard.Change{What: "network", Files: []string{managed}}, func(context.Context) error { <-end; return nil })
		}()
		<-s.token
		dead.gone.Store(true)
		guard.Forget(t.Context(), s.h, time.Now())
		if names, _ := s.h.ReadDir(guard.Dir); len(names) != 1 {
			t.Fatalf("an undecided change was forgotten: %v", names)
		}
		<-time.After(time.Hour)
		if what, _, _ := guard.Pending(s.h, time.Now()); what != "" {
			t.Errorf("after an hour: %q", what)
		}
		guard.Forget(t.Context(), s.h, time.Now())
		s.isClean(t)
	})
}
