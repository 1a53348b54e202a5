package zpool_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/zpool"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// The disks of the simulated machine.
const (
	ssd1 = "/dev/disk/by-id/ata-Samsung_SSD_870_EVO_1TB_S5Y1NX0R000001"
	ssd2 = "/dev/disk/by-id/ata-Samsung_SSD_870_EVO_1TB_S5Y1NX0R000002"
	hdd1 = "/dev/disk/by-id/ata-WDC_WD40EFRX-68N32N0_WD-WCC7K0000001"
	hdd2 = "/dev/disk/by-id/ata-WDC_WD40EFRX-68N32N0_WD-WCC7K0000002"
	nvme = "/dev/disk/by-id/nvme-WD_BLACK_SN850X_2000GB_21474A800003"
	boot = "/dev/disk/by-id/ata-INTEL_SSDSC2KB480G8_PHYF0000001"
)

const mirror = `{"name":"tank","topology":"mirror","disks":["` + ssd1 + `","` + ssd2 + `"],"ashift":12,
	"properties":{"autotrim":"on","comment":"fast disks"},"dataset_properties":{"compression":"lz4","atime":"off","acltype":"posixacl"}}`

func machine(t *testing.T) *sim.Machine {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// do runs programs of the machine as a person would.
func do(t *testing.T, h tasks.Host, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: strings.Fields(l)}); err != nil {
			t.Fatal(err)
		}
	}
}

func byHand(lines ...string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) { do(t, h, lines...) }
}

func conformance(spec string, consent tasks.Consent, drifts []taskstest.Drift) taskstest.Suite {
	return taskstest.Suite{
		Kind: zpool.Kind(), Spec: spec, Consent: consent, Drifts: drifts,
		New: func(t *testing.T) taskstest.Machine {
			m := machine(t)
			return taskstest.Machine{Host: m.Host(), Digest: m.Digest}
		},
		Faults: []taskstest.Fault{{
			Name: "zpool is killed while it makes the pool", Op: "zpool create", Output: tasks.Output{Code: 137},
		}},
	}
}

func TestPool_conforms(t *testing.T) {
	conformance(mirror, tasks.Consent{}, []taskstest.Drift{
		{Name: "autotrim was switched off", Make: byHand("zpool set autotrim=off tank"), Paths: []string{"properties.autotrim"}},
		{Name: "another comment", Make: byHand("zpool set comment=slow tank"), Paths: []string{"properties.comment"}},
		{Name: "the compression was changed", Make: byHand("zfs set compression=zstd tank"), Paths: []string{"dataset_properties.compression"}},
		{Name: "access times and ACLs were changed", Make: byHand("zfs set atime=on tank", "zfs set acltype=off tank"), Paths: []string{"dataset_properties.acltype", "dataset_properties.atime"}},
	}).Run(t)
}

func TestPoolOnAUsedDisk_conforms(t *testing.T) {
	spec := `{"name":"old","topology":"single","disks":["` + nvme + `"]}`
	conformance(spec, tasks.Consent{Wipe: []string{nvme}}, nil).Run(t)
}

func TestPool_isMadeInOneCommandWithoutForce(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t).Host())
	if res := taskstest.Run(t, zpool.Kind(), mirror, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	var got []string
	for _, op := range rec.Changes() {
		got = append(got, op.String())
	}
	want := "zpool create -o ashift=12 -o autotrim=on -o comment=fast disks -O acltype=posixacl -O atime=off -O compression=lz4 tank mirror " + ssd1 + " " + ssd2
	if len(got) != 1 || got[0] != want {
		t.Errorf("did %q, want %q", got, want)
	}
}

func TestPool_aUsedDiskIsClearedPartitionsFirst(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t).Host())
	suite := taskstest.Suite{Kind: zpool.Kind(), Spec: `{"name":"old","topology":"single","disks":["` + nvme + `"],"ashift":13}`, Consent: tasks.Consent{Wipe: []string{nvme}}}
	suite.Apply(t, rec)
	got := rec.Changes()
	if len(got) != 2 || got[0].String() != "wipefs --all /dev/nvme0n1p1 /dev/nvme0n1" || got[1].String() != "zpool create -o ashift=13 old "+nvme {
		t.Errorf("did %v", got)
	}
}

func TestPool_theOrderOfDisksDoesNotMatter(t *testing.T) {
	for _, disks := range []string{ssd1 + " " + ssd2, ssd2 + " " + ssd1} {
		h := machine(t).Host()
		do(t, h, "zpool create tank mirror "+disks)
		if res := taskstest.Check(t, zpool.Kind(), `{"name":"tank","topology":"mirror","disks":["`+ssd2+`","`+ssd1+`"]}`, h); res.Status != tasks.StatusOK {
			t.Errorf("%+v", res)
		}
	}
}

// changed is the change at a path.
func changed(t *testing.T, res tasks.Result, path string) tasks.Change {
	t.Helper()
	for _, c := range append(res.Changes, res.Remaining...) {
		if c.Path == path {
			return c
		}
	}
	t.Fatalf("nothing at %s: %+v", path, res)
	return tasks.Change{}
}

func TestPool_showsWhatIsOnEachDisk(t *testing.T) {
	res := taskstest.Check(t, zpool.Kind(), `{"name":"p","topology":"mirror","disks":["`+ssd1+`","`+nvme+`"]}`, machine(t).Host())
	c := changed(t, res, "exists")
	want := "would be refused without --allow-wipe " + nvme + "\n" +
		ssd1 + " (sdb, Samsung SSD 870 EVO 1TB, serial S5Y1NX0R000001, 931.3 GiB): empty\n" +
		nvme + ` (nvme0n1, WD BLACK SN850X 2000GB, serial 21474A800003, 1.8 TiB): gpt, PMBR; nvme0n1p1 with ext4 "backup"`
	if c.Note != want || !c.Held() || c.Effect != tasks.EffectReplace {
		t.Errorf("effect %s, note\n%s\nwant\n%s", c.Effect, c.Note, want)
	}
}

func TestPool_disksThatAreNotFreeAreRefused(t *testing.T) {
	all := []string{ssd1, ssd2, hdd1, hdd2, nvme, boot}
	on := func(disks ...string) string {
		spec := map[string]any{"name": "p", "topology": "single", "disks": disks}
		if len(disks) > 1 {
			spec["topology"] = "mirror"
		}
		raw, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for _, tc := range []struct {
		name string
		make func(*testing.T, *sim.Machine)
		spec string
		wipe []string
		why  string
	}{
		{"a partition with a file system", nil, on(nvme), nil, "refused without --allow-wipe " + nvme},
		{"consent for another disk", nil, on(nvme), []string{ssd1}, "refused without --allow-wipe " + nvme},
		{"consent for one of two", addDisk("sdx", sim.Signature{Type: "LVM2_member"}), on(nvme, "/dev/disk/by-id/ata-sdx"), []string{nvme}, "--allow-wipe /dev/disk/by-id/ata-sdx"},
		{"a member of a RAID", addDisk("sdx", sim.Signature{Type: "linux_raid_member", Label: "pve:0"}), on("/dev/disk/by-id/ata-sdx"), nil, `linux_raid_member "pve:0"`},
		{"a member of a volume group", addDisk("sdx", sim.Signature{Type: "LVM2_member"}), on("/dev/disk/by-id/ata-sdx"), nil, "LVM2_member"},
		{"a member of a pool that is gone", addDisk("sdx", sim.Signature{Type: "zfs_member", Label: "old"}), on("/dev/disk/by-id/ata-sdx"), nil, `zfs_member "old"`},
		{"the disk of the system", nil, on(boot), all, "no consent allows it"},
		{"a mounted partition", put("/proc/self/mountinfo", "30 1 259:1 / /mnt/backup rw - ext4 /dev/nvme0n1p1 rw\n"), on(nvme), all, "nvme0n1p1 is mounted at /mnt/backup"},
		{"swap", put("/proc/swaps", "Filename Type\n/dev/sdb partition 1 0 -2\n"), on(ssd1), all, "sdb is used as swap"},
		{"a mounted btrfs", put("/proc/self/mountinfo", "30 1 0:44 / /mnt/b rw - btrfs /dev/sdb rw\n"), on(ssd1), all, "sdb is mounted at /mnt/b"},
		{"the second device of a btrfs", put("/sys/fs/btrfs/1234/devices/sdc", ""), on(ssd2), all, "sdc belongs to the btrfs 1234"},
		{"a holder", put("/sys/class/block/sdb/holders/md0", ""), on(ssd1), all, "sdb is held by md0"},
		{"a disk of a virtual machine", put("/etc/pve/nodes/pve/qemu-server/100.conf", "cores: 2\nscsi1: "+ssd2+",size=1T\n"), on(ssd2), all, "sdc belongs to guest 100"},
		{"write protection", put("/sys/class/block/sdb/ro", "1\n"), on(ssd1), all, "sdb is write-protected"},
		{"a disk of another pool", onHost(byHand("zpool create other " + ssd1)), on(ssd1), all, "is in pool other"},
		{"a pool of this name that is not imported", onHost(byHand("zpool create p "+ssd1, "zpool export p")), on(ssd1), all, "`zpool import p` brings it back"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t)
			if tc.make != nil {
				tc.make(t, m)
			}
			rec := taskstest.NewRecorder(m.Host())
			suite := taskstest.Suite{Kind: zpool.Kind(), Spec: tc.spec, Consent: tasks.Consent{Wipe: tc.wipe}}
			res := suite.Apply(t, rec)
			if res.Status != tasks.StatusSkipped || res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%s %s, why %q; want a refusal with %q", res.Status, res.Cause, res.Why, tc.why)
			}
			if asks := strings.Contains(tc.why, "--allow-wipe"); asks && len(res.Allow) == 0 {
				t.Error("it asks for no consent")
			}
			for _, a := range res.Allow {
				if a.Flag != tasks.AllowWipe || slices.Contains(tc.wipe, a.Name) || !strings.Contains(res.Why, a.String()) || !strings.Contains(a.Loss, a.Name+" (") {
					t.Errorf("it asks for %+v", a)
				}
			}
			if !changed(t, res, "exists").Held() {
				t.Errorf("the check does not say that it would be refused: %+v", res.Remaining)
			}
			if got := rec.Changes(); len(got) > 0 {
				t.Errorf("did %v", got)
			}
		})
	}
}

func addDisk(name string, on ...sim.Signature) func(*testing.T, *sim.Machine) {
	return func(t *testing.T, m *sim.Machine) { plug(t, m, name, "ata-"+name, on...) }
}

func plug(t *testing.T, m *sim.Machine, name, id string, on ...sim.Signature) {
	t.Helper()
	if err := m.AddDisk(sim.Disk{Name: name, ID: id, Sectors: 1 << 20, Number: "8:240", On: on}); err != nil {
		t.Fatal(err)
	}
}

func onHost(make func(*testing.T, tasks.Host)) func(*testing.T, *sim.Machine) {
	return func(t *testing.T, m *sim.Machine) { make(t, m.Host()) }
}

func put(path, content string) func(*testing.T, *sim.Machine) {
	return func(t *testing.T, m *sim.Machine) {
		h, dir := m.Host(), path[:strings.LastIndex(path, "/")]
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: dir}); err != nil {
			t.Fatal(err)
		}
		taskstest.Put(t, h, path, content)
	}
}

func TestPool_whatItIsMadeOfIsNeverChanged(t *testing.T) {
	plain := `{"name":"tank","topology":"mirror","disks":["` + ssd1 + `","` + ssd2 + `"]}`
	for _, tc := range []struct {
		name, spec string
		make       []string
		path       string
		from, to   string
		why        string
	}{
		{"another topology", plain, []string{"zpool create tank raidz1 " + ssd1 + " " + ssd2}, "topology", "raidz1", "mirror", "it is fixed when the pool is made"},
		{"another disk", plain, []string{"zpool create tank mirror " + ssd1 + " " + hdd1}, "disks", ssd1 + ", " + hdd1 + "-part1", ssd1 + ", " + ssd2, "zpool replace"},
		{"another sector size", `{"name":"tank","topology":"single","disks":["` + ssd1 + `"],"ashift":13}`, []string{"zpool create -o ashift=12 tank " + ssd1}, "ashift", "12", "13", "it is fixed"},
		{"a disk that is offline", plain, []string{"zpool create -o ashift=12 tank mirror " + ssd1 + " " + ssd2, "zpool offline tank " + ssd2}, "health", "DEGRADED", "ONLINE", "zpool status -v tank"},
		{"a pool that is lost", `{"name":"tank","topology":"single","disks":["` + ssd1 + `"],"properties":{"autotrim":"on"}}`, []string{"zpool create tank " + ssd1, "zpool offline tank " + ssd1}, "health", "UNAVAIL", "ONLINE", "zpool status -v tank"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := machine(t).Host()
			do(t, h, tc.make...)
			res := taskstest.Run(t, zpool.Kind(), tc.spec, h)
			c := changed(t, tasks.Result{Remaining: res.Remaining}, tc.path)
			if c.From != tc.from || c.To != tc.to || c.Effect != tasks.EffectReplace || !c.Held() {
				t.Errorf("%+v", c)
			}
			if len(res.Remaining) != 1 || res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%s %q remaining %+v", res.Cause, res.Why, res.Remaining)
			}
		})
	}
}

func TestPool_propertiesAreSetBesideWhatIsRefused(t *testing.T) {
	h := machine(t).Host()
	do(t, h, "zpool create -o ashift=12 tank mirror "+ssd1+" "+hdd1)
	res := taskstest.Run(t, zpool.Kind(), mirror, h)
	if res.Cause != tasks.CauseRefused || !res.Changes.Has("properties.autotrim") || !res.Changes.Has("dataset_properties.compression") {
		t.Errorf("%+v", res)
	}
}

func TestPool_theSameDiskUnderAnotherNameIsTheSame(t *testing.T) {
	m := machine(t)
	h := m.Host()
	plug(t, m, "sdx", "ata-sdx")
	plug(t, m, "sdx", "wwn-0x5000")
	do(t, h, "zpool create tank /dev/disk/by-id/ata-sdx")
	res := taskstest.Check(t, zpool.Kind(), `{"name":"tank","topology":"single","disks":["/dev/disk/by-id/wwn-0x5000"]}`, h)
	if res.Status != tasks.StatusOK {
		t.Errorf("%+v", res)
	}
	res = taskstest.Check(t, zpool.Kind(), `{"name":"two","topology":"mirror","disks":["/dev/disk/by-id/wwn-0x5000","/dev/disk/by-id/ata-sdx"]}`, h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "it is the same disk as") {
		t.Errorf("%+v", res)
	}
}

func TestPool_whatCannotBeToldFails(t *testing.T) {
	gone := strings.Replace(mirror, "000002", "000009", 1)
	for _, tc := range []struct {
		name, spec string
		fault      func(*testing.T, *sim.Machine)
		why        string
	}{
		{"no such disk", gone, nil, "ata-Samsung_SSD_870_EVO_1TB_S5Y1NX0R000002"},
		{"no zpool", mirror, func(t *testing.T, m *sim.Machine) { fault(t, m, sim.Fault{Kind: sim.FaultMissing, Program: "zpool"}) }, "zfsutils-linux"},
		{"no module", mirror, func(t *testing.T, m *sim.Machine) {
			fault(t, m, sim.Fault{Kind: sim.FaultExit, Program: "zpool", Code: 1, Stderr: "The ZFS modules cannot be auto-loaded.\nTry running 'modprobe zfs' as root to manually load them.\n"})
		}, "the kernel has no ZFS now"},
		{"no wipefs", mirror, func(t *testing.T, m *sim.Machine) {
			fault(t, m, sim.Fault{Kind: sim.FaultMissing, Program: "wipefs"})
		}, "look for signatures"},
		{"a disk that cannot be read", mirror, func(t *testing.T, m *sim.Machine) {
			fault(t, m, sim.Fault{Kind: sim.FaultExit, Program: "wipefs", Code: 1, Stderr: "wipefs: error: /dev/sdb: probing initialization failed: Input/output error\n"})
		}, "Input/output error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t)
			if tc.fault != nil {
				tc.fault(t, m)
			}
			res := taskstest.Run(t, zpool.Kind(), tc.spec, m.Host())
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%s %q, want a failure with %q", res.Status, res.Why, tc.why)
			}
		})
	}
}

func fault(t *testing.T, m *sim.Machine, f sim.Fault) {
	t.Helper()
	if err := m.Fault(f); err != nil {
		t.Fatal(err)
	}
}

// strange is a host that has one more pool, made of a file and of a disk that is gone.
type strange struct{ tasks.Host }

func (h strange) Run(ctx context.Context, c tasks.Cmd) (tasks.Output, error) {
	out, err := h.Host.Run(ctx, c)
	if strings.Join(c.Argv, " ") == "zpool status -P" {
		out.Stdout = append(out.Stdout, "\n  pool: files\n state: DEGRADED\nconfig:\n\n\tNAME STATE READ WRITE CKSUM\n\tfiles DEGRADED 0 0 0\n\t  mirror-0 DEGRADED 0 0 0\n"+
			"\t    /root/disk.img ONLINE 0 0 0\n\t    9214589213450984513 UNAVAIL 0 0 0\n\nerrors: No known data errors\n"...)
	}
	return out, err
}

func TestPool_otherPoolsMayBeMadeOfAnything(t *testing.T) {
	if res := taskstest.Run(t, zpool.Kind(), mirror, strange{machine(t).Host()}); res.Status != tasks.StatusChanged {
		t.Errorf("%+v", res)
	}
}

// lateMount is a host on which somebody mounts a disk after the check.
type lateMount struct {
	tasks.Host
	checks int
}

func (h *lateMount) ReadFile(p string) ([]byte, error) {
	if p == "/proc/self/mountinfo" {
		if h.checks++; h.checks > 1 {
			return []byte("30 1 8:16 / /mnt rw - ext4 /dev/sdb rw\n"), nil
		}
	}
	return h.Host.ReadFile(p)
}

func (h *lateMount) Run(ctx context.Context, c tasks.Cmd) (tasks.Output, error) {
	return h.Host.Run(ctx, c)
}

func TestPool_disksAreLookedAtAgainBeforeTheyAreTaken(t *testing.T) {
	rec := taskstest.NewRecorder(&lateMount{Host: machine(t).Host()})
	res := taskstest.Run(t, zpool.Kind(), mirror, rec)
	if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "sdb is mounted at /mnt") || len(rec.Changes()) > 0 {
		t.Errorf("%+v, did %v", res, rec.Changes())
	}
}

func TestValidate_namesEveryFault(t *testing.T) {
	ok := zpool.Spec{Name: "tank", Topology: "mirror", Disks: []string{ssd1, ssd2}}
	if p := ok.Validate(); len(p) > 0 {
		t.Fatalf("problems %v, want none", p)
	}
	for _, tc := range []struct {
		name   string
		change func(*zpool.Spec)
		path   string
	}{
		{"no name", func(s *zpool.Spec) { s.Name = "" }, "name"},
		{"a name that begins with a dash", func(s *zpool.Spec) { s.Name = "-f" }, "name"},
		{"a name of a topology", func(s *zpool.Spec) { s.Name = "mirror1" }, "name"},
		{"an unknown topology", func(s *zpool.Spec) { s.Topology = "raid5" }, "topology"},
		{"two disks without redundancy", func(s *zpool.Spec) { s.Topology = "single" }, "disks"},
		{"too few for raidz1", func(s *zpool.Spec) { s.Topology = "raidz1" }, "disks"},
		{"a name that changes", func(s *zpool.Spec) { s.Disks[1] = "/dev/sdb" }, "disks.1"},
		{"a path out of by-id", func(s *zpool.Spec) { s.Disks[1] = "/dev/disk/by-id/../../sdb" }, "disks.1"},
		{"a disk twice", func(s *zpool.Spec) { s.Disks[1] = ssd1 }, "disks.1"},
		{"an ashift that is none", func(s *zpool.Spec) { s.Ashift = 4096 }, "ashift"},
		{"an unknown property", func(s *zpool.Spec) { s.Properties = map[string]string{"autotrimm": "on"} }, "properties.autotrimm"},
		{"a value that is none", func(s *zpool.Spec) { s.Properties = map[string]string{"autotrim": "yes"} }, "properties.autotrim"},
		{"a line break", func(s *zpool.Spec) { s.Properties = map[string]string{"comment": "a\nb"} }, "properties.comment"},
		{"a property of file systems on the pool", func(s *zpool.Spec) { s.Properties = map[string]string{"compression": "lz4"} }, "properties.compression"},
		{"an unknown compression", func(s *zpool.Spec) { s.DatasetProperties = map[string]string{"compression": "lzma"} }, "dataset_properties.compression"},
		{"a relative mount point", func(s *zpool.Spec) { s.DatasetProperties = map[string]string{"mountpoint": "tank"} }, "dataset_properties.mountpoint"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := ok
			s.Disks = append([]string(nil), ok.Disks...)
			tc.change(&s)
			if p := s.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}
