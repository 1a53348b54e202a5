package agentlet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/guard"
	"phoenix/tasks/secret"
)

// Where the helper keeps things on a real machine.
const (
	// StateDir holds the helpers and the folders of runs.
	StateDir = "/var/lib/phoenix"
	// LockFile is the lock that one run has on the machine.
	LockFile = "/run/lock/phoenix.lock"
)

// Dirs is where the helper keeps things on the machine.
type Dirs struct {
	// State holds the folders of runs, below runs/: /var/lib/phoenix.
	State string
	// Lock is the file that a run holds a lock on: /run/lock/phoenix.lock.
	Lock string
	// Helpers are the folders in which helpers may lie; those of other builds are
	// removed from them when they have not been installed within a week.
	Helpers []string
}

// Server serves one session. Its fields must not be changed while it does.
type Server struct {
	// Host returns the machine to work on. In a run, outputDir is an existing folder
	// for the output of programs, so that they outlive the helper; it is empty in a
	// check, and where no folder could be made.
	Host func(outputDir string) tasks.Host
	// Registry decodes the steps.
	Registry tasks.Registry
	// Dirs is where things are kept.
	Dirs Dirs
	// SHA256, Hostname, Arch, PID and UID are what the greeting says of the helper.
	SHA256, Hostname, Arch string
	PID, UID               int
	// Program is the path of the helper's own file, for a watchdog that outlives it.
	Program string
	// Peer is the address that the workstation's connection comes from; empty where
	// nobody could tell.
	Peer string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Heartbeat is the interval of heartbeats; 0 means wire.HeartbeatInterval.
	Heartbeat time.Duration
	// Linger bounds the wait, at the end, for the other end to take what is still to
	// be sent and, after a run, to say that it has it; 0 means 10 s.
	Linger time.Duration
}

// Serve speaks with the workstation over stdin and stdout until the job is done.
// The nonce is the one that the workstation started the helper with. Cancelling ctx
// cancels the step under way. The error is about the session; that steps failed is
// no error. Serve reads from stdin in the background for as long as stdin lasts.
func (s *Server) Serve(ctx context.Context, stdin io.Reader, stdout io.Writer, nonce string) error {
	if err := wire.CheckNonce(nonce); err != nil {
		return err
	}
	out := newOutbox(stdout)
	out.raw(wire.Greeting(nonce))
	out.send(wire.Message{Hello: &wire.Hello{
		Version: wire.Version, SHA256: s.SHA256, Hostname: s.Hostname, Arch: s.Arch, PID: s.PID, UID: s.UID,
	}})
	err := s.session(ctx, wire.NewReader(stdin), out, nonce)
	out.close(s.linger())
	return err
}

// session takes the job and sees it through to its done message, or answers a confirm.
func (s *Server) session(ctx context.Context, in *wire.Reader, out *outbox, nonce string) error {
	first, err := s.await(in, nonce)
	if err != nil {
		out.send(wire.Message{Done: &wire.Done{Error: err.Error()}})
		return err
	}
	if first.Confirm != nil {
		done := s.confirm(ctx, *first.Confirm)
		out.send(wire.Message{Done: &done})
		return nil
	}
	job := first.Job
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ears := listen(in, cancel)
	w := &work{server: s, job: *job, out: out, ears: ears, redact: secret.NewRedactor(slices.Collect(maps.Values(job.Secrets))...)}
	stop := w.pulse()
	defer stop()
	done := w.do(ctx)
	out.send(wire.Message{Done: &done})
	stop()
	if job.Mode == tasks.ModeRun {
		w.handOver(s.linger())
	}
	if done.Error != "" {
		return errors.New(done.Error)
	}
	return nil
}

// confirm is all that a session is there for whose first message says so.
func (s *Server) confirm(ctx context.Context, c wire.Confirm) wire.Done {
	ticket, err := guard.Confirm(ctx, s.Host(""), c.Token, c.Ticket)
	if err != nil {
		return wire.Done{Error: err.Error()}
	}
	return wire.Done{Ticket: ticket}
}

// jobLimit bounds the wait for the job, which may be large and its way slow. A
// workstation that vanished before it sent it must not leave a process behind until
// the kernel gives its connection up.
const jobLimit = 15 * time.Minute

// await takes the first message, within jobLimit.
func (s *Server) await(in *wire.Reader, nonce string) (wire.Message, error) {
	type taken struct {
		message wire.Message
		err     error
	}
	first := make(chan taken, 1)
	go func() {
		m, err := takeFirst(in, nonce)
		first <- taken{m, err}
	}()
	limit := time.NewTimer(jobLimit)
	defer limit.Stop()
	select {
	case t := <-first:
		return t.message, t.err
	case <-limit.C:
		return wire.Message{}, fmt.Errorf("take job: none came within %s", jobLimit)
	}
}

// takeFirst reads the first message, which must be the job or a confirm.
func takeFirst(in *wire.Reader, nonce string) (wire.Message, error) {
	if _, err := in.ReadGreeting(nonce); err != nil {
		// What came instead may be a password; it is not repeated.
		return wire.Message{}, errors.New("take job: the workstation's greeting did not come")
	}
	m, err := in.Read()
	var frame *wire.FrameError
	switch {
	case errors.As(err, &frame):
		return wire.Message{}, fmt.Errorf("take job: %w", frame.Err) // without its quote: a job has secrets
	case err != nil:
		return wire.Message{}, fmt.Errorf("take job: %w", err)
	case m.Job == nil && m.Confirm == nil:
		return wire.Message{}, errors.New("take job: the first message is no job")
	}
	return m, nil
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Server) linger() time.Duration {
	if s.Linger > 0 {
		return s.Linger
	}
	return 10 * time.Second
}

func (s *Server) heartbeat() time.Duration {
	if s.Heartbeat > 0 {
		return s.Heartbeat
	}
	return wire.HeartbeatInterval
}

// ears is what the workstation says after the job.
type ears struct {
	// stop is closed when no further step is to be started.
	stop chan struct{}
	// confirmed receives the tokens of confirms.
	confirmed chan string
	// gone is closed when the input has ended.
	gone chan struct{}
}

// listen reads until the input ends or holds what no workstation says. Either way
// nobody is there any more who could say stop, so that is taken as said.
func listen(in *wire.Reader, cancel context.CancelFunc) *ears {
	e := &ears{stop: make(chan struct{}), confirmed: make(chan string, 64), gone: make(chan struct{})}
	go func() {
		defer close(e.gone)
		stopped := false
		stop := func() {
			if !stopped {
				stopped = true
				close(e.stop)
			}
		}
		defer stop()
		for {
			m, err := in.Read()
			switch {
			case err != nil || !m.Down():
				return
			case m.Cancel != nil:
				stop()
				if m.Cancel.Hard {
					cancel()
				}
			case m.Confirm != nil:
				select {
				case e.confirmed <- m.Confirm.Token:
				default: // more than any workstation has reason to send
				}
			}
		}
	}()
	return e
}
