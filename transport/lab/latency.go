package lab

import (
	"io"
	"net"
	"sync"
	"time"
)

// slow is a connection on which everything takes its time to arrive, in either
// direction, without taking from how much can be on its way.
type slow struct {
	net.Conn
	in  *io.PipeReader
	out *line
}

// delayed wraps a connection.
func delayed(n net.Conn, latency time.Duration) net.Conn {
	r, w := io.Pipe()
	in := newLine(w, latency)
	go func() {
		buf := make([]byte, 32<<10)
		for {
			k, err := n.Read(buf)
			if k > 0 {
				_, _ = in.Write(buf[:k])
			}
			if err != nil {
				in.end()
				return
			}
		}
	}()
	return &slow{Conn: n, in: r, out: newLine(n, latency)}
}

func (s *slow) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *slow) Write(p []byte) (int, error) { return s.out.Write(p) }

// Close lets what was written arrive first.
func (s *slow) Close() error {
	s.out.end()
	<-s.out.done
	_ = s.in.Close()
	return s.Conn.Close()
}

// line hands on what is written to it, later.
type line struct {
	to      io.Writer
	latency time.Duration
	done    chan struct{}

	mu     sync.Mutex
	wake   *sync.Cond
	queue  []parcel
	bytes  int
	ended  bool
	broken error
}

type parcel struct {
	due  time.Time
	data []byte
}

// maxOnTheWay bounds what a line holds, in bytes.
const maxOnTheWay = 4 << 20

func newLine(to io.Writer, latency time.Duration) *line {
	l := &line{to: to, latency: latency, done: make(chan struct{})}
	l.wake = sync.NewCond(&l.mu)
	go l.run()
	return l
}

func (l *line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.bytes > maxOnTheWay && !l.ended && l.broken == nil {
		l.wake.Wait()
	}
	if l.ended {
		return 0, io.ErrClosedPipe
	}
	if l.broken != nil {
		return 0, l.broken
	}
	l.queue = append(l.queue, parcel{time.Now().Add(l.latency), append([]byte(nil), p...)})
	l.bytes += len(p)
	l.wake.Broadcast()
	return len(p), nil
}

func (l *line) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.wake.Broadcast()
}

func (l *line) run() {
	defer close(l.done)
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.ended {
			l.wake.Wait()
		}
		if len(l.queue) == 0 || l.broken != nil {
			l.mu.Unlock()
			break
		}
		next := l.queue[0]
		l.queue = l.queue[1:]
		l.bytes -= len(next.data)
		l.wake.Broadcast()
		l.mu.Unlock()
		if wait := time.Until(next.due); wait > 0 {
			t := time.NewTimer(wait)
			<-t.C
		}
		if _, err := l.to.Write(next.data); err != nil {
			l.mu.Lock()
			l.broken = err
			l.wake.Broadcast()
			l.mu.Unlock()
		}
	}
	if w, ok := l.to.(*io.PipeWriter); ok {
		_ = w.Close()
	}
}
