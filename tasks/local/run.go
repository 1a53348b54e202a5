package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"phoenix/tasks"
)

// maxOutput is how much of each stream of a program is kept.
const maxOutput = tasks.MaxOutput

// Run starts a program in a session of its own and waits for it. What a program
// that is not ReadOnly prints is also said line by line while it runs (tasks.Log).
// When ctx ends, the program's process group gets SIGTERM and, after Grace,
// SIGKILL.
func (h *Host) Run(ctx context.Context, c tasks.Cmd) (tasks.Output, error) {
	if err := ctx.Err(); err != nil {
		return tasks.Output{}, fmt.Errorf("run %s: %w", c.Name(), err)
	}
	prog, err := h.find(c)
	if err != nil {
		return tasks.Output{}, err
	}
	sink, err := h.sink(ctx, c)
	if err != nil {
		return tasks.Output{}, fmt.Errorf("run %s: %w", c.Name(), err)
	}
	defer sink.close()
	cmd := h.command(prog, c)
	cmd.Stdout, cmd.Stderr = sink.writers()
	if err := cmd.Start(); err != nil {
		return tasks.Output{}, fmt.Errorf("run %s: %w", c.Name(), err)
	}
	sink.started()
	ended := tasks.Running(ctx, c)
	waitErr := h.wait(ctx, cmd)
	ended()
	if errors.Is(waitErr, errUnkillable) { // whose output may still come
		sink.abandon()
		return tasks.Output{Code: -1}, fmt.Errorf("run %s: %w: %w", c.Name(), ctx.Err(), waitErr)
	}
	out, err := sink.output()
	out.Code = code(cmd.ProcessState)
	switch {
	case ctx.Err() != nil:
		return out, fmt.Errorf("run %s: %w", c.Name(), ctx.Err())
	case waitErr != nil:
		return out, fmt.Errorf("run %s: %w", c.Name(), waitErr)
	}
	return out, err
}

// command prepares the process: clean environment, own session, own directory.
func (h *Host) command(prog string, c tasks.Cmd) *exec.Cmd {
	cmd := &exec.Cmd{
		Path:        prog,
		Args:        c.Argv,
		Dir:         "/",
		Env:         append([]string{"PATH=" + h.path(), "HOME=/root", "LC_ALL=C"}, c.Env...),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
		// A daemon that a program leaves behind may keep its output open.
		WaitDelay: 2 * time.Second,
	}
	if c.Dir != "" {
		cmd.Dir = c.Dir
	}
	if c.Stdin != nil {
		cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	return cmd
}

// errUnkillable is a program that does not end on SIGKILL: it hangs in the kernel, as
// on a file server that does not answer.
var errUnkillable = errors.New("it does not end, even after SIGKILL; it hangs in the kernel (see `ps -o pid,wchan,args`)")

// wait returns when the program has ended. A non-zero status, and output that a
// left-over daemon keeps open, are no errors.
func (h *Host) wait(ctx context.Context, cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		if err = h.stop(cmd.Process.Pid, ended); errors.Is(err, errUnkillable) {
			return err
		}
	}
	var status *exec.ExitError
	if errors.As(err, &status) || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

// stop ends a program and what it has started in its process group, so that nothing
// of it still changes the machine when Run returns: by SIGTERM and, for those that
// are left after the grace, by SIGKILL.
func (h *Host) stop(pid int, ended <-chan error) (err error) {
	_ = syscall.Kill(-pid, syscall.SIGTERM) // gone already is as good
	grace := h.Grace
	if grace == 0 {
		grace = 10 * time.Second
	}
	kill := time.NewTimer(grace)
	defer kill.Stop()
	tick := time.NewTicker(stopPoll)
	defer tick.Stop()
	alive := true
	for alive || syscall.Kill(-pid, 0) == nil {
		select {
		case err = <-ended:
			alive, ended = false, nil
		case <-tick.C:
		case <-kill.C:
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			if !alive {
				return err
			}
			return killed(ended)
		}
	}
	return err
}

// stopPoll is how often it is looked whether a process group is gone, which nothing
// tells.
const stopPoll = 20 * time.Millisecond

// killed waits for a program that was sent SIGKILL.
func killed(ended <-chan error) error {
	limit := time.NewTimer(killLimit)
	defer limit.Stop()
	select {
	case err := <-ended:
		return err
	case <-limit.C:
		return errUnkillable
	}
}

// killLimit is how long a program may take to end after SIGKILL, the left-over output
// included.
const killLimit = 10 * time.Second

// code is the exit status as a shell would show it.
func code(s *os.ProcessState) int {
	if s == nil {
		return -1
	}
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}

func (h *Host) path() string {
	if h.Path != "" {
		return h.Path
	}
	return DefaultPath
}

// find looks a program up on the fixed path, not on the one of whoever started
// this process.
func (h *Host) find(c tasks.Cmd) (string, error) {
	name := c.Name()
	if len(c.Argv) == 0 || name == "" {
		return "", errors.New("run: no program is named")
	}
	if h.rooted() && h.Path == "" {
		return "", fmt.Errorf("run %s: a tree of files has no programs: %w", name, fs.ErrNotExist)
	}
	candidates := []string{name}
	if !strings.Contains(name, "/") {
		candidates = candidates[:0]
		for _, dir := range filepath.SplitList(h.path()) {
			candidates = append(candidates, filepath.Join(dir, name))
		}
	}
	var denied error
	for _, p := range candidates {
		fi, err := os.Stat(p)
		switch {
		case err != nil:
		case fi.Mode().IsRegular() && fi.Mode()&0o111 != 0:
			return p, nil
		default:
			denied = fmt.Errorf("run %s: %s is not executable: %w", name, p, fs.ErrPermission)
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", fmt.Errorf("run %s: no such program: %w", name, fs.ErrNotExist)
}
