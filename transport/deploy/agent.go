package deploy

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
)

// Agent is a helper at work on a host. Send may be called from any goroutine,
// Receive from one at a time.
type Agent struct {
	// Hello is what the helper said of itself.
	Hello wire.Hello
	// Noise is what the login shell printed before the helper greeted, printable.
	Noise string
	// Uploaded tells whether the helper had to be put on the host first.
	Uploaded bool

	cmd     *command
	host    string
	opts    Options
	runID   string
	in      *wire.Reader
	frames  chan frame
	closing chan struct{}
	close   sync.Once
	fault   error       // of Close
	ended   atomic.Bool // the done message was received

	passed []wire.Passed // received, and not yet handed out as events
	out    *queue

	underway tasks.Underway
	step     string // under way for the longest
	stepFor  time.Duration
}

type frame struct {
	m   wire.Message
	err error
}

func newAgent(c *command, r *remote) *Agent {
	return &Agent{
		cmd: c, host: r.target.Name, opts: r.opts, runID: r.opts.Job.RunID,
		in: wire.NewReader(c.Stdout()), out: newQueue(c.Stdin()), frames: make(chan frame), closing: make(chan struct{}),
	}
}

// open greets the helper and sends the job, in one write, without waiting for it. An
// error of it shows as the end of the helper's answers, with its reason there.
func (a *Agent) open(nonce string) {
	first := wire.Message{Job: &a.opts.Job}
	if a.opts.Confirm != nil {
		first = wire.Message{Confirm: a.opts.Confirm}
	}
	b, err := wire.Encode(first)
	if err != nil {
		_ = a.cmd.Close()
		return
	}
	_ = a.out.put(append(wire.Greeting(nonce), b...))
}

// greeting is what the helper begins with.
type greeting struct {
	hello wire.Hello
	noise string // that came before it, printable
}

// errNoHello is a helper that begins with another message.
var errNoHello = errors.New("read hello: the first message is another")

// greet waits for the helper's greeting and its hello.
func (a *Agent) greet(nonce string) (greeting, error) {
	noise, err := a.in.ReadGreeting(nonce)
	if err != nil {
		return greeting{}, err
	}
	m, err := a.in.Read()
	if err != nil {
		return greeting{}, err
	}
	if m.Hello == nil {
		return greeting{}, errNoHello
	}
	return greeting{*m.Hello, noise}, nil
}

// listen reads frames in the background, so that Receive can give up waiting.
func (a *Agent) listen(ctx context.Context) {
	go func() {
		defer close(a.frames)
		for {
			m, err := a.in.Read()
			select {
			case a.frames <- frame{m, err}:
			case <-a.closing:
				return
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
}

// Send sends a message to the helper, without waiting until the helper takes it. That
// it cannot be sent shows as the end of what the helper says.
func (a *Agent) Send(m wire.Message) error {
	b, err := wire.Encode(m)
	if err != nil {
		return err
	}
	return a.out.put(b)
}

// Receive returns the helper's next message; the last is a Done. It says nothing of
// heartbeats that were missed until Options.Silence has passed: then the error is a
// *GoneError, which names the step. A session that ends early is a *LostError, and a
// malformed message a *wire.FrameError.
//
// Steps that share a message come out as the events that they are.
//
// A journal, and the record of this run, are confirmed to the helper when they are
// received here, so that the host does not send them again.
func (a *Agent) Receive() (wire.Message, error) {
	if len(a.passed) == 0 {
		m, err := a.receive()
		if m.Passed == nil {
			return m, err
		}
		a.passed = m.Passed
	}
	e := a.passed[0].Event()
	a.passed = a.passed[1:]
	return wire.Message{Event: &e}, nil
}

func (a *Agent) receive() (wire.Message, error) {
	silence := time.NewTimer(a.opts.silence())
	defer silence.Stop()
	select {
	case f, ok := <-a.frames:
		if !ok {
			return wire.Message{}, a.lost(io.ErrClosedPipe)
		}
		if f.err != nil {
			var malformed *wire.FrameError
			if errors.As(f.err, &malformed) {
				return wire.Message{}, f.err
			}
			return wire.Message{}, a.lost(f.err)
		}
		if err := a.note(f.m); errors.Is(err, errDeaf) {
			return wire.Message{}, a.lost(err)
		}
		return f.m, nil
	case <-a.closing:
		return wire.Message{}, a.lost(io.ErrClosedPipe)
	case <-silence.C:
		return wire.Message{}, &GoneError{Host: a.host, Step: a.step, For: a.stepFor, Silent: a.opts.silence()}
	}
}

// note follows the job, and confirms what has arrived.
func (a *Agent) note(m wire.Message) error {
	switch {
	case m.Event != nil && m.Event.Log == nil:
		a.underway.Note(*m.Event)
		a.step, a.stepFor = a.underway.Oldest().Step, 0
	case m.Passed != nil:
		for _, p := range m.Passed {
			a.underway.Note(p.Event())
		}
		a.step, a.stepFor = a.underway.Oldest().Step, 0
	case m.Heartbeat != nil:
		a.step, a.stepFor = m.Heartbeat.Step, time.Duration(m.Heartbeat.ForMS)*time.Millisecond
	case m.Journal != nil && m.Journal.RunID != "":
		return a.Send(wire.Message{Confirm: &wire.Confirm{Token: m.Journal.RunID}})
	case m.Done != nil:
		a.ended.Store(true)
		if m.Done.Holder == nil && m.Done.Error == "" && a.opts.Job.Mode == tasks.ModeRun {
			_ = a.Send(wire.Message{Confirm: &wire.Confirm{Token: a.runID}})
		}
	}
	return nil
}

// lost is the error of a session that ended early; it waits, within the grace, for
// the exit status, which says more than the end of a stream.
func (a *Agent) lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if ended := a.await(); ended != nil {
			err = ended
		}
	}
	return &LostError{Host: a.host, Step: a.step, Stderr: wire.Printable([]byte(a.cmd.Stderr())), Err: err}
}

// await waits for the helper's exit status for at most the grace.
func (a *Agent) await() error {
	ended := make(chan error, 1)
	go func() { ended <- a.cmd.Wait() }()
	t := time.NewTimer(a.opts.grace())
	defer t.Stop()
	select {
	case err := <-ended:
		return err
	case <-t.C:
		return nil
	}
}

// Close ends the session, in rungs: the end of input, on which the helper leaves once
// the step under way has ended; after the grace, or at once when the helper has said
// that it is done, the session itself, which the helper survives until that step has
// ended. It may be called twice.
func (a *Agent) Close() error {
	a.close.Do(func() {
		defer a.cmd.release()
		var err error
		if a.flushed() {
			err = a.cmd.Stdin().Close()
			if !a.ended.Load() {
				a.drain()
			}
		}
		close(a.closing)
		if a.fault = a.cmd.Close(); errors.Is(a.fault, io.EOF) {
			a.fault = nil // it had ended already
		}
		if err != nil && !errors.Is(err, io.EOF) && a.fault == nil && !a.ended.Load() {
			a.fault = err
		}
	})
	return a.fault
}

// flushed waits, for at most the grace, until the helper has taken all that was sent.
func (a *Agent) flushed() bool {
	a.out.end()
	t := time.NewTimer(a.opts.grace())
	defer t.Stop()
	select {
	case <-a.out.done:
		return true
	case <-t.C:
		return false
	}
}

// drain takes what the helper still says until it has left, for at most the grace.
func (a *Agent) drain() {
	t := time.NewTimer(a.opts.grace())
	defer t.Stop()
	for {
		select {
		case f, ok := <-a.frames:
			if !ok || f.err != nil {
				return
			}
		case <-t.C:
			return
		}
	}
}
