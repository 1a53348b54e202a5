package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"phoenix/tasks"
)

// tailPoll is how often files of a running program are looked at for new lines.
const tailPoll = 100 * time.Millisecond

// trimAbove is how much space, in bytes, a file of output may take before what nobody
// will read is given back.
const trimAbove = 8 << 20

// sink takes what a program prints: into bounded buffers through pipes, or, for
// programs that must survive this process, into files.
type sink struct {
	stdout, stderr stream
	files          bool
	stop           chan struct{}
	done           chan struct{}
}

// stream is one of the two outputs.
type stream struct {
	name string
	file *os.File // written by the program; nil for a pipe
	buf  bytes.Buffer
	log  func(tasks.Log)
	line []byte // begun and not yet said
	said int    // bytes
	cut  bool   // told that the rest is not kept
}

func (h *Host) sink(ctx context.Context, c tasks.Cmd) (*sink, error) {
	s := &sink{stdout: stream{name: "stdout"}, stderr: stream{name: "stderr"}}
	if c.ReadOnly {
		return s, nil
	}
	if log := tasks.ScopeOf(ctx).Log; log != nil {
		var mu sync.Mutex // the two pipes are read by a goroutine each
		one := func(l tasks.Log) { mu.Lock(); defer mu.Unlock(); log(l) }
		s.stdout.log, s.stderr.log = one, one
	}
	if h.OutputDir == "" {
		return s, nil
	}
	base := fmt.Sprintf("%04d-%s", h.outputs.Add(1), strings.ReplaceAll(filepath.Base(c.Name()), "*", "_"))
	s.files = true
	for _, st := range []*stream{&s.stdout, &s.stderr} {
		f, err := os.CreateTemp(h.OutputDir, base+".*."+st.name)
		if err != nil {
			s.close()
			return nil, err
		}
		st.file = f
	}
	return s, nil
}

func (s *sink) writers() (stdout, stderr io.Writer) {
	if s.files {
		return s.stdout.file, s.stderr.file // passed on as they are, without a pipe
	}
	return &s.stdout, &s.stderr
}

// started begins to follow the files.
func (s *sink) started() {
	if !s.files {
		return
	}
	s.stop, s.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(s.done)
		tick := time.NewTicker(tailPoll)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-tick.C:
				_ = s.read() // output reads again and reports
				s.stdout.trim()
				s.stderr.trim()
			}
		}
	}()
}

// read takes what is new in the files.
func (s *sink) read() error {
	var errs []error
	for _, st := range []*stream{&s.stdout, &s.stderr} {
		for {
			chunk := make([]byte, 64<<10)
			n, err := st.file.ReadAt(chunk, int64(st.said))
			_, _ = st.Write(chunk[:n]) // a stream takes everything
			if err != nil && !errors.Is(err, io.EOF) {
				errs = append(errs, err)
			}
			if err != nil || n == 0 || st.said > maxOutput {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// trim gives back the space of what a program has written beyond what is kept, so
// that one that floods its output does not fill the disk. The program goes on writing
// where it was: the file has a hole.
func (st *stream) trim() {
	fi, err := st.file.Stat()
	if err != nil {
		return
	}
	// Blocks are units of 512 bytes, whatever the file system's own are (stat(2)).
	if held, ok := fi.Sys().(*syscall.Stat_t); ok && st.said > maxOutput && held.Blocks*512 > trimAbove {
		_ = st.file.Truncate(maxOutput) // the next round tries again
	}
}

// output is everything that the program printed; it has ended.
func (s *sink) output() (tasks.Output, error) {
	var err error
	if s.files {
		close(s.stop)
		<-s.done
		err = s.read()
	}
	s.stdout.flush()
	s.stderr.flush()
	return tasks.Output{Stdout: s.stdout.buf.Bytes(), Stderr: s.stderr.buf.Bytes()}, err
}

// abandon ends the following of a program that does not end.
func (s *sink) abandon() {
	if s.files {
		close(s.stop)
		<-s.done
	}
}

// close removes the files: what they held has been read and reported.
func (s *sink) close() {
	for _, st := range []*stream{&s.stdout, &s.stderr} {
		if st.file != nil {
			_ = os.Remove(st.file.Name())
			_ = st.file.Close()
		}
	}
}

// Write keeps the first MiB, says whole lines, and takes the rest silently, so that
// a program that floods its output is neither blocked nor killed.
func (st *stream) Write(p []byte) (int, error) {
	keep := p[:min(len(p), max(maxOutput-st.said, 0))]
	cut := len(keep) < len(p) && !st.cut
	st.said += len(p)
	st.buf.Write(keep)
	if st.log == nil {
		return len(p), nil
	}
	st.line = append(st.line, keep...)
	for {
		i := bytes.IndexByte(st.line, '\n')
		if i < 0 {
			break
		}
		st.log(tasks.Log{Stream: st.name, Text: tasks.LogLine(st.line[:i])})
		st.line = st.line[i+1:]
	}
	if cut {
		st.cut = true
		st.flush()
		st.log(tasks.Log{Stream: "task", Text: st.name + " is cut off here, at 1 MiB"})
	}
	return len(p), nil
}

// flush says a last line that has no line break.
func (st *stream) flush() {
	if st.log != nil && len(st.line) > 0 {
		st.log(tasks.Log{Stream: st.name, Text: tasks.LogLine(st.line)})
		st.line = nil
	}
}
