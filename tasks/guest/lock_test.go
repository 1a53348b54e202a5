package guest

import (
	"strings"
	"testing"

	"phoenix/tasks/pve"
)

func TestTheWayOutOfALockIsThatOfItsKind(t *testing.T) {
	const cut = "\n[s1]\nsnapstate: prepare\n\n[s2]\nsnaptime: 1\n"
	for lock, want := range map[string]string{
		"backup":    "wait until that is over; a lock that was left behind is taken off with pct unlock 900",
		"rollback":  "pct unlock 900, and the rollback that was cut off is made again with phoenix rollback 900 SNAPSHOT",
		"snapshot":  "pct unlock 900, and snapshot s1, which is not finished then, is taken away with pct delsnapshot 900 s1 --force 1",
		"mounted":   "pct unmount 900 ends that",
		"destroyed": "where it was cut off, pct destroy 900 goes on with it",
	} {
		text := "lock: " + lock + "\n"
		if lock == "snapshot" {
			text += cut
		}
		g := Guest{CTID: 900, Config: pve.ParseConfig([]byte(text))}
		err := g.Unlocked()
		if err == nil || !strings.HasPrefix(err.Error(), "look at container 900: it is locked ("+lock+"): ") || !strings.HasSuffix(strings.TrimSuffix(err.Error(), ", and the lock with it"), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if wrong := lock == "mounted" || lock == "destroyed"; wrong && strings.Contains(err.Error(), "unlock") {
			t.Errorf("%v", err)
		}
	}
}
