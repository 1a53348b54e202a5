package lxc_test

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

// appended is a guest with a snapshot, to whose file another tool has appended lines.
func appended(t *testing.T, made, lines string) (m *machine, before string) {
	t.Helper()
	m = newGuest(t, spec(`"state":"stopped"`+made))
	m.sh(t, "pct snapshot 900 before")
	before = m.conf(t)
	taskstest.Put(t, m.sim.Host(), "/etc/pve/lxc/900.conf", before+lines)
	m.Recorder = taskstest.NewRecorder(m.sim.Host())
	return m, before
}

func TestLinesInASnapshotAreMovedToWhereTheyAreWanted(t *testing.T) {
	for name, c := range map[string]struct {
		made, lines, more string
		paths             []string
		head              string // what the current section has afterwards
		left              string // what stays in the snapshot
	}{
		"a raw line": {lines: "lxc.cap.drop = sys_time\n", more: `"lxc_options":["lxc.cap.drop: sys_time"]`, paths: []string{"lxc_options"}, head: "lxc.cap.drop: sys_time"},
		"a raw line that the current section has, too": {made: `,"lxc_options":["lxc.cap.drop: sys_time"]`, lines: "\nlxc.cap.drop: sys_time\n",
			more: `"lxc_options":["lxc.cap.drop: sys_time"]`, paths: []string{"lxc_options"}, head: "lxc.cap.drop: sys_time", left: "\n"},
		"a profile": {lines: "\nlxc.apparmor.profile = unconfined\n", more: `"apparmor_profile":"unconfined"`,
			paths: []string{"apparmor_profile"}, head: "lxc.apparmor.profile: unconfined", left: "\n"},
		"a mount": {lines: "mp0: /srv,mp=/data\n", more: `"mount_points":[{"host_path":"/srv","container_path":"/data"}]`,
			paths: []string{"mount_points./data"}, head: "mp0: /srv,mp=/data"},
		"a device": {lines: "dev3: /dev/null,gid=44\n", more: `"devices":[{"path":"/dev/null","gid":5}]`,
			paths: []string{"devices./dev/null"}, head: "dev0: /dev/null,gid=5"},
		"an option for the second time": {lines: "memory: 1024\n", more: `"memory_mb":1024`, paths: []string{"memory_mb"}, head: "memory: 1024"},
		"one that is wanted among others": {lines: "mp0: /srv,mp=/data\nlxc.cap.drop: sys_time\nlxc.cap.drop: mknod\nmp1: local-lvm:vm-900-disk-9,mp=/v\n",
			more:  `"mount_points":[{"host_path":"/srv","container_path":"/data"}],"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/v"}],"lxc_options":["lxc.cap.drop: mknod"]`,
			paths: []string{"mount_points./data", "volumes./v", "lxc_options"}, head: "lxc.cap.drop: mknod",
			left: "mp1: local-lvm:vm-900-disk-9,mp=/v"},
	} {
		t.Run(name, func(t *testing.T) {
			m, before := appended(t, c.made, c.lines)
			s := `{"ctid":900,"state":"stopped",` + c.more + `}`
			res := m.check(t, s)
			if got := paths(res.Changes); !slices.Equal(got, c.paths) {
				t.Fatalf("changes %+v (%s), want %q", res.Changes, res.Why, c.paths)
			}
			if note := res.Changes[0].Note; !strings.Contains(note, "another tool wrote it into snapshot before, where it has no effect: ") {
				t.Errorf("note %q", note)
			}
			wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
			ops := m.Changes()
			if ops[0].Edit == nil || ops[0].Edit.Lock != "/run/lock/lxc/pve-config-900.lock" {
				t.Errorf("did first %v, want an edit under Proxmox's lock", ops[0])
			}
			head, snapshot, _ := strings.Cut(m.conf(t), "\n[before]\n")
			if !strings.Contains(head+"\n", "\n"+c.head+"\n") {
				t.Errorf("the current section lacks %q\n%s", c.head, head)
			}
			if _, was, _ := strings.Cut(before, "\n[before]\n"); !strings.Contains(snapshot, c.left) || len(c.paths) == 1 && strings.TrimSpace(snapshot) != strings.TrimSpace(was) {
				t.Errorf("the snapshot is\n%s\nwant\n%s%s", snapshot, was, c.left)
			}
			wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusOK)
		})
	}
}

func TestLinesInASnapshotThatNobodyWantsStay(t *testing.T) {
	const lines = "mp0: /srv,mp=/data\nlxc.cap.drop = sys_time\n"
	m, before := appended(t, "", lines)
	for _, s := range []string{`{"ctid":900,"state":"stopped"}`,
		`{"ctid":900,"state":"stopped","lxc_options":[]}`,
		`{"ctid":900,"state":"stopped","devices":[],"idmap":[],"apparmor_profile":"generated"}`} {
		wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusOK)
		if got := m.conf(t); got != before+lines || len(m.Changes()) > 0 {
			t.Errorf("with %s\n%s", s, got)
		}
	}
	s := `{"ctid":900,"state":"stopped","mount_points":[{"host_path":"/srv/other","container_path":"/data","create":true}]}`
	if res := m.check(t, s); strings.Contains(res.Changes[0].Note, "snapshot") {
		t.Errorf("another directory is taken for the wanted one: %+v", res.Changes)
	}
}

func TestALineThatMayBeTheSnapshotsOwnStaysAndIsWrittenForTheContainer(t *testing.T) {
	const line = "lxc.apparmor.profile: unconfined\n"
	m, _ := appended(t, "", "\n"+line)
	wantStatus(t, m.apply(t, `{"ctid":900,"state":"stopped","apparmor_profile":"unconfined"}`, tasks.Consent{}), tasks.StatusChanged)
	if head, snapshot, _ := strings.Cut(m.conf(t), "\n[before]\n"); !strings.Contains(head+"\n", "\n"+line) || !strings.Contains(snapshot, line) {
		t.Errorf("configuration\n%s", m.conf(t))
	}
}

func TestAChangeByHandInASnapshotTakesNothingOutOfIt(t *testing.T) {
	s := spec(`"state":"stopped","lxc_options":["lxc.cap.drop: mknod"],"apparmor_profile":"unconfined"`)
	for name, change := range map[string]func(string) string{
		"a comment":        func(c string) string { return strings.Replace(c, "memory:", "# mid\nmemory:", 1) },
		"an empty line":    func(c string) string { return strings.Replace(c, "memory:", "\nmemory:", 1) },
		"an equals sign":   func(c string) string { return strings.Replace(c, "memory:", "memory =", 1) },
		"an option on top": func(c string) string { return "swap: 512\n" + strings.Replace(c, "swap: 512\n", "", 1) },
		"an option twice":  func(c string) string { return strings.Replace(c, "memory:", "memory: 9\nmemory:", 1) },
		"behind the options": func(c string) string {
			return strings.Replace(c, "unprivileged: 1\n", "unprivileged: 1\n\n# mine\n", 1)
		},
		"an interface last": func(c string) string {
			net := c[strings.Index(c, "net0:"):strings.Index(c, "ostype:")]
			return strings.Replace(c, net, "", 1) + net
		},
	} {
		m := newGuest(t, s)
		m.sh(t, "pct snapshot 900 aa")
		m.sh(t, "pct snapshot 900 zz")
		before, last, _ := strings.Cut(m.conf(t), "[zz]\n")
		if change(last) == last {
			t.Fatalf("%s: changes nothing of\n%s", name, last)
		}
		want := before + "[zz]\n" + change(last)
		taskstest.Put(t, m.sim.Host(), "/etc/pve/lxc/900.conf", want)
		m.Recorder = taskstest.NewRecorder(m.sim.Host())
		wantStatus(t, m.check(t, s), tasks.StatusOK)
		wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusOK)
		if m.conf(t) != want || len(m.Changes()) > 0 {
			t.Errorf("%s: did %v, and left\n%s", name, m.Changes(), m.conf(t))
		}
	}
}

func TestLinesThatNothingWantsAreToldAndLeft(t *testing.T) {
	m := newGuest(t, spec(""))
	m.sh(t, "pct snapshot 900 gold")
	taskstest.Put(t, m.sim.Host(), "/etc/pve/lxc/900.conf", m.conf(t)+"mp0: /srv,mp=/srv\n")
	before := m.conf(t)
	res := m.check(t, spec(""))
	if want := `{"notes":["\"mp0: /srv,mp=/srv\" stands in snapshot gold behind what Proxmox writes there`; res.Status != tasks.StatusOK || !strings.HasPrefix(string(res.Data), want) {
		t.Errorf("%+v: %s", res, res.Data)
	}
	if wantStatus(t, m.apply(t, spec(""), tasks.Consent{}), tasks.StatusOK); m.conf(t) != before {
		t.Errorf("changed to\n%s", m.conf(t))
	}
}
