package sim

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/local"
)

// maxOutput bounds what a Host keeps of a program's stdout and stderr, in bytes.
const maxOutput = 1 << 20

// Host returns the machine as a tasks.Host: files lie below Root (tasks/local),
// programs are the simulated ones.
func (m *Machine) Host() tasks.Host {
	return &host{Host: &local.Host{Root: m.Root, LockWait: m.LockTimeout}, m: m}
}

type host struct {
	*local.Host
	m *Machine
}

// Run starts a simulated program. As on a real machine, what a program that is not
// ReadOnly prints is also said line by line.
func (h *host) Run(ctx context.Context, cmd tasks.Cmd) (tasks.Output, error) {
	if err := ctx.Err(); err != nil {
		return tasks.Output{}, fmt.Errorf("run %s: %w", cmd.Name(), err)
	}
	if len(cmd.Argv) == 0 {
		return tasks.Output{}, fmt.Errorf("run %s: %w", cmd.Name(), fs.ErrInvalid)
	}
	if _, ok := h.m.find(cmd.Argv[0]); !ok {
		return tasks.Output{}, fmt.Errorf("run %s: %w", cmd.Name(), fs.ErrNotExist)
	}
	say := tasks.ScopeOf(ctx).Log
	if cmd.ReadOnly {
		say = nil
	}
	stdout, stderr := &capture{name: "stdout", say: say}, &capture{name: "stderr", say: say}
	c := h.m.newCall(ctx, cmd.Argv, Streams{Stdin: bytes.NewReader(cmd.Stdin), Stdout: stdout, Stderr: stderr})
	if cmd.Dir != "" {
		c.dir = cmd.Dir
	}
	for _, pair := range cmd.Env {
		name, value, _ := strings.Cut(pair, "=")
		c.env[name] = value
	}
	ended := tasks.Running(ctx, cmd)
	code := c.run()
	ended()
	out := tasks.Output{Stdout: stdout.kept, Stderr: stderr.kept, Code: code}
	stdout.flush()
	stderr.flush()
	if err := ctx.Err(); err != nil {
		return out, fmt.Errorf("run %s: %w", cmd.Name(), err)
	}
	return out, nil
}

// Write makes one change, unless a fault says that the file system is full.
func (h *host) Write(ctx context.Context, e tasks.Edit) error {
	if (e.Verb == tasks.VerbPut || e.Verb == tasks.VerbMkdir) && h.m.full(path.Clean(e.Path)) {
		return fmt.Errorf("%s %s: %w", e.Verb, e.Path, errNoSpace)
	}
	if !mayGive() && (e.Owner != nil || e.Verb == tasks.VerbRemove && h.m.exists(ownerFile)) {
		return h.writeOwned(e, func(e tasks.Edit) error { return h.Host.Write(ctx, e) })
	}
	return h.Host.Write(ctx, e)
}

// capture keeps the first MiB of a stream and says its lines.
type capture struct {
	name string
	say  func(tasks.Log)
	kept []byte
	line []byte
}

func (s *capture) Write(p []byte) (int, error) {
	s.kept = append(s.kept, p[:min(len(p), maxOutput-len(s.kept))]...)
	if s.say == nil {
		return len(p), nil
	}
	s.line = append(s.line, p...)
	for {
		i := bytes.IndexByte(s.line, '\n')
		if i < 0 {
			return len(p), nil
		}
		s.say(tasks.Log{Stream: s.name, Text: tasks.LogLine(s.line[:i])})
		s.line = s.line[i+1:]
	}
}

// flush says a last line that has no line break.
func (s *capture) flush() {
	if s.say != nil && len(s.line) > 0 {
		s.say(tasks.Log{Stream: s.name, Text: tasks.LogLine(s.line)})
		s.line = nil
	}
}
