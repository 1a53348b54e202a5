package term

import (
	"io"
	"sync"
	"time"

	"phoenix/tasks/report"
)

// Options are what a Display needs from outside.
type Options struct {
	// Out is the stream that people read, usually stderr.
	Out io.Writer
	// Style of that stream. Where it is live, progress is drawn in place.
	Style Style
	// Verbosity says how much is told.
	Verbosity Verbosity
	// Size returns the columns and rows of the terminal, or zeros where they are not
	// known; nil means not known. It is asked for every frame, so a change of size
	// needs no signal.
	Size func() (columns, rows int)
	// Getenv reads COLUMNS and LINES, which are used where Size knows nothing; nil
	// means an empty environment.
	Getenv func(string) string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Zone is the time zone of the times that are written; nil means local.
	Zone *time.Location
}

// HeartbeatInterval is the silence after which a display that cannot redraw says that
// the run still goes on.
const HeartbeatInterval = 30 * time.Second

// queueLimit is how many events may wait for a screen that does not take them (a
// terminal that was stopped with Ctrl-S) before lines of logs are dropped.
const queueLimit = 4096

// Display shows a run while it goes on. It is a report.Sink that never blocks: events
// queue up for the one goroutine that writes to the stream. Close must be called.
type Display struct {
	painter painter
	wake    chan struct{}
	gone    chan struct{}

	mu     sync.Mutex
	queue  []item
	closed bool
}

// item is one thing for the goroutine to do: an event, or a call with the screen
// cleared.
type item struct {
	event report.Event
	call  func()
}

// painter draws; only the display's goroutine calls it.
type painter interface {
	// event takes an event; it may be shown at once or with the next paint.
	event(e report.Event)
	// paint brings the screen up to date and returns when to paint again at the
	// latest.
	paint() time.Duration
	// clear takes away what is drawn in place.
	clear()
}

// Open starts a display: live where the style allows it, line by line otherwise.
func Open(o Options) *Display {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	var p painter = newPlain(o)
	if o.Style.Live && o.Verbosity > Quiet {
		p = newLive(o)
	}
	d := &Display{painter: p, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	go d.own()
	return d
}

// Event queues an event. After Close it does nothing.
func (d *Display) Event(e report.Event) { d.push(item{event: e}) }

func (d *Display) push(i item) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	if len(d.queue) < queueLimit || i.call != nil || !isLog(i.event) {
		d.queue = append(d.queue, i)
	}
	d.nudge()
	return true
}

func (d *Display) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Suspend shows everything so far, clears what is drawn in place, and calls f, which
// has the terminal to itself (to ask for a passphrase, say) until it returns. After
// Close it just calls f. It must not be called from f or from a Sink.
func (d *Display) Suspend(f func()) {
	returned := make(chan struct{})
	if !d.push(item{call: func() { defer close(returned); f() }}) {
		f()
		return
	}
	<-returned
}

// Interject calls f on the display's own goroutine, with what is drawn in place
// cleared, after all events so far, and does not wait for it. It is for writing data
// to a stream that may be the same terminal. After Close it calls f at once.
func (d *Display) Interject(f func()) {
	if !d.push(item{call: f}) {
		f()
	}
}

// Close shows what is left, clears what is drawn in place and ends the display. It
// may be called twice; it waits until the stream is no longer written to.
func (d *Display) Close() {
	d.mu.Lock()
	d.closed = true
	d.nudge()
	d.mu.Unlock()
	<-d.gone
}

// own is the goroutine that owns the screen.
func (d *Display) own() {
	defer close(d.gone)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		closed := d.drain()
		timer.Reset(d.painter.paint())
		if closed {
			d.painter.clear()
			return
		}
		select {
		case <-d.wake:
		case <-timer.C:
		}
	}
}

// drain takes everything from the queue and tells whether nothing will follow.
func (d *Display) drain() (closed bool) {
	d.mu.Lock()
	batch := d.queue
	d.queue = nil
	closed = d.closed
	d.mu.Unlock()
	for _, i := range batch {
		if i.call == nil {
			d.painter.event(i.event)
			continue
		}
		d.painter.clear()
		i.call()
	}
	return closed
}
