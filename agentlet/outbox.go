package agentlet

import (
	"fmt"
	"io"
	"sync"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
)

// maxQueued is how much may wait for a slow channel, in bytes, before lines of log
// are left out. Results are never left out.
const maxQueued = 4 << 20

// gather is how long a message may wait for others to share its write. Each write
// is a packet that both ends encrypt, and a check of hundreds of properties is over
// within it; a person watching sees no difference.
const gather = 5 * time.Millisecond

// fullWrite is how much is written without waiting for more, in bytes.
const fullWrite = 32 << 10

// outbox sends messages through one goroutine, so that nobody who has something to
// say waits for the channel. Messages of the same moment go out in one write.
type outbox struct {
	w    io.Writer
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	wake    *sync.Cond
	queue   []byte         // frames
	passed  []wire.Passed  // behind the queue, not yet a frame
	held    int            // about what passed will take, in bytes
	start   *tasks.Event   // behind both, of a step that has not said more yet
	samples []*tasks.Event // behind all of it, the latest of each step
	due     bool           // all of it is to be written now
	timed   bool           // a timer will make it due
	dropped int
	closed  bool
	broken  bool // the channel is gone; all is dropped
}

func newOutbox(w io.Writer) *outbox {
	o := &outbox{w: w, done: make(chan struct{})}
	o.wake = sync.NewCond(&o.mu)
	go o.loop()
	return o
}

func (o *outbox) loop() {
	defer close(o.done)
	for {
		o.mu.Lock()
		for !o.closed && !o.due {
			o.wake.Wait()
		}
		o.settle()
		o.tellSamples("")
		batch := o.queue
		o.queue, o.due = nil, false
		o.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		if _, err := o.w.Write(batch); err != nil {
			o.mu.Lock()
			o.broken, o.queue, o.passed, o.held, o.start, o.samples = true, nil, nil, 0, nil, nil
			o.mu.Unlock()
		}
	}
}

// raw queues bytes that are no frame.
func (o *outbox) raw(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.push(b)
}

// push queues bytes behind all that is queued.
func (o *outbox) push(b []byte) {
	if o.broken || o.closed {
		return
	}
	o.queue = append(o.queue, b...)
	if len(o.queue) >= fullWrite {
		o.flush()
	}
	o.soon()
}

// soon has what is queued written when its time to gather others is over.
func (o *outbox) soon() {
	if o.timed {
		return
	}
	o.timed = true
	time.AfterFunc(gather, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.timed = false
		o.flush()
	})
}

// flush has what is queued written now.
func (o *outbox) flush() {
	if o.waiting() {
		o.due = true
		o.wake.Signal()
	}
}

func (o *outbox) waiting() bool {
	return len(o.queue)+len(o.passed)+len(o.samples) > 0 || o.start != nil
}

// send queues a message. A line of log is left out while too much is waiting; the
// next message that fits is preceded by a line that says how many were.
func (o *outbox) send(m wire.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken || o.closed {
		return
	}
	if e := m.Event; e != nil && e.Sample != nil {
		o.keep(e)
		o.soon()
		return
	}
	if e := m.Event; e != nil && e.Result != nil {
		o.tellSamples(e.Step) // nothing is said of a step behind its result
	}
	if e := m.Event; e != nil && o.dropped == 0 && o.hold(*e) {
		o.soon()
		return
	}
	o.settle()
	if isLog(m) && len(o.queue) > maxQueued {
		o.dropped++
		return
	}
	if o.dropped > 0 && m.Event != nil {
		o.push(o.gap(m))
	}
	o.push(encode(m))
	if m.Done != nil {
		o.flush()
	}
}

// hold keeps an event that may need no frame of its own. The start of a step that
// ends well before anybody was told that it began is never sent: of hundreds of
// properties that are as wanted, the results say all, and share a message.
func (o *outbox) hold(e tasks.Event) bool {
	if e.Started != nil {
		if o.start != nil {
			o.settle()
		}
		o.start = &e
		return true
	}
	p, passed := wire.PassedOf(e)
	if !passed || o.start != nil && o.start.Step != e.Step {
		return false
	}
	o.start = nil
	o.passed = append(o.passed, p)
	if o.held += len(p.Step) + 48; o.held >= fullWrite {
		o.settle()
	}
	return true
}

// keep holds a sample until the channel takes it, in place of an earlier one of the step:
// of what only shows how things stand, the latest is all that a slow reader wants.
func (o *outbox) keep(e *tasks.Event) {
	for i := range o.samples {
		if o.samples[i].Step == e.Step {
			o.samples[i] = e
			return
		}
	}
	o.samples = append(o.samples, e)
}

// tellSamples queues the sample of a step, or all that are held.
func (o *outbox) tellSamples(step string) {
	for i := 0; i < len(o.samples); i++ {
		e := o.samples[i]
		if step != "" && e.Step != step {
			continue
		}
		o.settle() // the step has begun before it found something out
		o.push(encode(wire.Message{Event: e}))
		o.samples = append(o.samples[:i], o.samples[i+1:]...)
		i--
	}
}

// settle makes frames of what is held.
func (o *outbox) settle() {
	if len(o.passed) > 0 {
		o.push(encode(wire.Message{Passed: o.passed}))
		o.passed, o.held = nil, 0
	}
	if o.start != nil {
		o.push(encode(wire.Message{Event: o.start}))
		o.start = nil
	}
}

// encode is the frame of a message or, where it cannot be sent, of what is sent
// instead; nil where even that fails.
func encode(m wire.Message) []byte {
	frame, err := wire.Encode(m)
	if err != nil {
		frame, err = wire.Encode(unsendable(m, err))
		if err != nil {
			return nil
		}
	}
	return frame
}

// gap is the frame that says how many lines were left out before m.
func (o *outbox) gap(m wire.Message) []byte {
	e := *m.Event
	e.Started, e.Result = nil, nil
	e.Log = logLine(fmt.Sprintf("%d lines were left out here, because the connection was too slow for them", o.dropped))
	o.dropped = 0
	return encode(wire.Message{Event: &e})
}

// beat queues a heartbeat unless other messages are waiting, which say as much.
func (o *outbox) beat(h wire.Heartbeat) {
	o.mu.Lock()
	waiting := o.waiting()
	o.mu.Unlock()
	if !waiting {
		o.send(wire.Message{Heartbeat: &h})
	}
}

// close waits, for at most limit, until all is written. Afterwards nothing is taken.
func (o *outbox) close(limit time.Duration) {
	o.mu.Lock()
	o.settle()
	o.tellSamples("")
	o.closed = true
	o.wake.Signal()
	o.mu.Unlock()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-o.done:
	case <-t.C: // the peer takes nothing; the journal has it all
	}
}
