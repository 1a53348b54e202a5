package local

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"phoenix/tasks"
)

// talkEnd is how long a program that is talked with may take to end when its input has.
const talkEnd = 2 * time.Second

// Talk starts a program in a session of its own to talk with.
func (h *Host) Talk(c tasks.Cmd) (tasks.Talk, error) {
	prog, err := h.find(c)
	if err != nil {
		return tasks.Talk{}, err
	}
	cmd := h.command(prog, c)
	said := &tail{most: 4 << 10}
	cmd.Stderr = said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return tasks.Talk{}, fmt.Errorf("run %s: %w", c.Name(), err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return tasks.Talk{}, fmt.Errorf("run %s: %w", c.Name(), err)
	}
	if err := cmd.Start(); err != nil {
		return tasks.Talk{}, fmt.Errorf("run %s: %w", c.Name(), err)
	}
	end := sync.OnceFunc(func() {
		_ = stdin.Close() // which is how it is told to end
		kill := time.AfterFunc(talkEnd, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		defer kill.Stop()
		awaitExit(cmd)
	})
	return tasks.Talk{Stdin: stdin, Stdout: stdout, End: func() string { end(); return said.String() }}, nil
}

// awaitExit waits for a program, whatever it ends with, but not for ever: SIGKILL does not
// end one that hangs in the kernel.
func awaitExit(cmd *exec.Cmd) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended says less than what it said
	}()
	limit := time.NewTimer(talkEnd + killLimit)
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
	}
}

// tail keeps the last that was written to it.
type tail struct {
	mu   sync.Mutex
	most int
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-t.most):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.kept))
}
