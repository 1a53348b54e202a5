package ssh

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// budget is the time a dial may take. Its clock stands still while the dial waits
// for something that is not the network: its turn, or the operator at a prompt.
type budget struct {
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	timer  *time.Timer
	left   time.Duration
	since  time.Time
	paused int
}

// timeoutError is the cause of a context whose budget is spent.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string { return fmt.Sprintf("timed out after %v", e.after) }

// Timeout makes the error a net.Error's kind of time-out.
func (timeoutError) Timeout() bool { return true }

func newBudget(ctx context.Context, d time.Duration) *budget {
	b := &budget{left: d, since: time.Now()}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	b.timer = time.AfterFunc(d, func() { b.cancel(timeoutError{d}) })
	return b
}

// stop ends the budget; its context is cancelled.
func (b *budget) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer.Stop()
	b.paused = 1 << 20
	b.cancel(context.Canceled)
}

// pause stops the clock until the function it returns is called.
func (b *budget) pause() (resume func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paused == 0 {
		b.timer.Stop()
		b.left -= time.Since(b.since)
	}
	b.paused++
	return sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.paused--; b.paused == 0 {
			b.since = time.Now()
			b.timer.Reset(max(b.left, 0))
		}
	})
}

// slots bounds how many do something at once.
type slots chan struct{}

// take waits for a slot, with the clock of b standing still.
func (s slots) take(b *budget) (release func(), err error) {
	select {
	case s <- struct{}{}:
		return func() { <-s }, nil
	default:
	}
	defer b.pause()()
	select {
	case s <- struct{}{}:
		return func() { <-s }, nil
	case <-b.ctx.Done():
		return nil, context.Cause(b.ctx)
	}
}
