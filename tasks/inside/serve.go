package inside

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"phoenix/tasks"
)

// greeting begins what a server says; what comes before it is noise of the container.
func greeting(nonce string) string { return "\x00phoenix inside " + nonce + "\n" }

// aliveInterval is how often a server says that a request is still being worked on.
const aliveInterval = 5 * time.Second

// Serve answers requests about h until in ends. It is what runs in the container; the
// nonce is the one that it was started with. Cancelling ctx ends the program under way.
func Serve(ctx context.Context, h tasks.Host, in io.Reader, out io.Writer, nonce string) error {
	if _, err := io.WriteString(out, greeting(nonce)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{host: h, out: out, in: make(chan asked)}
	go func() {
		defer cancel() // nobody is there any more who waits for an answer
		defer close(s.in)
		r := bufio.NewReaderSize(in, 64<<10)
		for {
			var a asked
			var err error
			if a.body, err = readFrame(r, &a.request); err != nil {
				return
			}
			select {
			case s.in <- a:
			case <-ctx.Done():
				return
			}
		}
	}()
	for a := range s.in {
		if a.Op == opCancel {
			continue // what it was to end has ended
		}
		if err := s.answer(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

type asked struct {
	request
	body []byte
}

type server struct {
	host tasks.Host
	in   chan asked

	mu  sync.Mutex // one frame at a time
	out io.Writer
}

func (s *server) send(r reply, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return writeFrame(s.out, r, body)
}

// answer works on one request. The error is about the connection.
func (s *server) answer(ctx context.Context, a asked) error {
	r := reply{ID: a.ID}
	var body []byte
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(done)
		body = s.work(ctx, a, &r)
	}()
	tick := time.NewTicker(aliveInterval)
	defer tick.Stop()
	for {
		select {
		case <-done:
			if len(body) > maxBody {
				r, body = reply{ID: a.ID, Error: fmt.Sprintf("%s %s: it has %d bytes, more than %d", a.Op, a.Path, len(body), maxBody)}, nil
			}
			return s.send(r, body)
		case <-tick.C:
			if err := s.send(reply{ID: a.ID, Alive: true}, nil); err != nil {
				cancel()
				<-done
				return err
			}
		case next, more := <-s.inDuring(a):
			if !more || next.Op == opCancel {
				cancel()
			}
			if !more {
				<-done
				return nil
			}
		}
	}
}

// inDuring is where a cancel comes from; during a change, what comes is the new content.
func (s *server) inDuring(a asked) chan asked {
	if a.Op == opMake {
		return nil
	}
	return s.in
}

func (s *server) work(ctx context.Context, a asked, r *reply) (body []byte) {
	var err error
	switch a.Op {
	case opRun:
		body, err = s.run(ctx, a, r)
	case opRead:
		body, err = s.host.ReadFile(a.Path)
	case opReadDir:
		r.Names, err = s.host.ReadDir(a.Path)
	case opStat:
		var info tasks.FileInfo
		info, err = s.host.Stat(a.Path)
		r.Info = &info
	case opWrite, opMake:
		err = s.write(ctx, a)
	default:
		err = fmt.Errorf("answer %q: no such request", a.Op)
	}
	r.fail(err)
	return body
}

func (s *server) run(ctx context.Context, a asked, r *reply) ([]byte, error) {
	if a.Cmd == nil {
		return nil, errors.New("run: no program is named")
	}
	c := *a.Cmd
	if a.HasInput {
		c.Stdin = append([]byte{}, a.body...)
	}
	ctx = tasks.WithScope(ctx, tasks.Scope{Log: func(l tasks.Log) {
		_ = s.send(reply{ID: a.ID, Log: &l}, nil) // the answer will meet the same error
	}})
	out, err := s.host.Run(ctx, c)
	r.Code, r.Stdout = out.Code, len(out.Stdout)
	return append(out.Stdout, out.Stderr...), err
}

func (s *server) write(ctx context.Context, a asked) error {
	if a.Edit == nil {
		return errors.New("write: no change is named")
	}
	e := tasks.Edit{Verb: a.Edit.Verb, Path: a.Path, Data: a.body, Lock: a.Edit.Lock, Mode: a.Edit.Mode, Owner: a.Edit.Owner}
	if a.Op == opMake {
		e.Update = func(old []byte) ([]byte, error) { return s.made(a, old) }
	}
	err := s.host.Write(ctx, e)
	if errors.Is(err, errKept) {
		return nil
	}
	return err
}

// errKept ends a change of which the machine has said that nothing is to be changed.
var errKept = errors.New("the file is left as it is")

// made asks what is to become of the present content.
func (s *server) made(a asked, old []byte) ([]byte, error) {
	if err := s.send(reply{ID: a.ID, Old: true, Absent: old == nil}, old); err != nil {
		return nil, err
	}
	next, more := <-s.in
	switch {
	case !more || next.Op == opCancel:
		return nil, context.Canceled
	case next.Op == opKeep:
		return nil, errKept
	case next.Op != opWrite:
		return nil, fmt.Errorf("make %s: %q is no answer", a.Path, next.Op)
	}
	return next.body, nil
}
