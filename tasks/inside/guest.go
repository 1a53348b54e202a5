package inside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"phoenix/tasks"
)

const (
	// silence is how long a container may say nothing while it owes an answer.
	silence = 30 * time.Second
	// cancelTime is how long the program under way may take to end when it is cancelled:
	// what it takes on a machine to SIGTERM and SIGKILL it, and a little more.
	cancelTime = 25 * time.Second
	// maxLogged is how much of what programs print is said of one program, in bytes.
	maxLogged = 2 << 20
)

// container is one with a copy of the helper in it. One request is under way at a time.
type container struct {
	ctid int
	// life bounds what is asked about files, whose methods have no context.
	life context.Context
	talk tasks.Talk
	// turn holds one token, for whoever has the word.
	turn   chan struct{}
	frames chan received
	last   int
	// gone is why nothing can be asked any more; it holds an error.
	gone atomic.Value
}

type received struct {
	reply
	body []byte
	err  error
}

// listen reads what comes, for as long as somebody takes it or the program runs.
func (g *container) listen(r io.Reader, quit <-chan struct{}) {
	for {
		var f received
		f.body, f.err = readFrame(r, &f.reply)
		select {
		case g.frames <- f:
		case <-quit:
			return
		}
		if f.err != nil {
			return
		}
	}
}

// what a request does with what comes before its answer.
type meanwhile struct {
	log  func(tasks.Log)
	make func(old []byte) ([]byte, error)
}

// ask sends a request and waits for its answer. When ctx ends, the program under way in
// the container is ended, and only then ask returns.
func (g *container) ask(ctx context.Context, q request, body []byte, m meanwhile) (reply, []byte, error) {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return reply{}, nil, ctx.Err()
	}
	if err := g.ended(); err != nil {
		return reply{}, nil, err
	}
	if err := ctx.Err(); err != nil {
		return reply{}, nil, err
	}
	g.last++
	q.ID = g.last
	a := answer{container: g, id: q.ID, meanwhile: m, begun: time.Now()}
	if err := g.send(q, body); err != nil {
		return reply{}, nil, g.lost(err)
	}
	if err := a.await(ctx); err != nil {
		return reply{}, nil, g.lost(err)
	}
	if a.faulty != nil {
		return reply{}, nil, a.faulty
	}
	if err := ctx.Err(); err != nil && a.cancelled {
		return a.got.reply, a.got.body, err
	}
	return a.got.reply, a.got.body, a.got.failure()
}

// send writes a frame; a container that does not take it within the time is lost.
func (g *container) send(q request, body []byte) error {
	sent := make(chan error, 1)
	go func() { sent <- writeFrame(g.talk.Stdin, q, body) }()
	limit := time.NewTimer(silence)
	defer limit.Stop()
	select {
	case err := <-sent:
		return err
	case <-limit.C:
		return errSilent
	}
}

var errSilent = errors.New("it has not answered for half a minute")

// lost ends the connection. The error of all that is asked from now on says why.
func (g *container) lost(err error) error {
	said := strings.TrimSpace(g.talk.End())
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) {
		err = errors.New("the helper in it has ended")
	}
	if said != "" {
		err = fmt.Errorf("%w; it said: %s", err, tasks.LogLine([]byte(said)))
	}
	g.gone.Store(&lostError{g.ctid, err})
	return g.ended()
}

// ended is why nothing can be asked any more, or nil.
func (g *container) ended() error {
	if err, lost := g.gone.Load().(*lostError); lost {
		return err
	}
	return nil
}

// lostError is the error of a container in which the helper is no more.
type lostError struct {
	ctid int
	why  error
}

func (e *lostError) Error() string { return fmt.Sprintf("talk with container %d: %v", e.ctid, e.why) }
func (e *lostError) Unwrap() error { return e.why }

// answer is one that is waited for.
type answer struct {
	*container
	meanwhile
	id        int
	logged    int
	alive     int
	begun     time.Time
	cancelled bool
	got       received
	faulty    error // of what makes the new content of a file
}

// await takes frames until the last of the answer. Its error is about the connection.
func (a *answer) await(ctx context.Context) error {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	done := ctx.Done()
	var end <-chan time.Time
	for {
		select {
		case f := <-a.frames:
			last, err := a.take(f)
			if err != nil || last {
				return err
			}
			quiet.Reset(silence)
		case <-quiet.C:
			return errSilent
		case <-end:
			return fmt.Errorf("what it does was cancelled and has not ended within %s", cancelTime)
		case <-done:
			done, a.cancelled = nil, true
			timer := time.NewTimer(cancelTime)
			defer timer.Stop()
			end = timer.C
			if err := a.send(request{ID: a.id, Op: opCancel}, nil); err != nil {
				return err
			}
		}
	}
}

// take looks at one frame, and tells whether it was the last.
func (a *answer) take(f received) (last bool, err error) {
	switch {
	case f.err != nil:
		return false, f.err
	case f.ID != a.id:
		return false, fmt.Errorf("it answers request %d, asked was %d", f.ID, a.id)
	case f.Alive:
		a.alive++
		if a.alive > 10+int(time.Since(a.begun)/time.Second) {
			return false, errors.New("it floods with signs of life")
		}
		return false, nil
	case f.Log != nil:
		return false, a.say(*f.Log)
	case f.Old:
		return false, a.renew(f)
	case f.Stdout < 0 || f.Stdout > len(f.body):
		return false, errors.New("it answers with an output that is longer than what it sent")
	}
	a.got = f
	return true, nil
}

// say hands a line on, as the container's and no other's. The helper in a container keeps
// to what is kept of a program's outputs: what says more is another.
func (a *answer) say(l tasks.Log) error {
	a.logged += len(l.Text) + 1
	if a.logged > 2*maxLogged {
		return errors.New("it floods with lines")
	}
	if a.log == nil || a.logged > maxLogged {
		return nil
	}
	if l.Stream != "stderr" && l.Stream != "stdout" {
		l.Stream = "task"
	}
	a.log(tasks.Log{Stream: l.Stream, Text: tasks.LogLine([]byte(l.Text))})
	return nil
}

// renew answers what is to become of a file. An error of whoever makes the content
// leaves the file as it is.
func (a *answer) renew(f received) error {
	if a.make == nil || a.faulty != nil {
		return errors.New("it shows a file that was not asked for")
	}
	old := f.body
	if f.Absent {
		old = nil
	} else if old == nil {
		old = []byte{}
	}
	data, err := a.make(old)
	if err != nil {
		a.faulty = err
		return a.send(request{ID: a.id, Op: opKeep}, nil)
	}
	return a.send(request{ID: a.id, Op: opWrite}, data)
}

// Run starts a program in the container.
func (g *container) Run(ctx context.Context, c tasks.Cmd) (tasks.Output, error) {
	q := request{Op: opRun, Cmd: &c, HasInput: c.Stdin != nil}
	input := c.Stdin
	c.Stdin = nil
	defer tasks.Running(ctx, c)()
	var m meanwhile
	if !c.ReadOnly {
		m.log = tasks.ScopeOf(ctx).Log
	}
	r, body, err := g.ask(ctx, q, input, m)
	out := tasks.Output{Stdout: body[:r.Stdout:r.Stdout], Stderr: body[r.Stdout:], Code: r.Code}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("run %s: %w", c.Name(), ctx.Err())
	}
	out.Stdout = out.Stdout[:min(len(out.Stdout), tasks.MaxOutput)]
	out.Stderr = out.Stderr[:min(len(out.Stderr), tasks.MaxOutput)]
	return out, err
}

// fileTime bounds what is asked about a file.
const fileTime = time.Minute

func (g *container) file(q request) (reply, []byte, error) {
	ctx, cancel := context.WithTimeout(g.life, fileTime)
	defer cancel()
	return g.ask(ctx, q, nil, meanwhile{})
}

// ReadFile reads a file of the container, which follows its links itself.
func (g *container) ReadFile(path string) ([]byte, error) {
	_, body, err := g.file(request{Op: opRead, Path: path})
	return body, err
}

// ReadDir lists a directory of the container.
func (g *container) ReadDir(path string) ([]string, error) {
	r, _, err := g.file(request{Op: opReadDir, Path: path})
	if err != nil {
		return nil, err
	}
	for _, name := range r.Names {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return nil, fmt.Errorf("list %s of container %d: %q is no name of a file", path, g.ctid, name)
		}
	}
	slices.Sort(r.Names)
	return r.Names, nil
}

// Stat describes a file of the container.
func (g *container) Stat(path string) (tasks.FileInfo, error) {
	r, _, err := g.file(request{Op: opStat, Path: path})
	switch {
	case err != nil:
		return tasks.FileInfo{}, err
	case r.Info == nil:
		return tasks.FileInfo{}, fmt.Errorf("look at %s of container %d: it answers without a description", path, g.ctid)
	}
	return *r.Info, nil
}

// Write makes a change in the container.
func (g *container) Write(ctx context.Context, e tasks.Edit) error {
	q := request{Op: opWrite, Path: e.Path, Edit: &edit{Verb: e.Verb, Lock: e.Lock, Mode: e.Mode, Owner: e.Owner}}
	if e.Update != nil {
		q.Op = opMake
	}
	_, _, err := g.ask(ctx, q, e.Data, meanwhile{make: e.Update})
	return err
}
