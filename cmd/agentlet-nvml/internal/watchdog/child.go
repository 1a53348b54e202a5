package watchdog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// NotesFD is the descriptor that a reader writes its notes to.
	NotesFD = 3
	// maxNote bounds one line of a reader.
	maxNote = 4 << 20
	// maxLast bounds what is kept of a reader's standard error.
	maxLast = 4 << 10
	// lastWords is how long the end of a reader is waited for, once its notes have ended.
	lastWords = time.Second
)

// child is a reader that is a process.
type child struct {
	cmd    *exec.Cmd
	asks   io.WriteCloser
	notes  chan Note
	killed chan struct{}
	kill   sync.Once
	stderr head
	ended  chan error // its exit status, once
}

// Child starts a program as a reader. The kernel kills it with the thread that calls
// Child, so the caller keeps to one (runtime.LockOSThread): a reader that hangs in the
// driver must not outlive a probe that was killed.
func Child(program string, args ...string) (Reader, error) {
	c := &child{cmd: exec.Command(program, args...), notes: make(chan Note), killed: make(chan struct{}), ended: make(chan error, 1)}
	c.cmd.Env = append(os.Environ(), "GOTRACEBACK=none")
	c.cmd.Stdout, c.cmd.Stderr = &c.stderr, &c.stderr // a library may print, too
	c.cmd.WaitDelay = lastWords
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	asks, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, notes, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.cmd.ExtraFiles = []*os.File{notes} // NotesFD
	err = c.cmd.Start()
	notes.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	c.asks = asks
	go c.follow(out)
	return c, nil
}

// follow hands on the notes until the child's output ends.
func (c *child) follow(out io.ReadCloser) {
	defer out.Close()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxNote)
	for lines.Scan() {
		var n Note
		if json.Unmarshal(lines.Bytes(), &n) != nil {
			break
		}
		select {
		case c.notes <- n:
		case <-c.killed:
		}
	}
	if lines.Err() != nil || len(lines.Bytes()) > 0 {
		c.Kill()
	}
	c.ended <- c.cmd.Wait()
	close(c.notes)
}

// Ask has the child take one sample.
func (c *child) Ask() error {
	_, err := io.WriteString(c.asks, "\n")
	return err
}

// Notes is closed when the child has ended.
func (c *child) Notes() <-chan Note { return c.notes }

// Kill ends the child. One that hangs in the kernel dies when it leaves it.
func (c *child) Kill() {
	c.kill.Do(func() {
		close(c.killed)
		c.asks.Close()
		_ = c.cmd.Process.Kill() // it may have ended by itself
	})
}

// Last says how the child ended: the first line that it left, or its exit status.
func (c *child) Last() string {
	select {
	case err := <-c.ended:
		if line := firstLine(c.stderr.text()); line != "" {
			return line
		}
		if err != nil {
			return err.Error()
		}
	case <-time.After(lastWords):
	}
	return ""
}

// head keeps the beginning of what is written to it.
type head struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.data.Write(p[:min(len(p), maxLast-h.data.Len())])
	return len(p), nil
}

func (h *head) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.data.String()
}

// firstLine is the line of a dying program that says why, without what a terminal would
// act on.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, line)
	if r := []rune(line); len(r) > 300 {
		line = string(r[:300]) + "…"
	}
	return line
}
