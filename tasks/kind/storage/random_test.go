package storage_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// drawn is a storage at one path with some of its properties.
func drawn(r *rand.Rand) map[string]any {
	s := map[string]any{"id": "tank", "type": "dir", "path": "/srv/tank"}
	for key, values := range map[string][]any{
		"content":       {[]string{"iso"}, []string{"vztmpl", "backup", "iso"}, []string{"none"}, []string{"rootdir", "images", "rootdir"}},
		"nodes":         {[]string{"pve"}, []string{"pve2", "pve"}},
		"shared":        {true, false},
		"disabled":      {true, false},
		"is_mountpoint": {false}, // nothing is mounted there
		"prune_backups": {"keep-all=1", "keep-last=3", "keep-weekly=2,keep-last=3"},
	} {
		if r.IntN(2) == 0 {
			s[key] = values[r.IntN(len(values))]
		}
	}
	return s
}

// TestEveryDrawnStorageConverges adds a drawn storage to a simulated Proxmox host and
// changes it to others: each time nothing differs afterwards, and nothing is sent again.
func TestEveryDrawnStorageConverges(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: seed + 1})
			if err != nil {
				t.Fatal(err)
			}
			for range 4 {
				raw, err := json.Marshal(drawn(r))
				if err != nil {
					t.Fatal(err)
				}
				res := taskstest.Run(t, storage.Kind(), string(raw), m.Host())
				rec := taskstest.NewRecorder(m.Host())
				again := taskstest.Run(t, storage.Kind(), string(raw), rec)
				if again.Status != tasks.StatusOK || len(rec.Changes()) > 0 {
					t.Fatalf("%s\nfirst %+v\nsecond %+v, which did %v\n%s", raw, res, again, rec.Changes(), taskstest.Get(t, m.Host(), "/etc/pve/storage.cfg"))
				}
			}
		})
	}
}
