package lxc

import (
	"context"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guest"
)

// maxBackoff bounds the pause between two tries for a lock; the first is a second.
const maxBackoff = 30 * time.Second

// pct starts Proxmox's program for the container, and waits for its lock.
func (t *task) pct(ctx context.Context, h tasks.Host, args ...string) (tasks.Output, error) {
	return guest.Pct(ctx, h, t.spec.CTID, args...)
}
