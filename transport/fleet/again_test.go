package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/report"
	"phoenix/transport"
)

// chain are steps of which the third needs those before it.
func chain() []tasks.Step {
	return []tasks.Step{{ID: "first", Kind: "k"}, {ID: "second", Kind: "k"}, {ID: "third", Kind: "k", Needs: []string{"first", "second"}}, {ID: "fourth", Kind: "k"}}
}

// outcome is "first ok, second changed".
func outcome(r report.Report) string {
	var out []string
	for _, s := range r.Hosts[0].Steps {
		out = append(out, fmt.Sprintf("%s %s", s.ID, s.Status))
	}
	return strings.Join(out, ", ")
}

func done(a *actor) { a.up <- wire.Message{Done: &wire.Done{}} }

// ids lists the steps of a job.
func ids(j tasks.Job) string {
	var out []string
	for _, s := range j.Steps {
		out = append(out, s.ID)
	}
	return strings.Join(out, " ")
}

func TestAHostThatRebootsIsGoneBackTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := 0
		boot := tasks.Diff{{Path: "boot", From: "6.8.12-4-pve", To: "6.8.12-9-pve", Effect: tasks.EffectReboot}}
		w := &world{steps: chain()}
		w.script = func(h Host) func(*actor) {
			sessions++
			switch sessions {
			case 1:
				return func(a *actor) {
					a.result("first", tasks.StatusOK)
					a.up <- wire.Message{Event: &tasks.Event{Step: "second", Reboot: &tasks.Reboot{BootID: "b1", Changes: boot}}}
					<-a.gone
				}
			case 2:
				return func(a *actor) { a.up <- wire.Message{Done: &wire.Done{Error: "the machine has not gone down yet"}} }
			case 3:
				return func(a *actor) { close(a.up) } // it goes down while it is asked
			}
			if got, want := ids(h.Job), "second third fourth"; got != want || h.Job.AfterBoot != "b1" || h.Job.RunID == "r" || len(h.Job.Steps[1].Needs) != 1 {
				t.Errorf("the job after the reboot is %+v, want the steps %s and the boot b1 over", h.Job, want)
			}
			return func(a *actor) {
				for _, id := range []string{"second", "third", "fourth"} {
					a.result(id, tasks.StatusOK)
				}
				done(a)
			}
		}
		r := w.run(t.Context(), 1, &Fleet{})
		if got, want := outcome(r), "first ok, second changed, third ok, fourth ok"; got != want || r.Hosts[0].Error != nil {
			t.Errorf("outcome %s, %+v, want %s", got, r.Hosts[0].Error, want)
		}
		if s := r.Hosts[0].Steps[1]; len(s.Changes) != 1 || s.Changes[0].To != "6.8.12-9-pve" {
			t.Errorf("the reboot is told as %+v", s.Changes)
		}
	})
}

func TestWhatWaitedForTheRebootIsLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		written := tasks.Diff{{Path: "cmdline", To: "iommu=pt", Effect: tasks.EffectLive}}
		left := tasks.Diff{{Path: "running.cmdline", To: "iommu=pt", Effect: tasks.EffectReboot}}
		first := tasks.Result{Status: tasks.StatusChanged, Cause: tasks.CausePending, Changes: written, Remaining: left}
		begun := false
		w := &world{steps: append(chain(), tasks.Step{ID: "fifth", Kind: "k", Needs: []string{"third"}}, tasks.Step{ID: "sixth", Kind: "k", Needs: []string{"fifth"}})}
		w.script = func(h Host) func(*actor) {
			if !begun {
				begun = true
				return func(a *actor) {
					a.up <- wire.Message{Event: &tasks.Event{Step: "first", Result: &first}}
					a.up <- wire.Message{Event: &tasks.Event{Step: "second", Reboot: &tasks.Reboot{BootID: "b1", Changes: left}}}
					<-a.gone
				}
			}
			if got := ids(h.Job); got != "first second third fourth fifth sixth" {
				t.Errorf("the steps after the reboot are %s", got)
			}
			return func(a *actor) {
				// What the helper wrote down while the machine went down under it.
				a.up <- wire.Message{Journal: &wire.Journal{RunID: "r", Events: []tasks.Event{
					{Step: "first", Result: &first},
					{Step: "second", Result: &tasks.Result{Status: tasks.StatusSkipped, Cause: tasks.CausePending, Remaining: left}},
					{Step: "third", Result: &tasks.Result{Status: tasks.StatusSkipped, Cause: tasks.CauseCanceled, Why: "the run was stopped"}},
					{Step: "fourth", Result: &tasks.Result{Status: tasks.StatusOK}},
					{Step: "fifth", Result: &tasks.Result{Status: tasks.StatusSkipped, Cause: tasks.CauseNeed, Why: "third did not end well"}},
					{Step: "sixth", Result: &tasks.Result{Status: tasks.StatusSkipped, Cause: tasks.CauseNeed, Why: "fifth did not end well"}},
				}}}
				for _, id := range []string{"first", "second", "third", "fourth", "fifth", "sixth"} {
					a.result(id, tasks.StatusOK)
				}
				done(a)
			}
		}
		r := w.run(t.Context(), 1, &Fleet{})
		if got, want := outcome(r), "first changed, fourth ok, second changed, third ok, fifth ok, sixth ok"; got != want || r.Hosts[0].Error != nil {
			t.Errorf("outcome %s, %+v, want %s", got, r.Hosts[0].Error, want)
		}
		if s := r.Hosts[0].Steps[0]; len(s.Remaining) > 0 || len(s.Changes) != 2 || !s.Changes.Has("running.cmdline") {
			t.Errorf("what waited is told as %+v", s.Result)
		}
	})
}

func TestAHostIsRebootedOnceInARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		need := tasks.Diff{{Path: "reboot", To: "needed", Effect: tasks.EffectReboot, Note: "modules are gone\nwould be refused"}}
		begun := false
		w := &world{steps: chain()}
		w.script = func(h Host) func(*actor) {
			if !begun {
				begun = true
				return func(a *actor) {
					a.up <- wire.Message{Event: &tasks.Event{Step: "first", Reboot: &tasks.Reboot{BootID: "b1", Changes: need}}}
					<-a.gone
				}
			}
			if h.Job.Consent.Reboot {
				t.Error("the second session may reboot, too")
			}
			return func(a *actor) {
				a.up <- wire.Message{Event: &tasks.Event{Step: "first", Result: &tasks.Result{Status: tasks.StatusSkipped, Cause: tasks.CausePending, Remaining: need}}}
				for _, id := range []string{"second", "third", "fourth"} {
					a.result(id, tasks.StatusOK)
				}
				done(a)
			}
		}
		w.consent.Reboot = true
		r := w.run(t.Context(), 1, &Fleet{})
		if got, want := outcome(r), "first failed, second ok, third ok, fourth ok"; got != want {
			t.Errorf("outcome %s, want %s", got, want)
		}
		if why := r.Hosts[0].Steps[0].Why; why != "the machine was rebooted, and needs it still: modules are gone" {
			t.Errorf("why %q", why)
		}
	})
}

func TestAHostThatNeverComesBackIsToldAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		w := &world{steps: chain()}
		w.script = func(Host) func(*actor) {
			if gone.Swap(true) {
				return func(a *actor) { close(a.up) }
			}
			return func(a *actor) {
				a.up <- wire.Message{Event: &tasks.Event{Step: "first", Reboot: &tasks.Reboot{BootID: "b1", Changes: tasks.Diff{{Path: "boot", To: "x"}}}}}
				<-a.gone
			}
		}
		begin := time.Now()
		r := w.run(t.Context(), 1, &Fleet{})
		if d := time.Since(begin); d < rebootLimit || d > rebootLimit+time.Minute {
			t.Errorf("given up after %s", d)
		}
		if e := r.Hosts[0].Error; e == nil || e.Class != report.ClassLost {
			t.Errorf("error %+v", e)
		}
	})
}

// network is a host whose second step changes its network, and which may be cut off by
// that.
func network(t *testing.T, w *world, cut bool, confirms func(Host) func(*actor), later func(Host) func(*actor)) {
	begun := false
	w.steps = chain()
	w.script = func(h Host) func(*actor) {
		if h.Confirm != nil {
			return confirms(h)
		}
		if begun {
			return later(h)
		}
		begun = true
		return func(a *actor) {
			a.result("first", tasks.StatusOK)
			a.up <- wire.Message{Event: &tasks.Event{Step: "second", Confirm: &tasks.Confirm{Token: "t", TimeoutS: 60, Addresses: []string{"192.0.2.9", "not an address"}}}}
			if cut {
				close(a.up)
				return
			}
			<-time.After(3 * time.Second)
			a.result("second", tasks.StatusChanged)
			a.result("third", tasks.StatusOK)
			a.result("fourth", tasks.StatusOK)
			done(a)
		}
	}
}

func answer(d wire.Done) func(*actor) {
	return func(a *actor) { a.up <- wire.Message{Done: &d} }
}

func TestAChangeIsConfirmedOverTwoConnections(t *testing.T) {
	for name, cut := range map[string]bool{"beside the session": false, "after the session was cut": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, confirmed := 0, 0
				w := &world{}
				network(t, w, cut, func(h Host) func(*actor) {
					asked++
					switch {
					case asked == 1:
						return answer(wire.Done{Error: "the change is still being made"})
					case h.Confirm.Ticket != "ticket":
						return answer(wire.Done{Ticket: "ticket"})
					}
					confirmed++
					return answer(wire.Done{})
				}, func(h Host) func(*actor) {
					return func(a *actor) {
						a.up <- wire.Message{Journal: &wire.Journal{RunID: "r", Events: []tasks.Event{
							{Step: "first", Result: &tasks.Result{Status: tasks.StatusOK}},
							{Step: "second", Result: &tasks.Result{Status: tasks.StatusChanged}},
						}}}
						a.up <- wire.Message{Event: &tasks.Event{Step: "second", Result: &tasks.Result{Status: tasks.StatusOK}}}
						a.result("third", tasks.StatusOK)
						a.result("fourth", tasks.StatusOK)
						done(a)
					}
				})
				r := w.run(t.Context(), 1, &Fleet{})
				if got, want := outcome(r), "first ok, second changed, third ok, fourth ok"; got != want || r.Hosts[0].Error != nil {
					t.Errorf("outcome %s, %+v, want %s", got, r.Hosts[0].Error, want)
				}
				if confirmed != 1 || asked < 3 {
					t.Errorf("confirmed %d times, asked %d times", confirmed, asked)
				}
			})
		})
	}
}

func TestAHostThatMovedIsGoneBackToWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		network(t, w, true, func(h Host) func(*actor) {
			switch {
			case h.Target.Instead == "":
				return func(a *actor) { close(a.up) }
			case h.Confirm.Ticket == "":
				return answer(wire.Done{Ticket: "ticket"})
			}
			return answer(wire.Done{})
		}, func(h Host) func(*actor) {
			if h.Target.Instead != "192.0.2.9" || h.Target.Address != "192.0.2.1" {
				t.Errorf("gone back to %+v", h.Target)
			}
			return func(a *actor) {
				for _, id := range []string{"second", "third", "fourth"} {
					a.result(id, tasks.StatusOK)
				}
				done(a)
			}
		})
		r := w.run(t.Context(), 1, &Fleet{})
		if got, want := outcome(r), "first ok, second ok, third ok, fourth ok"; got != want || r.Hosts[0].Error != nil {
			t.Errorf("outcome %s, %+v, want %s", got, r.Hosts[0].Error, want)
		}
	})
}

func TestAChangeThatCutsTheWayIsAFailedStepAndTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		network(t, w, true, func(Host) func(*actor) { return func(a *actor) { close(a.up) } }, func(h Host) func(*actor) {
			if got := ids(h.Job); got != "fourth" {
				t.Errorf("steps %q of the second session, want the fourth alone", got)
			}
			return func(a *actor) { a.result("fourth", tasks.StatusOK); done(a) }
		})
		r := w.run(t.Context(), 1, &Fleet{})
		if got, want := outcome(r), "first ok, second failed, third skipped, fourth ok"; got != want || r.Hosts[0].Error != nil {
			t.Errorf("outcome %s, %+v, want %s", got, r.Hosts[0].Error, want)
		}
		if why := r.Hosts[0].Steps[1].Why; !strings.Contains(why, "takes the change back") {
			t.Errorf("why %q", why)
		}
	})
}

func TestAHostIsSoughtWhereItSaysItWillBe(t *testing.T) {
	all := reachable(transport.Target{Name: "h", Address: "192.0.2.1"}, []string{"192.0.2.1", "192.0.2.9", "evil.example", "2001:db8::1"})
	var got []string
	for _, target := range all {
		got = append(got, target.Address+" "+target.Instead)
	}
	if want := "192.0.2.1 ,192.0.2.1 192.0.2.9,192.0.2.1 2001:db8::1"; strings.Join(got, ",") != want {
		t.Errorf("sought at %q, want %q", got, want)
	}
}

func TestAnOperatorWhoStopsIsNotKeptWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, now := context.WithCancel(t.Context())
		w := &world{steps: chain()}
		w.script = func(Host) func(*actor) {
			return func(a *actor) {
				a.up <- wire.Message{Event: &tasks.Event{Step: "first", Reboot: &tasks.Reboot{BootID: "b1", Changes: tasks.Diff{{Path: "boot", To: "x"}}}}}
				w.mu.Lock()
				w.dial = map[string]error{"h1": errors.New("connection refused")}
				w.mu.Unlock()
				<-time.After(time.Minute)
				now()
			}
		}
		begin := time.Now()
		r := w.run(t.Context(), 1, &Fleet{Interrupt: Interrupt{Stop: stop}})
		if d := time.Since(begin); d > time.Minute+5*time.Second || r.Hosts[0].Error == nil {
			t.Errorf("after %s: %+v", d, r.Hosts[0].Error)
		}
	})
}
