package fleet

import (
	"context"
	"errors"
	"fmt"
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
	if f.HostTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, f.HostTimeout, errHostTimeout(f.HostTimeout))
		defer cancel()
	}
	w := watch{fleet: f, host: h, steps: make(map[string]bool, len(h.Job.Steps))}
	for _, s := range h.Job.Steps {
		w.steps[s.ID] = true
	}
	err := w.work(ctx, begin)
	if err != nil || w.failed {
		f.failures.Add(1)
	}
	f.emit(h, report.Event{Kind: report.KindHostDone, HostDone: &report.HostDone{Error: err, DurationMS: f.now().Sub(begin).Milliseconds()}})
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
	failed bool
}

// work connects, starts the helper and reads what it sends.
func (w *watch) work(ctx context.Context, begin time.Time) *report.Error {
	conn, err := w.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Closing the connection is what ends a read that waits for a host which says
	// nothing.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	started, startErr := w.fleet.Start(ctx, conn, w.host)
	if startErr != nil {
		return startError(ctx, w.host.Target, startErr)
	}
	agent := started.Agent
	defer agent.Close()
	w.fleet.emit(w.host, report.Event{Kind: report.KindHostConnected, HostConnected: &report.HostConnected{
		Uploaded: started.Uploaded, Steps: len(w.host.Job.Steps), DurationMS: w.fleet.now().Sub(begin).Milliseconds(),
	}})
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
			if err := w.event(*m.Event); err != nil {
				return protocolError(w.host.Target, err)
			}
		case m.Journal != nil:
			w.fleet.emit(w.host, report.Event{Kind: report.KindJournal, Journal: &report.Journal{
				RunID: m.Journal.RunID, Operator: m.Journal.Operator, Finished: m.Journal.Finished, Events: m.Journal.Events,
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
func (w *watch) event(e tasks.Event) error {
	open, known := w.steps[e.Step]
	switch {
	case !known:
		return fmt.Errorf("an event of step %q, which is not in the job", e.Step)
	case !open:
		return fmt.Errorf("an event of step %q after its result", e.Step)
	}
	if e.Result != nil {
		w.steps[e.Step] = false
		w.failed = w.failed || e.Result.Status == tasks.StatusFailed || e.Result.Status == tasks.StatusUnknown
	}
	w.fleet.emit(w.host, report.Event{Kind: report.KindStep, Step: &e})
	return nil
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
