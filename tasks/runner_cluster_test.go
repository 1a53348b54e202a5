package tasks_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
)

func lastResult(t *testing.T, events []tasks.Event) tasks.Result {
	t.Helper()
	for _, e := range slices.Backward(events) {
		if e.Result != nil {
			return *e.Result
		}
	}
	t.Fatal("no result")
	return tasks.Result{}
}

func TestAStepThatAnotherMachineMakesIsWaitedForAndVerified(t *testing.T) {
	for _, c := range []struct {
		name, do string
		leader   time.Duration // when it has made it; 0 for never
		mode     tasks.Mode
		status   tasks.Status
		after    time.Duration
	}{
		{"the leader makes it", "storage", 4500 * time.Millisecond, tasks.ModeRun, tasks.StatusOK, 5 * time.Second},
		{"the leader never comes to it", "storage", 0, tasks.ModeRun, tasks.StatusChanged, time.Minute},
		{"the leader comes to it while this one tries", "custom", time.Minute + time.Second, tasks.ModeRun, tasks.StatusOK, time.Minute + 2*time.Second},
		{"it cannot be made", "fails", 0, tasks.ModeRun, tasks.StatusFailed, time.Minute},
		{"what a run refuses is not waited for", "held", 0, tasks.ModeRun, tasks.StatusChanged, 0},
		{"a check waits for nobody", "storage", 0, tasks.ModeCheck, tasks.StatusWouldChange, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &state{made: map[string]bool{}}
				s.apply = func(context.Context) error {
					<-time.After(2 * time.Second)
					return errors.New("storage ID 'tank' already defined")
				}
				r, events := setup(s)
				if c.leader > 0 {
					s.madeAt = time.Now().Add(c.leader)
				}
				begin := time.Now()
				step := tasks.Step{ID: "storage:tank", Kind: "fake", Leader: "pve1", Spec: []byte(`{"do":"` + c.do + `"}`)}
				if err := r.Run(t.Context(), tasks.Job{RunID: "r", Mode: c.mode, Steps: []tasks.Step{step}}); err != nil {
					t.Fatal(err)
				}
				if res := lastResult(t, *events); res.Status != c.status || time.Since(begin) != c.after {
					t.Errorf("%s after %s, want %s after %s: %s", res.Status, time.Since(begin), c.status, c.after, res.Why)
				}
			})
		})
	}
}

func TestACheckIsToldWhichOfItsNeedsWouldChangeFirst(t *testing.T) {
	for mode, want := range map[tasks.Mode][]string{tasks.ModeCheck: {"late"}, tasks.ModeRun: {}} {
		s := &state{made: map[string]bool{}}
		r, _ := setup(s)
		err := r.Run(t.Context(), tasks.Job{RunID: "r", Mode: mode, Steps: []tasks.Step{
			{ID: "fine", Kind: "fake", Spec: []byte(`{"do":"ok"}`)},
			{ID: "late", Kind: "fake", Spec: []byte(`{"do":"late"}`)},
			{ID: "other", Kind: "fake", Spec: []byte(`{"do":"other"}`)},
			{ID: "stuck", Kind: "fake", Spec: []byte(`{"do":"held"}`)},
			{ID: "last", Kind: "fake", Needs: []string{"fine", "late", "stuck"}, Spec: []byte(`{"do":"last"}`)},
		}})
		if err != nil || !slices.Equal(s.scope.Ahead, want) {
			t.Errorf("%s: ahead %q, %v; want %q", mode, s.scope.Ahead, err, want)
		}
		if mode == tasks.ModeCheck {
			want = []string{"late", "other"} // needed or not
		}
		if !slices.Equal(s.scope.Earlier, want) && len(s.scope.Earlier)+len(want) > 0 {
			t.Errorf("%s: earlier %q, want %q", mode, s.scope.Earlier, want)
		}
	}
}

func TestAStepIsToldWhatThoseBeforeItLeaveToAReboot(t *testing.T) {
	s := &state{made: map[string]bool{}}
	r, events := setup(s)
	var heard []string
	s.apply = func(ctx context.Context) error {
		heard = tasks.ScopeOf(ctx).Waiting
		return nil
	}
	err := r.Run(t.Context(), tasks.Job{RunID: "r", Mode: tasks.ModeRun, Steps: []tasks.Step{
		{ID: "kernel:settings", Kind: "fake", Spec: []byte(`{"do":"needs a reboot"}`)},
		{ID: "reboot:host", Kind: "fake", Needs: []string{"kernel:settings"}, Spec: []byte(`{"do":"custom"}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"kernel:settings b"}; !slices.Equal(heard, want) {
		t.Errorf("heard of %q, want %q", heard, want)
	}
	first := (*events)[1].Result
	if first == nil || first.Cause != tasks.CausePending || first.Why != "it waits for a reboot" {
		t.Errorf("the step that waits ends as %+v", first)
	}
}
