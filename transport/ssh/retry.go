package ssh

import (
	"context"
	"errors"
	"time"

	"phoenix/transport"
)

// firstPause is the longest pause before the second attempt; each further one is
// twice as long.
const firstPause = 250 * time.Millisecond

// retry calls dial until it succeeds, has no attempt left, or failed in a way that
// another attempt cannot mend. The pauses have full jitter, so that a fleet that a
// jump host refused does not come back all at once.
func (d *Dialer) retry(b *budget, dial func() (*Conn, error)) (*Conn, error) {
	attempts := orDefault(d.Attempts, DefaultAttempts)
	for attempt := 1; ; attempt++ {
		conn, err := dial()
		if err == nil || attempt >= attempts || !worthAnother(b.ctx, err) {
			return conn, err
		}
		pause := time.Duration(d.random() * float64(firstPause<<(attempt-1)))
		if d.sleep(b.ctx, pause) != nil {
			return nil, err
		}
	}
}

// worthAnother tells whether dialing again may help. A spent time-out does not: the
// next attempt would make the operator wait as long again.
func worthAnother(ctx context.Context, err error) bool {
	fault, ok := errors.AsType[*transport.DialError](err)
	if !ok || !fault.Temporary() || ctx.Err() != nil {
		return false
	}
	if _, spent := errors.AsType[timeoutError](err); spent {
		return false
	}
	_, lasting := errors.AsType[lastingError](err)
	return !lasting
}

// lastingError marks a fault that does not pass though its stage suggests it.
type lastingError struct{ error }

// Unwrap returns the fault.
func (e lastingError) Unwrap() error { return e.error }

func (d *Dialer) sleep(ctx context.Context, pause time.Duration) error {
	if d.Sleep != nil {
		return d.Sleep(ctx, pause)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
