package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	xssh "golang.org/x/crypto/ssh"

	"phoenix/transport"
)

// maxStderr is how much of a command's stderr is kept, its end.
const maxStderr = 64 << 10

// stderrBuffer is what reading stderr costs a session in memory; there is little of
// it, and there are many sessions.
const stderrBuffer = 1 << 10

// session is a command on a host.
type session struct {
	conn    *Conn
	channel xssh.Channel
	stderr  tail
	// done is closed when the host has closed the channel; exit is set by then.
	done chan struct{}
	exit *exit
	// closed is closed by Close.
	closed    chan struct{}
	closeOnce sync.Once
}

// exit is how a command ended.
type exit struct {
	code   int
	signal string
}

// Start starts a command line through the user's login shell, without a terminal.
// ctx bounds the starting only.
func (c *Conn) Start(ctx context.Context, command string) (transport.Session, error) {
	ch, err := c.openChannel(ctx)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	s := &session{conn: c, channel: ch, done: make(chan struct{}), closed: make(chan struct{})}
	go s.serve(ch.requests)
	ok, err := c.request(ctx, ch, "exec", xssh.Marshal(struct{ Command string }{command}))
	if err == nil && !ok {
		err = errors.New("the host refuses to run commands for this user")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start command: %w", err), s.Close())
	}
	return s, nil
}

// serve reads stderr and how the command ended, until the host closes the channel.
func (s *session) serve(requests <-chan *xssh.Request) {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		// A tail takes everything, and a broken connection shows elsewhere.
		_, _ = io.CopyBuffer(&s.stderr, s.channel.Stderr(), make([]byte, stderrBuffer))
	}()
	for r := range requests {
		if e := parseExit(r); e != nil {
			s.exit = e
		}
		if r.WantReply {
			_ = r.Reply(false, nil) // the connection's end shows elsewhere
		}
	}
	<-drained
	close(s.done)
}

// parseExit reads exit-status and exit-signal of RFC 4254, section 6.10; nil is
// something else or malformed.
func parseExit(r *xssh.Request) *exit {
	switch r.Type {
	case "exit-status":
		var m struct{ Status uint32 }
		if xssh.Unmarshal(r.Payload, &m) == nil {
			return &exit{code: int(m.Status)}
		}
	case "exit-signal":
		var m struct {
			Signal         string
			Core           bool
			Error, Langtag string
		}
		if xssh.Unmarshal(r.Payload, &m) == nil {
			return &exit{code: -1, signal: clean(m.Signal)}
		}
	}
	return nil
}

// Stdin is the command's input.
func (s *session) Stdin() io.WriteCloser { return sessionInput{s} }

// Stdout is the command's output. Where the connection broke before the command
// ended, its reader gets that as an error and never an EOF.
func (s *session) Stdout() io.Reader { return sessionOutput{s} }

// Stderr is the end of what the command has said on stderr so far, without control
// characters.
func (s *session) Stderr() string { return cleanLines(s.stderr.String()) }

// Wait waits for the command to end.
func (s *session) Wait() error {
	select {
	case <-s.done:
	case <-s.closed:
		select {
		case <-s.done:
		default:
			return errors.New("wait for command: the session was closed")
		}
	}
	switch {
	case s.exit == nil:
		if why := s.conn.net.ended(); why != nil {
			return fmt.Errorf("wait for command: %w", lost(why))
		}
		return &transport.ExitError{Code: -1}
	case s.exit.code != 0:
		return &transport.ExitError{Code: s.exit.code, Signal: s.exit.signal}
	}
	return nil
}

// Close ends the session without waiting for the command.
func (s *session) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.closed)
		if err = s.channel.Close(); errors.Is(err, io.EOF) || s.conn.net.ended() != nil {
			err = nil // it is closed already
		}
	})
	if err != nil {
		return fmt.Errorf("close session: %w", err)
	}
	return nil
}

// sessionInput is the command's stdin.
type sessionInput struct{ s *session }

// Write sends input.
func (w sessionInput) Write(p []byte) (int, error) {
	n, err := w.s.channel.Write(p)
	if err != nil {
		return n, w.s.broken("write to command", err)
	}
	return n, nil
}

// Close is the end of input.
func (w sessionInput) Close() error {
	if err := w.s.channel.CloseWrite(); err != nil && !errors.Is(err, io.EOF) {
		return w.s.broken("end the command's input", err)
	}
	return nil
}

// broken explains a failed write: EOF is the command having closed its input.
func (s *session) broken(doing string, err error) error {
	if errors.Is(err, io.EOF) && s.conn.net.ended() == nil {
		return fmt.Errorf("%s: %w", doing, io.ErrClosedPipe)
	}
	return fmt.Errorf("%s: %w", doing, s.conn.explain(err))
}

// sessionOutput is the command's stdout.
type sessionOutput struct{ s *session }

// Read reads output.
func (r sessionOutput) Read(p []byte) (int, error) {
	n, err := r.s.channel.Read(p)
	if err == nil || !errors.Is(err, io.EOF) {
		return n, err
	}
	why := r.s.conn.net.ended()
	if why == nil {
		return n, io.EOF
	}
	// The connection has ended, so the requests end too; did the command before?
	<-r.s.done
	if r.s.exit != nil {
		return n, io.EOF
	}
	return n, fmt.Errorf("read from command: %w", lost(why))
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write keeps p, and drops the oldest bytes beyond maxStderr.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - maxStderr; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
