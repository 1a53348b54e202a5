package lxc_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

const (
	mapOf33   = `"idmap":[{"container_id":0,"host_id":100000,"count":33},{"container_id":33,"host_id":170000,"count":1}]`
	linesOf33 = "lxc.idmap: u 0 100000 33\nlxc.idmap: u 33 170000 1\nlxc.idmap: g 0 100000 33\nlxc.idmap: g 33 170000 1\n"
)

func TestTheProfileAndTheMapLeaveOtherRawLines(t *testing.T) {
	const other = "lxc.cap.drop: sys_time\n"
	const listed = `"lxc_options":["lxc.cap.drop: sys_time"],`
	for name, c := range map[string]struct {
		more, had, want string
		paths           []string
	}{
		"a profile":                        {`"apparmor_profile":"unconfined"`, other, other + "lxc.apparmor.profile: unconfined\n", []string{"apparmor_profile"}},
		"another profile":                  {`"apparmor_profile":"own-1"`, "lxc.apparmor.profile = unconfined\n" + other, other + "lxc.apparmor.profile: own-1\n", []string{"apparmor_profile"}},
		"the one of the features":          {`"apparmor_profile":"generated"`, other + "lxc.apparmor.profile: unconfined\n", other, []string{"apparmor_profile"}},
		"the same by a line":               {`"apparmor_profile":"generated"`, other + "lxc.apparmor.profile: generated\n", other, []string{"apparmor_profile"}},
		"a map":                            {mapOf33, other, other + linesOf33, []string{"idmap"}},
		"a map in another order":           {mapOf33, "lxc.idmap: g 33 170000 1\nlxc.idmap: g 0 100000 33\nlxc.idmap: u 33 170000 1\n" + other + "lxc.idmap = u 0  100000 33\n", "", nil},
		"no map":                           {`"idmap":[]`, other + linesOf33, other, []string{"idmap"}},
		"Proxmox's own map, by lines":      {`"idmap":[]`, other + "lxc.idmap: u 0 100000 65536\nlxc.idmap: g 0 100000 65536\n", "", nil},
		"Proxmox's own map, by none":       {`"idmap":[{"type":"both","container_id":0,"host_id":100000,"count":65536}]`, other, "", nil},
		"beside the list":                  {listed + mapOf33 + `,"apparmor_profile":"unconfined"`, other, other + "lxc.apparmor.profile: unconfined\n" + linesOf33, []string{"apparmor_profile", "idmap"}},
		"beside a list that differs":       {listed + `"apparmor_profile":"unconfined"`, "lxc.apparmor.profile: unconfined\nlxc.idmap: u 0 100000 9\n", other + "lxc.apparmor.profile: unconfined\n", []string{"lxc_options"}},
		"nothing is said, nothing is ours": {`"name":"web1"`, other + linesOf33, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(`"state":"stopped"`))
			allow(t, m, 170000)
			m.hand(t, "unprivileged: 1\n", "unprivileged: 1\n"+c.had)
			before := m.conf(t)
			s := `{"ctid":900,"state":"stopped",` + c.more + `}`
			res := m.check(t, s)
			if got := paths(res.Changes); !slices.Equal(got, c.paths) {
				t.Fatalf("changes %q (%s), want %q", got, res.Why, c.paths)
			}
			res = m.apply(t, s, tasks.Consent{})
			want := before
			if c.paths != nil {
				wantStatus(t, res, tasks.StatusChanged)
				want = strings.Replace(before, c.had, c.want, 1)
			}
			if got := m.conf(t); got != want {
				t.Errorf("configuration\n%s\nwant\n%s", got, want)
			}
			wantStatus(t, m.check(t, s), tasks.StatusOK)
		})
	}
}

// allow lets root of the host give away one number more.
func allow(t *testing.T, m *machine, id int) {
	t.Helper()
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		taskstest.Put(t, m.sim.Host(), file, "root:100000:65536\nphoenix:200000:65536\nroot:"+strconv.Itoa(id)+":1\n")
	}
}

func TestTheProfileAndTheMapOfARunningContainerWaitForItsStart(t *testing.T) {
	m := newGuest(t, spec(""))
	allow(t, m, 170000)
	s := spec(`"apparmor_profile":"unconfined",` + mapOf33)
	res := m.apply(t, s, tasks.Consent{})
	if res.Cause != tasks.CausePending || !slices.Equal(paths(res.Remaining), []string{"apparmor_profile", "idmap"}) {
		t.Fatalf("%s %s: %+v", res.Status, res.Cause, res.Remaining)
	}
	if c := res.Remaining[0]; c.From != "generated" || c.To != "unconfined" || c.Effect != tasks.EffectPending {
		t.Errorf("change %+v", c)
	}
	wantStatus(t, m.apply(t, s, tasks.Consent{Restart: true}), tasks.StatusChanged)
	wantStatus(t, m.check(t, s), tasks.StatusOK)
}

func TestAMapThatCannotBeHadIsRefused(t *testing.T) {
	const shifted = `"idmap":[{"container_id":0,"host_id":200000,"count":65536}]`
	for name, c := range map[string]struct{ made, more, why string }{
		"numbers that root may not give away": {"", mapOf33, "add root:170000:1 to /etc/subuid and root:170000:1 to /etc/subgid on the host"},
		"another root":                        {"", shifted, "the files of its root belong to 100000 of the host: map container_id 0 to host_id 100000"},
		"a privileged container":              {`"unprivileged":false`, mapOf33, "the container is privileged: take idmap out"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(c.made))
			if !strings.HasPrefix(c.why, "add") {
				allow(t, m, 170000)
			}
			before := m.conf(t)
			s := `{"ctid":900,"tags":["b"],` + c.more + `}`
			res := m.check(t, s)
			if got := paths(res.Changes); !slices.Equal(got, []string{"tags", "idmap"}) || !strings.Contains(res.Changes[1].Note, "refused: "+c.why) {
				t.Fatalf("changes %+v", res.Changes)
			}
			res = m.apply(t, s, tasks.Consent{Restart: true})
			if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, c.why) {
				t.Errorf("%s %s %q", res.Status, res.Cause, res.Why)
			}
			if got := strings.Replace(m.conf(t), "tags: b\n", "", 1); got != before {
				t.Errorf("configuration\n%s\nwant all but the tags as in\n%s", m.conf(t), before)
			}
			fresh := newMachine(t, "8.4")
			if c.made == "" {
				res = fresh.apply(t, spec(c.more), tasks.Consent{})
				if !strings.HasPrefix(c.why, "add") {
					c.why = "map container_id 0 to host_id 100000"
				}
				if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, c.why) || len(fresh.Changes()) > 0 {
					t.Errorf("a new one: %s %q, did %v", res.Status, res.Why, fresh.Changes())
				}
			}
		})
	}
}

func TestAMapThatHasLostTheLineOfItsRootIsMended(t *testing.T) {
	s := spec(mapOf33)
	m := newMachine(t, "8.4")
	allow(t, m, 170000)
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
	whole := m.conf(t)
	for _, line := range []string{"lxc.idmap: u 0 100000 33\n", "lxc.idmap: g 0 100000 33\n"} {
		m.hand(t, line, "")
		if res := m.check(t, s); res.Changes[0].Held() {
			t.Errorf("changes %+v", res.Changes)
		}
		wantStatus(t, m.apply(t, s, tasks.Consent{Restart: true}), tasks.StatusChanged)
		if m.conf(t) != whole {
			t.Errorf("configuration\n%s\nwant\n%s", m.conf(t), whole)
		}
	}
}

func TestAContainerWhoseNumbersRootMayNotGiveAwayIsNotStopped(t *testing.T) {
	m := newGuest(t, spec(""))
	m.hand(t, "unprivileged: 1\n", "unprivileged: 1\n"+linesOf33)
	res := m.apply(t, spec(`"timezone":"UTC"`), tasks.Consent{Restart: true})
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "it would not start again: add root:170000:1 to /etc/subuid") {
		t.Errorf("%s %q", res.Status, res.Why)
	}
	wantCalls(t, m, "set 900 --timezone UTC")
}

func TestWhatRootMayGiveAwayIsReadFromAllItsLines(t *testing.T) {
	m := newGuest(t, spec(""))
	const all = "\nroot:100000:65536\n"
	for have, ok := range map[string]bool{
		"root:170000:1" + all: true, "0:170000:1" + all: true, "root:169990:11" + all: true, "root:169995:10\nroot:169990:6" + all: true,
		"other:170000:1" + all: false, "root:170001:1" + all: false, "root:169990:10" + all: false, "root:x:1\nroot:170000" + all: false, "": false,
		// two that are one behind the other, two with a gap
		"root:100010:90000\nroot:100000:10\n": true, "root:100011:90000\nroot:100000:10\n": false,
	} {
		for _, c := range [][2]string{{"/etc/subuid", "/etc/subgid"}, {"/etc/subgid", "/etc/subuid"}} {
			taskstest.Put(t, m.sim.Host(), c[0], have)
			taskstest.Put(t, m.sim.Host(), c[1], "root:1:200000\n")
			res := m.check(t, spec(mapOf33))
			if got := !strings.Contains(res.Changes[0].Note, " to "+c[0]+" on the host"); got != ok {
				t.Errorf("%s %q: %+v", c[0], have, res.Changes)
			}
		}
	}
}

func TestTheSizeOfARootVolumeWithStagedOptionsStays(t *testing.T) {
	m := newGuest(t, spec(""))
	m.apply(t, spec(`"rootfs":{"mount_options":["noatime"]}`), tasks.Consent{})
	grown := strings.Replace(spec(`"rootfs":{"mount_options":["noatime"]}`), `"storage_size_gb":4`, `"storage_size_gb":6`, 1)
	res := m.apply(t, grown, tasks.Consent{})
	if !slices.Equal(paths(res.Remaining), []string{"rootfs.mount_options"}) {
		t.Fatalf("%s %q: %+v", res.Status, res.Why, res.Remaining)
	}
	m.sh(t, "pct reboot 900")
	wantStatus(t, m.check(t, grown), tasks.StatusOK)
	if got := m.line(t, "rootfs"); got != "rootfs: local-lvm:vm-900-disk-0,mountoptions=noatime,size=6G" {
		t.Error(got)
	}
}

func TestACloneKeepsTheRawLinesOfItsParent(t *testing.T) {
	m := newParent(t, newMachine(t, "8.4"), "local-lvm")
	allow(t, m, 170000)
	const file = "/etc/pve/lxc/800.conf"
	taskstest.Put(t, m.sim.Host(), file, taskstest.Get(t, m.sim.Host(), file)+"lxc.cap.drop: sys_time\n"+linesOf33)
	wantStatus(t, m.apply(t, cloned(`"apparmor_profile":"unconfined"`), tasks.Consent{}), tasks.StatusChanged)
	if got := m.conf(t); !strings.HasSuffix(got, "\nlxc.cap.drop: sys_time\n"+linesOf33+"lxc.apparmor.profile: unconfined\n") {
		t.Errorf("configuration\n%s", got)
	}
}
