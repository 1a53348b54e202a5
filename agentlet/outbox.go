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
	queue   []byte
	last    announced
	due     bool // the queue is to be written now
	timed   bool // a timer will make it due
	dropped int
	closed  bool
	broken  bool // the channel is gone; all is dropped
}

// announced is the last message of the queue when it is the start of a step.
type announced struct {
	step string
	at   int // where its frame begins in the queue
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
		for !o.closed && (len(o.queue) == 0 || !o.due) {
			o.wake.Wait()
		}
		batch := o.queue
		o.queue, o.due, o.last = nil, false, announced{}
		o.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		if _, err := o.w.Write(batch); err != nil {
			o.mu.Lock()
			o.broken, o.queue = true, nil
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

func (o *outbox) push(b []byte) {
	if o.broken || o.closed {
		return
	}
	o.queue = append(o.queue, b...)
	switch {
	case len(o.queue) >= fullWrite:
		o.flush()
	case !o.timed:
		o.timed = true
		time.AfterFunc(gather, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.timed = false
			o.flush()
		})
	}
}

// flush has what is queued written now.
func (o *outbox) flush() {
	if len(o.queue) > 0 {
		o.due = true
		o.wake.Signal()
	}
}

// send queues a message. A line of log is left out while too much is waiting; the
// next message that fits is preceded by a line that says how many were.
func (o *outbox) send(m wire.Message) {
	frame, err := wire.Encode(m)
	if err != nil {
		frame, err = wire.Encode(unsendable(m, err))
		if err != nil {
			return
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if isLog(m) && len(o.queue) > maxQueued {
		o.dropped++
		return
	}
	if o.dropped > 0 && m.Event != nil {
		o.push(o.gap(m))
	}
	o.merge(m)
	o.push(frame)
	if m.Done != nil {
		o.flush()
	}
}

// merge takes back the start of a step that has ended well before anybody was told
// that it began: of hundreds of properties that are as wanted, the result says all.
func (o *outbox) merge(m wire.Message) {
	e := m.Event
	if e != nil && e.Result != nil && e.Result.Status == tasks.StatusOK && o.last.step == e.Step && o.last.step != "" {
		o.queue = o.queue[:o.last.at]
	}
	o.last = announced{}
	if e != nil && e.Started != nil && !o.broken {
		o.last = announced{e.Step, len(o.queue)}
	}
}

// gap is the frame that says how many lines were left out before m.
func (o *outbox) gap(m wire.Message) []byte {
	e := *m.Event
	e.Started, e.Result = nil, nil
	text := fmt.Sprintf("%d lines were left out here, because the connection was too slow for them", o.dropped)
	e.Log = logLine(text)
	o.dropped = 0
	frame, err := wire.Encode(wire.Message{Event: &e})
	if err != nil {
		return nil
	}
	return frame
}

// beat queues a heartbeat unless other messages are waiting, which say as much.
func (o *outbox) beat(h wire.Heartbeat) {
	o.mu.Lock()
	waiting := len(o.queue) > 0
	o.mu.Unlock()
	if !waiting {
		o.send(wire.Message{Heartbeat: &h})
	}
}

// close waits, for at most limit, until all is written. Afterwards nothing is taken.
func (o *outbox) close(limit time.Duration) {
	o.mu.Lock()
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
