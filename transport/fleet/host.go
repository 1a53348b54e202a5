package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/report"
	"phoenix/transport"
)

// host takes one host from dialing to its end, and emits all that happens.
func (f *Fleet) host(ctx context.Context, h Host) {
	begin := f.now()
	f.emit(h, report.Event{Kind: report.KindHostStarted, HostStarted: &report.HostStarted{Address: h.Target.Address}})
	w := newWatch(f, h)
	ctx, end := w.bound(ctx)
	defer end()
	err := w.work(ctx, begin)
	f.emit(h, report.Event{Kind: report.KindHostDone, HostDone: &report.HostDone{Error: err, DurationMS: f.now().Sub(begin).Milliseconds()}})
}

// bound sets the bound of the host. Where there are samples, the first takes it back.
func (w *watch) bound(ctx context.Context) (_ context.Context, end func()) {
	limit := w.fleet.HostTimeout
	switch {
	case limit <= 0:
		return ctx, func() {}
	case w.fleet.Sample == nil:
		return context.WithTimeoutCause(ctx, limit, errHostTimeout(limit))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w.patience = time.AfterFunc(limit, func() { cancel(errHostTimeout(limit)) })
	return ctx, func() { w.patience.Stop(); cancel(nil) }
}

type errHostTimeout time.Duration

func (e errHostTimeout) Error() string {
	return fmt.Sprintf("took longer than --host-timeout %s", time.Duration(e))
}

// watch follows one host.
type watch struct {
	fleet  *Fleet
	host   Host
	steps  map[string]bool // of the job; false once its result was seen
	bad    map[string]bool // that did not end well
	failed bool
	// patience with a host that has sent no sample yet; nil without a bound.
	patience *time.Timer

	sessions int                   // begun
	heard    bool                  // in this session, of any step
	left     time.Time             // when the host went away
	caught   map[string]bool       // steps whose results came with the record of an earlier session
	waiting  map[string]bool       // steps that leave something to a reboot
	made     map[string]tasks.Diff // what a step has made that a reboot puts into effect, or is
	rebooter string                // the step that made the reboot of this run; empty before
	away     *away                 // under way now
	confirms *confirming           // under way now
}

func newWatch(f *Fleet, h Host) *watch {
	w := &watch{
		fleet: f, host: h, steps: make(map[string]bool, len(h.Job.Steps)),
		bad: map[string]bool{}, caught: map[string]bool{}, waiting: map[string]bool{}, made: map[string]tasks.Diff{},
	}
	for _, s := range h.Job.Steps {
		w.steps[s.ID] = true
	}
	return w
}

// work takes the host through its job: in one session, unless a step takes the
// machine, or the way to it, away.
func (w *watch) work(ctx context.Context, begin time.Time) *report.Error {
	err := w.session(ctx, w.host.Job, begin)
	for err != nil && w.returns(ctx) {
		err = w.again(ctx)
	}
	w.endConfirm()
	if err != nil || w.failed {
		w.fleet.failures.Add(1)
	}
	return err
}

// session connects, starts the helper and reads what it sends.
func (w *watch) session(ctx context.Context, job tasks.Job, begin time.Time) *report.Error {
	w.sessions++
	w.heard = false
	host := w.host
	host.Job = job
	conn, err := w.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Closing the connection is what ends a read that waits for a host which says
	// nothing.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	started, startErr := w.fleet.Start(ctx, conn, host)
	if startErr != nil {
		return startError(ctx, w.host.Target, startErr)
	}
	agent := started.Agent
	defer agent.Close()
	if w.sessions == 1 {
		w.fleet.emit(w.host, report.Event{Kind: report.KindHostConnected, HostConnected: &report.HostConnected{
			Uploaded: started.Uploaded, Steps: len(w.host.Job.Steps), DurationMS: w.fleet.now().Sub(begin).Milliseconds(),
		}})
	}
	defer onEnd(w.fleet.Interrupt.Stop, func() { _ = agent.Send(wire.Message{Cancel: &wire.Cancel{}}) })()
	defer onEnd(w.fleet.Interrupt.Cancel, func() { _ = agent.Send(wire.Message{Cancel: &wire.Cancel{Hard: true}}) })()
	return w.follow(ctx, agent)
}

// dial connects, unless the run is stopped meanwhile: a host that nothing has been
// asked of yet is not begun then.
func (w *watch) dial(ctx context.Context) (transport.Conn, *report.Error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer onEnd(w.fleet.Interrupt.Stop, cancel)()
	conn, err := w.fleet.Dialer.Dial(ctx, w.host.Target)
	switch {
	case err == nil:
		return conn, nil
	case ended(w.fleet.Interrupt.Stop):
		return nil, &report.Error{Class: report.ClassNotStarted, What: "connect to " + w.host.Target.Name, Why: "the run was stopped"}
	}
	return nil, dialError(ctx, w.host.Target, err)
}

// onEnd calls f when ctx ends; the result takes that back. A nil ctx never ends.
func onEnd(ctx context.Context, f func()) (release func() bool) {
	if ctx == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, f)
}

// follow reads messages until the helper is done.
func (w *watch) follow(ctx context.Context, agent Agent) *report.Error {
	for {
		m, err := agent.Receive()
		if err != nil {
			return lostError(ctx, w.host.Target, err)
		}
		switch {
		case m.Event != nil:
			if err := w.event(ctx, *m.Event); err != nil {
				return protocolError(w.host.Target, err)
			}
			if w.away != nil {
				return w.away.error(w.host.Target)
			}
		case m.Journal != nil && w.ownRun(m.Journal.RunID):
			w.catchUp(m.Journal.Events)
		case m.Journal != nil:
			w.fleet.emit(w.host, report.Event{Kind: report.KindJournal, Journal: &report.Journal{
				RunID: m.Journal.RunID, Operator: m.Journal.Operator, Finished: m.Journal.Finished, Events: told(m.Journal.Events),
			}})
		case m.Done != nil:
			return w.done(*m.Done)
		case m.Heartbeat != nil, m.Hello != nil:
		default:
			return protocolError(w.host.Target, errors.New("a message that only the workstation sends"))
		}
	}
}

// event passes an event on, unless it speaks of a step that was not asked for or
// is over: a host must not be able to write another's record.
func (w *watch) event(ctx context.Context, e tasks.Event) error {
	open, known := w.steps[e.Step]
	switch {
	case !known:
		return fmt.Errorf("an event of step %q, which is not in the job", e.Step)
	case w.caught[e.Step]:
		return nil // told from the record of the session before
	case !open:
		return fmt.Errorf("an event of step %q after its result", e.Step)
	}
	if !w.heard && w.sessions > 1 {
		w.note(report.NoteWarning, fmt.Sprintf("%s is back after %s", w.host.Target.Name, w.fleet.now().Sub(w.left).Round(time.Second)))
	}
	w.heard = true
	switch {
	case e.Sample != nil && w.fleet.Sample == nil:
		return fmt.Errorf("a sample of step %q, which nobody asked for", e.Step)
	case e.Sample != nil:
		if w.patience != nil {
			w.patience.Stop()
		}
		w.fleet.Sample(w.host.Target.Name, e)
	case e.Confirm != nil:
		w.beginConfirm(ctx, e.Step, *e.Confirm)
	case e.Reboot != nil:
		w.goesAway(e)
	default:
		w.tell(e)
	}
	return nil
}

// tell puts an event of an open step into the record.
func (w *watch) tell(e tasks.Event) {
	if r := e.Result; r != nil {
		w.steps[e.Step] = false
		if w.confirms != nil && w.confirms.step == e.Step {
			w.endConfirm()
		}
		if was := w.made[e.Step]; was != nil {
			r = w.result(e.Step, r, was)
			e.Result = r
		}
		w.wait(e.Step, *r)
		w.failed = w.failed || r.Status == tasks.StatusFailed || r.Status == tasks.StatusUnknown
		w.bad[e.Step] = !r.EndedWell()
	}
	w.fleet.emit(w.host, report.Event{Kind: report.KindStep, Step: &e})
}

// wait notes what a step leaves to a reboot.
func (w *watch) wait(step string, r tasks.Result) {
	left := r.Remaining.With(tasks.EffectReboot)
	if len(left) > 0 && w.away == nil {
		w.waiting[step], w.made[step] = true, append(slices.Clone(r.Changes), left...)
	} else {
		delete(w.waiting, step)
	}
}

// done checks that a helper that says it is done has told of every step.
func (w *watch) done(d wire.Done) *report.Error {
	switch {
	case d.Holder != nil:
		return lockedError(w.host.Target, *d.Holder, w.fleet.now())
	case d.Error != "":
		return &report.Error{Class: report.ClassHelper, What: "run the job on " + w.host.Target.Name, Why: d.Error}
	}
	for id, open := range w.steps {
		if open {
			return protocolError(w.host.Target, fmt.Errorf("the helper says it is done and has not told of step %q", id))
		}
	}
	return nil
}

func (f *Fleet) emit(h Host, e report.Event) {
	e.Host = h.Target.Name
	f.Emit(e)
}
