package taskstest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"phoenix/tasks"
)

// step runs the suite's one step through the real Runner.
func (s Suite) step(t *testing.T, h tasks.Host, mode tasks.Mode) (tasks.Result, []tasks.Event) {
	t.Helper()
	return s.stepContext(t.Context(), t, h, mode)
}

func (s Suite) stepContext(ctx context.Context, t *testing.T, h tasks.Host, mode tasks.Mode) (tasks.Result, []tasks.Event) {
	t.Helper()
	var events []tasks.Event
	r := tasks.Runner{Host: h, Registry: tasks.NewRegistry(s.Kind), Emit: func(e tasks.Event) { events = append(events, e) }}
	err := r.Run(ctx, tasks.Job{
		RunID: "conformance", Mode: mode, Secrets: s.Secrets, Consent: s.Consent,
		Steps: []tasks.Step{{ID: s.Kind.Name + ":test", Kind: s.Kind.Name, Spec: json.RawMessage(s.Spec)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		if e.Result != nil {
			return *e.Result, events
		}
	}
	t.Fatal("the step has no result")
	return tasks.Result{}, nil
}

// Apply runs the suite's step on a host, with its secrets and consent, and returns
// its result.
func (s Suite) Apply(t *testing.T, h tasks.Host) tasks.Result {
	t.Helper()
	res, _ := s.step(t, h, tasks.ModeRun)
	return res
}

// Check runs one check of a spec on a host and returns its result, for tests that
// look at single cases.
func Check(t *testing.T, k tasks.Kind, spec string, h tasks.Host) tasks.Result {
	t.Helper()
	res, _ := Suite{Kind: k, Spec: spec}.step(t, h, tasks.ModeCheck)
	return res
}

// Run runs one step on a host and returns its result.
func Run(t *testing.T, k tasks.Kind, spec string, h tasks.Host) tasks.Result {
	t.Helper()
	res, _ := Suite{Kind: k, Spec: spec}.step(t, h, tasks.ModeRun)
	return res
}

func show(r tasks.Result) string {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Sprint(r)
	}
	return string(raw)
}
