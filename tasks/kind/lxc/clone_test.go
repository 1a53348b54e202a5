package lxc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// parentMAC is the address of the parent's interface.
const parentMAC = "BC:24:11:00:08:00"

// newParent is a machine with container 800, which is not looked at by these tests:
// 2 GiB, two interfaces of which eth0 has a static address, made by hand.
func newParent(t *testing.T, m *machine, pool string, then ...string) *machine {
	t.Helper()
	m.sh(t, "pct create 800 "+template+" --rootfs "+pool+":2 --hostname parent --memory 700 --unprivileged 1 --tags base "+
		"--net0 name=eth0,bridge=vmbr0,ip=10.0.0.8/24,gw=10.0.0.1,hwaddr="+parentMAC+" --net1 name=eth1,bridge=vmbr1,ip=dhcp,hwaddr=BC:24:11:00:08:01")
	for _, line := range then {
		m.sh(t, line)
	}
	m.Recorder = taskstest.NewRecorder(m.sim.Host())
	return m
}

// cloned is a clone of container 800 with further keys.
func cloned(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"ctid":900,"clone_from_ctid":800,"name":"web1","storage_size_gb":3,"memory_mb":512,` +
		`"network_config":{"name":"eth0","bridge":"vmbr0","ip":"10.0.0.9/24"}` + more + "}"
}

// macs are the addresses in a configuration.
func macs(conf string) []string {
	var out []string
	for word := range strings.FieldsFuncSeq(conf, func(r rune) bool { return r == ',' || r == '\n' }) {
		if mac, ok := strings.CutPrefix(word, "hwaddr="); ok {
			out = append(out, mac)
		}
	}
	return out
}

func TestACloneHasItsOwnPropertiesAndNeverTheAddressesOfItsParent(t *testing.T) {
	for name, c := range map[string]struct {
		layout     sim.Layout
		pool, more string
		then       []string
		call       string
	}{
		"a stopped parent is copied": {pool: "local-lvm", call: "clone 800 900 --description <!-- phoenix: ctid=900 clone=800 --> --full 1 --hostname web1"},
		"a template is linked where the storage can": {pool: "local-lvm", then: []string{"pct template 800"},
			call: "clone 800 900 --description <!-- phoenix: ctid=900 clone=800 --> --full 0 --hostname web1"},
		"a template on ZFS is linked": {layout: sim.LayoutZFS, pool: "local-zfs", then: []string{"pct template 800"},
			call: "clone 800 900 --description <!-- phoenix: ctid=900 clone=800 --> --full 0 --hostname web1"},
		"a template is copied when that is said": {pool: "local-lvm", then: []string{"pct template 800"}, more: `"clone_mode":"full"`,
			call: "clone 800 900 --description <!-- phoenix: ctid=900 clone=800 --> --full 1 --hostname web1"},
		"a template is copied to another storage": {pool: "local-lvm", then: []string{"pct template 800", "pvesm add dir disks --path /srv/disks --content rootdir"},
			more: `"storage_pool":"disks"`, call: "clone 800 900 --description <!-- phoenix: ctid=900 clone=800 --> --full 1 --hostname web1 --storage disks"},
		"a template on files is copied": {pool: "disks", then: []string{"pct template 800"}, call: "clone 800 900 --description <!-- phoenix: ctid=900 clone=800 --> --full 1 --hostname web1"},
		"a running parent is copied from its snapshot": {pool: "local-lvm", then: []string{"pct start 800", "pct snapshot 800 base"},
			more: `"clone_from_snapshot":"base"`, call: "clone 800 900 --description <!-- phoenix: ctid=900 clone=800 snapshot=base --> --full 1 --hostname web1 --snapname base"},
	} {
		t.Run(name, func(t *testing.T) {
			m := machineOn(t, c.layout, "8.4")
			if c.pool == "disks" {
				m.sh(t, "pvesm add dir disks --path /srv/disks --content rootdir")
			}
			newParent(t, m, c.pool, c.then...)
			s := cloned(c.more)
			wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
			if calls := m.pct(); calls[0] != c.call || calls[len(calls)-1] != "start 900" {
				t.Errorf("pct was called as %q, want first %q", calls, c.call)
			}
			for key, want := range map[string]string{"hostname": "web1", "memory": "512", "tags": "base"} {
				if got := m.line(t, key); got != key+": "+want {
					t.Errorf("%s, want %s", got, want)
				}
			}
			own := macs(m.conf(t))
			if len(own) != 2 || slices.ContainsFunc(own, func(mac string) bool { return strings.HasPrefix(mac, "BC:24:11:00:08:") }) {
				t.Errorf("addresses %q of the interfaces; the parent's must not be among them", own)
			}
			if !strings.Contains(m.line(t, "net0"), "ip=10.0.0.9/24") || !strings.Contains(m.line(t, "rootfs"), "size=3G") {
				t.Errorf("configuration\n%s", m.conf(t))
			}
			m.Recorder = taskstest.NewRecorder(m.sim.Host())
			wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusOK)
			wantCalls(t, m)
		})
	}
}

func TestACloneWithoutANameIsNotCalledLikeItsParent(t *testing.T) {
	m := newParent(t, newMachine(t, "8.4"), "local-lvm")
	s := strings.Replace(cloned(`"state":"stopped"`), `"name":"web1",`, "", 1)
	if res := m.check(t, s); !strings.Contains(res.Changes[0].Note, "name: CT900\n") || res.Changes[0].To != "cloned from container 800" {
		t.Errorf("preview %+v", res.Changes)
	}
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
	if got := m.line(t, "hostname"); got != "hostname: CT900" {
		t.Error(got)
	}
}

func TestACloneIsRefusedBeforeProxmoxTouchesAnything(t *testing.T) {
	for name, c := range map[string]struct {
		pool string
		then []string
		spec string
		want string
	}{
		"no parent":               {spec: strings.Replace(cloned(""), "800", "801", 1), want: "container 801, of which it is to be a clone, is not on this host"},
		"a parent that runs":      {then: []string{"pct start 800"}, spec: cloned(""), want: "container 800 runs, and Proxmox clones a container that runs only from a snapshot"},
		"no such snapshot":        {then: []string{"pct snapshot 800 base"}, spec: cloned(`"clone_from_snapshot":"bsae"`), want: "container 800 has no snapshot bsae; there are: base"},
		"linked, and no template": {spec: cloned(`"clone_mode":"linked"`), want: "cannot be cloned with clone_mode linked: it is not a template"},
		"linked, on a storage of files": {pool: "disks", then: []string{"pct template 800"}, spec: cloned(`"clone_mode":"linked"`),
			want: "cannot be cloned with clone_mode linked: rootfs is on storage disks of type dir, which cannot (linked clone)"},
		"linked, to another storage": {then: []string{"pct template 800"}, spec: cloned(`"clone_mode":"linked","storage_pool":"disks"`),
			want: "cannot be cloned with clone_mode linked: it is on storage local-lvm, and the clone is to be on disks"},
		"a smaller disk":       {spec: strings.Replace(cloned(""), `"storage_size_gb":3`, `"storage_size_gb":1`, 1), want: "a clone of container 800 has storage_size_gb 2, and 1 is wanted"},
		"another privilege":    {spec: cloned(`"unprivileged":false`), want: "a clone of container 800 has unprivileged true, and false is wanted"},
		"the parent's address": {spec: strings.Replace(cloned(""), `,"ip":"10.0.0.9/24"`, "", 1), want: "the clone would have the address 10.0.0.8/24 of container 800: give interface eth0 an ip of its own"},
		"no interfaces":        {spec: `{"ctid":900,"clone_from_ctid":800}`, want: "the clone would have the address 10.0.0.8/24 of container 800"},
		"a directory of the host": {then: []string{"pct set 800 --mp0 /srv,mp=/data"}, spec: cloned(""),
			want: "Proxmox clones no container with a directory or a device of the host (/srv)"},
		"an unknown pool":    {spec: cloned(`"storage_pool":"tank"`), want: "storage tank does not exist; there are: local"},
		"an unknown bridge":  {spec: strings.Replace(cloned(""), "vmbr0", "vmbr77", 1), want: "look for bridge vmbr77: the host has none of that name"},
		"a device not there": {spec: cloned(`"devices":[{"path":"/dev/nosuch"}]`), want: "look for device /dev/nosuch"},
		"a lock left behind": {then: []string{"pct set 800 --lock disk"}, spec: cloned(""), want: "create container 900: container 800 is locked (disk): wait until that is over; a lock that was left behind is taken off with pct unlock 800"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "8.4")
			m.sh(t, "pvesm add dir disks --path /srv/disks --content rootdir")
			if c.pool == "" {
				c.pool = "local-lvm"
			}
			newParent(t, m, c.pool, c.then...)
			before := m.digest(t)
			res := m.apply(t, c.spec, tasks.Consent{})
			wantStatus(t, res, tasks.StatusFailed)
			if !strings.Contains(res.Why, c.want) {
				t.Errorf("why %q, want %q", res.Why, c.want)
			}
			wantCalls(t, m)
			if m.digest(t) != before {
				t.Error("the host was changed")
			}
		})
	}
}

func TestACloneThatFailedHalfWayIsGoneOnWithAndNotClonedTwice(t *testing.T) {
	for _, verb := range []string{"set", "resize", "start"} {
		t.Run(verb, func(t *testing.T) {
			m := newParent(t, newMachine(t, "8.4"), "local-lvm")
			m.answer(verb, false, tasks.Output{Code: 255, Stderr: []byte("no\n")})
			wantStatus(t, m.apply(t, cloned(""), tasks.Consent{}), tasks.StatusFailed)
			m.Recorder = taskstest.NewRecorder(m.sim.Host())
			wantStatus(t, m.apply(t, cloned(""), tasks.Consent{}), tasks.StatusChanged)
			if slices.ContainsFunc(m.pct(), func(c string) bool { return strings.HasPrefix(c, "clone") }) {
				t.Errorf("cloned again: %q", m.pct())
			}
			wantStatus(t, m.check(t, cloned("")), tasks.StatusOK)
		})
	}
}

func TestAKilledCloneIsToldAndItsParentIsNot(t *testing.T) {
	m := newParent(t, newMachine(t, "8.4"), "local-lvm")
	if err := m.sim.Fault(sim.Fault{Kind: sim.FaultKill, Program: "pct", Verb: "clone", Point: "allocated"}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, m.apply(t, cloned(""), tasks.Consent{}), tasks.StatusFailed)
	if err := m.sim.Heal(); err != nil {
		t.Fatal(err)
	}
	res := m.apply(t, cloned(""), tasks.Consent{})
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "half made (lock: create): a pct create or pct clone is still under way, or was killed") {
		t.Errorf("why %q", res.Why)
	}
	m.sh(t, "pct unlock 900")
	m.sh(t, "pct destroy 900 --destroy-unreferenced-disks 1")
	res = m.apply(t, cloned(""), tasks.Consent{})
	if !strings.Contains(res.Why, "container 800 is locked (disk)") {
		t.Errorf("why %q", res.Why)
	}
	m.sh(t, "pct unlock 800")
	wantStatus(t, m.apply(t, cloned(""), tasks.Consent{}), tasks.StatusChanged)
}

func TestSuccessThatClonedNothingIsAFailure(t *testing.T) {
	m := newParent(t, newMachine(t, "8.4"), "local-lvm")
	m.answer("clone", false, tasks.Output{Stdout: []byte("all is well\n")})
	res := m.apply(t, cloned(""), tasks.Consent{})
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "create container 900: there is none afterwards") || !strings.Contains(res.Why, "all is well") {
		t.Errorf("why %q", res.Why)
	}
}

// busy is a machine on which somebody works on container 800 for a time.
type busy struct {
	tasks.Host
	until time.Time
}

func (b *busy) ReadFile(name string) ([]byte, error) {
	data, err := b.Host.ReadFile(name)
	if name == "/etc/pve/lxc/800.conf" && time.Now().Before(b.until) {
		data = append([]byte("lock: disk\n"), data...)
	}
	return data, err
}

func TestAnotherCloneOfTheParentIsWaitedForAndItsMakerNamed(t *testing.T) {
	m := newParent(t, newMachine(t, "8.4"), "local-lvm")
	taskstest.Put(t, m.sim.Host(), "/var/log/pve/tasks/active", "UPID:pve:0000ABCD:00001234:65000000:vzclone:800:root@pam: 0\n")
	synctest.Test(t, func(t *testing.T) {
		var said []string
		ctx := tasks.WithScope(t.Context(), tasks.Scope{Log: func(l tasks.Log) { said = append(said, l.Text) }})
		h := &busy{m.sim.Host(), time.Now().Add(5 * time.Second)}
		task := decode(t, cloned("")).Task()
		d, err := task.Check(ctx, tasks.ReadOnly(h))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := task.Apply(ctx, h, d); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begin); waited != 7*time.Second {
			t.Errorf("waited for %s, want 1, 2 and 4 seconds", waited)
		}
		if want := "container 900: container 800 is locked (vzclone, started by root@pam); waiting"; !slices.Contains(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		h := &busy{m.sim.Host(), time.Now().Add(time.Hour)}
		task := decode(t, strings.Replace(cloned(""), "900", "901", 1)).Task()
		d, err := task.Check(ctx, tasks.ReadOnly(h))
		if err != nil {
			t.Fatal(err)
		}
		err = task.Apply(ctx, h, d)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), "wait for container 800 (vzclone, started by root@pam)") {
			t.Errorf("error %v", err)
		}
	})
}

func TestWhereALinkedCloneCameFromIsComparedWhereItsVolumeTells(t *testing.T) {
	m := newParent(t, machineOn(t, sim.LayoutZFS, "8.4"), "local-zfs", "pct template 800", "pct clone 800 810", "pct template 810", "pct clone 800 900 --hostname web1")
	s := strings.Replace(cloned(`"state":"stopped"`), `"clone_from_ctid":800`, `"clone_from_ctid":810`, 1)
	res := m.apply(t, s, tasks.Consent{})
	wantStatus(t, res, tasks.StatusSkipped)
	if !strings.Contains(res.Why, "clone_from_ctid 800 -> 810 needs container 900 to be destroyed and made anew") || !res.Remaining.Has("clone_from_ctid") {
		t.Errorf("why %q remaining %+v", res.Why, res.Remaining)
	}
	wantStatus(t, m.apply(t, s, tasks.Consent{Destroy: []int{900}}), tasks.StatusChanged)
	if got := m.line(t, "rootfs"); !strings.Contains(got, "basevol-810-disk-0/subvol-900-disk-0") {
		t.Error(got)
	}
	wantStatus(t, m.check(t, s), tasks.StatusOK)
}

func TestAParentOfLinkedClonesIsNeitherReplacedNorDestroyed(t *testing.T) {
	m := newParent(t, machineOn(t, sim.LayoutZFS, "8.4"), "local-zfs", "pct template 800", "pct clone 800 902", "pct clone 800 901", "pct clone 800 903 --full 1")
	if err := m.sim.Host().Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: "/etc/pve/nodes/other/lxc"}); err != nil {
		t.Fatal(err)
	}
	taskstest.Put(t, m.sim.Host(), "/etc/pve/nodes/other/lxc/950.conf", "rootfs: local-zfs:subvol-950-disk-0,size=1G\n\n[old]\nmp0: local-zfs:basevol-800-disk-0/subvol-950-disk-1,mp=/x\n")
	for name, s := range map[string]string{
		"destroyed": `{"ctid":800,"state":"absent"}`,
		"replaced":  `{"ctid":800,"is_template":false,"template":"debian-12-standard","storage_pool":"local-zfs"}`,
	} {
		const want = "linked clones share its volumes: destroy 901, 902, 950 first"
		if res := m.check(t, s); res.Status != tasks.StatusWouldChange || !strings.Contains(res.Changes[0].Note, want) {
			t.Errorf("%s: check %+v", name, res)
		}
		res := m.apply(t, s, tasks.Consent{Destroy: []int{800}})
		wantStatus(t, res, tasks.StatusSkipped)
		if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, want) {
			t.Errorf("%s: cause %s why %q", name, res.Cause, res.Why)
		}
	}
	wantCalls(t, m)
}

func TestReplacingACloneMakesItACloneAgain(t *testing.T) {
	m := newParent(t, newMachine(t, "8.4"), "local-lvm")
	wantStatus(t, m.apply(t, cloned(""), tasks.Consent{}), tasks.StatusChanged)
	m.sh(t, "pct resize 900 rootfs 9G")
	m.Recorder = taskstest.NewRecorder(m.sim.Host())
	wantStatus(t, m.apply(t, cloned(""), tasks.Consent{Destroy: []int{900}}), tasks.StatusChanged)
	calls := m.pct()
	if i := slices.Index(calls, "destroy 900"); i < 0 || calls[i+1] != "clone 800 900 --description <!-- phoenix: ctid=900 clone=800 --> --full 1 --hostname web1" {
		t.Errorf("pct was called as %q", calls)
	}
	m.sh(t, "pct resize 900 rootfs 9G")
	m.sh(t, "pct start 800")
	res := m.apply(t, cloned(""), tasks.Consent{Destroy: []int{900}})
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "replace container 900: container 800 runs") || m.line(t, "hostname") == "" {
		t.Errorf("a parent that cannot be cloned: %s %q", res.Status, res.Why)
	}
}
