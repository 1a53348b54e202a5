package file_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/taskstest"
)

// TestEveryDrawnFileConverges makes one file into others, by way of its absence and of
// links: each time nothing differs afterwards, and nothing is written again.
func TestEveryDrawnFileConverges(t *testing.T) {
	own := strconv.Itoa(os.Getuid())
	for seed := range uint64(50) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			m := machine(t, map[string]string{"/srv/real": "there", "/srv/link": "-> real", "/srv/far": "-> /srv/link", "/srv/d/": ""})
			for range 6 {
				s := map[string]any{"path": []string{"/srv/real", "/srv/link", "/srv/far", "/srv/new"}[r.IntN(4)]}
				for key, values := range map[string][]any{
					"content": {"", "a", "a\n", "ü\x00\r\n", "there"},
					"mode":    {"0600", "644", "4755", "0000"},
					"owner":   {own},
				} {
					if r.IntN(2) == 0 {
						s[key] = values[r.IntN(len(values))]
					}
				}
				if r.IntN(5) == 0 {
					s = map[string]any{"path": "/srv/new", "state": "absent"}
				}
				raw, err := json.Marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				res := taskstest.Run(t, file.Kind(), string(raw), m)
				rec := taskstest.NewRecorder(m)
				again := taskstest.Run(t, file.Kind(), string(raw), rec)
				if again.Status != tasks.StatusOK || len(rec.Changes()) > 0 {
					t.Fatalf("%s\nfirst %+v\nsecond %+v, which did %v", raw, res, again, rec.Changes())
				}
				if info, err := m.Stat("/srv/link"); err != nil || info.Target != "real" {
					t.Fatalf("%s: the link is %+v, %v", raw, info, err)
				}
			}
		})
	}
}
