package status_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/status"
	"phoenix/tasks/local"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// newMachine is a simulated host with a container that runs and one that is stopped.
func newMachine(t *testing.T) *sim.Machine {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Layout: sim.LayoutZFS, Seed: 1, Now: func() time.Time { return time.Unix(1795386694, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	const template = " local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst --rootfs local-zfs:4 "
	sh(t, m, "pct create 900"+template+"--hostname web --memory 1024 --unprivileged 1 --net0 name=eth0,bridge=vmbr0,ip=10.99.99.50/24")
	sh(t, m, "pct create 901"+template+"--hostname db --unprivileged 1")
	sh(t, m, "pct snapshot 900 before --description first")
	sh(t, m, "pct start 900")
	return m
}

func sh(t *testing.T, m *sim.Machine, line string) {
	t.Helper()
	out, err := m.Host().Run(t.Context(), tasks.Cmd{Argv: strings.Fields(line)})
	if err != nil || out.Code != 0 {
		t.Fatalf("%s: %v %d %s", line, err, out.Code, out.Stderr)
	}
}

// ask runs the step, which starts no program and changes nothing.
func ask(t *testing.T, h tasks.Host, spec status.Spec) status.Data {
	t.Helper()
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	rec := taskstest.NewRecorder(h)
	res := taskstest.Run(t, status.Kind(), string(raw), rec)
	if res.Status != tasks.StatusOK {
		t.Fatalf("%+v", res)
	}
	if got := rec.Commands(); len(got) > 0 || len(rec.Changes()) > 0 {
		t.Errorf("ran %q, did %v", got, rec.Changes())
	}
	var d status.Data
	if err := json.Unmarshal(res.Data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func number(n int64) *int64 { return &n }

func TestWhatTheContainersOfANodeAreDoing(t *testing.T) {
	m := newMachine(t)
	want := status.Data{Containers: []status.Container{
		{CTID: 900, Name: "web", State: "running", UptimeS: number(13), MemoryBytes: number(14475264), MemoryLimitBytes: 1 << 30,
			Addresses: []string{"10.99.99.50"},
			Snapshots: []status.Snapshot{{Name: "before", Description: "first", Taken: time.Unix(1795386694, 0).UTC(), Current: true}}},
		{CTID: 901, Name: "db", State: "stopped", MemoryLimitBytes: 512 << 20},
	}}
	if got := ask(t, m.Host(), status.Spec{}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := ask(t, m.Host(), status.Spec{CTIDs: []int{901}}); !reflect.DeepEqual(got.Containers, want.Containers[1:]) {
		t.Errorf("asked for one, got %+v", got)
	}
}

func TestDriftIsToldByProperty(t *testing.T) {
	m := newMachine(t)
	off := false
	wanted := []lxc.Spec{
		{CTID: 900, Name: "web", MemoryMB: 2048, StartAtBoot: &off, Cores: 2},
		{CTID: 901, Name: "db", State: "stopped"},
		{CTID: 902, Name: "gone"},
		{CTID: 903, Name: "never", State: "absent"},
		{CTID: 904, Name: "moved", MemoryMB: 1024},
	}
	sh(t, m, "pct set 901 --lock backup")
	taskstest.Put(t, m.Host(), "/etc/pve/.vmlist", `{"ids":{"904":{"node":"other","type":"lxc","version":1}}}`)
	if err := m.Host().Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: "/etc/pve/nodes/other/lxc"}); err != nil {
		t.Fatal(err)
	}
	taskstest.Put(t, m.Host(), "/etc/pve/nodes/other/lxc/904.conf", "hostname: moved\nmemory: 512\nrootfs: local-zfs:x\n")
	taskstest.Put(t, m.Host(), "/etc/pve/nodes/pve/lxc/950.conf", "rootfs: local-zfs:x\ntemplate: 1\n")
	d := ask(t, m.Host(), status.Spec{Wanted: wanted, CTIDs: []int{900, 901, 902, 904, 950, 951}})
	got := make(map[int]string)
	for _, c := range d.Containers {
		got[c.CTID] = fmt.Sprint(c.State, " ", c.Node, " ", c.Lock, " ", c.Managed, " ", c.Drift)
	}
	want := map[int]string{
		900: "running   true [memory_mb cores]",
		901: "stopped  backup true []",
		902: "missing   true [exists]",
		904: "moved other  true [node memory_mb]",
		950: "template   false []",
		951: "missing   false []",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	for _, c := range ask(t, m.Host(), status.Spec{Wanted: wanted}).Containers {
		if c.CTID == 903 {
			t.Errorf("what is to be absent and is: %+v", c)
		}
	}
	// What cannot be told is not taken for right.
	taskstest.Put(t, m.Host(), "/etc/pve/nodes/pve/lxc/901.conf", "hostname: db\n")
	d = ask(t, m.Host(), status.Spec{Wanted: wanted[1:2], CTIDs: []int{901}})
	if c := d.Containers[0]; len(c.Drift) > 0 || !strings.Contains(c.DriftUnknown, "has no rootfs") {
		t.Errorf("%+v", c)
	}
}

func TestWhatTheKernelDoesNotShowIsListed(t *testing.T) {
	m := newMachine(t)
	h := m.Host()
	for _, file := range []string{"memory.current", "ns/init.scope/cgroup.procs"} {
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: "/sys/fs/cgroup/lxc/900/" + file}); err != nil {
			t.Fatal(err)
		}
	}
	d := ask(t, h, status.Spec{})
	if c := d.Containers[0]; c.UptimeS != nil || c.MemoryBytes != nil || c.Addresses != nil || c.State != "running" {
		t.Errorf("%+v", c)
	}
	if len(d.Unreadable) != 2 || !strings.HasPrefix(d.Unreadable[0], "container 900: ") {
		t.Errorf("unreadable %q", d.Unreadable)
	}
}

func TestAHostThatIsNoProxmoxFails(t *testing.T) {
	res := taskstest.Check(t, status.Kind(), `{}`, taskstest.NewTree(t, map[string]string{"/proc/net/unix": "Num\n"}))
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "is this a Proxmox VE host?") {
		t.Errorf("%+v", res)
	}
}

func TestFaultsOfWantedContainersAreFound(t *testing.T) {
	var got []string
	for _, p := range (&status.Spec{Wanted: []lxc.Spec{{CTID: 900}, {CTID: 5}}}).Validate() {
		got = append(got, p.Path)
	}
	if !slices.Equal(got, []string{"wanted.1.ctid"}) {
		t.Errorf("faults at %q", got)
	}
}

// BenchmarkStatus is a host with a hundred containers that run.
func BenchmarkStatus(b *testing.B) {
	root := b.TempDir()
	put := func(name, text string) {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			b.Fatal(err)
		}
	}
	put("/proc/uptime", "86400.50 3400.00\n")
	sockets := "Num RefCount Protocol Flags Type St Inode Path\n"
	for id := 900; id < 1000; id++ {
		sockets += fmt.Sprintf("0: 00000002 00000000 00010000 0001 01 %d @/var/lib/lxc/%d/command\n", id, id)
		group, proc := fmt.Sprintf("/sys/fs/cgroup/lxc/%d/", id), fmt.Sprintf("/proc/%d/", id)
		put(fmt.Sprintf("/etc/pve/nodes/pve/lxc/%d.conf", id), "hostname: web\nnet0: name=eth0,bridge=vmbr0,ip=dhcp\nrootfs: local-zfs:subvol,size=4G\n")
		put(group+"memory.current", "1\n")
		put(group+"memory.stat", "file 0\n")
		put(group+"ns/init.scope/cgroup.procs", fmt.Sprintln(id))
		put(proc+"stat", fmt.Sprintf("%d (init) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0\n", id))
		put(proc+"status", fmt.Sprintf("NSpid:\t%d\t1\n", id))
		put(proc+"net/fib_trie", "|-- 10.0.0.5\n/32 host LOCAL\n")
		put(proc+"net/route", "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
		put(proc+"net/if_inet6", "")
	}
	put("/proc/net/unix", sockets)
	if err := errors.Join(os.Symlink("nodes/pve", root+"/etc/pve/local"), os.Symlink("nodes/pve/lxc", root+"/etc/pve/lxc")); err != nil {
		b.Fatal(err)
	}
	host := &local.Host{Root: root}
	for b.Loop() {
		if _, err := (&status.Spec{}).Task().Check(b.Context(), host); err != nil {
			b.Fatal(err)
		}
	}
}
