package storage_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/pve"
	"phoenix/tasks/secret"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// simulated is a host with a ZFS pool and a btrfs.
func simulated(t *testing.T) *sim.Machine {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	do(t, m.Host(), "zpool create tank /dev/disk/by-id/ata-Samsung_SSD_870_EVO_1TB_S5Y1NX0R000001", "zfs create tank/data")
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

func put(path, content string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, path, content) }
}

func TestStorage_everyTypeConforms(t *testing.T) {
	for _, tc := range []struct {
		name, spec string
		secrets    map[string]string
		drifts     []taskstest.Drift
	}{
		{"zfspool", `{"id":"fast","type":"zfspool","pool":"tank/data","sparse":true,"blocksize":"16K","mountpoint":"/tank/data","content":["rootdir"],"nodes":["pve"]}`, nil, []taskstest.Drift{
			{Name: "thick volumes", Make: byHand("pvesm set fast --sparse 0"), Paths: []string{"sparse"}},
			{Name: "another block size", Make: byHand("pvesm set fast --blocksize 64k"), Paths: []string{"blocksize"}},
			{Name: "another mount point", Make: byHand("pvesm set fast --mountpoint /mnt"), Paths: []string{"mountpoint"}},
			{Name: "more content, and off", Make: byHand("pvesm set fast --content images,rootdir --disable 1"), Paths: []string{"content"}},
		}},
		{"lvmthin", `{"id":"thin","type":"lvmthin","vgname":"pve","thinpool":"data","content":["images","rootdir"],"disabled":false}`, nil, []taskstest.Drift{
			{Name: "it was switched off", Make: byHand("pvesm set thin --disable 1"), Paths: []string{"disabled"}},
			{Name: "less content", Make: byHand("pvesm set thin --content images"), Paths: []string{"content"}},
		}},
		{"btrfs", `{"id":"bt","type":"btrfs","path":"/mnt/bt","content":["images"],"is_mountpoint":false,"shared":false,"prune_backups":"keep-last=1"}`, nil, []taskstest.Drift{
			{Name: "another retention", Make: byHand("pvesm set bt --prune-backups keep-all=1"), Paths: []string{"prune_backups"}},
			{Name: "it is shared", Make: byHand("pvesm set bt --shared 1"), Paths: []string{"shared"}},
		}},
		{"nfs", `{"id":"nas","type":"nfs","server":"10.0.0.5","export":"/export/pve","options":"vers=4.2,soft","content":["backup","iso"],"prune_backups":"keep-last=3"}`, nil, []taskstest.Drift{
			{Name: "other options", Make: byHand("pvesm set nas --options vers=3"), Paths: []string{"options"}},
			{Name: "another retention", Make: byHand("pvesm set nas --prune-backups keep-last=1"), Paths: []string{"prune_backups"}},
		}},
		{"cifs", `{"id":"win","type":"cifs","server":"nas.lan","share":"Backups","username":"pve","domain":"LAB","smbversion":"3.11","options":"noserverino","content":["backup"],"password":{"secret":"smb"}}`, map[string]string{"smb": "correct horse!"}, []taskstest.Drift{
			{Name: "another user", Make: byHand("pvesm set win --username eve"), Paths: []string{"username"}},
			{Name: "another domain", Make: byHand("pvesm set win --domain HOME"), Paths: []string{"domain"}},
			{Name: "another protocol", Make: byHand("pvesm set win --smbversion default"), Paths: []string{"smbversion"}},
			{Name: "other options", Make: byHand("pvesm set win --options soft"), Paths: []string{"options"}},
			{Name: "another password", Make: put("/etc/pve/priv/storage/win.pw", "password=guess\n"), Paths: []string{"password"}},
			{Name: "no password", Make: byHand("pvesm set win --delete password"), Paths: []string{"password"}},
			{Name: "another password and user", Make: byHand("pvesm set win --username eve --delete password"), Paths: []string{"username", "password"}},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			taskstest.Suite{
				Kind: storage.Kind(), Spec: tc.spec, Secrets: tc.secrets, Drifts: tc.drifts,
				New: func(t *testing.T) taskstest.Machine {
					m := simulated(t)
					return taskstest.Machine{Host: m.Host(), Digest: m.Digest}
				},
			}.Run(t)
		})
	}
}

func TestStorage_isAddedWithEverythingInOneCall(t *testing.T) {
	for _, tc := range []struct{ spec, want string }{
		{`{"id":"fast","type":"zfspool","pool":"tank/data","sparse":true,"content":["rootdir","images"]}`, "pvesm add zfspool fast --pool tank/data --content images,rootdir --sparse 1"},
		{`{"id":"thin","type":"lvmthin","vgname":"pve","thinpool":"data"}`, "pvesm add lvmthin thin --vgname pve --thinpool data"},
		{`{"id":"nas","type":"nfs","server":"fd00::5","export":"/","path":"/mnt/nas","options":"vers=4.2"}`, "pvesm add nfs nas --path /mnt/nas --server fd00::5 --export / --options vers=4.2"},
		{`{"id":"win","type":"cifs","server":"nas","share":"My Files","username":"pve","password":{"secret":"smb"}}`, "pvesm add cifs win --server nas --share My Files --username pve --password"},
	} {
		rec := taskstest.NewRecorder(simulated(t).Host())
		suite := taskstest.Suite{Kind: storage.Kind(), Spec: tc.spec, Secrets: map[string]string{"smb": "geheim"}}
		res := suite.Apply(t, rec)
		if got := rec.Commands(); res.Status != tasks.StatusChanged || len(got) != 1 || got[0] != tc.want {
			t.Errorf("%s %q: ran %q, want %q", res.Status, res.Why, got, tc.want)
		}
	}
}

func TestStorage_aPasswordEndsInItsFileOnly(t *testing.T) {
	m := simulated(t)
	suite := taskstest.Suite{Kind: storage.Kind(), Secrets: map[string]string{"smb": `p w"'$x=`}, Spec: `{"id":"win","type":"cifs","server":"nas","share":"s","username":"pve","password":{"secret":"smb"}}`}
	if res := suite.Apply(t, m.Host()); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	file := filepath.Join(m.Root, "etc/pve/priv/storage/win.pw")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || taskstest.Get(t, m.Host(), "/etc/pve/priv/storage/win.pw") != "password=p w\"'$x=\n" {
		t.Errorf("%v, %v", info, err)
	}
	if cfg := taskstest.Get(t, m.Host(), pve.StorageCfgPath); strings.Contains(cfg, "p w") {
		t.Errorf("storage.cfg has it:\n%s", cfg)
	}
}

func TestStorage_aPasswordOfTwoLinesIsNotGivenToProxmox(t *testing.T) {
	rec := taskstest.NewRecorder(simulated(t).Host())
	suite := taskstest.Suite{Kind: storage.Kind(), Secrets: map[string]string{"smb": "geheim\nusername=root"}, Spec: `{"id":"win","type":"cifs","server":"nas","share":"s","username":"pve","password":{"secret":"smb"}}`}
	res := suite.Apply(t, rec)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "line break") || strings.Contains(res.Why, "geheim") || len(rec.Commands()) > 0 {
		t.Errorf("%+v, ran %v", res, rec.Commands())
	}
}

func TestStorage_whatOneIsMadeOfIsNeverChanged(t *testing.T) {
	for _, tc := range []struct{ name, cfg, spec, path, why string }{
		{"another pool", "zfspool: aa\n\tpool rpool/data\n", `{"id":"aa","type":"zfspool","pool":"tank/data","sparse":true}`, "pool", "changing the pool of storage aa from rpool/data to tank/data is refused"},
		{"another volume group", "lvmthin: aa\n\tvgname pve\n\tthinpool data\n", `{"id":"aa","type":"lvmthin","vgname":"vg1","thinpool":"data"}`, "vgname", "from pve to vg1"},
		{"another thin pool", "lvmthin: aa\n\tvgname pve\n\tthinpool data\n", `{"id":"aa","type":"lvmthin","vgname":"pve","thinpool":"thin"}`, "thinpool", "from data to thin"},
		{"another path of btrfs", "btrfs: aa\n\tpath /mnt/a\n", `{"id":"aa","type":"btrfs","path":"/mnt/b"}`, "path", "moving storage aa"},
		{"another server", "nfs: aa\n\tserver a\n\texport /x\n\tpath /mnt/pve/aa\n", `{"id":"aa","type":"nfs","server":"b","export":"/x"}`, "server", "from a to b"},
		{"another export", "nfs: aa\n\tserver a\n\texport /x\n\tpath /mnt/pve/aa\n", `{"id":"aa","type":"nfs","server":"a","export":"/y"}`, "export", "`pvesm remove aa` forgets the storage"},
		{"another mount of nfs", "nfs: aa\n\tserver a\n\texport /x\n", `{"id":"aa","type":"nfs","server":"a","export":"/x","path":"/mnt/x"}`, "path", "from /mnt/pve/aa to /mnt/x"},
		{"another share", "cifs: aa\n\tserver a\n\tshare x\n\tpath /mnt/pve/aa\n", `{"id":"aa","type":"cifs","server":"a","share":"y"}`, "share", "from x to y"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := simulated(t)
			taskstest.Put(t, m.Host(), pve.StorageCfgPath, tc.cfg)
			res := taskstest.Run(t, storage.Kind(), tc.spec, m.Host())
			if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%s %q, want a refusal with %q", res.Status, res.Why, tc.why)
			}
			if len(res.Remaining) != 1 || res.Remaining[0].Path != tc.path || res.Remaining[0].Effect != tasks.EffectReplace || !res.Remaining[0].Held() {
				t.Errorf("remaining %+v", res.Remaining)
			}
		})
	}
}

func TestStorage_equalValuesMayLookDifferent(t *testing.T) {
	for _, tc := range []struct{ name, cfg, spec string }{
		{"a block size in capitals", "zfspool: aa\n\tpool tank\n\tblocksize 16k\n", `{"id":"aa","type":"zfspool","pool":"tank","blocksize":"16K"}`},
		{"options in another order", "nfs: aa\n\tserver a\n\texport /x\n\toptions soft,vers=4.2\n", `{"id":"aa","type":"nfs","server":"a","export":"/x","options":"vers=4.2,soft"}`},
		{"the usual protocol", "cifs: aa\n\tserver a\n\tshare x\n", `{"id":"aa","type":"cifs","server":"a","share":"x","smbversion":"default"}`},
		{"the usual mount and content", "nfs: aa\n\tserver a\n\texport /x\n", `{"id":"aa","type":"nfs","server":"a","export":"/x","path":"/mnt/pve/aa","content":["images"]}`},
		{"a bare switch", "zfspool: aa\n\tpool tank\n\tsparse\n", `{"id":"aa","type":"zfspool","pool":"tank","sparse":true,"content":["images","rootdir"]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := simulated(t)
			taskstest.Put(t, m.Host(), pve.StorageCfgPath, tc.cfg)
			if res := taskstest.Check(t, storage.Kind(), tc.spec, m.Host()); res.Status != tasks.StatusOK {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestStorage_whatIsNotThereIsNotAdded(t *testing.T) {
	for _, tc := range []struct{ name, spec, why string }{
		{"no such pool", `{"id":"aa","type":"zfspool","pool":"nope/data"}`, "no such pool available"},
		{"no such thin pool", `{"id":"aa","type":"lvmthin","vgname":"vg","thinpool":"thin"}`, "no such logical volume vg/thin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := taskstest.Run(t, storage.Kind(), tc.spec, simulated(t).Host())
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestValidate_knowsWhatEachTypeNeedsAndHas(t *testing.T) {
	yes := true
	for _, tc := range []struct {
		name string
		spec storage.Spec
		path string
	}{
		{"a dir without a path", storage.Spec{Type: "dir"}, "path"},
		{"a zfspool without a pool", storage.Spec{Type: "zfspool"}, "pool"},
		{"a zfspool with a path", storage.Spec{Type: "zfspool", Pool: "tank", Path: "/tank"}, "path"},
		{"a zfspool for backups", storage.Spec{Type: "zfspool", Pool: "tank", Content: []string{"backup"}}, "content.0"},
		{"a zfspool with a retention", storage.Spec{Type: "zfspool", Pool: "tank", PruneBackups: "keep-last=1"}, "prune_backups"},
		{"a pool that is an option", storage.Spec{Type: "zfspool", Pool: "-tank"}, "pool"},
		{"a block size that is none", storage.Spec{Type: "zfspool", Pool: "tank", Blocksize: "big"}, "blocksize"},
		{"a relative mount point", storage.Spec{Type: "zfspool", Pool: "tank", Mountpoint: "tank"}, "mountpoint"},
		{"a thin pool without a volume group", storage.Spec{Type: "lvmthin", ThinPool: "data"}, "vgname"},
		{"a shared thin pool", storage.Spec{Type: "lvmthin", VGName: "pve", ThinPool: "data", Shared: &yes}, "shared"},
		{"a sparse directory", storage.Spec{Type: "dir", Path: "/srv", Sparse: &yes}, "sparse"},
		{"an NFS without an export", storage.Spec{Type: "nfs", Server: "a"}, "export"},
		{"a server with a path", storage.Spec{Type: "nfs", Server: "a:/x", Export: "/x"}, "server"},
		{"an NFS with a user", storage.Spec{Type: "nfs", Server: "a", Export: "/x", Username: "u"}, "username"},
		{"an NFS for nothing", storage.Spec{Type: "nfs", Server: "a", Export: "/x", Content: []string{"none"}}, "content.0"},
		{"options with a blank", storage.Spec{Type: "nfs", Server: "a", Export: "/x", Options: "vers=4 soft"}, "options"},
		{"a share with the server", storage.Spec{Type: "cifs", Server: "a", Share: "//a/b"}, "share"},
		{"a password without a user", storage.Spec{Type: "cifs", Server: "a", Share: "b", Password: &secret.Ref{Name: "x"}}, "password"},
		{"an unknown protocol", storage.Spec{Type: "cifs", Server: "a", Share: "b", SMBVersion: "1.0"}, "smbversion"},
		{"a line break in a domain", storage.Spec{Type: "cifs", Server: "a", Share: "b", Domain: "a\n\tdisable"}, "domain"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.spec.ID = "aa"
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}
