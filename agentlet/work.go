package agentlet

import (
	"context"
	"fmt"
	"sync"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/boot"
	"phoenix/tasks/guard"
	"phoenix/tasks/inside"
	"phoenix/tasks/secret"
)

// work is one job on its way.
type work struct {
	server *Server
	job    tasks.Job
	out    *outbox
	ears   *ears
	redact *secret.Redactor

	journal *journal // nil in a check
	toldBad bool     // that the journal cannot be written has been said

	mu       sync.Mutex // guards underway
	underway tasks.Underway
}

// do runs the job. What it returns is the last message of the session.
func (w *work) do(ctx context.Context) wire.Done {
	if w.stillUp() {
		return wire.Done{Error: "the machine has not gone down yet"}
	}
	if w.job.Mode == tasks.ModeCheck {
		if err := w.undecided(); err != nil {
			return wire.Done{Error: err.Error()}
		}
		return w.run(ctx, "")
	}
	if err := checkRunID(w.job.RunID); err != nil {
		return wire.Done{Error: err.Error()}
	}
	lock, holder, err := takeLock(w.server.Dirs.Lock, wire.Holder{
		RunID: w.job.RunID, Operator: w.job.Operator, PID: w.server.PID, Since: w.server.now(),
	})
	if err != nil {
		return wire.Done{Error: err.Error(), Holder: holder}
	}
	defer lock.release()
	if err := w.undecided(); err != nil {
		return wire.Done{Error: err.Error()}
	}
	guard.Forget(ctx, w.server.Host(""), w.server.now())
	runs := runsDir(w.server.Dirs.State)
	for j := range uncollected(runs, w.job.RunID) {
		w.out.send(wire.Message{Journal: &j})
	}
	w.journal = openJournal(runs, w.job)
	done := w.run(ctx, w.journal.outputDir(minRoom))
	w.journal.finish()
	pruneRuns(runs, w.job.RunID, keepRuns)
	pruneHelpers(w.server.Dirs.Helpers, w.server.SHA256, w.server.now())
	return done
}

// stillUp tells whether the machine runs the boot that must be over.
func (w *work) stillUp() bool {
	if w.job.AfterBoot == "" {
		return false
	}
	id, err := boot.BootID(w.server.Host(""))
	return err == nil && id == w.job.AfterBoot
}

// undecided is the error of a machine on which another run's change may still be taken
// back: what is found there now may be true for seconds only.
func (w *work) undecided() error {
	what, left, err := guard.Pending(w.server.Host(""), w.server.now())
	if err != nil {
		return err
	}
	if what != "" {
		return fmt.Errorf("a change of the %s by another run waits to be confirmed, and is taken back within %s otherwise: come again then", what, left.Round(time.Second))
	}
	return nil
}

// run hands the job to the runner.
func (w *work) run(ctx context.Context, outputDir string) wire.Done {
	host := w.server.Host(outputDir)
	runner := tasks.Runner{
		Host: host, Guests: &inside.Containers{Machine: host, Helper: w.server.Program}, Registry: w.server.Registry,
		Emit: w.emit, Now: w.server.now, Stop: w.ears.stop, Peer: w.server.Peer, Helper: w.server.Program,
	}
	if err := runner.Run(ctx, w.job); err != nil {
		return wire.Done{Error: w.redact.Text(err.Error())}
	}
	return wire.Done{}
}

// emit records an event, unless it is a sample, and sends it. The runner calls it one at
// a time.
func (w *work) emit(e tasks.Event) {
	w.mark(e)
	e = cut(w.redact.Event(e)) // in this order: half a value must not escape the redactor
	w.record(e)
	w.out.send(wire.Message{Event: &e})
}

// record writes an event to the journal. That it could not is said once, before the
// event itself is sent, because a step's result ends what is said of the step.
func (w *work) record(e tasks.Event) {
	if w.journal == nil || e.Sample != nil {
		return
	}
	w.journal.write(e)
	if err := w.journal.fault; err != nil && !w.toldBad {
		w.toldBad = true
		w.out.send(wire.Message{Event: &tasks.Event{Time: e.Time, Step: e.Step, Log: logLine(
			fmt.Sprintf("the run goes on, but its journal on the host is incomplete: %v", err))}})
	}
}

// mark remembers the steps under way, for the heartbeat.
func (w *work) mark(e tasks.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.underway.Note(e)
}

// pulse sends heartbeats until the returned function is called, which may be called
// twice.
func (w *work) pulse() (stop func()) {
	quit := make(chan struct{})
	ticker := time.NewTicker(w.server.heartbeat())
	go func() {
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ticker.C:
				w.out.beat(w.alive())
			}
		}
	}()
	return sync.OnceFunc(func() { close(quit) })
}

func (w *work) alive() wire.Heartbeat {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.underway.Oldest()
	if b.Step == "" {
		return wire.Heartbeat{}
	}
	return wire.Heartbeat{Step: b.Step, ForMS: w.server.now().Sub(b.Since).Milliseconds()}
}

// handOver waits until the workstation has confirmed the record of this run, and
// marks it, and those of earlier runs that it confirmed, as collected. What nobody
// confirms is sent again by the next run: at least once, never lost.
func (w *work) handOver(limit time.Duration) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		select {
		case token := <-w.ears.confirmed:
			if w.confirm(token) {
				return
			}
		case <-w.ears.gone:
			for len(w.ears.confirmed) > 0 {
				w.confirm(<-w.ears.confirmed)
			}
			return
		case <-timeout.C:
			return
		}
	}
}

// confirm marks a run as collected and tells whether it is this one.
func (w *work) confirm(runID string) bool {
	markCollected(runsDir(w.server.Dirs.State), runID)
	return runID == w.job.RunID
}

// maxText is the longest text of one property or line, in bytes; a step that has
// more to say than fits into a message must not end the session.
const maxText = 64 << 10

// maxData is the most that a step can have found out, in bytes.
const maxData = 4 << 20

// cut bounds what one event can hold.
func cut(e tasks.Event) tasks.Event {
	if e.Log != nil && len(e.Log.Text) > 8<<10 {
		e.Log = &tasks.Log{Stream: e.Log.Stream, Text: shorten(e.Log.Text, 8<<10)}
	}
	if len(e.Sample) > maxData {
		e.Sample, e.Log = nil, logLine(fmt.Sprintf("a sample of %d bytes is more than fits into a message", len(e.Sample)))
	}
	if e.Result == nil {
		return e
	}
	res := *e.Result
	res.Why = shorten(res.Why, maxText)
	res.Warnings = cutTexts(res.Warnings)
	res.Changes, res.Remaining = cutDiff(res.Changes), cutDiff(res.Remaining)
	if len(res.Data) > maxData {
		res.Data = nil
		res.Why = shorten(res.Why+" (the data found are more than fits into a message and were left out)", maxText)
	}
	e.Result = &res
	return e
}

// maxWarnings is how many warnings a step can have.
const maxWarnings = 50

func cutTexts(list []string) []string {
	var out []string
	for i, text := range list {
		if i == maxWarnings {
			return append(out, fmt.Sprintf("and %d more warnings", len(list)-i))
		}
		out = append(out, shorten(text, 8<<10))
	}
	return out
}

// cutDiff keeps a diff within 2 MiB.
func cutDiff(d tasks.Diff) tasks.Diff {
	var out tasks.Diff
	left := 2 << 20
	for i, c := range d {
		c.From, c.To, c.Note = shorten(c.From, maxText), shorten(c.To, maxText), shorten(c.Note, maxText)
		left -= len(c.Path) + len(c.From) + len(c.To) + len(c.Note) + 64
		if left < 0 {
			return append(out, tasks.Change{Path: "…", Note: fmt.Sprintf("and %d more changes", len(d)-i)})
		}
		out = append(out, c)
	}
	return out
}

func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes more)", s[:most], len(s)-most)
}
