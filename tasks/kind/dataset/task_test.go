package dataset_test

import (
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/dataset"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const spec = `{"name":"tank/data","mountpoint":"/srv/data","properties":{"recordsize":"1M","quota":"500G","compression":"zstd","atime":"off","xattr":"sa","phoenix:owner":"lab"}}`

// machine has a pool with compression of its own.
func machine(t *testing.T) *sim.Machine {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	do(t, m.Host(), "zpool create -O compression=lz4 tank /dev/disk/by-id/ata-Samsung_SSD_870_EVO_1TB_S5Y1NX0R000001")
	return m
}

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

func TestDataset_conforms(t *testing.T) {
	taskstest.Suite{
		Kind: dataset.Kind(), Spec: spec,
		New: func(t *testing.T) taskstest.Machine {
			m := machine(t)
			return taskstest.Machine{Host: m.Host(), Digest: m.Digest}
		},
		Drifts: []taskstest.Drift{
			{Name: "another record size", Make: byHand("zfs set recordsize=128K tank/data"), Paths: []string{"properties.recordsize"}},
			{Name: "a larger quota", Make: byHand("zfs set quota=1T tank/data"), Paths: []string{"properties.quota"}},
			{Name: "no quota", Make: byHand("zfs set quota=none tank/data"), Paths: []string{"properties.quota"}},
			{Name: "the compression of the pool", Make: byHand("zfs inherit compression tank/data"), Paths: []string{"properties.compression"}},
			{Name: "access times", Make: byHand("zfs set atime=on tank/data"), Paths: []string{"properties.atime"}},
			{Name: "attributes in directories", Make: byHand("zfs set xattr=dir tank/data"), Paths: []string{"properties.xattr"}},
			{Name: "another owner", Make: byHand("zfs set phoenix:owner=me tank/data"), Paths: []string{"properties.phoenix:owner"}},
			{Name: "another mount point", Make: byHand("zfs set mountpoint=/mnt/elsewhere tank/data"), Paths: []string{"mountpoint"}},
			{Name: "it was unmounted", Make: byHand("zfs unmount tank/data"), Paths: []string{"mounted"}},
			{Name: "two things at once", Make: byHand("zfs set atime=on tank/data", "zfs unmount tank/data"), Paths: []string{"mounted", "properties.atime"}},
		},
		Faults: []taskstest.Fault{{Name: "zfs is killed while it makes the dataset", Op: "zfs create", Output: tasks.Output{Code: 137}}},
	}.Run(t)
}

func TestDataset_isMadeAndSetInOneCommandEach(t *testing.T) {
	m := machine(t)
	rec := taskstest.NewRecorder(m.Host())
	taskstest.Run(t, dataset.Kind(), spec, rec)
	want := "zfs create -o mountpoint=/srv/data -o atime=off -o compression=zstd -o phoenix:owner=lab -o quota=536870912000 -o recordsize=1048576 -o xattr=sa tank/data"
	if got := rec.Changes(); len(got) != 1 || got[0].String() != want {
		t.Errorf("did %v, want %q", got, want)
	}
	do(t, m.Host(), "zfs set atime=on tank/data", "zfs set quota=1T tank/data")
	rec = taskstest.NewRecorder(m.Host())
	taskstest.Run(t, dataset.Kind(), spec, rec)
	if got := rec.Changes(); len(got) != 1 || got[0].String() != "zfs set atime=off quota=536870912000 tank/data" {
		t.Errorf("did %v", got)
	}
}

func TestDataset_states(t *testing.T) {
	for _, tc := range []struct {
		name string
		make []string
		spec string
		want string // PATH FROM > TO, for each change
	}{
		{"a size with another unit is the same size", []string{"zfs create -o quota=524288000K tank/data"}, `{"name":"tank/data","properties":{"quota":"500G"}}`, ""},
		{"an alias is the same value", []string{"zfs create -o acltype=posixacl tank/data"}, `{"name":"tank/data","properties":{"acltype":"posix"}}`, ""},
		{"the alias that is wanted, too", []string{"zfs create -o acltype=posix tank/data"}, `{"name":"tank/data","properties":{"acltype":"posixacl"}}`, ""},
		{"on is not lz4", []string{"zfs create -o compression=on tank/data"}, `{"name":"tank/data","properties":{"compression":"lz4"}}`, "properties.compression on > lz4"},
		{"the right value that is only inherited", []string{"zfs create tank/data"}, `{"name":"tank/data","properties":{"compression":"lz4"}}`, "properties.compression lz4 (inherited from tank) > lz4"},
		{"a default", []string{"zfs create tank/data"}, `{"name":"tank/data","properties":{"atime":"on","quota":"none","snapshot_limit":"none"}}`, ""},
		{"a mount point that is inherited", []string{"zfs set mountpoint=/srv/t tank", "zfs create tank/data"}, `{"name":"tank/data","mountpoint":"/srv/t/data"}`, ""},
		{"it is not to be mounted by itself", []string{"zfs create -o canmount=noauto -o mountpoint=/srv/x tank/data"}, `{"name":"tank/data","mountpoint":"/srv/x","properties":{"canmount":"noauto"}}`, ""},
		{"no mount point", []string{"zfs create tank/data"}, `{"name":"tank/data","mountpoint":"none"}`, "mountpoint /tank/data > none"},
		{"nothing is managed", []string{"zfs create tank/data"}, `{"name":"tank/data"}`, ""},
		{"nothing is there", nil, `{"name":"tank/data","mountpoint":"/srv/x"}`, "exists  > file system"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := machine(t).Host()
			do(t, h, tc.make...)
			res := taskstest.Check(t, dataset.Kind(), tc.spec, h)
			var got []string
			for _, c := range res.Changes {
				got = append(got, c.Path+" "+c.From+" > "+c.To)
			}
			if strings.Join(got, "\n") != tc.want || res.Status == tasks.StatusFailed {
				t.Errorf("%s %s: %q, want %q", res.Status, res.Why, got, tc.want)
			}
			if res.Status == tasks.StatusWouldChange {
				if res := taskstest.Run(t, dataset.Kind(), tc.spec, h); res.Status != tasks.StatusChanged {
					t.Errorf("run: %+v", res)
				}
			}
		})
	}
}

func TestDataset_whatWouldLoseSomethingIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(*testing.T, tasks.Host)
		spec string
		path string
		why  string
	}{
		{"a property that is fixed", byHand("zfs create tank/data"), `{"name":"tank/data","properties":{"casesensitivity":"insensitive","atime":"off"}}`, "properties.casesensitivity", "it is fixed when a dataset is made"},
		{"a quota below what is used", byHand("zfs create tank/data"), `{"name":"tank/data","properties":{"quota":"4K","atime":"off"}}`, "properties.quota", "98304 bytes are in use"},
		{"a quota below what it refers to", byHand("zfs create tank/data"), `{"name":"tank/data","properties":{"refquota":"4K","atime":"off"}}`, "properties.refquota", "98304 bytes are in use"},
		{"a new mount point with files", fill("/srv/data", "zfs create tank/data"), `{"name":"tank/data","mountpoint":"/srv/data","properties":{"atime":"off"}}`, "mountpoint", "holds 1 entries (file, …)"},
		{"unmounted, and files in its place", fill("/srv/data", "zfs create -o canmount=noauto -o mountpoint=/srv/data tank/data"), `{"name":"tank/data","mountpoint":"/srv/data","properties":{"canmount":"on","atime":"off"}}`, "mounted", "move them away first"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := machine(t).Host()
			tc.make(t, h)
			res := taskstest.Run(t, dataset.Kind(), tc.spec, h)
			if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%s %s %q, want a refusal with %q", res.Status, res.Cause, res.Why, tc.why)
			}
			if !res.Changes.Has("properties.atime") {
				t.Errorf("the rest was not made: %+v", res)
			}
			if len(res.Remaining) != 1 || res.Remaining[0].Path != tc.path || !res.Remaining[0].Held() {
				t.Errorf("remaining %+v, want %s, held", res.Remaining, tc.path)
			}
		})
	}
}

// fill puts a file into a directory after the commands.
func fill(dir string, lines ...string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		do(t, h, lines...)
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: dir}); err != nil {
			t.Fatal(err)
		}
		taskstest.Put(t, h, dir+"/file", "x")
	}
}

func TestDataset_aNewOneIsNotMadeWhereItWouldHideFilesOrNeedsAKey(t *testing.T) {
	for _, tc := range []struct{ name, spec, why string }{
		{"files at the mount point", `{"name":"tank/data","mountpoint":"/srv/full"}`, "holds 1 entries"},
		{"encryption", `{"name":"tank/data","properties":{"encryption":"aes-256-gcm"}}`, "its key is yours"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := machine(t).Host()
			fill("/srv/full")(t, h)
			rec := taskstest.NewRecorder(h)
			res := taskstest.Run(t, dataset.Kind(), tc.spec, rec)
			if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, tc.why) || len(rec.Changes()) > 0 || !res.Remaining[0].Held() {
				t.Errorf("%+v, did %v", res, rec.Changes())
			}
		})
	}
}

func TestDataset_failures(t *testing.T) {
	for _, tc := range []struct {
		name, spec string
		fault      sim.Fault
		why        string
	}{
		{"the dataset above is missing", `{"name":"tank/a/b"}`, sim.Fault{}, "parent does not exist"},
		{"the pool is missing", `{"name":"other/a"}`, sim.Fault{}, "no such pool"},
		{"no zfs", spec, sim.Fault{Kind: sim.FaultMissing, Program: "zfs"}, "zfsutils-linux"},
		{"a property that this version lacks", `{"name":"tank/a","properties":{"direct":"always"}}`, sim.Fault{}, "invalid property 'direct'"},
		{"zfs says nothing", spec, sim.Fault{Kind: sim.FaultExit, Program: "zfs", Verb: "get"}, "zfs printed none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t)
			if tc.fault.Kind != "" {
				if err := m.Fault(tc.fault); err != nil {
					t.Fatal(err)
				}
			}
			res := taskstest.Run(t, dataset.Kind(), tc.spec, m.Host())
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%s %q, want a failure with %q", res.Status, res.Why, tc.why)
			}
		})
	}
}

func TestValidate_namesEveryFault(t *testing.T) {
	with := func(k, v string) dataset.Spec {
		return dataset.Spec{Name: "tank/a", Properties: map[string]string{k: v}}
	}
	for _, tc := range []struct {
		name string
		spec dataset.Spec
		path string
	}{
		{"no name", dataset.Spec{}, "name"},
		{"a pool", dataset.Spec{Name: "tank"}, "name"},
		{"a snapshot", dataset.Spec{Name: "tank/a@b"}, "name"},
		{"an option", dataset.Spec{Name: "-r/a"}, "name"},
		{"an empty part", dataset.Spec{Name: "tank//a"}, "name"},
		{"a line break", dataset.Spec{Name: "tank/a\nb"}, "name"},
		{"a relative mount point", dataset.Spec{Name: "tank/a", Mountpoint: "srv"}, "mountpoint"},
		{"the root as mount point", dataset.Spec{Name: "tank/a", Mountpoint: "/"}, "mountpoint"},
		{"a line break in the mount point", dataset.Spec{Name: "tank/a", Mountpoint: "/srv\n/x"}, "mountpoint"},
		{"the mount point as a property", with("mountpoint", "/srv"), "properties.mountpoint"},
		{"a property of volumes", with("volblocksize", "16K"), "properties.volblocksize"},
		{"a property that cannot be set", with("used", "1"), "properties.used"},
		{"a size that is none", with("quota", "500X"), "properties.quota"},
		{"a record size of nothing", with("recordsize", "none"), "properties.recordsize"},
		{"a switch that is none", with("atime", "no"), "properties.atime"},
		{"a vague word", with("xattr", "on"), "properties.xattr"},
		{"a key", with("keyformat", "passphrase"), "properties.keyformat"},
		{"a line break in text", with("sharenfs", "rw\nx"), "properties.sharenfs"},
		{"a property of one's own with an option's name", with("-o:x", "1"), "properties.-o:x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
	if p := (&dataset.Spec{Name: "rpool/ROOT/pve-1", Mountpoint: "none", Properties: map[string]string{"a:b": "", "dedup": "sha256,verify", "compression": "zstd-fast-20"}}).Validate(); len(p) > 0 {
		t.Errorf("problems %v, want none", p)
	}
}
