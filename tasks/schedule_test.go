package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
)

// slow is a spec whose Apply takes as many seconds as it says; its Check takes none.
type slow struct {
	Name    string `json:"do"`
	Seconds int    `json:"seconds"`

	at *workshop
}

// workshop is where slow steps are made.
type workshop struct {
	mu    sync.Mutex
	made  map[string]bool
	spans []span
}

// span is when a step was being made.
type span struct {
	name       string
	begin, end time.Time
}

func (s *slow) Validate() []tasks.Problem { return nil }
func (s *slow) Task() tasks.Task          { return s }

func (s *slow) Check(context.Context, tasks.Host) (tasks.Diff, error) {
	s.at.mu.Lock()
	defer s.at.mu.Unlock()
	if s.at.made[s.Name] || s.Seconds == 0 {
		return nil, nil
	}
	return tasks.Diff{{Path: "a", To: "1"}}, nil
}

func (s *slow) Apply(ctx context.Context, _ tasks.Host, _ tasks.Diff) error {
	begin := time.Now()
	defer func() { s.at.took(s.Name, begin) }()
	select {
	case <-time.After(time.Duration(s.Seconds) * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	if strings.HasPrefix(s.Name, "bad") {
		return errors.New("no")
	}
	s.at.mu.Lock()
	defer s.at.mu.Unlock()
	s.at.made[s.Name] = true
	return nil
}

func (w *workshop) took(name string, begin time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spans = append(w.spans, span{name, begin, time.Now()})
}

// together lists what was being made whenever something was begun.
func (w *workshop) together() string {
	var out []string
	slices.SortFunc(w.spans, func(a, b span) int { return a.begin.Compare(b.begin) })
	for i, s := range w.spans {
		if i > 0 && s.begin.Equal(w.spans[i-1].begin) {
			continue
		}
		var now []string
		for _, o := range w.spans {
			if !o.begin.After(s.begin) && o.end.After(s.begin) {
				now = append(now, o.name)
			}
		}
		slices.Sort(now)
		out = append(out, strings.Join(now, " "))
	}
	return strings.Join(out, " | ")
}

// making is a step of so many seconds that uses these things.
func making(id string, seconds int, uses string, needs ...string) tasks.Step {
	return tasks.Step{ID: id, Kind: "slow", Needs: needs, Uses: strings.Fields(uses), Spec: fmt.Appendf(nil, `{"do":%q,"seconds":%d}`, id, seconds)}
}

// take runs the steps and returns what was made at the same time, the events, and how
// long it took.
func take(ctx context.Context, t *testing.T, stop <-chan struct{}, job tasks.Job) (together string, events []tasks.Event, took time.Duration) {
	t.Helper()
	w := &workshop{made: map[string]bool{}}
	kind := tasks.Kind{Name: "slow", New: func() tasks.Spec { return &slow{at: w} }}
	r := tasks.Runner{Host: nowhere{}, Registry: tasks.NewRegistry(kind), Stop: stop, Emit: func(e tasks.Event) { events = append(events, e) }}
	begin := time.Now()
	if err := r.Run(ctx, job); err != nil {
		t.Fatal(err)
	}
	return w.together(), events, time.Since(begin)
}

func TestStepsThatSayWhatTheyUseAreTakenSideBySide(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limits map[string]int
		steps  []tasks.Step
		took   int // seconds
		want   string
	}{
		{"as many as the limit of what they use", map[string]int{"node": 3}, []tasks.Step{
			making("a", 10, "node"), making("b", 12, "node"), making("c", 14, "node"), making("d", 10, "node")}, 20,
			"a b c | b c d"},
		{"one at a time where nothing is said", nil, []tasks.Step{making("a", 10, "x"), making("b", 10, "x")}, 20, "a | b"},
		{"the scarcest decides, and who needs another thing overtakes", map[string]int{"node": 3, "ssd": 1, "hdd": 1}, []tasks.Step{
			making("a", 10, "node ssd"), making("b", 10, "node ssd"), making("c", 15, "node hdd")}, 20,
			"a c | b c"},
		{"not before what they need", map[string]int{"node": 3}, []tasks.Step{
			making("a", 10, "node"), making("b", 10, "node", "a"), making("c", 15, "node")}, 20, "a c | b c"},
		{"nothing overtakes a step that is taken alone", map[string]int{"node": 3}, []tasks.Step{
			making("a", 10, "node"), making("alone", 10, ""), making("b", 10, "node")}, 30, "a | alone | b"},
		{"alone when nothing is used", nil, []tasks.Step{making("a", 10, ""), making("b", 10, "")}, 20, "a | b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				together, events, took := take(t.Context(), t, nil, tasks.Job{Mode: tasks.ModeRun, Steps: tc.steps, Limits: tc.limits})
				if together != tc.want {
					t.Errorf("made %s, want %s", together, tc.want)
				}
				if took != time.Duration(tc.took)*time.Second {
					t.Errorf("took %s, want %d s", took, tc.took)
				}
				if got := results(t, events); len(got) != len(tc.steps) {
					t.Errorf("%d results", len(got))
				}
			})
		})
	}
}

// What is as wanted is looked at in order, one after the other: the events of a second
// run are the same each time.
func TestStepsThatAreAsWantedAreToldInOrder(t *testing.T) {
	var steps []tasks.Step
	var want []string
	for i := range 50 {
		id := fmt.Sprintf("s%02d", i)
		steps, want = append(steps, making(id, 0, "node")), append(want, id)
	}
	_, events, _ := take(t.Context(), t, nil, tasks.Job{Mode: tasks.ModeRun, Steps: steps, Limits: map[string]int{"node": 8}})
	var got []string
	for _, e := range events {
		if e.Result != nil {
			got = append(got, e.Step)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestAStepBesideOthersThatFailsStopsOnlyThoseThatNeedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, events, _ := take(t.Context(), t, nil, tasks.Job{Mode: tasks.ModeRun, Limits: map[string]int{"node": 4}, Steps: []tasks.Step{
			making("bad", 1, "node"), making("a", 5, "node"), making("child", 1, "node", "bad"), making("grandchild", 1, "node", "child"),
		}})
		got := results(t, events)
		for id, want := range map[string]tasks.Status{"bad": tasks.StatusFailed, "a": tasks.StatusChanged, "child": tasks.StatusSkipped, "grandchild": tasks.StatusSkipped} {
			if got[id].Status != want {
				t.Errorf("%s: %+v", id, got[id])
			}
		}
	})
}

func TestStoppingLetsAllStepsUnderWayEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		_, events, took := take(t.Context(), t, stop, tasks.Job{Mode: tasks.ModeRun, Limits: map[string]int{"node": 2}, Steps: []tasks.Step{
			making("a", 10, "node"), making("b", 5, "node"), making("c", 5, "node"),
		}})
		got := results(t, events)
		if got["a"].Status != tasks.StatusChanged || got["b"].Status != tasks.StatusChanged || got["c"].Cause != tasks.CauseCanceled || took != 10*time.Second {
			t.Errorf("%+v after %s", got, took)
		}
	})
}

func TestCancellingEndsAllStepsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, events, took := take(ctx, t, nil, tasks.Job{Mode: tasks.ModeRun, Limits: map[string]int{"node": 2}, Steps: []tasks.Step{
			making("a", 10, "node"), making("b", 5, "node"), making("c", 5, "node"),
		}})
		for id, r := range results(t, events) {
			if r.Cause != tasks.CauseCanceled && r.Cause != tasks.CauseTimeout || took != time.Second {
				t.Errorf("%s: %+v after %s", id, r, took)
			}
		}
	})
}

func TestUnderwayKnowsTheOldest(t *testing.T) {
	var u tasks.Underway
	at := time.Unix(1000, 0)
	for i, id := range []string{"a", "b", "c"} {
		u.Note(tasks.Event{Time: at.Add(time.Duration(i) * time.Second), Step: id, Started: &tasks.Started{}})
	}
	u.Note(tasks.Event{Step: "b", Log: &tasks.Log{}})
	u.Note(tasks.Event{Step: "a", Result: &tasks.Result{}})
	u.Note(tasks.Event{Step: "never begun", Result: &tasks.Result{}})
	if got := u.Oldest(); got.Step != "b" || !got.Since.Equal(at.Add(time.Second)) || u.Len() != 2 {
		t.Errorf("%+v of %d", got, u.Len())
	}
}
