package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
)

// guests leads into containers: those in away cannot be entered.
type guests struct {
	away map[int]error
	said []string
}

func (g *guests) Enter(_ context.Context, view tasks.Host, ctid int) (tasks.Host, error) {
	if !errors.Is(view.Write(context.Background(), tasks.Edit{}), tasks.ErrReadOnly) {
		return nil, errors.New("the view can be written to")
	}
	g.said = append(g.said, fmt.Sprint("enter ", ctid))
	if err := g.away[ctid]; err != nil {
		return nil, err
	}
	return &named{name: fmt.Sprint("inside ", ctid)}, nil
}

func (g *guests) Save(_ context.Context, ctid int, s tasks.Safety) (func(context.Context) error, error) {
	g.said = append(g.said, fmt.Sprint("save ", ctid))
	if s.Keep == 0 {
		return nil, errors.New("no snapshot can be taken")
	}
	return func(context.Context) error { g.said = append(g.said, fmt.Sprint("go back ", ctid)); return nil }, nil
}

func (g *guests) Leave(ctid int) { g.said = append(g.said, fmt.Sprint("leave ", ctid)) }

// named is a host that is known by its name.
type named struct {
	witness
	name string
}

// placed is a task that wants to be where it says, and changes once.
type placed struct {
	In string `json:"in"`

	made *bool
	seen *[]string
}

func (p *placed) Validate() []tasks.Problem { return nil }
func (p *placed) Task() tasks.Task          { return p }

func (p *placed) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	scope := tasks.ScopeOf(ctx)
	if err := h.Write(ctx, tasks.Edit{}); !errors.Is(err, tasks.ErrReadOnly) {
		return nil, fmt.Errorf("a check can write: %v", err)
	}
	if scope.Machine != nil {
		if err := scope.Machine.Write(ctx, tasks.Edit{}); !errors.Is(err, tasks.ErrReadOnly) {
			return nil, fmt.Errorf("a check can write to the machine: %v", err)
		}
	}
	if *p.made {
		return nil, nil
	}
	return tasks.Diff{{Path: "a", To: "1", Effect: tasks.EffectLive}}, nil
}

func (p *placed) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	if p.In == "fail" {
		return errors.New("apply failed")
	}
	*p.made = true
	scope := tasks.ScopeOf(ctx)
	at, machine := h.(*named).name, "none"
	if scope.Machine != nil {
		machine = scope.Machine.(*named).name
	}
	*p.seen = append(*p.seen, fmt.Sprintf("%s of %s in %d", at, machine, scope.CTID))
	return nil
}

func runPlaced(t *testing.T, mode tasks.Mode, g *guests, steps ...tasks.Step) (seen []string, byStep map[string]tasks.Result) {
	t.Helper()
	made := map[string]*bool{}
	for _, s := range steps {
		made[s.ID] = new(bool)
	}
	var events []tasks.Event
	r := tasks.Runner{
		Host: &named{name: "machine"}, Emit: func(e tasks.Event) { events = append(events, e) },
		Registry: tasks.NewRegistry(tasks.Kind{Name: "placed", New: func() tasks.Spec { return &placed{made: new(bool), seen: &seen} }}),
	}
	if g != nil {
		r.Guests = g
	}
	job := tasks.Job{Mode: mode, Steps: steps, Consent: tasks.Consent{Restart: true}}
	if err := r.Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	return seen, results(t, events)
}

func inside(id string, ctid int, receipt string, needs ...string) tasks.Step {
	return tasks.Step{ID: id, Kind: "placed", Spec: []byte(`{"in":"x"}`), Needs: needs, Inside: &tasks.Inside{CTID: ctid, Receipt: receipt}, Uses: []string{"inside"}}
}

func TestAStepInsideAContainerIsTakenThere(t *testing.T) {
	g := &guests{}
	machine := tasks.Step{ID: "m", Kind: "placed", Spec: []byte(`{"in":"x"}`)}
	seen, res := runPlaced(t, tasks.ModeRun, g, machine, inside("a", 900, ""), inside("b", 900, "", "a"), inside("c", 901, "", "b"))
	if want := []string{"machine of none in 0", "inside 900 of machine in 900", "inside 900 of machine in 900", "inside 901 of machine in 901"}; !slices.Equal(seen, want) {
		t.Errorf("taken in %q, want %q", seen, want)
	}
	for id, r := range res {
		if r.Status != tasks.StatusChanged {
			t.Errorf("%s: %+v", id, r)
		}
	}
	if want := []string{"enter 900", "enter 900", "leave 900", "enter 901", "leave 901"}; !slices.Equal(g.said, want) {
		t.Errorf("the ways in: %q, want %q", g.said, want)
	}
}

func TestAContainerThatCannotBeEnteredIsNotGuessedAt(t *testing.T) {
	stopped := func(receipt string) error { return &tasks.AwayError{CTID: 900, Receipt: receipt} }
	for name, tc := range map[string]struct {
		mode   tasks.Mode
		away   error
		wanted string
		status tasks.Status
		why    string
	}{
		"one that is stopped":                          {tasks.ModeCheck, stopped(""), "", tasks.StatusUnknown, "container 900 is stopped"},
		"one that is stopped in a run":                 {tasks.ModeRun, stopped(""), "", tasks.StatusUnknown, "container 900 is stopped"},
		"one that was made and stopped":                {tasks.ModeCheck, stopped("abc"), "abc", tasks.StatusOK, ""},
		"one that is to be stopped and was not made":   {tasks.ModeCheck, stopped(""), "abc", tasks.StatusWouldChange, ""},
		"one that was made otherwise":                  {tasks.ModeCheck, stopped("abd"), "abc", tasks.StatusWouldChange, ""},
		"one with a note that is to run":               {tasks.ModeCheck, stopped("abc"), "", tasks.StatusUnknown, "container 900 is stopped"},
		"one that is not there":                        {tasks.ModeCheck, &tasks.AwayError{CTID: 900, Absent: true}, "", tasks.StatusWouldChange, ""},
		"one that is not there in a run":               {tasks.ModeRun, &tasks.AwayError{CTID: 900, Absent: true}, "", tasks.StatusFailed, "enter container 900: container 900 is not there"},
		"one whose helper cannot be started":           {tasks.ModeCheck, errors.New("enter container 900: no room"), "", tasks.StatusFailed, "enter container 900: no room"},
		"one that was made otherwise is no guess also": {tasks.ModeRun, stopped("abd"), "abc", tasks.StatusUnknown, "container 900 is stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			seen, res := runPlaced(t, tc.mode, &guests{away: map[int]error{900: tc.away}}, inside("a", 900, tc.wanted))
			if got := res["a"]; got.Status != tc.status || got.Why != tc.why || len(seen) > 0 {
				t.Errorf("%+v, taken in %q", got, seen)
			}
		})
	}
}

func TestAMachineWithoutAWayInSaysSo(t *testing.T) {
	_, res := runPlaced(t, tasks.ModeCheck, nil, inside("a", 900, ""))
	if r := res["a"]; r.Status != tasks.StatusFailed || r.Why != "this machine has no way into containers" {
		t.Errorf("%+v", r)
	}
}

func TestAContainerHasAWayBackFromWhatIsChangedInside(t *testing.T) {
	in := func(id, spec string, s tasks.Safety) tasks.Step {
		step := inside(id, 900, "")
		step.Spec, step.Inside.Safety = []byte(spec), &s
		return step
	}
	const good, bad = `{"in":"x"}`, `{"in":"fail"}`
	back := tasks.Safety{Step: "lxc:900", Rollback: true, Keep: 3}
	none := back
	none.Rollback = false
	for name, tc := range map[string]struct {
		mode  tasks.Mode
		steps []tasks.Step
		said  string
		why   string
	}{
		"once in a run":                  {tasks.ModeRun, []tasks.Step{in("a", good, back), in("b", good, back)}, "save 900", ""},
		"not in a check":                 {tasks.ModeCheck, []tasks.Step{in("a", good, back)}, "", ""},
		"taken when a step fails":        {tasks.ModeRun, []tasks.Step{in("a", good, back), in("b", bad, back)}, "save 900, leave 900, go back 900", "apply failed; the container was rolled back to before the first change inside, which also undid a"},
		"not taken where nobody said so": {tasks.ModeRun, []tasks.Step{in("b", bad, none)}, "save 900", "apply failed"},
		"without which nothing is begun": {tasks.ModeRun, []tasks.Step{in("b", good, tasks.Safety{Step: "lxc:900"})}, "save 900", "it was not begun: no snapshot can be taken"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &guests{}
			_, res := runPlaced(t, tc.mode, g, tc.steps...)
			said := slices.DeleteFunc(slices.Clone(g.said), func(s string) bool { return s == "enter 900" })
			if n := len(said); n > 0 && said[n-1] == "leave 900" { // at the end
				said = said[:n-1]
			}
			if got := strings.Join(said, ", "); got != tc.said {
				t.Errorf("said %q, want %q", got, tc.said)
			}
			if r := res["b"]; r.Why != tc.why {
				t.Errorf("b: %+v, want %q", r, tc.why)
			}
		})
	}
}
