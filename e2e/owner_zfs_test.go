package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/disk"
	"phoenix/tasks/kind/dataset"
	"phoenix/tasks/kind/zpool"
	"phoenix/tasks/local"
	"phoenix/tasks/taskstest"
)

// TestZFSHasThePoolsAndDatasetsThatAreWritten makes pools and datasets of loop devices
// with the real zpool and zfs, as the families do, and has the families read them back.
// Where the kernel has no ZFS, only what comes before zpool is tried.
func TestZFSHasThePoolsAndDatasetsThatAreWritten(t *testing.T) {
	rig := newZFSRig(t)
	if rig == nil {
		return
	}
	rig.disksAreLookedAt(t)
	for _, need := range []struct{ what, path string }{{"the module zfs", "/sys/module/zfs"}, {"zpool", "/usr/sbin/zpool"}, {"zfs", "/usr/sbin/zfs"}} {
		if _, err := os.Stat(need.path); err != nil {
			t.Logf("no pool is made: this machine does not have %s (%v)", need.what, err)
			return
		}
	}
	rig.poolIsMade(t)
	rig.datasetIsMade(t)
	rig.membersAreRefused(t)
	rig.topologiesAreMade(t)
}

// zfsRig is some loop devices with names below /dev/disk/by-id, and a name that no
// other pool has.
type zfsRig struct {
	host  tasks.Host
	pool  string
	dir   string   // everything is mounted in here
	disks []string // by ID
	loops []string // the same, by the kernel's names
}

// newZFSRig is nil where the machine has no loop devices. The links are in the real /dev:
// ZFS opens a disk from a thread of the kernel, which knows no mount namespace of ours.
// It takes no loop device for a whole disk and makes no partitions on it (OpenZFS,
// lib/libefi/rdwr_efi.c), so no link to a partition is waited for.
func newZFSRig(t *testing.T) *zfsRig {
	t.Helper()
	name := "phoenixtest" + strings.ToLower(rand.Text()[:10])
	r := &zfsRig{host: aside{new(local.Host)}, pool: name, dir: t.TempDir()}
	if os.Getuid() != 0 {
		t.Log("no loop device is made: that needs root")
		return nil
	}
	for _, dir := range []string{"/dev/disk", disk.ByID} {
		if err := os.Mkdir(dir, 0o755); err == nil {
			t.Cleanup(func() { _ = os.Remove(dir) }) // somebody's link may have come into it
		} else if !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		file := filepath.Join(r.dir, fmt.Sprintf("disk%d", i))
		if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 128<<20)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", file).CombinedOutput()
		if err != nil {
			t.Logf("no pool is made: this machine gives no loop device: %s", out)
			return nil
		}
		loop, link := strings.TrimSpace(string(out)), fmt.Sprintf("%s%s-%d", disk.ByID, name, i)
		t.Cleanup(func() { r.last(t, "losetup", "--detach", loop) })
		if err := os.Symlink("../../"+filepath.Base(loop), link); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(link); err != nil {
				t.Error(err)
			}
		})
		r.loops, r.disks = append(r.loops, loop), append(r.disks, link)
	}
	return r
}

// aside keeps a new pool out of /etc/zfs/zpool.cache, so that no boot looks for it. All
// else that the family gives to zpool stays.
type aside struct{ tasks.Host }

func (h aside) Run(ctx context.Context, c tasks.Cmd) (tasks.Output, error) {
	if len(c.Argv) > 2 && c.Argv[0] == "zpool" && c.Argv[1] == "create" {
		c.Argv = slices.Insert(slices.Clone(c.Argv), 2, "-o", "cachefile=none")
	}
	return h.Host.Run(ctx, c)
}

// do runs a program by hand; last does so after the test.
func (r *zfsRig) do(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
}

func (r *zfsRig) last(t *testing.T, argv ...string) {
	if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
}

// destroyed destroys a pool after the test, if it is there then.
func (r *zfsRig) destroyed(t *testing.T, pool string) {
	t.Cleanup(func() {
		if exec.CommandContext(context.WithoutCancel(t.Context()), "zpool", "list", pool).Run() == nil {
			r.last(t, "zpool", "destroy", "-f", pool)
		}
	})
}

// disksAreLookedAt is what the family does before it gives a disk away.
func (r *zfsRig) disksAreLookedAt(t *testing.T) {
	t.Helper()
	look := func() []disk.Disk {
		t.Helper()
		disks, err := disk.Look(t.Context(), tasks.ReadOnly(r.host), r.disks)
		if err != nil {
			t.Fatal(err)
		}
		return disks
	}
	for i, d := range look() {
		if !d.Empty() || len(d.Uses) > 0 || d.Bytes != 128<<20 || "/dev/"+d.Name != r.loops[i] {
			t.Errorf("a fresh disk is %+v", d)
		}
	}
	r.do(t, "mkswap", "--label", "mine", r.loops[1])
	for i, d := range look() {
		want := "empty"
		if i == 1 {
			want = `swap "mine"`
		}
		if held := d.Held(); held != want || d.Empty() != (i != 1) {
			t.Errorf("disk %d holds %s, want %s", i, held, want)
		}
	}
	r.do(t, "wipefs", "--all", r.loops[1])
}

// tried is one spec of a family on the rig.
type tried struct {
	kind tasks.Kind
	spec string
}

func (r *zfsRig) poolStep(t *testing.T, spec zpool.Spec) tried {
	t.Helper()
	return tried{zpool.Kind(), jsonText(t, spec)}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// holds makes the step true and wants each check after it to be empty.
func (s tried) holds(t *testing.T, h tasks.Host) {
	t.Helper()
	if res := taskstest.Check(t, s.kind, s.spec, h); res.Status != tasks.StatusWouldChange {
		t.Fatalf("%s: a check before it is %+v", s.spec, res)
	}
	if res := taskstest.Run(t, s.kind, s.spec, h); res.Status != tasks.StatusChanged || len(res.Remaining) > 0 {
		t.Fatalf("%s: %+v", s.spec, res)
	}
	if res := taskstest.Check(t, s.kind, s.spec, h); res.Status != tasks.StatusOK {
		t.Fatalf("%s: a check after it is %+v", s.spec, res)
	}
}

// mends changes a property by hand, and wants exactly it to be found and mended.
func (s tried) mends(t *testing.T, r *zfsRig, path string, byHand ...string) {
	t.Helper()
	r.do(t, byHand...)
	res := taskstest.Check(t, s.kind, s.spec, r.host)
	if len(res.Changes) != 1 || res.Changes[0].Path != path {
		t.Errorf("after %s a check finds %+v", strings.Join(byHand, " "), res)
	}
	s.holds(t, r.host)
}

func (r *zfsRig) poolIsMade(t *testing.T) {
	t.Helper()
	at := filepath.Join(r.dir, "pool")
	step := r.poolStep(t, zpool.Spec{
		Name: r.pool, Topology: "mirror", Disks: r.disks[:2], Ashift: 12,
		Properties:        map[string]string{"autotrim": "on", "comment": "made by a test of phoenix"},
		DatasetProperties: map[string]string{"compression": "lz4", "atime": "off", "mountpoint": at},
	})
	r.destroyed(t, r.pool)
	step.holds(t, r.host)
	if _, err := os.Stat(at); err != nil {
		t.Errorf("it is not mounted: %v", err)
	}
	step.mends(t, r, "properties.comment", "zpool", "set", "comment=by hand", r.pool)
	step.mends(t, r, "properties.autotrim", "zpool", "set", "autotrim=off", r.pool)
	step.mends(t, r, "dataset_properties.atime", "zfs", "set", "atime=on", r.pool)
	r.do(t, "zpool", "offline", r.pool, r.disks[1])
	if res := taskstest.Check(t, step.kind, step.spec, r.host); len(res.Changes) != 1 || res.Changes[0].Path != "health" || res.Changes[0].From != "DEGRADED" {
		t.Errorf("with a disk offline a check finds %+v", res)
	}
	r.do(t, "zpool", "online", r.pool, r.disks[1])
	r.do(t, "zpool", "wait", "-t", "resilver", r.pool)
}

func (r *zfsRig) datasetIsMade(t *testing.T) {
	t.Helper()
	name := r.pool + "/data"
	step := tried{dataset.Kind(), jsonText(t, dataset.Spec{
		Name: name, Mountpoint: filepath.Join(r.dir, "data"), Properties: map[string]string{"recordsize": "64K", "quota": "32M", "compression": "zstd"},
	})}
	step.holds(t, r.host)
	step.mends(t, r, "properties.recordsize", "zfs", "set", "recordsize=128K", name)
	step.mends(t, r, "properties.quota", "zfs", "set", "quota=none", name)
	step.mends(t, r, "properties.compression", "zfs", "inherit", "compression", name)
	step.mends(t, r, "mounted", "zfs", "unmount", name)
	step.mends(t, r, "mountpoint", "zfs", "set", "mountpoint="+filepath.Join(r.dir, "elsewhere"), name)
}

// membersAreRefused wants neither a disk of a pool nor one that carries a lost pool to
// be taken.
func (r *zfsRig) membersAreRefused(t *testing.T) {
	t.Helper()
	other := r.poolStep(t, zpool.Spec{Name: r.pool + "other", Topology: "mirror", Disks: r.disks[1:3]})
	if res := taskstest.Run(t, other.kind, other.spec, r.host); res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "is in pool "+r.pool) {
		t.Errorf("a disk of a pool: %+v", res)
	}
	r.do(t, "zpool", "export", r.pool)
	if res := taskstest.Run(t, other.kind, other.spec, r.host); res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "zfs_member") || len(res.Allow) != 1 {
		t.Errorf("a disk of a pool that is exported: %+v", res)
	}
	r.do(t, "zpool", "import", "-d", disk.ByID, "-o", "cachefile=none", r.pool)
}

// topologiesAreMade makes the pools that differ in what zpool prints of them.
func (r *zfsRig) topologiesAreMade(t *testing.T) {
	t.Helper()
	for topology, n := range map[string]int{"single": 1, "raidz1": 3} {
		name := r.pool + topology
		step := r.poolStep(t, zpool.Spec{
			Name: name, Topology: topology, Disks: r.disks[2 : 2+n], Ashift: 13,
			DatasetProperties: map[string]string{"mountpoint": "none"},
		})
		r.destroyed(t, name)
		suite := taskstest.Suite{Kind: step.kind, Spec: step.spec, Consent: tasks.Consent{Wipe: r.disks[2:]}}
		res := suite.Apply(t, r.host)
		if check := taskstest.Check(t, step.kind, step.spec, r.host); res.Status != tasks.StatusChanged || check.Status != tasks.StatusOK {
			t.Errorf("%s: %+v, and then %+v", topology, res, check)
		}
		if t.Failed() {
			return
		}
		r.do(t, "zpool", "destroy", "-f", name)
	}
}
