package guard_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guard"
	"phoenix/tasks/taskstest"
)

func TestAFileBehindSeveralLinksIsPutBackWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, true)
		h := taskstest.NewTree(t, map[string]string{
			managed: "-> /srv/net/current", "/srv/net/current": "-> v1", "/srv/net/v1": "old\n",
			"/etc/network/interfaces.d/": "", "/var/lib/phoenix/": "",
		})
		h.Programs = s.h.Programs
		s.h = h
		if err := s.make(t.Context(), nil); !errors.Is(err, guard.ErrTakenBack) {
			t.Errorf("error %v", err)
		}
		s.isOld(t)
		if info, err := h.Stat(managed); err != nil || info.Target != "/srv/net/current" {
			t.Errorf("the link is %+v, %v", info, err)
		}
	})
}

func TestALinkThatLeadsNowhereIsNoMissingFile(t *testing.T) {
	s := newStage(t, false)
	s.h = taskstest.NewTree(t, map[string]string{managed: "-> /srv/gone", "/var/lib/phoenix/": ""})
	err := guard.Make(s.scope(t.Context()), s.h, guard.Change{What: "network", Files: []string{managed}}, func(context.Context) error {
		t.Error("the change was begun")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "leads to /srv/gone, which is not there") {
		t.Errorf("error %v", err)
	}
}

// full is a host that has no room for one file for a while.
type full struct {
	tasks.Host
	until time.Time
	tried *atomic.Int32
}

func (f full) Write(ctx context.Context, e tasks.Edit) error {
	if e.Path == managed && string(e.Data) == "old\n" && time.Now().Before(f.until) {
		f.tried.Add(1)
		return syscall.ENOSPC
	}
	return f.Host.Write(ctx, e)
}

func TestTakingBackIsTriedUntilItWorks(t *testing.T) {
	for name, c := range map[string]struct {
		full   time.Duration // from the beginning
		helper bool          // that makes it itself
	}{
		"a disk that is full for a minute more":     {2 * time.Minute, true},
		"one that is full for longer than it waits": {10 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, true)
				var tried, released atomic.Int32
				h := full{s.h, time.Now().Add(c.full), &tried}
				s.h.Programs["systemd-run"] = func(ctx context.Context, _ tasks.Host, cmd tasks.Cmd) tasks.Output {
					go func() { _ = guard.Watch(context.WithoutCancel(ctx), h, cmd.Argv[len(cmd.Argv)-1]) }()
					return tasks.Output{}
				}
				s.h.Programs["pve-firewall"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
					released.Add(1)
					return tasks.Output{}
				}
				change := guard.Change{
					What: "network", Files: []string{managed}, Restore: [][]string{{"ifreload", "-a"}}, Release: [][]string{{"pve-firewall", "stop"}}, Timeout: time.Minute,
				}
				err := guard.Make(s.scope(t.Context()), h, change, func(context.Context) error {
					taskstest.Put(t, s.h, managed, "new\n")
					return nil
				})
				if err == nil || strings.Contains(err.Error(), "as it was before") != c.helper {
					t.Errorf("error %v", err)
				}
				<-time.After(15 * time.Minute)
				s.isOld(t)
				if tried.Load() == 0 || released.Load() == 0 {
					t.Errorf("tried %d times, released %d times", tried.Load(), released.Load())
				}
			})
		})
	}
}

// stat is /proc/PID/stat with the number and the beginning of a process.
func stat(pid, began string) string {
	return pid + " (age nt) S 1 1 1 0 -1 4194560 100 0 0 0 1 1 0 0 20 0 1 0 " + began + " 1000 100\n"
}

func TestAHelperThatWasKilledInTheChangeIsNotWaitedFor(t *testing.T) {
	for name, after := range map[string]string{"it is gone": "", "another has its number": stat("77", "999")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, true)
				s.h = taskstest.NewTree(t, map[string]string{
					managed: "old\n", "/var/lib/phoenix/": "", "/proc/self/stat": stat("77", "500"), "/proc/77/stat": stat("77", "500"),
				})
				s.h.Programs["systemd-run"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
					go func() { _ = guard.Watch(context.WithoutCancel(ctx), h, c.Argv[len(c.Argv)-1]) }()
					return tasks.Output{}
				}
				s.h.Programs["ifreload"] = func(_ context.Context, h tasks.Host, _ tasks.Cmd) tasks.Output {
					s.live.Store(taskstest.Get(t, h, managed))
					return tasks.Output{}
				}
				end := make(chan struct{})
				t.Cleanup(func() { close(end); <-time.After(10 * time.Minute) })
				dead := &dying{Host: s.h, end: end}
				go func() {
					_ = guard.Make(s.scope(t.Context()), dead, guard.Change{What: "network", Files: []string{managed}, Restore: [][]string{{"ifreload"}}}, func(context.Context) error {
						taskstest.Put(t, s.h, managed, "new\n")
						dead.gone.Store(true)
						<-end
						return nil
					})
				}()
				<-s.token
				<-time.After(time.Second)
				if got := taskstest.Get(t, s.h, managed); got != "new\n" {
					t.Fatalf("while the helper lives it is %q", got)
				}
				if after == "" {
					if err := s.h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: "/proc/77/stat"}); err != nil {
						t.Fatal(err)
					}
				} else {
					taskstest.Put(t, s.h, "/proc/77/stat", after)
				}
				<-time.After(time.Second)
				s.isOld(t)
			})
		})
	}
}

func TestALongWaitIsPendingToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, true)
		ended := make(chan error, 1)
		go func() {
			ended <- guard.Make(s.scope(t.Context()), s.h, guard.Change{What: "firewall", Files: []string{managed}, Timeout: time.Hour}, func(context.Context) error {
				taskstest.Put(t, s.h, managed, "new\n")
				return nil
			})
		}()
		<-s.token
		<-time.After(50 * time.Minute)
		guard.Forget(t.Context(), s.h, time.Now())
		if what, left, err := guard.Pending(s.h, time.Now()); what != "firewall" || left < 10*time.Minute || err != nil {
			t.Errorf("after 50 minutes pending %q for %s, %v", what, left, err)
		}
		if err := <-ended; !errors.Is(err, guard.ErrTakenBack) {
			t.Errorf("error %v", err)
		}
	})
}

// A clock that was set, and a boot, are told apart by /proc.
func TestPending_goesByTheTimeThatTheMachineIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, false)
		s.h = taskstest.NewTree(t, map[string]string{
			managed: "old\n", "/var/lib/phoenix/": "", "/proc/uptime": "100.00 1.00\n", "/proc/sys/kernel/random/boot_id": "b1\n",
		})
		s.h.Programs["systemd-run"] = taskstest.SystemdRun
		end := make(chan struct{})
		t.Cleanup(func() { close(end); <-time.After(10 * time.Minute) })
		dead := &dying{Host: s.h, end: end}
		go func() {
			_ = guard.Make(s.scope(t.Context()), dead, guard.Change{What: "network", Files: []string{managed}}, func(context.Context) error { <-end; return nil })
		}()
		<-s.token
		dead.gone.Store(true)
		for _, c := range []struct {
			uptime, boot string
			clock        time.Duration
			want         string
		}{
			{"160.00 1.00\n", "b1\n", 24 * time.Hour, "network"},
			{"160.00 1.00\n", "b1\n", -24 * time.Hour, "network"},
			{"2000.00 1.00\n", "b1\n", 0, ""},
			{"20.00 1.00\n", "b2\n", 0, ""},
		} {
			taskstest.Put(t, s.h, "/proc/uptime", c.uptime)
			taskstest.Put(t, s.h, "/proc/sys/kernel/random/boot_id", c.boot)
			if what, left, err := guard.Pending(s.h, time.Now().Add(c.clock)); what != c.want || left > 5*time.Minute || err != nil {
				t.Errorf("%+v: pending %q for %s, %v", c, what, left, err)
			}
		}
		guard.Forget(t.Context(), s.h, time.Now())
		s.isClean(t)
	})
}
