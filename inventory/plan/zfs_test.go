package plan

import (
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks/kind"
	"phoenix/tasks/kind/arc"
	"phoenix/tasks/kind/dataset"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/zpool"
)

// zfsHost has two pools and something on each of their file systems.
func zfsHost() *inventory.Host {
	disks := []string{"/dev/disk/by-id/a"}
	return &inventory.Host{Name: "pve1", Hypervisor: &inventory.Hypervisor{
		Arc: &arc.Spec{MaxGB: 4},
		Pools: []zpool.Spec{
			{Name: "tank", Topology: "single", Disks: disks},
			{Name: "bulk", Topology: "single", Disks: []string{"/dev/disk/by-id/b"}, DatasetProperties: map[string]string{"mountpoint": "/mnt/bulk"}},
		},
		// Out of order on purpose.
		Datasets: []dataset.Spec{
			{Name: "tank/a/b/c"}, {Name: "tank/a", Mountpoint: "/srv/a"}, {Name: "bulk/x"}, {Name: "bulk/none", Mountpoint: "none"}, {Name: "other/y"},
		},
		Storages: []storage.Spec{
			{ID: "s1", Type: "zfspool", Pool: "tank/a"}, {ID: "s2", Type: "zfspool", Pool: "tank/a/new"}, {ID: "s3", Type: "zfspool", Pool: "tank"},
			{ID: "s4", Type: "dir", Path: "/srv/a"}, {ID: "s5", Type: "dir", Path: "/srv/a/b/c/dump"}, {ID: "s6", Type: "dir", Path: "/mnt/bulk/x/y"},
			{ID: "s7", Type: "dir", Path: "/mnt/bulk2"}, {ID: "s8", Type: "dir", Path: "/tank/free"}, {ID: "s9", Type: "nfs", Server: "a", Export: "/srv/a"}, {ID: "s10", Type: "zfspool", Pool: "rpool/data"},
		},
		Files: []file.Spec{{Path: "/srv/a/readme"}},
	}, Containers: []inventory.Container{
		{Spec: lxc.Spec{CTID: 900, StoragePool: "s1", MountPoints: []lxc.MountPoint{{HostPath: "/mnt/bulk/x", ContainerPath: "/x"}}}},
	}}
}

func TestWhatLiesOnADatasetNeedsIt(t *testing.T) {
	want := map[string]string{
		"zfs:arc": "", "zpool:tank": "", "zpool:bulk": "",
		"zfs:tank/a": "zpool:tank", "zfs:tank/a/b/c": "zfs:tank/a", "zfs:bulk/x": "zpool:bulk", "zfs:bulk/none": "zpool:bulk", "zfs:other/y": "",
		"storage:s1": "zfs:tank/a", "storage:s2": "zfs:tank/a", "storage:s3": "zpool:tank", "storage:s4": "zfs:tank/a", "storage:s5": "zfs:tank/a/b/c",
		"storage:s6": "zfs:bulk/x", "storage:s7": "", "storage:s8": "zpool:tank", "storage:s9": "", "storage:s10": "",
		"file:/srv/a/readme": "zfs:tank/a", "lxc:900": "storage:s1 zfs:bulk/x",
	}
	p := build(t, zfsHost(), Selection{})
	for _, s := range p.Steps {
		needs, known := want[s.ID]
		if got := strings.Join(s.Needs, " "); !known || got != needs {
			t.Errorf("%s needs %q, want %q", s.ID, got, needs)
		}
		delete(want, s.ID)
		if _, err := kind.All().Decode(s); err != nil {
			t.Error(err)
		}
	}
	if len(want) > 0 {
		t.Errorf("no steps %v", want)
	}
}

func TestTheSectionZFSIsSelectedByItsName(t *testing.T) {
	if got, want := ids(build(t, zfsHost(), Selection{Tags: []string{"zfs"}})), "zfs:arc zpool:tank zpool:bulk zfs:tank/a/b/c"; !strings.HasPrefix(got, want) || strings.Contains(got, "storage:") {
		t.Errorf("%s", got)
	}
}
