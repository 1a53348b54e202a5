package bootcheck_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/bootcheck"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// rig is a simulated host with containers that start at boot.
type rig struct {
	*testing.T
	m *sim.Machine
	h tasks.Host
}

// newRig has the containers 900 web and 901 db, which run, and 902, which does not start
// at boot.
func newRig(t *testing.T, layout sim.Layout, gpus int) *rig {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Layout: layout, Seed: 1, GPUs: gpus})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t, m, m.Host()}
	storage := map[sim.Layout]string{sim.LayoutLVM: "local-lvm", sim.LayoutZFS: "local-zfs"}[layout]
	for i, name := range []string{"web", "db", "lone"} {
		r.sh(fmt.Sprintf("pct create %d local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst --rootfs %s:4 --hostname %s --unprivileged 1 --net0 name=eth0,bridge=vmbr0,ip=10.99.99.%d/24 --onboot %d",
			900+i, storage, name, 50+i, map[bool]int{true: 1}[i < 2]))
	}
	return r
}

func (r *rig) sh(line string) {
	r.Helper()
	out, err := r.h.Run(r.Context(), tasks.Cmd{Argv: strings.Fields(line)})
	if err != nil || out.Code != 0 {
		r.Fatalf("%s: %v %d %s", line, err, out.Code, out.Stderr)
	}
}

func conf(id int) string { return fmt.Sprintf("/etc/pve/nodes/pve/lxc/%d.conf", id) }

// line adds lines to the head of the configuration of container 900.
func (r *rig) line(lines string) { r.lineOf(900, lines) }

func (r *rig) lineOf(id int, lines string) {
	r.Helper()
	r.put(conf(id), taskstest.Get(r.T, r.h, conf(id))+lines)
}

func (r *rig) put(name, text string) {
	r.Helper()
	r.dir(filepath.Dir(name))
	taskstest.Put(r.T, r.h, name, text)
}

func (r *rig) edit(name, old, fresh string) { r.Helper(); taskstest.Edited(name, old, fresh)(r.T, r.h) }

func (r *rig) gone(name string) {
	r.Helper()
	if err := os.RemoveAll(filepath.Join(r.m.Root, name)); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) dir(name string) {
	r.Helper()
	if err := os.MkdirAll(filepath.Join(r.m.Root, name), 0o755); err != nil {
		r.Fatal(err)
	}
}

// enable links a unit into a target.
func (r *rig) enable(unit, target, text string) {
	r.Helper()
	if text != "" {
		r.put("/etc/systemd/system/"+unit, text)
	}
	dir := filepath.Join(r.m.Root, "/etc/systemd/system", target+".wants")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.Symlink("/etc/systemd/system/"+unit, filepath.Join(dir, unit)); err != nil {
		r.Fatal(err)
	}
}

// mask makes a unit one that never starts.
func (r *rig) mask(unit string) {
	r.Helper()
	if err := os.Symlink("/dev/null", filepath.Join(r.m.Root, "/etc/systemd/system", unit)); err != nil {
		r.Fatal(err)
	}
}

// mounted says that something is mounted now.
func (r *rig) mounted(source, at, kind string) {
	r.Helper()
	r.dir(at)
	r.put("/proc/mounts", taskstest.Get(r.T, r.h, "/proc/mounts")+source+" "+at+" "+kind+" rw 0 0\n")
}

func (r *rig) storageCfg(text string) {
	r.Helper()
	r.put("/etc/pve/storage.cfg", taskstest.Get(r.T, r.h, "/etc/pve/storage.cfg")+"\n"+text)
}

// ask runs the check, which starts no program and changes nothing.
func (r *rig) ask(spec string) (bootcheck.Data, tasks.Result) {
	r.Helper()
	rec := taskstest.NewRecorder(r.h)
	res := taskstest.Check(r.T, bootcheck.Kind(), spec, rec)
	if len(rec.Commands()) > 0 || len(rec.Changes()) > 0 {
		r.Errorf("ran %q, did %v", rec.Commands(), rec.Changes())
	}
	var d bootcheck.Data
	if err := json.Unmarshal(res.Data, &d); err != nil {
		r.Fatalf("%v: %+v", err, res)
	}
	return d, res
}

// findings are "900.mp0 stops: what", one line each.
func findings(d bootcheck.Data) []string {
	var out []string
	for _, c := range d.Containers {
		for _, f := range c.Findings {
			out = append(out, fmt.Sprintf("%d.%s %s: %s", c.CTID, f.Option, f.Effect, f.What))
		}
	}
	return out
}

// fault is a host with something wrong, and what has to be found then: each the
// beginning of a finding, "" for none, and a part of how to mend it.
type fault struct {
	name string
	seed func(*rig)
	want string
	mend string
}

func try(t *testing.T, layout sim.Layout, gpus int, list []fault) {
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			r := newRig(t, layout, gpus)
			f.seed(r)
			d, res := r.ask(`{}`)
			got := findings(d)
			status := tasks.StatusWouldChange
			switch {
			case f.want == "":
				status = tasks.StatusOK
				if len(got) > 0 {
					t.Errorf("found %q, want nothing", got)
				}
			case len(got) != 1 || !strings.HasPrefix(got[0], f.want):
				t.Fatalf("found %q\nwant %q", got, f.want)
			case strings.Contains(f.want, " unknown: "):
				status = tasks.StatusUnknown
			}
			if res.Status != status {
				t.Errorf("status %s, want %s: %+v", res.Status, status, res)
			}
			if len(got) > 0 && !strings.Contains(mends(d), f.mend) {
				t.Errorf("mend %q, want %q", mends(d), f.mend)
			}
			for _, c := range res.Changes {
				if !c.Held() {
					t.Errorf("a run is taken to mend %+v", c)
				}
			}
		})
	}
}

func mends(d bootcheck.Data) string {
	var out []string
	for _, c := range d.Containers {
		for _, f := range c.Findings {
			out = append(out, f.Mend)
		}
	}
	return strings.Join(out, "; ")
}

func TestAHostThatIsWellStartsAll(t *testing.T) {
	for _, layout := range []sim.Layout{sim.LayoutLVM, sim.LayoutZFS} {
		r := newRig(t, layout, 0)
		d, res := r.ask(`{}`)
		if got := findings(d); len(got) > 0 || res.Status != tasks.StatusOK || len(d.Containers) != 2 || d.Containers[0].Starts != "yes" || d.Containers[1].Name != "db" {
			t.Errorf("%q: %+v %+v", layout, d, res)
		}
	}
}

func TestContainerFaults(t *testing.T) {
	try(t, sim.LayoutLVM, 0, []fault{
		{"a template", func(r *rig) { r.line("template: 1\n") }, "900.template stops: a template never starts", "pct set 900 --onboot 0"},
		{"a lock", func(r *rig) { r.line("lock: snapshot\n") }, "900.lock stops: it is locked (snapshot)", "pct unlock 900"},
		{"a lock of a backup is taken off by Proxmox", func(r *rig) { r.line("lock: backup\n") }, "", ""},
		{"a staged bridge that is not there", func(r *rig) { r.line("\n[pve:pending]\nnet0: name=eth0,bridge=vmbr9\n") }, "900.net0 stops: look for bridge vmbr9: the host has none", "make the bridge"},
		{"a staged onboot", func(r *rig) { r.line("\n[pve:pending]\nonboot: 0\nlock: x\nnet0: name=eth0,bridge=vmbr9\n") }, "", ""},
		{"what only a snapshot says", func(r *rig) { r.line("\n[before]\nmp0: /none,mp=/a\nonboot: 1\n") }, "", ""},
		{"a larger mtu than its bridge", func(r *rig) {
			r.put("/sys/class/net/vmbr0/mtu", "1500\n")
			r.line("net1: name=eth1,bridge=vmbr0,mtu=9000\n")
		}, "900.net1 stops: an MTU of 9000 is larger", "lower the mtu"},
		{"users that root may not give", func(r *rig) {
			r.line("lxc.idmap: u 0 100000 1000\nlxc.idmap: u 1000 1000 1\nlxc.idmap: g 0 100000 65536\n")
		},
			"900.lxc.idmap stops: /etc/subuid does not give root the 1 numbers from 1000", "add root:1000:1 to /etc/subuid"},
		{"groups that root may not give", func(r *rig) { r.line("lxc.idmap: g 0 200000 10\n") }, "900.lxc.idmap stops: /etc/subgid", "/etc/subgid"},
		{"a map over two ranges that meet", func(r *rig) {
			r.put("/etc/subuid", "ann:1:1\nroot:100000:65536\nroot:165536:10\n")
			r.line("lxc.idmap: u 0 100000 65546\n")
		}, "", ""},
		{"Proxmox's own map", func(r *rig) { r.put("/etc/subgid", "root:1:1\n"); r.edit(conf(901), "unprivileged: 1\n", "") },
			"900.unprivileged stops: /etc/subgid does not give root the 65536 numbers", "add root:100000:65536"},
		{"a profile that is not loaded", func(r *rig) {
			r.put("/sys/kernel/security/apparmor/profiles", "other (enforce)\n")
			r.line("lxc.apparmor.profile: mine\n")
		}, "900.lxc.apparmor.profile stops: the profile mine is not loaded", "apparmor_parser"},
		{"a profile that no boot loads", func(r *rig) {
			r.put("/sys/kernel/security/apparmor/profiles", "mine (enforce)\n")
			r.line("lxc.apparmor.profile: mine\n")
		}, "900.lxc.apparmor.profile stops: no file of /etc/apparmor.d", "a file there"},
		{"a profile in a file", func(r *rig) {
			r.put("/sys/kernel/security/apparmor/profiles", "mine (enforce)\n")
			r.put("/etc/apparmor.d/lxc/mine", "# profile other\nprofile mine flags=(attach_disconnected) {\n}\n")
			r.line("lxc.apparmor.profile: mine\n")
		}, "", ""},
		{"a profile of Proxmox's", func(r *rig) { r.line("lxc.apparmor.profile: unconfined\n") }, "", ""},
		{"no fuse", func(r *rig) { r.gone("/dev/fuse"); r.line("features: fuse=1,nesting=1\n") }, "900.features stops: fuse=1 needs /dev/fuse", "load the module fuse"},
		{"a blacklisted nfs", func(r *rig) {
			r.put("/etc/modprobe.d/no.conf", "blacklist nfs\n")
			r.line("features: mount=nfs;cifs\n")
		},
			"900.features disturbs: it may mount nfs", "/etc/modules-load.d"},
		{"nfs", func(r *rig) { r.line("features: mount=nfs;cifs\n") }, "", ""},
		{"a hookscript that is not there", func(r *rig) { r.line("hookscript: local:snippets/hook.sh\n") }, "900.hookscript stops: the host has no /var/lib/vz/snippets/hook.sh", "take the hookscript out"},
		{"a hookscript on a storage that is not there", func(r *rig) { r.line("hookscript: gone:snippets/hook.sh\n") }, "900.hookscript stops: there is no storage gone", "take the hookscript out"},
		{"a hookscript that cannot be started", func(r *rig) {
			r.put("/var/lib/vz/snippets/hook.sh", "#!/bin/sh\n")
			r.line("hookscript: local:snippets/hook.sh\n")
		}, "900.hookscript stops: /var/lib/vz/snippets/hook.sh is not executable", "chmod +x"},
		{"a hookscript", func(r *rig) {
			r.put("/var/lib/vz/snippets/hook.sh", "#!/bin/sh\n")
			if err := os.Chmod(filepath.Join(r.m.Root, "/var/lib/vz/snippets/hook.sh"), 0o755); err != nil {
				r.Fatal(err)
			}
			r.line("hookscript: local:snippets/hook.sh\n")
		}, "", ""},
		{"a raw mount of what is not there", func(r *rig) { r.line("lxc.mount.entry: /srv/none srv none bind 0 0\n") }, "900.lxc.mount.entry stops: the host has no /srv/none", "optional"},
		{"an optional raw mount", func(r *rig) { r.line("lxc.mount.entry: /srv/none srv none bind,optional,create=dir 0 0\n") }, "", ""},
	})
}

func TestHostFaults(t *testing.T) {
	const link = "/etc/systemd/system/multi-user.target.wants/pve-guests.service"
	for name, seed := range map[string]func(*rig){
		"is not enabled": func(r *rig) { r.gone(link) },
		"is masked":      func(r *rig) { r.mask("pve-guests.service") },
	} {
		r := newRig(t, sim.LayoutLVM, 0)
		r.put("/etc/pve/ha/resources.cfg", "ct: 901\n\n")
		seed(r)
		d, res := r.ask(`{}`)
		if got := findings(d); len(got) != 1 || !strings.HasPrefix(got[0], "900.host stops: pve-guests.service "+name) || res.Status != tasks.StatusWouldChange {
			t.Errorf("%s: %q %+v", name, got, res)
		}
	}
}

func TestBridgeFaults(t *testing.T) {
	const file = "/etc/network/interfaces"
	try(t, sim.LayoutLVM, 0, []fault{
		{"a bridge that was made by hand", func(r *rig) { r.dir("/sys/class/net/vmbr7"); r.line("net1: name=eth1,bridge=vmbr7\n") },
			"900.net1 stops: bridge vmbr7 exists now, and is not in /etc/network/interfaces", "the host's network"},
		{"a bridge that no boot brings up", func(r *rig) { r.edit(file, "auto vmbr1\n", ""); r.line("net1: name=eth1,bridge=vmbr1\n") },
			`900.net1 stops: bridge vmbr1 has no line "auto vmbr1"`, `add "auto vmbr1"`},
		{"a bridge that another interface brings up", func(r *rig) {
			r.edit(file, "auto vmbr1\n", "auto vmbr1.5\niface vmbr1.5 inet manual\n\n")
			r.line("net1: name=eth1,bridge=vmbr1\n")
		}, "", ""},
		{"a bridge that is written and not yet applied to be gone", func(r *rig) {
			text := taskstest.Get(r.T, r.h, file)
			r.put(file+".new", text[:strings.Index(text, "auto vmbr1")])
			r.line("net1: name=eth1,bridge=vmbr1\n")
		}, "900.net1 stops: bridge vmbr1 exists now, and is not in /etc/network/interfaces.new", "the host's network"},
		{"a virtual network", func(r *rig) {
			r.put("/etc/pve/sdn/vnets.cfg", "vnet: lan\n\tzone z\n")
			r.dir("/sys/class/net/lan")
			r.line("net1: name=eth1,bridge=lan\n")
		}, "", ""},
		{"an address that two have", func(r *rig) { r.edit(conf(901), "ip=10.99.99.51/24", "ip=10.99.99.50/24") },
			"901.net0 disturbs: container 900 has the address 10.99.99.50 on vmbr0, too", "another address"},
		{"an address that two have on two networks", func(r *rig) { r.edit(conf(901), "ip=10.99.99.51/24", "ip=10.99.99.50/24,tag=7") }, "", ""},
		{"an address of one that does not start", func(r *rig) { r.edit(conf(901), "ip=10.99.99.51/24", "ip=10.99.99.52/24") }, "", ""},
		{"an address of the host", func(r *rig) { r.edit(conf(901), "ip=10.99.99.51/24", "ip=10.99.99.2/24") },
			"901.net0 disturbs: the host has the address 10.99.99.2 on vmbr0, too", "another address"},
		{"an address of IPv6 in another form", func(r *rig) {
			r.edit(conf(900), "ip=10.99.99.50/24", "ip6=fd00::1/64")
			r.edit(conf(901), "ip=10.99.99.51/24", "ip6=fd00:0:0::1/64")
		}, "901.net0 disturbs: container 900 has the address fd00::1", "another address"},
		{"a MAC address that two have", func(r *rig) {
			for _, id := range []int{900, 901} {
				r.lineOf(id, "net1: name=eth1,bridge=vmbr1,hwaddr=bc:24:11:00:00:01,ip=dhcp\n")
			}
		}, "901.net1 disturbs: container 900 has the address BC:24:11:00:00:01", "another address"},
	})
	r := newRig(t, sim.LayoutLVM, 0)
	r.gone(file)
	if d, res := r.ask(`{}`); len(findings(d)) != 2 || res.Status != tasks.StatusUnknown || d.Containers[0].Starts != "unknown" {
		t.Errorf("without interfaces: %+v %+v", d, res)
	}
}

func TestStorageFaults(t *testing.T) {
	const cfg = "/etc/pve/storage.cfg"
	rootfs := func(r *rig, value string) {
		r.gone(conf(901))
		head := taskstest.Get(r.T, r.h, conf(900))
		at := strings.Index(head, "rootfs:")
		end := at + strings.Index(head[at:], "\n")
		r.put(conf(900), head[:at]+"rootfs: "+value+head[end:])
	}
	disk := func(r *rig, dir string) { r.put(dir+"/images/900/vm-900-disk-0.raw", "") }
	try(t, sim.LayoutLVM, 0, []fault{
		{"a storage that is not there", func(r *rig) { rootfs(r, "gone:vm-900-disk-0,size=4G") }, "900.rootfs stops: there is no storage gone", "add the storage"},
		{"a disabled storage", func(r *rig) { r.gone(conf(901)); r.edit(cfg, "thinpool data", "disable\n\tthinpool data") }, "900.rootfs stops: storage local-lvm is disabled", "--disable 0"},
		{"a storage of other nodes", func(r *rig) { r.gone(conf(901)); r.edit(cfg, "thinpool data", "nodes a,b\n\tthinpool data") }, "900.rootfs stops: storage local-lvm is for a, b, not for this node, pve", "add this node"},
		{"a storage of this node, too", func(r *rig) { r.edit(cfg, "thinpool data", "nodes a,pve\n\tthinpool data") }, "", ""},
		{"a storage that may not have containers", func(r *rig) { r.gone(conf(901)); r.edit(cfg, "content rootdir,images", "content images") },
			"900.rootfs stops: storage local-lvm may not have containers", "add rootdir"},
		{"a volume whose file is gone", func(r *rig) {
			r.storageCfg("dir: d1\n\tpath /srv/d1\n\n")
			r.line("mp0: d1:900/vm-900-disk-1.raw,mp=/a\n")
		},
			"900.mp0 stops: volume d1:900/vm-900-disk-1.raw is not there: no /srv/d1/images/900/vm-900-disk-1.raw", "backup"},
		{"a volume in a file", func(r *rig) {
			r.storageCfg("dir: d1\n\tpath /srv/d1\n\n")
			disk(r, "/srv/d1")
			rootfs(r, "d1:900/vm-900-disk-0.raw,size=4G")
		}, "", ""},
		{"a volume that the next start makes", func(r *rig) { r.line("\n[pve:pending]\nmp0: local-lvm:1,mp=/a\n") }, "", ""},
		{"a directory on a disk that no boot mounts", func(r *rig) {
			r.storageCfg("dir: d1\n\tpath /mnt/big/d1\n\n")
			r.mounted("/dev/sdb1", "/mnt/big", "ext4")
			disk(r, "/mnt/big/d1")
			rootfs(r, "d1:900/vm-900-disk-0.raw,size=4G")
		}, "900.rootfs stops: storage d1 is on /mnt/big: nothing mounts /mnt/big at boot", "/etc/fstab"},
		{"a mount point that is not mounted", func(r *rig) {
			r.storageCfg("dir: d1\n\tpath /srv/d1\n\tis_mountpoint yes\n\n")
			disk(r, "/srv/d1")
			rootfs(r, "d1:900/vm-900-disk-0.raw,size=4G")
		}, "900.rootfs stops: storage d1 is to be mounted at /srv/d1, and is not", "mount /srv/d1"},
		{"a mount point of another path", func(r *rig) {
			r.storageCfg("dir: d1\n\tpath /srv/d1\n\tis_mountpoint /srv\n\n")
			disk(r, "/srv/d1")
			r.mounted("/dev/sdb1", "/srv", "ext4")
			r.edit("/etc/fstab", "proc /proc", "/dev/sdb1 /srv ext4 defaults 0 2\nproc /proc")
			rootfs(r, "d1:900/vm-900-disk-0.raw,size=4G")
		}, "", ""},
		{"a server that nobody has asked", func(r *rig) {
			r.storageCfg("nfs: nas\n\tserver 10.0.0.9\n\texport /x\n\tcontent rootdir\n\n")
			r.line("mp0: nas:900/vm-900-disk-1.raw,mp=/a\n")
		}, "900.mp0 unknown: whether storage nas (nfs) can be reached", "pvesm status --storage nas"},
		{"a server whose storage is mounted", func(r *rig) {
			r.storageCfg("nfs: nas\n\tserver 10.0.0.9\n\texport /x\n\tcontent rootdir\n\n")
			r.mounted("10.0.0.9:/x", "/mnt/pve/nas", "nfs4")
			r.line("mp0: nas:900/vm-900-disk-1.raw,mp=/a\n")
		}, "", ""},
		{"a group that no file tells of", func(r *rig) {
			r.storageCfg("lvm: fast\n\tvgname fast\n\tcontent rootdir\n\n")
			rootfs(r, "fast:vm-900-disk-0,size=4G")
		},
			"900.rootfs unknown: no file tells of volume group fast", "vgs fast"},
		{"a volume that no file tells of", func(r *rig) { rootfs(r, "local-lvm:vm-900-disk-9,size=4G") }, "900.rootfs unknown: no file tells of volume vm-900-disk-9 in group pve", "lvs pve"},
		{"a volume that LVM's copy names", func(r *rig) {
			r.put("/etc/lvm/backup/pve", "pve {\n\tlogical_volumes {\n\t\tvm-900-disk-9 {\n\t\t}\n\t}\n}\n")
			rootfs(r, "local-lvm:vm-900-disk-9,size=4G")
		}, "", ""},
	})
	try(t, sim.LayoutZFS, 0, []fault{
		{"a pool that is not imported", func(r *rig) {
			r.storageCfg("zfspool: tank\n\tpool tank/ct\n\n")
			rootfs(r, "tank:subvol-900-disk-0,size=4G")
		},
			"900.rootfs stops: pool tank of storage tank is not imported", "zpool import tank"},
		{"a pool where ZFS is not loaded", func(r *rig) { r.gone(conf(901)); r.gone("/proc/spl") }, "900.rootfs unknown: whether pool rpool of storage local-zfs is there", "modprobe zfs"},
		{"a directory of a storage without rootdir", func(r *rig) { r.edit(cfg, "content images,rootdir", "content images") }, "", ""},
	})
}

func TestOrderAndDelays(t *testing.T) {
	r := newRig(t, sim.LayoutLVM, 0)
	r.sh("pct create 903 local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst --rootfs local-lvm:4 --hostname ha --onboot 1")
	r.put("/etc/pve/nodes/pve/config", "startall-onboot-delay: 5\n")
	r.put("/etc/pve/ha/resources.cfg", "ct: 903\n\tstate started\n")
	r.lineOf(901, "startup: 2,up=30\n")
	r.lineOf(903, "startup: order=1,up=99\n")
	d, res := r.ask(`{}`)
	var got []string
	for _, c := range d.Containers {
		got = append(got, fmt.Sprint(c.CTID, " ", c.AfterS, " ", c.HA, " ", c.Order != nil && *c.Order > 0))
	}
	if want := []string{"903 0 true true", "901 5 false true", "900 35 false false"}; !slices.Equal(got, want) || d.DelayS != 5 || res.Status != tasks.StatusOK {
		t.Errorf("got %q, %d: %+v", got, d.DelayS, res)
	}
}

func TestWhatDependsOnWhat(t *testing.T) {
	for _, tc := range []struct {
		name, spec, want string
		seed             func(*rig)
	}{
		{"comes before what it needs", `{"depends_on":{"900":[901]}}`, "900.depends_on disturbs: it starts before container 901", nil},
		{"comes after it", `{"depends_on":{"901":[900]}}`, "", nil},
		{"comes after it by its order", `{"depends_on":{"900":[901]}}`, "", func(r *rig) { r.lineOf(901, "startup: order=1\n") }},
		{"needs what does not start at boot", `{"depends_on":{"900":[902]}}`, "900.depends_on disturbs: container 902, which it depends on, does not start at boot", nil},
		{"needs what would not start", `{"depends_on":{"901":[900]}}`, "901.depends_on disturbs: container 900, which it depends on, would not start", func(r *rig) { r.line("lock: disk\n") }},
		{"needs what is elsewhere", `{"depends_on":{"900":[999]}}`, "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, sim.LayoutLVM, 0)
			if tc.seed != nil {
				tc.seed(r)
			}
			d, _ := r.ask(tc.spec)
			got := slices.DeleteFunc(findings(d), func(f string) bool { return strings.Contains(f, ".lock ") })
			if strings.Join(got, "\n") != tc.want && (len(got) != 1 || tc.want == "" || !strings.HasPrefix(got[0], tc.want)) {
				t.Errorf("found %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhatIsUnknownStaysUnknownBesideWhatIsKnown(t *testing.T) {
	r := newRig(t, sim.LayoutLVM, 0)
	r.line("mp0: /none,mp=/a\n")
	r.storageCfg("nfs: nas\n\tserver 10.0.0.9\n\texport /x\n\tcontent rootdir\n\n")
	r.lineOf(901, "mp0: nas:901/vm-901-disk-1.raw,mp=/a\n")
	d, res := r.ask(`{}`)
	if res.Status != tasks.StatusWouldChange || len(res.Changes) != 1 || res.Changes[0].Path != "900.mp0" || d.Containers[0].Starts != "no" || d.Containers[1].Starts != "unknown" {
		t.Errorf("%+v %+v", d, res)
	}
}

func TestAHostThatIsNoProxmoxFails(t *testing.T) {
	res := taskstest.Check(t, bootcheck.Kind(), `{}`, taskstest.NewTree(t, map[string]string{"/proc/net/unix": "Num\n"}))
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "is this a Proxmox VE host?") {
		t.Errorf("%+v", res)
	}
}

func TestFaultsOfTheSpecAreFound(t *testing.T) {
	got := (&bootcheck.Spec{DependsOn: map[int][]int{900: {5, 901}}}).Validate()
	if len(got) != 1 || got[0].Path != "depends_on.900" {
		t.Errorf("faults %v", got)
	}
}

// unreadable is a host on which one file cannot be read.
type unreadable struct {
	tasks.Host
	name string
}

func (u unreadable) Stat(name string) (tasks.FileInfo, error) {
	if name == u.name {
		return tasks.FileInfo{}, fs.ErrPermission
	}
	return u.Host.Stat(name)
}

func TestWhatCannotBeLookedAtIsUnknown(t *testing.T) {
	r := newRig(t, sim.LayoutLVM, 0)
	r.line("mp0: /srv/hidden,mp=/a\n")
	r.h = unreadable{r.h, "/srv/hidden"}
	if d, res := r.ask(`{}`); res.Status != tasks.StatusUnknown || d.Containers[0].Starts != "unknown" {
		t.Errorf("%+v %+v", d, res)
	}
}
