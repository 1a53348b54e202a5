package fleet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/report"
)

// sample sends what a step has found out so far.
func (a *actor) sample(step string, n int) {
	a.up <- wire.Message{Event: &tasks.Event{Step: step, Sample: json.RawMessage(fmt.Sprint(n))}}
}

func TestSamplesAreHandedOnInOrderAndKeptOutOfTheRecord(t *testing.T) {
	var got []string
	w := &world{play: map[string]func(*actor){"h1": func(a *actor) {
		a.up <- wire.Message{Event: &tasks.Event{Step: "s", Started: &tasks.Started{Index: 1, Total: 1}}}
		for n := range 3 {
			a.sample("s", n)
		}
		a.up <- wire.Message{Event: &tasks.Event{Step: "s", Result: &tasks.Result{Status: tasks.StatusOK}}}
		done(a)
	}}}
	f := &Fleet{Sample: func(host string, e tasks.Event) { got = append(got, host+" "+e.Step+" "+string(e.Sample)) }}
	r := w.run(t.Context(), 1, f)
	if want := []string{"h1 s 0", "h1 s 1", "h1 s 2"}; !slices.Equal(got, want) || statuses(r) != "h1 ok" || r.Hosts[0].Counts.OK != 1 {
		t.Errorf("samples %q, %s", got, statuses(r))
	}
}

func TestASampleThatNobodyAskedForEndsTheSession(t *testing.T) {
	for name, c := range map[string]struct {
		step    string
		samples func(string, tasks.Event)
	}{
		"in a run without":         {"s", nil},
		"of a step of another":     {"other", func(string, tasks.Event) {}},
		"of a step that has ended": {"ended", func(string, tasks.Event) {}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{steps: []tasks.Step{{ID: "s", Kind: "k"}, {ID: "ended", Kind: "k"}}, play: map[string]func(*actor){"h1": func(a *actor) {
				a.result("ended", tasks.StatusOK)
				a.sample(c.step, 1)
			}}}
			r := w.run(t.Context(), 1, &Fleet{Sample: c.samples})
			if e := r.Hosts[0].Error; e == nil || e.Class != report.ClassProtocol || !strings.Contains(e.Why, c.step) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestTheBoundOfAHostIsForItsFirstSample(t *testing.T) {
	for name, first := range map[string]time.Duration{"which comes in time": 5 * time.Second, "which does not": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{play: map[string]func(*actor){"h1": func(a *actor) {
					select {
					case <-time.After(first):
					case <-a.gone:
						return
					}
					a.sample("s", 1)
					<-time.After(24 * time.Hour)
					a.sample("s", 2)
					a.result("s", tasks.StatusOK)
					done(a)
				}}}
				begin, n := time.Now(), 0
				r := w.run(t.Context(), 1, &Fleet{HostTimeout: 10 * time.Second, Sample: func(string, tasks.Event) { n++ }})
				e := r.Hosts[0].Error
				if first < time.Minute && (e != nil || n != 2) {
					t.Errorf("%d samples, %+v", n, e)
				}
				if first > time.Minute && (e == nil || e.Class != report.ClassTimeout || !strings.Contains(e.Why, "--host-timeout 10s") || time.Since(begin) != 10*time.Second) {
					t.Errorf("after %v: %+v", time.Since(begin), e)
				}
			})
		})
	}
}
