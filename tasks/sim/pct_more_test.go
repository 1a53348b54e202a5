package sim

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestExecPassesStreamsAndStatusThrough(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	b.refused(255, "container '900' not running!", "pct", "exec", "900", "--", "true")
	b.must("pct", "start", "900")
	if r := b.run("pct", "exec", "900", "--", "sh", "-c", "exit 7"); r.code != 7 || r.errors != "" {
		t.Errorf("exit 7 came out as %+v", r)
	}
	b.refused(127, `Failed to exec "nosuch"`, "pct", "exec", "900", "--", "nosuch")
	b.refused(255, "missing command at", "pct", "exec", "900")
	b.refused(2, "Unknown option: la", "pct", "exec", "900", "ls", "-la", "/")
	b.refused(127, `Failed to exec "pct"`, "pct", "exec", "900", "--", "pct", "list")
}

func TestAttachAndInfoWorkWithoutProxmox(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--hostname", "web", "--start", "1")
	if out := b.must("lxc-attach", "-n", "900", "--clear-env", "--", "hostname"); out != "web\n" {
		t.Errorf("lxc-attach prints %q", out)
	}
	if out := b.must("lxc-info", "-n", "900", "-s"); out != "State:          RUNNING\n" {
		t.Errorf("lxc-info prints %q", out)
	}
	if out := b.must("lxc-info", "-n", "900", "-sH"); out != "RUNNING\n" {
		t.Errorf("lxc-info -sH prints %q", out)
	}
	b.must("pct", "stop", "900")
	if out := b.must("lxc-info", "-n", "900", "-s"); out != "State:          STOPPED\n" {
		t.Errorf("lxc-info prints %q", out)
	}
	b.refused(1, "999 doesn't exist", "lxc-info", "-n", "999", "-s")
	b.refused(1, "Failed to get init pid", "lxc-attach", "-n", "900", "--", "true")
}

func TestRebootAndPoweroffFromInsideApplyWhatIsPending(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--start", "1")
	b.must("pct", "set", "900", "--tty", "3")
	b.must("pct", "exec", "900", "--", "reboot")
	b.wantNoConf(900, "[pve:pending]")
	if !b.m.running(900) {
		t.Error("it does not run after a reboot")
	}
	b.must("pct", "exec", "900", "--", "poweroff")
	if b.m.running(900) {
		t.Error("it runs after a poweroff")
	}
}

func TestPushExitsZeroWhateverGoesWrongInItsTask(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	b.refused(255, "can only push files to a running CT", "pct", "push", "900", "/etc/hostname", "/root/h")
	b.must("pct", "start", "900")
	b.must("pct", "push", "900", "/etc/hostname", "/root/h", "--perms", "0600")
	if st, err := os.Stat(b.m.path(guestRoot(900) + "/root/h")); err != nil || st.Mode() != 0o600 {
		t.Errorf("the file: %v, %v", st, err)
	}
	for message, args := range map[string][]string{
		"failed to open /nosuch for reading":                          {"/nosuch", "/root/x"},
		"failed to create file: /no/dir/x: No such file or directory": {"/etc/hostname", "/no/dir/x"},
		"failed to create file: /root: Is a directory":                {"/etc/hostname", "/root"},
		"invalid mode: '0999'":                                        {"/etc/hostname", "/root/x", "--perms", "999"},
		"failed to get uid for: nosuch":                               {"/etc/hostname", "/root/x", "--user", "nosuch"},
		"failed to get gid for: nosuch":                               {"/etc/hostname", "/root/x", "--group", "nosuch"},
	} {
		b.refused(0, message, append([]string{"pct", "push", "900"}, args...)...)
	}
	b.must("pct", "pull", "900", "/root/h", "/tmp/back")
	if got := b.m.text("/tmp/back"); got != "pve\n" {
		t.Errorf("pulled %q", got)
	}
}

func TestASnapshotBringsBackConfigurationAndFiles(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	b.refused(255, "snapshot feature is not available", "pct", "snapshot", "900", "s1")
	b.must("pct", "create", "920", debian, "--rootfs", "local-btrfs:1", "--start", "1")
	b.must("pct", "snapshot", "920", "s1", "--description", "before")
	b.refused(255, "snapshot name 's1' already used", "pct", "snapshot", "920", "s1")
	b.must("pct", "set", "920", "--memory", "64")
	b.must("pct", "exec", "920", "--", "touch", "/root/marker")
	b.must("pct", "snapshot", "920", "s2")
	b.must("pct", "rollback", "920", "s1")
	b.wantConf(920, "memory: 512", "parent: s1")
	if b.m.running(920) {
		t.Error("it runs after a rollback")
	}
	if b.m.exists(guestRoot(920) + "/root/marker") {
		t.Error("the file of later is there")
	}
	b.must("pct", "rollback", "920", "s2", "--start", "1")
	if !b.m.exists(guestRoot(920)+"/root/marker") || !b.m.running(920) {
		t.Error("the second snapshot did not come back")
	}
	b.must("pct", "delsnapshot", "920", "s1")
	out := b.must("pct", "listsnapshot", "920")
	if strings.Contains(out, "s1") || !strings.Contains(out, "`-> s2 ") || !strings.Contains(out, "\n `-> current") {
		t.Errorf("listsnapshot prints\n%s", out)
	}
}

func TestARollbackDropsWhatIsStagedAndKeepsNewVolumesAsUnused(t *testing.T) {
	b := newBench(t, Options{})
	b.must("pct", "create", "920", debian, "--rootfs", "local-btrfs:1", "--start", "1")
	b.must("pct", "snapshot", "920", "s1")
	b.must("pct", "set", "920", "--mp0", "local-btrfs:1,mp=/data", "--timezone", "UTC")
	b.must("pct", "rollback", "920", "s1")
	b.wantConf(920, "unused0: local-btrfs:920/vm-920-disk-1.raw")
	b.wantNoConf(920, "[pve:pending]", "mp0:", "timezone:")
}

func TestAnUnfinishedSnapshotIsNotGoneBackTo(t *testing.T) {
	b := newBench(t, Options{})
	b.must("pct", "create", "920", debian, "--rootfs", "local-btrfs:1")
	if err := b.m.Fault(Fault{Kind: FaultKill, Program: "pct", Verb: "snapshot", Point: "prepared"}); err != nil {
		t.Fatal(err)
	}
	b.refused(137, "", "pct", "snapshot", "920", "s1")
	b.wantConf(920, "lock: snapshot", "snapstate: prepare")
	b.refused(255, "CT is locked (snapshot)", "pct", "snapshot", "920", "s2")
	b.must("pct", "unlock", "920")
	b.refused(255, "unable to rollback to incomplete snapshot (snapstate = prepare)", "pct", "rollback", "920", "s1")
	b.must("pct", "delsnapshot", "920", "s1", "--force", "1")
	b.wantNoConf(920, "[s1]")
}

func TestZFSGoesBackOnlyToTheNewestSnapshot(t *testing.T) {
	now := time.Unix(1795386694, 0)
	b := newBench(t, Options{Layout: LayoutZFS, Now: func() time.Time { now = now.Add(time.Second); return now }})
	b.must("pct", "create", "920", debian, "--rootfs", "local-zfs:1")
	b.must("pct", "snapshot", "920", "s1")
	b.must("pct", "snapshot", "920", "s2")
	b.refused(255, "can't rollback, 's1' is not most recent snapshot on 'local-zfs:subvol-920-disk-0'", "pct", "rollback", "920", "s1")
	b.must("pct", "delsnapshot", "920", "s2")
	b.must("pct", "rollback", "920", "s1")
}

func TestACloneGetsItsOwnVolumesAndAddresses(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--net0", "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01", "--mp0", "local:1,mp=/data")
	b.must("pct", "clone", "900", "930", "--hostname", "copy")
	b.wantConf(930, "hostname: copy", "rootfs: local:930/vm-930-disk-0.raw,size=1G", "mp0: local:930/vm-930-disk-1.raw,mp=/data,size=1G")
	b.wantNoConf(930, "net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01")
	b.refused(255, "CT 930 already exists on node 'pve'", "pct", "clone", "900", "930")
	b.must("pct", "template", "930")
	b.wantConf(930, "template: 1", "rootfs: local:930/base-930-disk-0.raw,size=1G")
	b.refused(2, "Linked clone feature for 'local:930/base-930-disk-1.raw' is not available", "pct", "clone", "930", "931")
	b.must("pct", "start", "900")
	b.refused(2, "Cannot do full clones on a running container without snapshots", "pct", "clone", "900", "931")
	b.refused(255, "you can't convert a CT to template if the CT is running", "pct", "template", "900")
}

func TestMovingAVolumeKeepsTheOldOneAsUnused(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	b.must("pct", "move-volume", "900", "rootfs", "local-btrfs")
	b.wantConf(900, "rootfs: local-btrfs:900/vm-900-disk-0.raw,size=1G", "unused0: local:900/vm-900-disk-0.raw")
	b.must("pct", "move-volume", "900", "rootfs", "local", "--delete", "1")
	b.wantConf(900, "rootfs: local:900/vm-900-disk-1.raw,size=1G", "unused0: local:900/vm-900-disk-0.raw")
	b.wantNoConf(900, "unused1")
}

func TestMountMarksTheContainerUntilUnmounted(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	b.must("pct", "mount", "900")
	b.wantConf(900, "lock: mounted")
	b.refused(255, "CT is locked (mounted)", "pct", "start", "900")
	b.must("pct", "unmount", "900")
	b.wantNoConf(900, "lock")
	b.refused(255, "no lock found trying to remove 'mounted' lock", "pct", "unmount", "900")
}

func TestVolumesOnBlockStoragesHaveTheirOwnNames(t *testing.T) {
	b := newBench(t, Options{Layout: LayoutZFS})
	b.must("pct", "create", "900", debian, "--rootfs", "local-zfs:2")
	b.wantConf(900, "rootfs: local-zfs:subvol-900-disk-0,size=2G")
	b.must("pct", "resize", "900", "rootfs", "3G")
	b.wantConf(900, "rootfs: local-zfs:subvol-900-disk-0,size=3G")
	b.must("pct", "destroy", "900")
}
