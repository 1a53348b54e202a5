package taskstest

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync"

	"phoenix/tasks"
)

// Op is one thing that a task did to its host.
type Op struct {
	// Cmd is the program; nil for an edit and a read.
	Cmd *tasks.Cmd
	// Edit is the change of a file; nil for the others.
	Edit *tasks.Edit
	// Read is the path of a file or directory that was read.
	Read string
}

// String is the command line, the verb and path, or the path.
func (o Op) String() string {
	switch {
	case o.Cmd != nil:
		return strings.Join(o.Cmd.Argv, " ")
	case o.Edit != nil:
		return string(o.Edit.Verb) + " " + o.Edit.Path
	}
	return "read " + o.Read
}

func (o Op) changes() bool { return o.Edit != nil || o.Cmd != nil && !o.Cmd.ReadOnly }

// matches tells whether the op begins like one of the entries of Suite.Tolerates.
func (o Op) matches(entries []string) bool {
	for _, e := range entries {
		if o.Cmd != nil && strings.HasPrefix(o.String(), e) || o.Edit != nil && o.Edit.Path == e || o.Read == e && e != "" {
			return true
		}
	}
	return false
}

// Recorder passes everything on to a host, writes down what was done, and can
// inject faults. It is safe for concurrent use.
type Recorder struct {
	host tasks.Host
	// Inject, when set, is asked before each op; a nil answer lets it happen.
	Inject func(ctx context.Context, o Op) *Answer

	mu  sync.Mutex
	ops []Op
}

// Answer is what a fault makes of an op.
type Answer struct {
	// Do says that the op happens all the same, before the answer is given.
	Do bool
	// Output is the answer to a command.
	Output tasks.Output
	// Err is the answer to anything.
	Err error
}

// NewRecorder wraps a host.
func NewRecorder(h tasks.Host) *Recorder {
	if m, ok := h.(Machine); ok {
		h = m.Host
	}
	return &Recorder{host: h}
}

// Ops lists everything that was done, reads included.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Op(nil), r.ops...)
}

// Changes lists the edits, and the programs that were not promised to be harmless.
func (r *Recorder) Changes() []Op {
	var out []Op
	for _, o := range r.Ops() {
		if o.changes() {
			out = append(out, o)
		}
	}
	return out
}

// Commands lists the command lines of all programs, in order.
func (r *Recorder) Commands() []string {
	var out []string
	for _, o := range r.Ops() {
		if o.Cmd != nil {
			out = append(out, o.String())
		}
	}
	return out
}

// Arguments lists the arguments and environments of all programs.
func (r *Recorder) Arguments() []string {
	var out []string
	for _, o := range r.Ops() {
		if o.Cmd != nil {
			out = append(append(out, o.Cmd.Argv...), o.Cmd.Env...)
		}
	}
	return out
}

func (r *Recorder) note(ctx context.Context, o Op) *Answer {
	r.mu.Lock()
	r.ops = append(r.ops, o)
	r.mu.Unlock()
	if r.Inject == nil {
		return nil
	}
	return r.Inject(ctx, o)
}

// Run implements tasks.Host.
func (r *Recorder) Run(ctx context.Context, c tasks.Cmd) (tasks.Output, error) {
	if a := r.note(ctx, Op{Cmd: &c}); a != nil {
		if a.Do {
			if out, err := r.host.Run(ctx, c); err != nil {
				return out, err
			}
		}
		return a.Output, a.Err
	}
	return r.host.Run(ctx, c)
}

// Write implements tasks.Host.
func (r *Recorder) Write(ctx context.Context, e tasks.Edit) error {
	if a := r.note(ctx, Op{Edit: &e}); a != nil {
		if a.Do {
			if err := r.host.Write(ctx, e); err != nil {
				return err
			}
		}
		return a.Err
	}
	return r.host.Write(ctx, e)
}

// ReadFile implements tasks.Host.
func (r *Recorder) ReadFile(p string) ([]byte, error) {
	if a := r.note(context.Background(), Op{Read: path.Clean(p)}); a != nil {
		return nil, fmt.Errorf("open %s: %w", p, a.Err)
	}
	return r.host.ReadFile(p)
}

// ReadDir implements tasks.Host.
func (r *Recorder) ReadDir(p string) ([]string, error) {
	if a := r.note(context.Background(), Op{Read: path.Clean(p)}); a != nil {
		return nil, fmt.Errorf("open %s: %w", p, a.Err)
	}
	return r.host.ReadDir(p)
}

// Stat implements tasks.Host.
func (r *Recorder) Stat(p string) (tasks.FileInfo, error) {
	if a := r.note(context.Background(), Op{Read: path.Clean(p)}); a != nil {
		return tasks.FileInfo{}, fmt.Errorf("stat %s: %w", p, a.Err)
	}
	return r.host.Stat(p)
}
