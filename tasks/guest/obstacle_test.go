package guest

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/pve"
	"phoenix/tasks/taskstest"
)

// newNode is a node with one storage of files, and with what the given files add.
func newNode(t *testing.T, files map[string]string) *taskstest.Tree {
	t.Helper()
	all := map[string]string{
		"/etc/pve/local": "-> nodes/pve", "/etc/pve/nodes/pve/": "",
		"/etc/pve/storage.cfg":                     "dir: d1\n\tpath /srv/d1\n\tcontent rootdir,snippets\n\n",
		"/srv/d1/images/900/vm-900-disk-0.raw":     "",
		"/srv/d1/images/901/vm-901-disk-0.raw":     "",
		"/srv/d1/images/900/subvol-900-disk-1.sub": "",
	}
	for name, text := range files {
		all[name] = text
	}
	return taskstest.NewTree(t, all)
}

func TestStartable_isTheFirstObstacle(t *testing.T) {
	h := newNode(t, nil)
	raw := []pve.RawOption{{Key: "lxc.mount.entry", Value: "/srv/none none none bind 0 0"}}
	options := map[string]string{"rootfs": "d1:900/vm-900-disk-0.raw,size=1G", "mp0": "/none,mp=/a", "mp1": "gone:x,mp=/b"}
	list, err := Obstacles(h, options, raw)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range list {
		got = append(got, o.Option)
		if o.Unknown || o.Mend == "" || !strings.HasPrefix(o.Err.Error(), "look at "+o.Option+": ") {
			t.Errorf("%+v", o)
		}
	}
	if want := []string{"mp0", "mp1", "lxc.mount.entry"}; !slices.Equal(got, want) {
		t.Errorf("obstacles at %q, want %q", got, want)
	}
	if err := Startable(h, options, raw); err == nil || err.Error() != "look at mp0: directory /none is not there on the host: make the directory, or mount what has it" {
		t.Errorf("startable: %v", err)
	}
	if err := Startable(h, map[string]string{"rootfs": "d1:900/vm-900-disk-0.raw"}, nil); err != nil {
		t.Errorf("startable: %v", err)
	}
}

func TestStartable_saysTheWayOut(t *testing.T) {
	h := newNode(t, map[string]string{"/etc/subuid": "root:100000:65536\n", "/etc/subgid": "root:100000:65536\nroot:1000:1\n"})
	raw := []pve.RawOption{{Key: "lxc.idmap", Value: "u 0 1000 1"}, {Key: "lxc.idmap", Value: "g 0 1000 1"}}
	err := Startable(h, map[string]string{"rootfs": "d1:900/vm-900-disk-0.raw"}, raw)
	const want = "look at lxc.idmap: /etc/subuid does not give root the 1 numbers from 1000: add root:1000:1 to /etc/subuid"
	if err == nil || err.Error() != want {
		t.Errorf("startable: %v, want %s", err, want)
	}
}

func TestVolumeFile_isWhereAVolumeLies(t *testing.T) {
	cfg, err := pve.ParseStorageCfg([]byte("dir: d1\n\tpath /srv/d1\n\tcontent-dirs images=disks\n\nbtrfs: b1\n\tpath /srv/b1\n\nlvm: l1\n\tvgname l1\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	for volume, want := range map[string]string{
		"d1:900/vm-900-disk-0.raw":                           "/srv/d1/disks/900/vm-900-disk-0.raw",
		"d1:100/base-100-disk-0.raw/901/subvol-901-disk-0.s": "/srv/d1/disks/901/subvol-901-disk-0.s",
		"b1:900/vm-900-disk-0.raw":                           "/srv/b1/images/900",
		"l1:vm-900-disk-0":                                   "",
		"d1:4":                                               "",
	} {
		v, _ := pve.ParseVolumeID(volume)
		st, _ := cfg.Find(v.Storage)
		if got := VolumeFile(st, v); got != want {
			t.Errorf("%s lies at %q, want %q", volume, got, want)
		}
	}
}

func FuzzSubIDs(f *testing.F) {
	f.Add("root:100000:65536\nann:1:2\n0:200000:10\n", 100000, 65536)
	f.Add("root:1:1\nroot:2:1", 1, 2)
	f.Fuzz(func(t *testing.T, text string, first, count int) {
		ranges := parseSubIDs(text)
		for i, r := range ranges {
			if r.first < 0 || r.count <= 0 || i > 0 && ranges[i-1].first > r.first {
				t.Errorf("%q gives %v", text, ranges)
			}
		}
		if first < 0 || count <= 0 || first+count < 0 || len(ranges) > 0 {
			return
		}
		if covered(idRange{first, count}, ranges) {
			t.Errorf("nothing gives %d numbers from %d", count, first)
		}
	})
}
