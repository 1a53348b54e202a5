package sim

import (
	"strings"
	"testing"
)

func TestALinkedCloneSaysWhatItSharesOnlyOnZFS(t *testing.T) {
	for pool, c := range map[string]struct{ base, linked string }{
		"local-zfs": {"local-zfs:basevol-900-disk-0", "local-zfs:basevol-900-disk-0/subvol-901-disk-0"},
		"thin":      {"thin:base-900-disk-0", "thin:vm-901-disk-0"},
	} {
		b := newBench(t, Options{Layout: LayoutZFS})
		b.must("pvesm", "add", "lvmthin", "thin", "--vgname", "pve", "--thinpool", "data")
		b.must("pct", "create", "900", debian, "--rootfs", pool+":2", "--memory", "700", "--protection", "1")
		b.must("pct", "template", "900")
		b.wantConf(900, "template: 1", "rootfs: "+c.base+",size=2G")
		out := b.must("pct", "clone", "900", "901", "--hostname", "copy")
		if want := "create linked clone of mount point rootfs (" + c.base + ")\n"; !strings.HasPrefix(out, want) {
			t.Errorf("clone prints %q, want %q", out, want)
		}
		b.wantConf(901, "hostname: copy", "memory: 700", "protection: 1", "rootfs: "+c.linked+",size=2G")
		b.wantNoConf(901, "template", "lock")
		b.wantNoConf(900, "lock")
		b.must("pct", "resize", "901", "rootfs", "3G")
		b.refused(255, "parameter 'storage' not allowed for linked clones", "pct", "clone", "900", "902", "--storage", pool)
		b.refused(255, "you can't take a snapshot if it's a template", "pct", "snapshot", "900", "s1")
		b.must("pct", "set", "900", "--protection", "0")
		b.must("pct", "set", "901", "--protection", "0")
		if pool == "local-zfs" {
			b.refused(255, "base volume 'basevol-900-disk-0' is still in use by linked clones", "pct", "destroy", "900")
			b.must("pct", "destroy", "901")
		}
		b.must("pct", "destroy", "900")
	}
}

func TestATemplateMadeOfALinkedCloneKeepsItsParentInItsName(t *testing.T) {
	b := newBench(t, Options{Layout: LayoutZFS})
	b.must("pct", "create", "900", debian, "--rootfs", "local-zfs:2")
	b.must("pct", "template", "900")
	b.must("pct", "clone", "900", "901")
	b.must("pct", "template", "901")
	b.must("pct", "clone", "901", "902")
	b.wantConf(901, "rootfs: local-zfs:basevol-900-disk-0/basevol-901-disk-0,size=2G")
	b.wantConf(902, "rootfs: local-zfs:basevol-901-disk-0/subvol-902-disk-0,size=2G")
}

func TestACloneOfASnapshotIsOfThatTime(t *testing.T) {
	b := newBench(t, Options{})
	b.must("pct", "create", "900", debian, "--rootfs", "local-btrfs:1", "--memory", "600", "--start", "1")
	b.must("pct", "snapshot", "900", "base")
	b.must("pct", "set", "900", "--memory", "700")
	b.must("pct", "exec", "900", "--", "touch", "/root/later")
	b.must("pct", "clone", "900", "901", "--snapname", "base", "--full", "1")
	b.wantConf(901, "memory: 600")
	b.wantNoConf(901, "[base]", "snaptime", "parent")
	if b.m.exists(guestRoot(901) + "/root/later") {
		t.Error("a file that came after the snapshot is there")
	}
	b.refused(255, "unable to create template, because CT contains snapshots", "pct", "template", "900")
}

func TestADirectoryOfTheHostKeepsFromCloneTemplateAndSnapshot(t *testing.T) {
	b := newBench(t, Options{})
	b.must("pct", "create", "900", debian, "--rootfs", "local-btrfs:1", "--mp0", "/srv,mp=/data")
	b.refused(255, "unable to clone mountpoint 'mp0' (type bind)", "pct", "clone", "900", "901")
	b.refused(255, "snapshot feature is not available", "pct", "snapshot", "900", "s1")
	b.refused(0, "Template feature is not available for '/srv'", "pct", "template", "900")
	b.wantNoConf(900, "template", "lock")
}

func TestAKilledCloneLeavesBothContainersLocked(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	if err := b.m.Fault(Fault{Kind: FaultKill, Program: "pct", Verb: "clone", Point: "allocated", Nth: 1}); err != nil {
		t.Fatal(err)
	}
	b.run("pct", "clone", "900", "901")
	b.wantConf(900, "lock: disk")
	b.wantConf(901, "lock: create", "rootfs: local:901/vm-901-disk-0.raw,size=1G")
	b.refused(255, "CT is locked (disk)", "pct", "clone", "900", "902")
	b.must("pct", "unlock", "900")
	b.must("pct", "clone", "900", "902")
}

func TestAFailedCloneLeavesNothing(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	if err := b.m.Fault(Fault{Kind: FaultFull, Path: "/var/lib/vz/images/901/*"}); err != nil {
		t.Fatal(err)
	}
	b.refused(255, "clone failed: unable to create image", "pct", "clone", "900", "901")
	b.wantNoConf(900, "lock")
	if b.m.exists(b.m.confPath(901)) || len(b.m.volumesOf(storage{id: "local", typ: "dir", path: "/var/lib/vz"}, 901)) > 0 {
		t.Error("something of the clone is left")
	}
}
