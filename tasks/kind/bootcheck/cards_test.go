package bootcheck_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"phoenix/tasks/kind/bootcheck"
	"phoenix/tasks/sim"
)

func TestNotMade_areTheNodesThatNothingMakes(t *testing.T) {
	nodes := []string{"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidia1"}
	for _, c := range []struct {
		name, starts string
		want         []string
	}{
		{"nothing makes any", "", nodes},
		{"a unit makes all", "ExecStart=/usr/bin/nvidia-modprobe -c 0 -c 1 -c 255\nExecStart=/usr/bin/nvidia-modprobe -u -c 0\n", nil},
		{"a unit makes those of one card", "ExecStart=/usr/bin/nvidia-modprobe -c 0\nExecStart=/usr/bin/nvidia-modprobe -u\n", []string{"/dev/nvidia1"}},
		{"the daemon makes those of the cards, and perhaps the others", "ExecStart=/usr/bin/nvidia-persistenced\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := sim.New(t.TempDir(), "pve1", sim.Options{GPUs: 2})
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(m.Root, "etc/systemd/system")
			if c.starts != "" {
				if err := os.WriteFile(filepath.Join(dir, "nodes.service"), []byte("[Service]\n"+c.starts), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("../nodes.service", filepath.Join(dir, "multi-user.target.wants/nodes.service")); err != nil {
					t.Fatal(err)
				}
			}
			got, err := bootcheck.NotMade(m.Host(), nodes)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}
