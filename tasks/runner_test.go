package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
)

// fake is a spec and its task in one: it does what its name says.
type fake struct {
	Do string `json:"do"`

	state *state
}

// state is what the fake tasks share with their test.
type state struct {
	made   map[string]bool
	madeAt time.Time // when another machine has made all; zero for never
	checks int
	scope  tasks.Scope // of the last check
	apply  func(ctx context.Context) error
}

func (f *fake) Validate() []tasks.Problem {
	if f.Do == "" {
		return []tasks.Problem{{Path: "do", Summary: "is missing", Hint: "say what"}}
	}
	return nil
}

func (f *fake) Task() tasks.Task {
	if f.Do == "panic in Task" {
		panic("no task")
	}
	return f
}

func (f *fake) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	f.state.checks++
	f.state.scope = tasks.ScopeOf(ctx)
	switch {
	case f.Do == "unknown":
		return nil, &tasks.UnknownError{Why: "container 900 is stopped"}
	case f.Do == "cannot check", f.Do == "cannot check again" && f.state.made[f.Do]:
		return nil, errors.New("read x: broken")
	case f.Do == "panic in Check":
		panic("at the disco")
	case f.Do == "write in Check":
		return nil, h.Write(context.Background(), tasks.Edit{Verb: tasks.VerbPut, Path: "/x"})
	case f.Do == "ok", f.state.made[f.Do], !f.state.madeAt.IsZero() && time.Now().After(f.state.madeAt):
		return nil, nil
	case f.Do == "cannot":
		return tasks.Diff{{Path: "a", To: "1"}, {Path: "gpu", To: "0", Note: "x\n" + tasks.NoteCannot + "there is no card"}}, nil
	case f.Do == "pending" && f.state.made["pending half"]:
		return tasks.Diff{{Path: "b", To: "2", Effect: tasks.EffectPending}}, nil
	case f.Do == "busy":
		return tasks.Diff{{Path: "b", To: "2", Effect: tasks.EffectPending, Note: tasks.NoteByHand + " while it is used"}}, nil
	case f.Do == "held":
		return tasks.Diff{{Path: "a", From: "1", Note: (&tasks.RefusedError{What: "taking a away"}).Note()}}, nil
	case f.Do == "needs a reboot" && f.state.made[f.Do+" half"]:
		return tasks.Diff{{Path: "b", To: "2", Effect: tasks.EffectReboot}}, nil
	case f.Do == "reboot", f.Do == "no reboot":
		return tasks.Diff{{Path: "b", To: "2", Effect: tasks.EffectReboot}}, nil
	case f.Do == "rolled back" && f.state.made["rolled back half"]: // and stopped, so that no restart is needed now
		return tasks.Diff{{Path: "a", To: "1", Effect: tasks.EffectLive}, {Path: "b", To: "2", Effect: tasks.EffectLive}}, nil
	case f.Do == "refused" && f.state.made["refused half"]:
		return tasks.Diff{{Path: "b", To: "2", Effect: tasks.EffectReplace}}, nil
	}
	return tasks.Diff{{Path: "a", To: "1", Effect: tasks.EffectLive}, {Path: "b", To: "2", Effect: tasks.EffectReplace}}, nil
}

func (f *fake) Apply(ctx context.Context, _ tasks.Host, _ tasks.Diff) error {
	switch f.Do {
	case "fails":
		return &tasks.CommandError{Argv: []string{"pct", "set"}, Code: 255, Stderr: "no"}
	case "lies", "busy":
		return nil
	case "rolled back":
		f.state.made["rolled back half"] = true
		return errors.New("start failed; it was rolled back")
	case "panic in Apply":
		panic("at the disco")
	case "pending", "refused", "needs a reboot":
		f.state.made[f.Do+" half"] = true
		if f.Do == "refused" {
			return &tasks.RefusedError{What: "destroying container 900", Allow: []tasks.Allow{{Flag: tasks.AllowDestroy, Name: "900"}}}
		}
		return nil
	case "reboot":
		return &tasks.RefusedError{What: "rebooting", Allow: []tasks.Allow{{Flag: tasks.AllowReboot}}}
	case "no reboot":
		return &tasks.RefusedError{What: "rebooting", Instead: "no module"}
	case "custom":
		if err := f.state.apply(ctx); err != nil {
			return err
		}
	}
	f.state.made[f.Do] = true
	return nil
}

// setup returns a runner over fake steps, and what it will emit.
func setup(s *state) (*tasks.Runner, *[]tasks.Event) {
	s.made = map[string]bool{}
	events := new([]tasks.Event)
	kind := tasks.Kind{Name: "fake", New: func() tasks.Spec { return &fake{state: s} }}
	return &tasks.Runner{Host: nowhere{}, Registry: tasks.NewRegistry(kind), Emit: func(e tasks.Event) { *events = append(*events, e) }}, events
}

// nowhere is a host that has nothing.
type nowhere struct{ tasks.Host }

func step(id, do string, needs ...string) tasks.Step {
	raw, _ := json.Marshal(map[string]string{"do": do})
	return tasks.Step{ID: id, Kind: "fake", Needs: needs, Spec: raw}
}

func run(t *testing.T, s *state, mode tasks.Mode, steps ...tasks.Step) map[string]tasks.Result {
	t.Helper()
	r, events := setup(s)
	if err := r.Run(t.Context(), tasks.Job{Mode: mode, Steps: steps}); err != nil {
		t.Fatal(err)
	}
	return results(t, *events)
}

func results(t *testing.T, events []tasks.Event) map[string]tasks.Result {
	t.Helper()
	out := map[string]tasks.Result{}
	for _, e := range events {
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		if e.Result != nil {
			if _, twice := out[e.Step]; twice {
				t.Errorf("%s has two results", e.Step)
			}
			out[e.Step] = *e.Result
		}
	}
	return out
}

func TestRunner_outcomes(t *testing.T) {
	a := tasks.Change{Path: "a", To: "1", Effect: tasks.EffectLive}
	b := tasks.Change{Path: "b", To: "2", Effect: tasks.EffectReplace}
	waiting := tasks.Change{Path: "b", To: "2", Effect: tasks.EffectPending}
	down := tasks.Change{Path: "b", To: "2", Effect: tasks.EffectReboot}
	destroy, reboot := []tasks.Allow{{Flag: tasks.AllowDestroy, Name: "900"}}, []tasks.Allow{{Flag: tasks.AllowReboot}}
	for _, tc := range []struct {
		name, do string
		mode     tasks.Mode
		want     tasks.Result
	}{
		{"nothing differs", "ok", tasks.ModeRun, tasks.Result{Status: tasks.StatusOK}},
		{"a check only shows", "change", tasks.ModeCheck, tasks.Result{Status: tasks.StatusWouldChange, Changes: tasks.Diff{a, b}}},
		{"what differed is made", "change", tasks.ModeRun, tasks.Result{Status: tasks.StatusChanged, Changes: tasks.Diff{a, b}}},
		{"a failed apply", "fails", tasks.ModeRun, tasks.Result{Status: tasks.StatusFailed, Why: "run pct set: exit status 255: no", Remaining: tasks.Diff{a, b}}},
		{"an apply that claims success", "lies", tasks.ModeRun, tasks.Result{Status: tasks.StatusFailed, Cause: tasks.CauseNotApplied, Why: "a still differs after applying", Remaining: tasks.Diff{a, b}}},
		{"written and waiting", "pending", tasks.ModeRun, tasks.Result{Status: tasks.StatusChanged, Cause: tasks.CausePending, Why: "written, and waits for a restart", Changes: tasks.Diff{a, b}, Remaining: tasks.Diff{waiting}}},
		{"nothing is written while it is used", "busy", tasks.ModeRun, tasks.Result{Status: tasks.StatusSkipped, Cause: tasks.CausePending, Why: "a run does not mend it while it is used",
			Remaining: tasks.Diff{{Path: "b", To: "2", Effect: tasks.EffectPending, Note: tasks.NoteByHand + " while it is used"}}}},
		{"refused after the rest was made", "refused", tasks.ModeRun, tasks.Result{Status: tasks.StatusSkipped, Cause: tasks.CauseRefused, Why: "destroying container 900 is refused without --allow-destroy 900", Changes: tasks.Diff{a}, Remaining: tasks.Diff{b}, Allow: destroy}},
		{"a reboot that was not agreed to waits", "reboot", tasks.ModeRun, tasks.Result{Status: tasks.StatusSkipped, Cause: tasks.CausePending, Why: "it waits for a reboot", Remaining: tasks.Diff{down}, Allow: reboot}},
		{"a reboot that no consent allows is refused", "no reboot", tasks.ModeRun, tasks.Result{Status: tasks.StatusSkipped, Cause: tasks.CauseRefused, Why: "rebooting is refused: no module", Remaining: tasks.Diff{down}}},
		{"a state that cannot be told", "unknown", tasks.ModeRun, tasks.Result{Status: tasks.StatusUnknown, Why: "container 900 is stopped"}},
		{"a check that fails", "cannot check", tasks.ModeRun, tasks.Result{Status: tasks.StatusFailed, Why: "read x: broken"}},
		{"a second check that fails", "cannot check again", tasks.ModeRun, tasks.Result{Status: tasks.StatusFailed, Why: "check after applying: read x: broken", Changes: tasks.Diff{a, b}}},
		{"a panic in Task", "panic in Task", tasks.ModeRun, tasks.Result{Status: tasks.StatusFailed, Why: "internal error: no task"}},
		{"a panic in Check", "panic in Check", tasks.ModeRun, tasks.Result{Status: tasks.StatusFailed, Why: "internal error: at the disco"}},
		{"a panic in Apply", "panic in Apply", tasks.ModeRun, tasks.Result{Status: tasks.StatusFailed, Why: "internal error: at the disco", Remaining: tasks.Diff{a, b}}},
		{"a write during a check", "write in Check", tasks.ModeRun, tasks.Result{Status: tasks.StatusFailed, Why: "put /x: host is read-only during a check"}},
		{"a spec with a fault", "", tasks.ModeRun, tasks.Result{Status: tasks.StatusFailed, Why: "decode step s: do: is missing (say what)"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, &state{}, tc.mode, step("s", tc.do))["s"]
			got.DurationMS = 0
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestRunner_aFailureStopsOnlyWhatNeedsIt(t *testing.T) {
	got := run(t, &state{}, tasks.ModeRun,
		step("grandchild", "change", "child"), step("child", "change", "broken"), step("broken", "fails"),
		step("alone", "change"), step("after pending", "change too", "waits"), step("waits", "pending"), step("after unknown", "change", "dark"), step("dark", "unknown"))
	for id, want := range map[string]tasks.Status{
		"broken": tasks.StatusFailed, "child": tasks.StatusSkipped, "grandchild": tasks.StatusSkipped, "alone": tasks.StatusChanged,
		"waits": tasks.StatusChanged, "after pending": tasks.StatusChanged, "dark": tasks.StatusUnknown, "after unknown": tasks.StatusSkipped,
	} {
		if got[id].Status != want {
			t.Errorf("%s is %s, want %s", id, got[id].Status, want)
		}
	}
	if r := got["child"]; r.Cause != tasks.CauseNeed || r.Why != "broken did not end well" {
		t.Errorf("%+v", r)
	}
}

func TestRunner_whatWasRefusedIsAskedHowItIs(t *testing.T) {
	asks := step("asks", "change", "refused")
	asks.Asks = true
	lost := step("asks what failed", "change", "broken")
	lost.Asks = true
	later := step("asks later", "change", "builds on it")
	later.Asks = true
	got := run(t, &state{}, tasks.ModeRun, step("refused", "refused"), asks, step("builds on it", "change", "refused"), later, step("broken", "fails"), lost)
	for id, want := range map[string]tasks.Status{
		"asks": tasks.StatusChanged, "builds on it": tasks.StatusSkipped, "asks later": tasks.StatusOK, "asks what failed": tasks.StatusSkipped,
	} {
		if got[id].Status != want {
			t.Errorf("%s is %s, want %s", id, got[id].Status, want)
		}
	}
}

func TestRunner_inACheckStepsThatNeedAChangeAreStillChecked(t *testing.T) {
	got := run(t, &state{}, tasks.ModeCheck, step("first", "change"), step("second", "change", "first"))
	if got["second"].Status != tasks.StatusWouldChange {
		t.Errorf("%+v", got)
	}
}

func TestRunner_eventsTellTheStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &state{apply: func(ctx context.Context) error {
			tasks.Logf(ctx, "working on %d", 1)
			<-time.After(1500 * time.Millisecond)
			return tasks.SetData(ctx, map[string]int{"code": 0})
		}}
		r, events := setup(s)
		begin := time.Now()
		if err := r.Run(t.Context(), tasks.Job{Mode: tasks.ModeRun, Steps: []tasks.Step{step("s", "custom")}}); err != nil {
			t.Fatal(err)
		}
		want := []tasks.Event{
			{Time: begin, Step: "s", Started: &tasks.Started{Index: 1, Total: 1}},
			{Time: begin, Step: "s", Log: &tasks.Log{Stream: "task", Text: "working on 1"}},
			{Time: begin.Add(1500 * time.Millisecond), Step: "s", Result: &tasks.Result{
				Status: tasks.StatusChanged, DurationMS: 1500, Data: json.RawMessage(`{"code":0}`),
				Changes: tasks.Diff{{Path: "a", To: "1", Effect: tasks.EffectLive}, {Path: "b", To: "2", Effect: tasks.EffectReplace}},
			}},
		}
		if !reflect.DeepEqual(*events, want) {
			t.Errorf("got  %+v\nwant %+v", *events, want)
		}
	})
}

func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestRunner_aStepEndsAtItsBound(t *testing.T) {
	for _, tc := range []struct {
		name      string
		step, job int
		want      time.Duration
	}{
		{"its own", 5, 60, 5 * time.Second},
		{"the job's", 0, 60, time.Minute},
		{"an hour where nobody says", 0, 0, time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, events := setup(&state{apply: hang})
				s := step("s", "custom")
				s.TimeoutS = tc.step
				begin := time.Now()
				if err := r.Run(t.Context(), tasks.Job{Mode: tasks.ModeRun, StepTimeoutS: tc.job, Steps: []tasks.Step{s, step("next", "change")}}); err != nil {
					t.Fatal(err)
				}
				got := results(t, *events)
				if d := time.Since(begin); d != tc.want || got["s"].Cause != tasks.CauseTimeout || !strings.Contains(got["s"].Why, "longer than "+tc.want.String()) {
					t.Errorf("after %s: %+v", d, got["s"])
				}
				if got["next"].Status != tasks.StatusChanged {
					t.Errorf("the next step: %+v", got["next"])
				}
			})
		})
	}
}

func TestRunner_cancelEndsTheStepAndStartsNone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, events := setup(&state{apply: func(ctx context.Context) error { cancel(); return hang(ctx) }})
	if err := r.Run(ctx, tasks.Job{Mode: tasks.ModeRun, Steps: []tasks.Step{step("s", "custom"), step("next", "change")}}); err != nil {
		t.Fatal(err)
	}
	got := results(t, *events)
	if got["s"].Status != tasks.StatusFailed || got["s"].Cause != tasks.CauseCanceled {
		t.Errorf("%+v", got["s"])
	}
	if got["next"].Status != tasks.StatusSkipped || got["next"].Cause != tasks.CauseCanceled {
		t.Errorf("%+v", got["next"])
	}
}

func TestRunner_stopLetsTheStepEndAndStartsNone(t *testing.T) {
	stop := make(chan struct{})
	r, events := setup(&state{apply: func(context.Context) error { close(stop); return nil }})
	r.Stop = stop
	if err := r.Run(t.Context(), tasks.Job{Mode: tasks.ModeRun, Steps: []tasks.Step{step("s", "custom"), step("next", "change")}}); err != nil {
		t.Fatal(err)
	}
	got := results(t, *events)
	if got["s"].Status != tasks.StatusChanged || got["next"].Cause != tasks.CauseCanceled {
		t.Errorf("%+v", got)
	}
}

func TestRunner_aJobThatHasNoOrderRunsNothing(t *testing.T) {
	s := &state{}
	r, events := setup(s)
	err := r.Run(t.Context(), tasks.Job{Mode: tasks.ModeRun, Steps: []tasks.Step{step("a", "change", "b"), step("b", "change", "a")}})
	if err == nil || len(*events) > 0 || s.checks > 0 {
		t.Errorf("%v, %d events, %d checks", err, len(*events), s.checks)
	}
}

func TestOrder(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []tasks.Step
		want  string
		err   string
	}{
		{"without needs it is as given", []tasks.Step{step("c", "x"), step("a", "x"), step("b", "x")}, "c a b", ""},
		{"what is needed comes first", []tasks.Step{step("c", "x", "b"), step("a", "x"), step("b", "x", "a")}, "a b c", ""},
		{"two ways to one step", []tasks.Step{step("d", "x", "b", "c"), step("b", "x", "a"), step("c", "x", "a"), step("a", "x")}, "a b c d", ""},
		{"a cycle is spelled out", []tasks.Step{step("a", "x", "b"), step("b", "x", "c"), step("c", "x", "b")}, "", "a -> b -> c -> b"},
		{"a step that needs itself", []tasks.Step{step("a", "x", "a")}, "", "a -> a"},
		{"a need that is not there", []tasks.Step{step("a", "x", "z")}, "", "a needs z, which is not among the steps"},
		{"two of one name", []tasks.Step{step("a", "x"), step("a", "x")}, "", "two steps are called a"},
		{"no name", []tasks.Step{step("", "x")}, "", "has no ID"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := tasks.Order(tc.steps)
			var ids []string
			for _, s := range out {
				ids = append(ids, s.ID)
			}
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || out != nil {
					t.Errorf("got %v, %v; want %q", ids, err, tc.err)
				}
				return
			}
			if err != nil || !slices.Equal(ids, strings.Fields(tc.want)) {
				t.Errorf("got %v, %v; want %s", ids, err, tc.want)
			}
		})
	}
}

func TestRunner_aCheckFailsWhereARunWould(t *testing.T) {
	res := run(t, &state{}, tasks.ModeCheck, step("a", "cannot"))["a"]
	if res.Status != tasks.StatusFailed || res.Why != "gpu 0: there is no card" || len(res.Changes) != 0 || len(res.Remaining) != 2 {
		t.Errorf("%+v", res)
	}
}

func TestWhatWasRolledBackIsNotToldAsMade(t *testing.T) {
	got := run(t, &state{}, tasks.ModeRun, step("x", "rolled back"))["x"]
	if got.Status != tasks.StatusFailed || len(got.Changes) > 0 || len(got.Remaining) != 2 {
		t.Errorf("%+v", got)
	}
}
