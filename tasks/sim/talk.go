package sim

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"sync"

	"phoenix/tasks"
	helper "phoenix/tasks/inside"
)

// Talk starts a simulated program to talk with.
func (h *host) Talk(cmd tasks.Cmd) (tasks.Talk, error) {
	if _, ok := h.m.find(cmd.Name()); !ok {
		return tasks.Talk{}, fmt.Errorf("run %s: %w", cmd.Name(), fs.ErrNotExist)
	}
	stdin, input := io.Pipe()
	output, stdout := io.Pipe()
	said := &capture{name: "stderr"}
	ctx, cancel := context.WithCancel(context.Background()) // it lives until its End
	c := h.m.newCall(ctx, cmd.Argv, Streams{Stdin: stdin, Stdout: stdout, Stderr: said})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.run()
		_ = stdin.CloseWithError(io.ErrClosedPipe)
		_ = stdout.Close()
	}()
	end := sync.OnceFunc(func() {
		cancel()
		_ = input.Close()
		_ = output.Close()
		<-ended
	})
	return tasks.Talk{Stdin: input, Stdout: output, End: func() string { end(); return string(said.kept) }}, nil
}

// takesIn tells whether a program that is run in a container is the shell that takes the
// helper in.
func takesIn(argv []string) bool { return len(argv) == 6 && argv[3] == helper.Bootstrap }

// takeIn does in a simulated container what the helper does in a real one: the bytes of
// the helper, which is for another machine, are read and dropped.
func (c *call) takeIn(id int, g *Machine, argv []string) int {
	size, err := strconv.ParseInt(argv[5], 10, 64)
	if err != nil {
		return c.complain(2, "head: invalid number of bytes")
	}
	if c.m.full(guestRoot(id) + "/run") {
		return c.complain(1, "head: write error: No space left on device")
	}
	if _, err := io.CopyN(io.Discard, c.in, size); err != nil {
		return 1
	}
	in := &whileRunning{Reader: c.in, runs: func() bool { return c.m.running(id) }}
	if helper.Serve(c.ctx, g.Host(), in, c.out, argv[4]) != nil {
		return 1
	}
	return 0
}

// whileRunning ends with the container.
type whileRunning struct {
	io.Reader
	runs func() bool
}

func (r *whileRunning) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if !r.runs() {
		return 0, io.EOF
	}
	return n, err
}
