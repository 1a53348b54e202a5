// Package simtest runs families against the simulated Proxmox host. It is test
// support, apart from package taskstest so that what sim itself is made of can be
// tested with that.
package simtest

import (
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// Host is a simulated Proxmox host with these packages installed.
func Host(t *testing.T, packages ...string) tasks.Host {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	// The archives that want a subscription fail; Debian's is there all the same.
	if _, err := h.Run(t.Context(), tasks.Cmd{Argv: []string{"apt-get", "update"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: append([]string{"apt-get", "-y", "install"}, packages...)}); err != nil {
		t.Fatal(err)
	}
	return h
}

// Converges holds a family to this: on both releases of the simulated Proxmox host
// each of the named specs changes it, and a second run does nothing.
func Converges(t *testing.T, kind tasks.Kind, specs map[string]string) {
	t.Helper()
	for name, spec := range specs {
		for _, release := range []string{"8.4", "9.1"} {
			t.Run(name+" on "+release, func(t *testing.T) {
				m, err := sim.New(t.TempDir(), "pve1", sim.Options{Release: release, Seed: 1})
				if err != nil {
					t.Fatal(err)
				}
				rec := taskstest.NewRecorder(m.Host())
				if res := taskstest.Run(t, kind, spec, rec); res.Status != tasks.StatusChanged {
					t.Fatalf("%+v, ran %q", res, rec.Commands())
				}
				rec = taskstest.NewRecorder(m.Host())
				if res := taskstest.Run(t, kind, spec, rec); res.Status != tasks.StatusOK || len(rec.Changes()) > 0 {
					t.Errorf("a second run: %+v, did %v", res, rec.Changes())
				}
			})
		}
	}
}
