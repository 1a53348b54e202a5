package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// clusterLocks is where Proxmox keeps the locks of files that a whole cluster writes.
// Each is a directory: making it takes the lock, on whichever node
// (pve-cluster, PVE::Cluster cfs_lock).
const clusterLocks = "/etc/pve/priv/lock/"

// clusterPoll is how often Proxmox itself tries again.
const clusterPoll = time.Second

// clusterLock holds a lock of the cluster until the returned function is called. A
// lock that its holder left behind is freed by the cluster's file system after 120 s,
// once somebody asked for it by setting its times to 0.
func (h *Host) clusterLock(ctx context.Context, path string) (func(), error) {
	at, err := h.locate(path, true)
	if err != nil {
		return nil, err
	}
	defer at.close()
	if err := at.parents(); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, bare(err))
	}
	real := at.real() // a name is enough: only root writes below /etc/pve
	wait := h.LockWait
	if wait == 0 {
		wait = 10 * time.Second
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	tick := time.NewTicker(min(clusterPoll, max(wait/10, time.Millisecond)))
	defer tick.Stop()
	for {
		err := os.Mkdir(real, 0o700)
		if err == nil {
			return func() { _ = os.Remove(real) }, nil // one that expired is somebody else's by now
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("lock %s: %w", path, bare(err))
		}
		_ = os.Chtimes(real, time.Unix(0, 0), time.Unix(0, 0)) // asks; the answer is the next attempt
		select {
		case <-tick.C:
		case <-deadline.C:
			return nil, fmt.Errorf("lock %s: still held by another writer in the cluster after %s (one that died frees it after 120 s)", path, wait)
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %s: %w", path, ctx.Err())
		}
	}
}
