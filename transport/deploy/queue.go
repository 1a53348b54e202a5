package deploy

import (
	"errors"
	"io"
	"sync"
)

// maxWaiting is how many messages may wait for a helper that takes none. There is a
// job, a cancel or two, and a confirm for each record that the helper has kept, of
// which it keeps 20.
const maxWaiting = 256

// errDeaf is a helper that takes nothing and makes us say ever more.
var errDeaf = errors.New("send to helper: it does not read what it is sent")

// queue writes to the helper from one goroutine, so that a host that takes nothing
// keeps nobody waiting: neither who reads what it says, nor who wants to cancel it.
type queue struct {
	done chan struct{} // closed when all is written, or the helper is gone

	mu     sync.Mutex
	frames chan []byte
	ended  bool
}

func newQueue(w io.Writer) *queue {
	q := &queue{done: make(chan struct{}), frames: make(chan []byte, maxWaiting)}
	go func() {
		defer close(q.done)
		for f := range q.frames {
			if _, err := w.Write(f); err != nil {
				return // the end of what the helper says shows why
			}
		}
	}()
	return q
}

// put queues a frame. It never waits.
func (q *queue) put(frame []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return io.ErrClosedPipe
	}
	select {
	case q.frames <- frame:
		return nil
	case <-q.done:
		return io.ErrClosedPipe
	default:
		return errDeaf
	}
}

// end takes no more; what was put is still written. It may be called twice.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.ended = true
		close(q.frames)
	}
}
