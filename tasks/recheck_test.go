package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
)

// halves is a step of two properties, of which Apply makes the first and then does
// as told. Its Check asks the context, as one that starts programs does.
type halves struct {
	then func(ctx context.Context) error
	made bool
	// hung makes a Check after Apply wait for its context.
	hung bool
}

func (s *halves) Validate() []tasks.Problem { return nil }
func (s *halves) Task() tasks.Task          { return s }

func (s *halves) Check(ctx context.Context, _ tasks.Host) (tasks.Diff, error) {
	if s.made && s.hung {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	diff := tasks.Diff{{Path: "first", To: "1", Effect: tasks.EffectLive}, {Path: "second", To: "2", Effect: tasks.EffectLive}}
	if s.made {
		return diff[1:], nil
	}
	return diff, nil
}

func (s *halves) Apply(ctx context.Context, _ tasks.Host, _ tasks.Diff) error {
	s.made = true
	return s.then(ctx)
}

func runHalves(ctx context.Context, t *testing.T, s *halves) tasks.Result {
	t.Helper()
	var events []tasks.Event
	kind := tasks.Kind{Name: "halves", New: func() tasks.Spec { return s }}
	r := tasks.Runner{Host: nowhere{}, Registry: tasks.NewRegistry(kind), Emit: func(e tasks.Event) { events = append(events, e) }}
	job := tasks.Job{Mode: tasks.ModeRun, Steps: []tasks.Step{{ID: "s", Kind: "halves", Spec: json.RawMessage("{}"), TimeoutS: 5}}}
	if err := r.Run(ctx, job); err != nil {
		t.Fatal(err)
	}
	return results(t, events)["s"]
}

func TestRunner_whatAStepMadeBeforeItWasCutShortIsTold(t *testing.T) {
	for _, tc := range []struct {
		name  string
		then  func(cancel func()) func(ctx context.Context) error
		cause tasks.Cause
		why   string
	}{
		{"cancelled", func(cancel func()) func(context.Context) error {
			return func(ctx context.Context) error { cancel(); return hang(ctx) }
		}, tasks.CauseCanceled, "canceled"},
		{"too slow", func(func()) func(context.Context) error { return hang }, tasks.CauseTimeout, "longer than 5s"},
		{"a panic", func(func()) func(context.Context) error {
			return func(context.Context) error { panic("at the disco") }
		}, tasks.CauseNone, "at the disco"},
		{"an error", func(func()) func(context.Context) error {
			return func(context.Context) error { return errors.New("no") }
		}, tasks.CauseNone, "no"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				got := runHalves(ctx, t, &halves{then: tc.then(cancel)})
				if got.Status != tasks.StatusFailed || got.Cause != tc.cause || !strings.Contains(got.Why, tc.why) {
					t.Errorf("%+v", got)
				}
				if len(got.Changes) != 1 || got.Changes[0].Path != "first" || len(got.Remaining) != 1 || got.Remaining[0].Path != "second" {
					t.Errorf("made %v, remaining %v; want first, second", got.Changes, got.Remaining)
				}
			})
		})
	}
}

func TestRunner_theCheckAfterACutShortStepIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		got := runHalves(t.Context(), t, &halves{then: hang, hung: true})
		if d := time.Since(begin); d != 35*time.Second || got.Status != tasks.StatusFailed || len(got.Changes) != 0 || len(got.Remaining) != 2 {
			t.Errorf("after %s: %+v; want failed after the step's 5 s and 30 s more, and nothing said to be made", d, got)
		}
	})
}
