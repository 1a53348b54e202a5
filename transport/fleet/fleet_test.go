package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/report"
	"phoenix/transport"
)

// world is a fleet whose hosts do what the test says.
type world struct {
	mu      sync.Mutex
	dial    map[string]error
	play    map[string]func(a *actor)
	script  func(h Host) func(a *actor) // when set, in place of play
	steps   []tasks.Step                // of each host; one called "s" when empty
	consent tasks.Consent
	open    int
	most    int
	stream  *report.Stream
}

// actor is one scripted helper.
type actor struct {
	host Host
	up   chan wire.Message
	down chan wire.Message
	gone chan struct{}
	once sync.Once
	err  error
}

func (a *actor) Receive() (wire.Message, error) {
	select {
	case m, ok := <-a.up:
		if !ok {
			return wire.Message{}, a.err
		}
		return m, nil
	case <-a.gone:
		return wire.Message{}, io.EOF
	}
}

func (a *actor) Send(m wire.Message) error {
	select {
	case a.down <- m:
	case <-a.gone:
	}
	return nil
}

func (a *actor) Close() error { a.once.Do(func() { close(a.gone) }); return nil }

// result sends the outcome of a step.
func (a *actor) result(step string, s tasks.Status) {
	a.up <- wire.Message{Event: &tasks.Event{Step: step, Started: &tasks.Started{Index: 1, Total: 1}}}
	a.up <- wire.Message{Event: &tasks.Event{Step: step, Result: &tasks.Result{Status: s, Why: "scripted"}}}
}

type conn struct {
	w *world
	a *actor
}

func (c *conn) Start(context.Context, string) (transport.Session, error) {
	return nil, errors.New("not scripted")
}
func (c *conn) Upload(context.Context, string, []byte) error { return nil }
func (c *conn) Close() error {
	c.a.Close()
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.open--
	return nil
}

func (w *world) Dial(_ context.Context, t transport.Target) (transport.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.dial[t.Name]; err != nil {
		return nil, &transport.DialError{Host: t.Name, Stage: transport.StageConnect, Err: err, Hint: "look at " + t.Name}
	}
	w.open++
	w.most = max(w.most, w.open)
	return &conn{w: w, a: &actor{up: make(chan wire.Message), down: make(chan wire.Message, 8), gone: make(chan struct{}), err: io.EOF}}, nil
}

func (w *world) start(_ context.Context, c transport.Conn, h Host) (Started, error) {
	a := c.(*conn).a
	a.host = h
	play := w.play[h.Target.Name]
	if w.script != nil {
		play = w.script(h)
	}
	if play == nil {
		play = func(a *actor) { a.result("s", tasks.StatusOK); a.up <- wire.Message{Done: &wire.Done{}} }
	}
	go play(a)
	return Started{Agent: a}, nil
}

// run takes hosts named h1 to hN with one step "s" each.
func (w *world) run(ctx context.Context, n int, f *Fleet) report.Report {
	var hosts []Host
	var names []string
	if len(w.steps) == 0 {
		w.steps = []tasks.Step{{ID: "s", Kind: "k"}}
	}
	for i := range n {
		name := fmt.Sprintf("h%d", i+1)
		names = append(names, name)
		hosts = append(hosts, Host{
			Target: transport.Target{Name: name, Address: "192.0.2.1"},
			Job:    tasks.Job{RunID: "r", Mode: tasks.ModeCheck, Steps: w.steps, Consent: w.consent},
		})
	}
	w.stream = report.NewStream(report.StreamOptions{RunID: "r"})
	f.Dialer, f.Start, f.Emit = w, w.start, w.stream.Emit
	w.stream.Emit(report.Event{RunStarted: &report.RunStarted{Command: "check", Mode: tasks.ModeCheck, Hosts: names}})
	stopped := f.Run(ctx, hosts)
	return w.stream.Finish(report.RunDone{Stopped: stopped})
}

// statuses is "h1 ok, h2 failed".
func statuses(r report.Report) string {
	var out []string
	for _, h := range r.Hosts {
		out = append(out, fmt.Sprintf("%s %s", h.Name, h.Status))
	}
	return strings.Join(out, ", ")
}

func TestOneHostNeverStopsAnother(t *testing.T) {
	w := &world{
		dial: map[string]error{"h1": errors.New("connection refused")},
		play: map[string]func(*actor){
			"h2": func(a *actor) { close(a.up) },
			"h3": func(a *actor) { a.result("s", tasks.StatusFailed); a.up <- wire.Message{Done: &wire.Done{}} },
			"h4": func(a *actor) { a.err = &wire.FrameError{Length: 9, Err: errors.New("no JSON")}; close(a.up) },
			"h5": func(a *actor) { a.up <- wire.Message{Done: &wire.Done{Holder: &wire.Holder{Operator: "ann@laptop"}}} },
			"h6": func(a *actor) { a.err = &transport.ExitError{Signal: "KILL"}; close(a.up) },
		},
	}
	r := w.run(t.Context(), 7, &Fleet{})
	if got, want := statuses(r), "h1 unreachable, h2 failed, h3 failed, h4 failed, h5 failed, h6 failed, h7 ok"; got != want {
		t.Errorf("statuses\n got %s\nwant %s", got, want)
	}
	for i, want := range []report.Class{report.ClassUnreachable, report.ClassLost, "", report.ClassProtocol, report.ClassLocked, report.ClassLost} {
		if e := r.Hosts[i].Error; want != "" && (e == nil || e.Class != want) {
			t.Errorf("%s: error %+v, want class %s", r.Hosts[i].Name, e, want)
		}
	}
	if e := r.Hosts[5].Error; e == nil || !strings.Contains(e.Why, "KILL") {
		t.Errorf("the signal that ended the helper is not told: %+v", e)
	}
	if r.ExitCode != report.ExitStopped {
		t.Errorf("exit code %d, want %d: a lock was held", r.ExitCode, report.ExitStopped)
	}
}

func TestAHostCannotSpeakOfWhatItWasNotAsked(t *testing.T) {
	for name, play := range map[string]func(*actor){
		"a step that is not in the job": func(a *actor) { a.result("other", tasks.StatusOK) },
		"a second result of one step":   func(a *actor) { a.result("s", tasks.StatusFailed); a.result("s", tasks.StatusOK) },
		"done without a result":         func(a *actor) { a.up <- wire.Message{Done: &wire.Done{}} },
		"a message of the other way":    func(a *actor) { a.up <- wire.Message{Cancel: &wire.Cancel{}} },
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{play: map[string]func(*actor){"h1": func(a *actor) {
				defer func() { recover() }() // the fleet stops reading in mid-script
				go func() { <-a.gone }()
				play(drop(a))
			}}}
			r := w.run(t.Context(), 1, &Fleet{})
			if e := r.Hosts[0].Error; e == nil || e.Class != report.ClassProtocol {
				t.Errorf("error %+v, want class %s", e, report.ClassProtocol)
			}
		})
	}
}

// drop is the actor with a buffer, so that a script whose reader left can end.
func drop(a *actor) *actor {
	buffered := make(chan wire.Message, 16)
	go func() {
		for m := range buffered {
			select {
			case a.up <- m:
			case <-a.gone:
				return
			}
		}
	}()
	return &actor{up: buffered, gone: a.gone}
}

func TestMaxFailuresStartsNoFurtherHost(t *testing.T) {
	w := &world{dial: map[string]error{"h1": errors.New("refused"), "h2": errors.New("refused")}}
	r := w.run(t.Context(), 5, &Fleet{Forks: 1, MaxFailures: 2})
	if got, want := statuses(r), "h1 unreachable, h2 unreachable, h3 not started, h4 not started, h5 not started"; got != want {
		t.Errorf("statuses\n got %s\nwant %s", got, want)
	}
	if r.ExitCode != report.ExitStopped || !strings.Contains(r.Stopped, "--max-failures 2") {
		t.Errorf("exit code %d, stopped %q", r.ExitCode, r.Stopped)
	}
}

func TestForksBoundsTheOpenConnections(t *testing.T) {
	w := &world{}
	r := w.run(t.Context(), 40, &Fleet{Forks: 4})
	if r.Totals.Hosts.OK != 40 {
		t.Fatalf("%d of 40 hosts are ok", r.Totals.Hosts.OK)
	}
	if w.most > 4 {
		t.Errorf("%d connections were open at once, want at most 4", w.most)
	}
}

func TestAHostThatHangsEndsAtItsOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{play: map[string]func(*actor){"h1": func(a *actor) {}}}
		r := w.run(t.Context(), 2, &Fleet{HostTimeout: time.Minute})
		if e := r.Hosts[0].Error; e == nil || e.Class != report.ClassTimeout || strings.Count(e.Why, "took longer than --host-timeout 1m0s") != 1 {
			t.Errorf("error %+v, want class %s", e, report.ClassTimeout)
		}
		if r.Hosts[1].Status != report.HostOK {
			t.Errorf("the other host is %s", r.Hosts[1].Status)
		}
	})
}

func TestInterruptIsPassedOnInTwoSteps(t *testing.T) {
	stop, stopNow := context.WithCancel(t.Context())
	hard, hardNow := context.WithCancel(t.Context())
	var got []bool
	w := &world{play: map[string]func(*actor){"h1": func(a *actor) {
		stopNow()
		got = append(got, (<-a.down).Cancel.Hard)
		hardNow()
		got = append(got, (<-a.down).Cancel.Hard)
		a.result("s", tasks.StatusSkipped)
		a.up <- wire.Message{Done: &wire.Done{}}
	}}}
	r := w.run(t.Context(), 3, &Fleet{Forks: 1, Interrupt: Interrupt{Stop: stop, Cancel: hard}})
	if !slices.Equal(got, []bool{false, true}) {
		t.Errorf("the helper was sent hard=%v, want first false, then true", got)
	}
	if r.Totals.Hosts.NotStarted != 2 {
		t.Errorf("%s: hosts were started after the interrupt", statuses(r))
	}
}
