package guest_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
	"phoenix/tasks/taskstest"
)

const conf = "hostname: web\nmemory: 1024\nnet0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=10.0.0.5/24,gw=10.0.0.1\n" +
	"net1: name=eth1,bridge=vmbr1,ip=dhcp\nrootfs: local-zfs:subvol-900-disk-0,size=4G\n"

// node is a node with container 900, which runs.
func node() map[string]string {
	return map[string]string{
		"/etc/pve/local":                   "-> nodes/pve1",
		"/etc/pve/lxc":                     "-> nodes/pve1/lxc",
		"/etc/pve/nodes/pve1/lxc/900.conf": conf,
		"/proc/uptime":                     "86400.50 340000.00\n",
		"/proc/net/unix":                   "Num RefCount Protocol Flags Type St Inode Path\n0: 00000002 00000000 00010000 0001 01 21432 @/var/lib/lxc/900/command\n",
		"/proc/4242/stat":                  "4242 (we (i) rd) S 4241 4242 4242 0 -1 4194560 7038 0 71 0 11 16 0 0 20 0 1 0 8640000 171937792 2853\n",
		"/proc/4242/status":                "Name:\tsystemd\nPPid:\t4241\nNSpid:\t4242\t1\n",
		"/proc/4242/net/fib_trie":          "Local:\n |-- 10.0.0.5\n    /32 host LOCAL\n |-- 172.17.0.1\n    /32 host LOCAL\n |-- 192.168.1.9\n    /32 host LOCAL\n",
		"/proc/4242/net/route": "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n" +
			"docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\neth1\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
		"/sys/fs/cgroup/lxc/900/memory.current":             "104857600\n",
		"/sys/fs/cgroup/lxc/900/memory.stat":                "anon 1\nfile 83886080\nfile_mapped 5\n",
		"/sys/fs/cgroup/lxc/900/ns/cgroup.procs":            "",
		"/sys/fs/cgroup/lxc/900/ns/init.scope/cgroup.procs": "4242\n",
	}
}

func tree(t *testing.T, change func(map[string]string)) tasks.Host {
	t.Helper()
	files := node()
	if change != nil {
		change(files)
	}
	return taskstest.NewTree(t, files)
}

func read(t *testing.T, h tasks.Host) *guest.Guest {
	t.Helper()
	g, err := guest.Read(h, 900)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestWhatARunningContainerUsesAndSinceWhen(t *testing.T) {
	h := tree(t, nil)
	g := read(t, h)
	pid, err := g.FirstProcess(h)
	if err != nil || pid != 4242 || !g.Running() || g.Name() != "web" {
		t.Fatalf("process %d, %v; %+v", pid, err, g)
	}
	if up, err := guest.Uptime(h, pid); err != nil || up != 500*time.Millisecond {
		t.Errorf("up %s, %v", up, err)
	}
	if used, err := g.Memory(h); err != nil || used != 20<<20 || g.MemoryLimit() != 1<<30 {
		t.Errorf("uses %d of %d, %v", used, g.MemoryLimit(), err)
	}
	ips, err := g.Reachable(h, pid)
	var got []string
	for _, ip := range ips {
		got = append(got, ip.String())
	}
	// Not that of Docker's bridge.
	if err != nil || !slices.Equal(got, []string{"10.0.0.5", "192.168.1.9"}) {
		t.Errorf("addresses %q, %v", got, err)
	}
}

func TestTheFirstProcessIsFoundWhateverTheInitDoes(t *testing.T) {
	const ns = "/sys/fs/cgroup/lxc/900/ns/"
	for name, c := range map[string]struct {
		change func(map[string]string)
		pid    int
		err    error
	}{
		"in a group of another name": {func(f map[string]string) {
			delete(f, ns+"init.scope/cgroup.procs")
			f[ns+"openrc/cgroup.procs"] = "5000\n4242\n"
		}, 4242, nil},
		"in no group": {func(f map[string]string) {
			delete(f, ns+"init.scope/cgroup.procs")
			f[ns+"cgroup.procs"] = "4242\n4300\n"
		}, 4242, nil},
		"not yet there":       {func(f map[string]string) { delete(f, "/proc/4242/status") }, 0, guest.ErrNoProcess},
		"only another's left": {func(f map[string]string) { f["/proc/4242/status"] = "NSpid:\t4242\t77\n" }, 0, guest.ErrNoProcess},
		"on the host itself":  {func(f map[string]string) { f["/proc/4242/status"] = "NSpid:\t1\n" }, 0, guest.ErrNoProcess},
		"with cgroup v1": {func(f map[string]string) {
			maps.DeleteFunc(f, func(k, _ string) bool { return strings.HasPrefix(k, "/sys/fs/cgroup") })
		}, 0, guest.ErrNoProcess},
	} {
		h := tree(t, c.change)
		if pid, err := read(t, h).FirstProcess(h); pid != c.pid || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v", name, pid, err)
		}
	}
}

func TestAContainerIsReadyWhenEachInterfaceHasAnAddress(t *testing.T) {
	const file = "/etc/pve/nodes/pve1/lxc/900.conf"
	for name, c := range map[string]struct {
		change func(map[string]string)
		want   string
	}{
		"all have one": {nil, ""},
		"one has none": {func(f map[string]string) {
			f["/proc/4242/net/fib_trie"] = "|-- 10.0.0.5\n/32 host LOCAL\n"
		}, "no address on eth1 (dhcp)"},
		"two have none": {func(f map[string]string) { delete(f, "/proc/4242/net/fib_trie") }, "no address on eth0 (10.0.0.5/24), eth1 (dhcp)"},
		"one that is unplugged is not waited for": {func(f map[string]string) {
			f[file] = strings.Replace(conf, "ip=dhcp", "ip=dhcp,link_down=1", 1)
			delete(f, "/proc/4242/net/fib_trie")
		}, "no address on eth0 (10.0.0.5/24)"},
		"nor one that gets none from Proxmox": {func(f map[string]string) {
			f[file] = "net0: name=eth0,bridge=vmbr0,ip=manual\nnet1: name=eth1,bridge=vmbr0\n"
			delete(f, "/proc/4242/net/fib_trie")
		}, ""},
		"IPv6 alone will do": {func(f map[string]string) {
			f[file] = "net0: name=eth0,bridge=vmbr0,ip=dhcp,ip6=auto\n"
			delete(f, "/proc/4242/net/fib_trie")
			f["/proc/4242/net/if_inet6"] = "fd000000000000000000000000000002 04 40 00 82 eth0\n"
		}, ""},
		"an address without a network is known by itself": {func(f map[string]string) {
			f[file] = "net0: name=eth0,bridge=vmbr0,ip=10.0.0.5/32\n"
			delete(f, "/proc/4242/net/route")
		}, ""},
		"another one is not": {func(f map[string]string) {
			f[file] = "net0: name=eth0,bridge=vmbr0,ip=10.0.0.6/32\n"
			delete(f, "/proc/4242/net/route")
		}, "no address on eth0 (10.0.0.6/32)"},
		"its process cannot be seen": {func(f map[string]string) { delete(f, "/proc/4242/status") }, "its first process is not below /sys/fs/cgroup/lxc"},
		"it is stopped":              {func(f map[string]string) { f["/proc/net/unix"] = "Num\n" }, "it does not run"},
	} {
		rec := taskstest.NewRecorder(tree(t, c.change))
		rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
			if o.Cmd == nil {
				return nil
			}
			return &taskstest.Answer{}
		}
		got, err := read(t, rec).NotReady(t.Context(), rec)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
		if ran := rec.Commands(); (c.want == "") != slices.Equal(ran, []string{"lxc-attach -n 900 --clear-env -- true"}) {
			t.Errorf("%s: ran %q", name, ran)
		}
	}
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	for path := range node() {
		if path == "/etc/pve/local" || path == "/etc/pve/lxc" || strings.HasSuffix(path, "unix") || strings.HasSuffix(path, ".conf") {
			continue // told by Read
		}
		h := tree(t, func(f map[string]string) { f["/proc/4242/net/if_inet6"] = "" })
		g := read(t, h)
		rec := taskstest.NewRecorder(h)
		rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
			if o.Read == path {
				return &taskstest.Answer{Err: syscall.EIO}
			}
			return nil
		}
		pid, err1 := g.FirstProcess(rec)
		_, err2 := guest.Uptime(rec, 4242)
		_, err3 := g.Memory(rec)
		_, err4 := guest.Addresses(rec, 4242)
		if err := errors.Join(err1, err2, err3, err4); err == nil && !strings.HasSuffix(path, "ns/cgroup.procs") {
			t.Errorf("%s fails and nothing is said (process %d)", path, pid)
		}
	}
}

func TestDamagedNumbersAreErrors(t *testing.T) {
	for path, text := range map[string]string{
		"/proc/4242/stat": "4242 (x) S 1\n", "/proc/uptime": "soon\n",
		"/sys/fs/cgroup/lxc/900/memory.current": "much\n", "/sys/fs/cgroup/lxc/900/memory.stat": "file some\n",
	} {
		h := tree(t, func(f map[string]string) { f[path] = text })
		_, err1 := guest.Uptime(h, 4242)
		_, err2 := read(t, h).Memory(h)
		if err1 == nil && err2 == nil {
			t.Errorf("%s is %q, and nothing is said", path, text)
		}
	}
}

func TestHighAvailabilityKnowsItsContainers(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                      false,
		"ct: 900\n\tstate started\n":            true,
		"ct: 900\n":                             true,
		"ct: 900\n\tstate ignored\n":            false,
		"ct: 9000\n\tstate started\n":           false,
		"vm: 900\n\tstate started\n":            false,
		"ct: 901\n\tstate ignored\n\nct: 900\n": true,
	} {
		h := tree(t, func(f map[string]string) { f["/etc/pve/ha/resources.cfg"] = text })
		if got, err := guest.HighlyAvailable(h, 900); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestSnapshotsAreListedByTheirAge(t *testing.T) {
	h := tree(t, func(f map[string]string) {
		f["/etc/pve/nodes/pve1/lxc/900.conf"] = "parent: zz\n" + conf + "\n[pve:pending]\nmemory: 1\n\n[aa]\n#later%3A two\nsnaptime: 200\nsnapstate: delete\n" +
			"rootfs: local-zfs:subvol-900-disk-0\n\n[zz]\nsnaptime: 100\nrootfs: local-zfs:subvol-900-disk-0\n"
	})
	g := read(t, h)
	got := g.Snapshots()
	want := []guest.Snapshot{
		{Name: "zz", Taken: time.Unix(100, 0).UTC(), Current: true},
		{Name: "aa", Taken: time.Unix(200, 0).UTC(), Description: "later: two", Incomplete: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	zfs := pve.StorageCfg{{Type: "zfspool", ID: "local-zfs"}}
	if names := g.Blockers(zfs, "zz"); !slices.Equal(names, []string{"aa"}) {
		t.Errorf("zz is blocked by %q", names)
	}
	if names := g.Blockers(zfs, "aa"); names != nil {
		t.Errorf("aa is blocked by %q", names)
	}
	if names := g.Blockers(pve.StorageCfg{{Type: "lvmthin", ID: "local-zfs"}}, "zz"); names != nil {
		t.Errorf("on LVM zz is blocked by %q", names)
	}
}

func TestListIsInTheOrderOfTheNumbers(t *testing.T) {
	h := tree(t, func(f map[string]string) {
		for _, name := range []string{"1000.conf", "99.conf.tmp", "x.conf", "200.conf"} {
			f["/etc/pve/nodes/pve1/lxc/"+name] = "hostname: h\n"
		}
	})
	all, err := guest.List(h)
	var ids []int
	for _, g := range all {
		ids = append(ids, g.CTID)
	}
	if err != nil || !slices.Equal(ids, []int{200, 900, 1000}) {
		t.Errorf("%v, %v", ids, err)
	}
}
