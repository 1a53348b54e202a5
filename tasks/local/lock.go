package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// lockPoll is how often a held lock is tried again; flock cannot be waited for
// together with a context.
const lockPoll = 50 * time.Millisecond

// lock holds an exclusive flock on a file, made when it is missing, until the
// returned function is called. The kernel releases it when the process dies. The
// cluster's locks are directories.
func (h *Host) lock(ctx context.Context, path string) (func(), error) {
	if strings.HasPrefix(path, clusterLocks) {
		return h.clusterLock(ctx, path)
	}
	at, err := h.locate(path, true)
	if err != nil {
		return nil, err
	}
	defer at.close()
	if err := at.parents(); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, bare(err))
	}
	f, err := at.open(at.name(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, bare(err))
	}
	if err := h.await(ctx, f, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing releases; there is nothing to lose
}

func (h *Host) await(ctx context.Context, f *os.File, path string) error {
	wait := h.LockWait
	if wait == 0 {
		wait = 10 * time.Second
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("lock %s: still held by another process after %s", path, wait)
		case <-ctx.Done():
			return fmt.Errorf("lock %s: %w", path, ctx.Err())
		}
	}
}
