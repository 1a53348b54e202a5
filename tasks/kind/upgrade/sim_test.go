package upgrade_test

import (
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/upgrade"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// Both releases of the simulated Proxmox host converge, and stay as they are.
func TestSimulatedHosts(t *testing.T) {
	for name, spec := range map[string]string{
		"security": `{"upgrade":"security"}`,
		"full":     `{"upgrade":"full"}`,
	} {
		for _, release := range []string{"8.4", "9.1"} {
			t.Run(name+" on "+release, func(t *testing.T) {
				m, err := sim.New(t.TempDir(), "pve1", sim.Options{Release: release, Seed: 1})
				if err != nil {
					t.Fatal(err)
				}
				rec := taskstest.NewRecorder(m.Host())
				if res := taskstest.Run(t, upgrade.Kind(), spec, rec); res.Status != tasks.StatusChanged {
					t.Fatalf("%+v, ran %q", res, rec.Commands())
				}
				rec = taskstest.NewRecorder(m.Host())
				if res := taskstest.Run(t, upgrade.Kind(), spec, rec); res.Status != tasks.StatusOK || len(rec.Changes()) > 0 {
					t.Errorf("a second run: %+v, did %v", res, rec.Changes())
				}
			})
		}
	}
}
