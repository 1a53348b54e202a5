package report

import (
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"phoenix/tasks"
)

func TestBuildTellsHowEachHostEnded(t *testing.T) {
	r := Build(fixture(t, "mixed.ndjson"))
	want := map[string]HostStatus{
		"pve1": HostChanged, "pve2": HostFailed, "pve3": HostUnreachable, "pve4": HostOK, "pve5": HostOK,
		"pve6": HostDrifted, "pve7": HostFailed, "pve8": HostNotStarted,
	}
	if len(r.Hosts) != len(want) {
		t.Fatalf("%d hosts, want %d", len(r.Hosts), len(want))
	}
	for _, h := range r.Hosts {
		if h.Status != want[h.Name] {
			t.Errorf("%s is %q, want %q", h.Name, h.Status, want[h.Name])
		}
	}
	if got, want := r.Totals.Hosts, (HostCounts{8, 2, 1, 1, 2, 1, 1}); got != want {
		t.Errorf("hosts %+v, want %+v", got, want)
	}
	if got, want := r.Totals.Steps, (StepCounts{Total: 18, OK: 10, Changed: 3, Failed: 2, Skipped: 2, Unknown: 1}); got != want {
		t.Errorf("steps %+v, want %+v", got, want)
	}
	if r.ExitCode != ExitStopped || r.DurationMS == 0 || !r.Finished {
		t.Errorf("exit code %d, %d ms, finished %v", r.ExitCode, r.DurationMS, r.Finished)
	}
}

func TestBuildKeepsLogsOfTroubleOnly(t *testing.T) {
	r := Build(fixture(t, "mixed.ndjson"))
	logs := make(map[string]int)
	for _, h := range r.Hosts {
		for _, s := range h.Steps {
			logs[h.Name+" "+s.ID] = len(s.Log)
		}
	}
	if logs["pve2 lxc:901"] != 1 || logs["pve1 lxc:900"] != 0 {
		t.Errorf("kept %v", logs)
	}
}

func TestTheEndOfALogIsKept(t *testing.T) {
	for _, c := range []struct {
		name   string
		result tasks.Result
		want   int
	}{
		{"of a step in trouble", tasks.Result{Status: tasks.StatusFailed}, LogLines},
		{"of a command whose output was asked for", tasks.Result{Status: tasks.StatusChanged, Data: []byte(`{"code":0}`)}, OutputLines},
		{"but not of one that went well", tasks.Result{Status: tasks.StatusChanged}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b Builder
			for i := range 5*OutputLines + 7 {
				b.Add(Event{Kind: KindStep, Host: "a", Step: &tasks.Event{Step: "x", Log: &tasks.Log{Text: strconv.Itoa(i)}}})
			}
			b.Add(Event{Kind: KindStep, Host: "a", Step: &tasks.Event{Step: "x", Result: &c.result}})
			log := b.Report().Hosts[0].Steps[0].Log
			if len(log) != c.want || c.want > 0 && log[c.want-1].Text != strconv.Itoa(5*OutputLines+6) {
				t.Errorf("%d lines are kept, want the last %d", len(log), c.want)
			}
		})
	}
}

func TestALogHasWhatAFailureDoesNotSayAlready(t *testing.T) {
	log := []tasks.Log{{Stream: "stdout", Text: "Creating filesystem"}, {Stream: "task", Text: "destroying it"}, {Stream: "stderr", Text: "no space left"}, {Stream: "stderr", Text: "hint"}}
	for name, c := range map[string]struct {
		result tasks.Result
		want   string
	}{
		"a program that failed":   {tasks.Result{Status: tasks.StatusFailed, Why: "grow: run pct: exit status 255: no space left\nhint\nmore"}, "Creating filesystem, destroying it"},
		"no program failed":       {tasks.Result{Status: tasks.StatusFailed, Why: "container 900 has no group render"}, "destroying it"},
		"a step that was cut off": {tasks.Result{Status: tasks.StatusFailed, Cause: tasks.CauseTimeout, Why: "took longer"}, "Creating filesystem, destroying it, no space left, hint"},
	} {
		var b Builder
		for _, l := range log {
			b.Add(Event{Kind: KindStep, Host: "a", Step: &tasks.Event{Step: "x", Log: &l}})
		}
		b.Add(Event{Kind: KindStep, Host: "a", Step: &tasks.Event{Step: "x", Result: &c.result}})
		var got []string
		for _, l := range b.Report().Hosts[0].Steps[0].Log {
			got = append(got, l.Text)
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: %s, want %s", name, text, c.want)
		}
	}
}

func TestBuildCollectsEarlierRuns(t *testing.T) {
	h := Build(fixture(t, "mixed.ndjson")).Hosts[6]
	if len(h.Earlier) != 1 || h.Earlier[0].Finished || len(h.Earlier[0].Steps) != 2 {
		t.Fatalf("earlier %+v", h.Earlier)
	}
	if c := h.Earlier[0].Counts(); c.Changed != 1 || c.Unknown != 1 {
		t.Errorf("counts %+v, want one changed, one whose end was not seen", c)
	}
}

func TestAnyInterleavingOfHostsGivesTheSameReport(t *testing.T) {
	for _, name := range []string{"mixed.ndjson", "check.ndjson"} {
		events := fixture(t, name)
		want := Build(events)
		random := rand.New(rand.NewPCG(1, 2))
		for range 50 {
			if got := Build(interleave(events, random)); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: another interleaving gives another report:\n%+v\n%+v", name, got, want)
			}
		}
	}
}

// interleave mixes the events of different hosts anew and keeps the order within each
// host. The run's own first and last events stay where they are.
func interleave(events []Event, random *rand.Rand) []Event {
	queues := make(map[string][]Event)
	var names []string
	middle := events[1 : len(events)-1]
	for _, e := range middle {
		if queues[e.Host] == nil {
			names = append(names, e.Host)
		}
		queues[e.Host] = append(queues[e.Host], e)
	}
	out := []Event{events[0]}
	for len(out) <= len(middle) {
		n := names[random.IntN(len(names))]
		if q := queues[n]; len(q) > 0 {
			out, queues[n] = append(out, q[0]), q[1:]
		}
	}
	return append(out, events[len(events)-1])
}

func TestAddingAfterAReportLeavesTheReportAlone(t *testing.T) {
	events := fixture(t, "mixed.ndjson")
	for n := range events {
		var b Builder
		for _, e := range events[:n] {
			b.Add(e)
		}
		before := b.Report()
		want := Build(events[:n])
		for _, e := range events[n:] {
			b.Add(e)
		}
		if !reflect.DeepEqual(before, want) {
			t.Fatalf("the report of the first %d events changed afterwards", n)
		}
	}
}

func TestWhatIsUnderWayIsNeverASuccess(t *testing.T) {
	events := fixture(t, "mixed.ndjson")
	for n := 1; n < len(events); n++ {
		r := Build(events[:n])
		if r.Finished || r.ExitCode == ExitOK {
			t.Fatalf("after %d events: finished %v, exit code %d", n, r.Finished, r.ExitCode)
		}
		for _, h := range r.Hosts {
			if h.Ended.IsZero() && (h.Status == HostOK || h.Status == HostChanged || h.Status == HostDrifted) {
				t.Fatalf("after %d events %s is %q without an end", n, h.Name, h.Status)
			}
		}
	}
}

func TestHostStatus(t *testing.T) {
	result := func(s tasks.Status, c tasks.Cause) Event {
		return Event{Kind: KindStep, Host: "a", Step: &tasks.Event{Step: string(s + "/" + tasks.Status(c)), Result: &tasks.Result{Status: s, Cause: c}}}
	}
	announced := Event{Kind: KindStep, Host: "a", Step: &tasks.Event{Step: "first", Started: &tasks.Started{Index: 1, Total: 2}}}
	done := func(e *Error) Event { return Event{Kind: KindHostDone, Host: "a", HostDone: &HostDone{Error: e}} }
	remaining := result(tasks.StatusChanged, tasks.CausePending)
	remaining.Step.Result.Remaining = tasks.Diff{{Path: "swap_mb", Effect: tasks.EffectPending}}
	for _, c := range []struct {
		name   string
		events []Event
		want   HostStatus
		class  Class
	}{
		{"a host with nothing to do is ok", []Event{done(nil)}, HostOK, ""},
		{"one change makes it changed", []Event{result(tasks.StatusOK, ""), result(tasks.StatusChanged, ""), done(nil)}, HostChanged, ""},
		{"what waits for a restart is drift", []Event{remaining, done(nil)}, HostDrifted, ""},
		{"what waited before is drift", []Event{result(tasks.StatusSkipped, tasks.CausePending), done(nil)}, HostDrifted, ""},
		{"a refused step is drift", []Event{result(tasks.StatusSkipped, tasks.CauseRefused), done(nil)}, HostDrifted, ""},
		{"a difference in a check is drift", []Event{result(tasks.StatusWouldChange, ""), done(nil)}, HostDrifted, ""},
		{"not to know is a failure", []Event{result(tasks.StatusUnknown, ""), done(nil)}, HostFailed, ""},
		{"failure beats change and drift", []Event{result(tasks.StatusChanged, ""), result(tasks.StatusWouldChange, ""), result(tasks.StatusFailed, ""), done(nil)}, HostFailed, ""},
		{"a host that was stopped says so", []Event{result(tasks.StatusOK, ""), result(tasks.StatusSkipped, tasks.CauseCanceled), done(nil)}, HostFailed, ClassCanceled},
		{"steps that never came are a loss", []Event{announced, result(tasks.StatusOK, ""), done(nil)}, HostFailed, ""},
		{"a held lock fails the host", []Event{done(&Error{Class: ClassLocked})}, HostFailed, ClassLocked},
		{"a refused host is drift", []Event{done(&Error{Class: ClassRefused})}, HostDrifted, ClassRefused},
		{"unreachable is its own status", []Event{done(&Error{Class: ClassUnreachable})}, HostUnreachable, ClassUnreachable},
		{"without an end it is lost", []Event{result(tasks.StatusOK, "")}, HostFailed, ClassLost},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := Build(c.events).Hosts[0]
			var class Class
			if h.Error != nil {
				class = h.Error.Class
			}
			if h.Status != c.want || class != c.class {
				t.Errorf("status %q, class %q, want %q, %q", h.Status, class, c.want, c.class)
			}
		})
	}
}

func TestAHostThatAnnouncedMoreStepsThanWereSeenIsLost(t *testing.T) {
	h := Build([]Event{
		{Kind: KindStep, Host: "a", Step: &tasks.Event{Step: "one", Started: &tasks.Started{Index: 1, Total: 3}}},
		{Kind: KindStep, Host: "a", Step: &tasks.Event{Step: "one", Result: &tasks.Result{Status: tasks.StatusOK}}},
		{Kind: KindHostDone, Host: "a", HostDone: &HostDone{}},
	}).Hosts[0]
	if h.Status != HostFailed || h.Error == nil || h.Error.Class != ClassLost || h.Planned != 3 {
		t.Errorf("host %+v", h)
	}
}

func TestInvalidEventsAreLeftOut(t *testing.T) {
	for name, e := range map[string]Event{
		"no content":             {Kind: KindStep, Host: "a"},
		"two contents":           {Kind: KindNote, Host: "a", Note: &Note{}, HostDone: &HostDone{}},
		"kind of another":        {Kind: KindNote, Host: "a", HostDone: &HostDone{}},
		"host event without one": {Kind: KindHostDone, HostDone: &HostDone{}},
		"run event with a host":  {Kind: KindRunDone, Host: "a", RunDone: &RunDone{}},
		"step without content":   {Kind: KindStep, Host: "a", Step: &tasks.Event{Step: "x"}},
	} {
		if e.Validate() == nil {
			t.Errorf("%s: is valid", name)
		}
		if r := Build([]Event{e}); len(r.Hosts) != 0 || r.Finished {
			t.Errorf("%s: was folded: %+v", name, r)
		}
	}
}
