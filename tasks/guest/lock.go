package guest

import (
	"fmt"
	"slices"

	"phoenix/tasks/pve"
)

// LockAdvice is what to do about a lock of a container: wait or, where nobody works
// under it any more, how to go on. To take the lock off is not always the way.
func LockAdvice(ctid int, lock string, c *pve.Config) string {
	switch lock {
	case "mounted":
		return fmt.Sprintf("its volumes are mounted on the host (pct mount): pct unmount %d ends that, and the lock with it", ctid)
	case "destroyed":
		return fmt.Sprintf("wait until that is over; where it was cut off, pct destroy %d goes on with it", ctid)
	}
	out := fmt.Sprintf("wait until that is over; a lock that was left behind is taken off with pct unlock %d", ctid)
	if lock == "rollback" {
		out += fmt.Sprintf(", and the rollback that was cut off is made again with phoenix rollback %d SNAPSHOT", ctid)
	}
	for _, name := range Unfinished(c) {
		out += fmt.Sprintf(", and snapshot %s, which is not finished then, is taken away with pct delsnapshot %d %s --force 1", name, ctid, name)
	}
	return out
}

// Unfinished lists the snapshots that Proxmox has not finished making, or removing.
func Unfinished(c *pve.Config) []string {
	return slices.DeleteFunc(c.Snapshots(), func(name string) bool {
		_, unfinished := c.Snapshot(name).Get("snapstate")
		return !unfinished
	})
}
