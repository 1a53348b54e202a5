package lxc_test

import (
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/sim"
)

// TestAVolumeThatIsLargeAlreadyIsOnlyWrittenDown goes back to a snapshot from before a
// volume grew: ZFS keeps its size then, and Proxmox grows nothing to the size that it has.
func TestAVolumeThatIsLargeAlreadyIsOnlyWrittenDown(t *testing.T) {
	for layout, pool := range map[sim.Layout]string{sim.LayoutZFS: "local-zfs", sim.LayoutLVM: "local-lvm"} {
		t.Run(pool, func(t *testing.T) {
			m := machineOn(t, layout, "8.4")
			on := func(s string) string { return strings.ReplaceAll(s, "local-lvm", pool) }
			volume := func(size string) string {
				return `"volumes":[{"storage":"local-lvm","size_gb":` + size + `,"container_path":"/data"}]`
			}
			grown := on(strings.Replace(spec(falling+","+volume("2")), `"storage_size_gb":4`, `"storage_size_gb":8`, 1))
			wantStatus(t, m.apply(t, on(spec(volume("1"))), tasks.Consent{}), tasks.StatusChanged)
			m.sh(t, "pct snapshot 900 small")
			wantStatus(t, m.apply(t, strings.Replace(grown, falling, `"tags":[]`, 1), tasks.Consent{}), tasks.StatusChanged)
			m.sh(t, "pct rollback 900 small")
			m.sh(t, "pct start 900")
			if back := m.conf(t); layout == sim.LayoutLVM {
				if m.sh(t, "pct rescan --vmid 900"); m.conf(t) != back {
					t.Errorf("a volume of LVM has not gone back:\n%s", m.conf(t))
				}
			}
			if got := m.line(t, "rootfs") + m.line(t, "mp0"); !strings.Contains(got, "size=4G") || !strings.Contains(got, "size=1G") {
				t.Fatalf("after the rollback: %s", got)
			}
			wantStatus(t, m.apply(t, grown, tasks.Consent{}), tasks.StatusChanged)
			if got := m.line(t, "rootfs") + m.line(t, "mp0"); !strings.Contains(got, "size=8G") || !strings.Contains(got, "size=2G") || !strings.Contains(got, "mp=/data") {
				t.Errorf("%s", got)
			}
			wantStatus(t, m.check(t, grown), tasks.StatusOK)
			before := m.conf(t)
			m.sh(t, "pct rescan --vmid 900")
			if after := m.conf(t); after != before {
				t.Errorf("Proxmox measures other sizes:\n%s\n%s", before, after)
			}
		})
	}
}

func TestAVolumeThatIsLargerThanWantedNamesTheWayOut(t *testing.T) {
	m := machineOn(t, sim.LayoutZFS, "8.4")
	on := func(size string) string {
		return strings.Replace(strings.ReplaceAll(spec(""), "local-lvm", "local-zfs"), `"storage_size_gb":4`, `"storage_size_gb":`+size, 1)
	}
	wantStatus(t, m.apply(t, on("4"), tasks.Consent{}), tasks.StatusChanged)
	m.sh(t, "pct resize 900 rootfs 12G")
	m.hand(t, "size=12G", "size=4G")
	res := m.apply(t, on("8"), tasks.Consent{})
	wantStatus(t, res, tasks.StatusFailed)
	wantWhy(t, res, "the volume is larger than the configuration says: pct rescan --vmid 900 writes its size down")
	m.sh(t, "pct rescan --vmid 900")
	if got := m.line(t, "rootfs"); !strings.Contains(got, "size=12G") {
		t.Errorf("%s", got)
	}
}
