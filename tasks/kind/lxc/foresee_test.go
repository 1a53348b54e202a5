package lxc_test

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/taskstest"
)

// TestACheckOfANewContainerSaysWhatTheRunWouldRefuse: with the words of the run, which
// starts nothing.
func TestACheckOfANewContainerSaysWhatTheRunWouldRefuse(t *testing.T) {
	for name, c := range map[string]struct{ old, fresh, more, want string }{
		"a bridge":                   {"vmbr0", "vmbr77", "", "look for bridge vmbr77: the host has none of that name"},
		"a larger MTU":               {`"bridge":"vmbr0"`, `"bridge":"vmbr0","mtu":9000`, "", "an MTU of 9000 is larger than that of bridge vmbr0"},
		"a template":                 {"debian-12-standard", "debian-13-standard", "", "find template debian-13-standard: it is not on storage local"},
		"a storage":                  {"local-lvm", "tank", "", "storage tank does not exist"},
		"a storage for volumes":      {"", "", `"volumes":[{"storage":"local","size_gb":1,"container_path":"/d"}]`, "storage local takes no containers"},
		"a directory":                {"", "", `"mount_points":[{"host_path":"/srv/none","container_path":"/d"}]`, "/srv/none is not there on the host (set create to make it)"},
		"a device":                   {"", "", `"devices":[{"path":"/dev/none"}]`, "look for device /dev/none"},
		"a script":                   {"", "", `"hookscript":"local:snippets/none.sh"`, "look for hookscript local:snippets/none.sh"},
		"a source of a raw mount":    {"", "", `"lxc_options":["lxc.mount.entry: /srv/none srv none bind 0 0"]`, "the host has no /srv/none"},
		"a profile":                  {"", "", `"apparmor_profile":"none"`, "the profile none is not loaded: apparmor_parser -r on the file that has it"},
		"numbers that root may give": {"", "", mapOf33, "add root:170000:1 to /etc/subuid"},
		"a time zone":                {"", "", `"timezone":"Mars/Base"`, "look for timezone Mars/Base: no such zone below /usr/share/zoneinfo of the host"},
		"a parent":                   {`"template":"debian-12-standard",`, `"clone_from_ctid":800,`, "", "container 800, of which it is to be a clone, is not on this host"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "8.4")
			taskstest.Put(t, m.sim.Host(), "/sys/class/net/vmbr0/mtu", "1500\n")
			s := strings.Replace(spec(c.more), c.old, c.fresh, 1)
			res := m.check(t, s)
			wantStatus(t, res, tasks.StatusFailed)
			if len(res.Remaining) != 1 || !strings.Contains(res.Remaining[0].Note, "\n"+tasks.NoteCannot) || !strings.Contains(res.Why, c.want) {
				t.Errorf("the check says %q at %+v, want %q", res.Why, res.Remaining, c.want)
			}
			if len(m.Commands()) > 0 || len(m.Changes()) > 0 {
				t.Errorf("the check started %q and did %v", m.Commands(), m.Changes())
			}
			res = m.apply(t, s, tasks.Consent{})
			wantStatus(t, res, tasks.StatusFailed)
			if !strings.Contains(res.Why, c.want) || len(m.Changes()) > 0 {
				t.Errorf("the run says %q and did %v", res.Why, m.Changes())
			}
		})
	}
}

// TestACheckSaysWhatTheRunWouldRefuseToChange: at the difference that it is about.
func TestACheckSaysWhatTheRunWouldRefuseToChange(t *testing.T) {
	for name, c := range map[string]struct{ old, fresh, more, at, want string }{
		"a bridge":                               {"vmbr0", "vmbr77", "", "network_config.eth0.bridge", "look for bridge vmbr77"},
		"another interface":                      {`{"name":"eth0","bridge":"vmbr0","ip":"dhcp"}`, `[{"name":"eth1","bridge":"vmbr77","ip":"dhcp"}]`, "", "network_config.eth1", "look for bridge vmbr77"},
		"a larger MTU":                           {`"bridge":"vmbr0"`, `"bridge":"vmbr0","mtu":9000`, "", "network_config.eth0.mtu", "an MTU of 9000 is larger"},
		"a storage":                              {"", "", `"volumes":[{"storage":"tank","size_gb":1,"container_path":"/d"}]`, "volumes./d", "there is no storage tank"},
		"a storage without them":                 {"", "", `"volumes":[{"storage":"local","size_gb":1,"container_path":"/d"}]`, "volumes./d", "storage local may not have containers"},
		"a directory":                            {"", "", `"mount_points":[{"host_path":"/srv/none","container_path":"/d"}]`, "mount_points./d", "directory /srv/none is not there on the host"},
		"a device":                               {"", "", `"devices":[{"path":"/dev/none"}]`, "devices./dev/none", "the host has no device /dev/none"},
		"a script":                               {"", "", `"hookscript":"local:snippets/none.sh"`, "hookscript", "the host has no "},
		"a profile":                              {"", "", `"apparmor_profile":"none"`, "apparmor_profile", "it would not start: look at lxc.apparmor.profile: the profile none is not loaded"},
		"a time zone":                            {"", "", `"timezone":"Mars/Base"`, "timezone", "no such zone"},
		"a storage that it would be replaced on": {`"storage_pool":"local-lvm"`, `"storage_pool":"local"`, "", "storage_pool", "storage local takes no containers"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(""))
			taskstest.Put(t, m.sim.Host(), "/sys/class/net/vmbr0/mtu", "1500\n")
			start := taskstest.Get(t, m.sim.Host(), "/proc/net/unix")
			s := strings.Replace(spec(c.more), c.old, c.fresh, 1)
			consent := tasks.Consent{Restart: true, Destroy: []int{900}}
			res := m.step(t, s, tasks.ModeCheck, consent)
			wantStatus(t, res, tasks.StatusFailed)
			i := slices.IndexFunc(res.Remaining, func(x tasks.Change) bool { return x.Path == c.at })
			if i < 0 || !strings.Contains(res.Remaining[i].Note, tasks.NoteCannot) || !strings.Contains(res.Why, c.want) {
				t.Errorf("the check says %q at %+v, want %q at %s", res.Why, res.Remaining, c.want, c.at)
			}
			if len(m.Commands()) > 0 {
				t.Errorf("the check started %q", m.Commands())
			}
			wantStatus(t, m.apply(t, s, consent), tasks.StatusFailed)
			if taskstest.Get(t, m.sim.Host(), "/proc/net/unix") != start {
				t.Error("the container was stopped")
			}
		})
	}
}

// TestAnObstacleIsToldOnlyWhereItIsOne: to a container that is not started, a profile is
// nothing, and a directory that the run makes is there.
func TestAnObstacleIsToldOnlyWhereItIsOne(t *testing.T) {
	for name, more := range map[string]string{
		"it stays stopped":        `"state":"stopped","apparmor_profile":"none"`,
		"the directory is made":   `"mount_points":[{"host_path":"/srv/new","container_path":"/d","create":true}]`,
		"with the one above it":   `"mount_points":[{"host_path":"/srv/new","container_path":"/d"},{"host_path":"/srv/new/b","container_path":"/b","create":true}]`,
		"Proxmox's own profile":   `"apparmor_profile":"lxc-container-default-cgns"`,
		"a time zone of the host": `"timezone":"host"`,
	} {
		for _, made := range []bool{false, true} {
			m := newMachine(t, "8.4")
			if made {
				m = newGuest(t, spec(`"state":"stopped"`))
			}
			wantStatus(t, m.check(t, spec(more)), tasks.StatusWouldChange)
			if res := m.apply(t, spec(more), tasks.Consent{Restart: true}); res.Status != tasks.StatusChanged {
				t.Errorf("%s: %s %q", name, res.Status, res.Why)
			}
		}
	}
}

// TestWhatAnEarlierStepMayBringIsNoFailure, and what it cannot bring is one.
func TestWhatAnEarlierStepMayBringIsNoFailure(t *testing.T) {
	for name, c := range map[string]struct {
		old, fresh, more, step string
		brings                 bool
	}{
		"the storage":                    {"local-lvm", "tank", "", "storage:tank", true},
		"the bridge":                     {"vmbr0", "vmbr77", "", "network:interfaces", true},
		"the template":                   {"debian-12-standard", "debian-13-standard", "", "template:debian-13-standard", true},
		"the directory":                  {"", "", `"mount_points":[{"host_path":"/srv/none","container_path":"/d"}]`, "dataset:tank/none", true},
		"the profile, by a script":       {"", "", `"apparmor_profile":"none"`, "script:apparmor", true},
		"the parent":                     {`"template":"debian-12-standard",`, `"clone_from_ctid":800,`, "", "lxc:800", true},
		"another container":              {`"template":"debian-12-standard",`, `"clone_from_ctid":800,`, "", "lxc:801", false},
		"a storage, but not the bridge":  {"vmbr0", "vmbr77", "", "storage:tank", false},
		"a time, but not the time zone":  {"", "", `"timezone":"Mars/Base"`, "system:time", false},
		"a file, which loads no profile": {"", "", `"apparmor_profile":"none"`, "file:/etc/apparmor.d/none", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(lxc.Spec)
			if err := tasks.UnmarshalStrict([]byte(strings.Replace(spec(c.more), c.old, c.fresh, 1)), s); err != nil {
				t.Fatal(err)
			}
			ctx := tasks.WithScope(t.Context(), tasks.Scope{Earlier: []string{"system:hostname", c.step}})
			d, err := s.Task().Check(ctx, newMachine(t, "8.4").sim.Host())
			if err != nil || len(d) != 1 {
				t.Fatalf("%v %+v", err, d)
			}
			told := strings.Contains(d[0].Note, "; a run takes "+c.step+" first, which may bring it")
			if told != c.brings || strings.Contains(d[0].Note, tasks.NoteCannot) == c.brings {
				t.Errorf("the check notes %q", d[0].Note)
			}
		})
	}
}

// TestThePlanOfANewContainerNamesEverything that it will have.
func TestThePlanOfANewContainerNamesEverything(t *testing.T) {
	m := newMachine(t, "8.4")
	allow(t, m, 170000)
	more := `"lxc_options":["lxc.cap.drop: sys_time"],"apparmor_profile":"unconfined",` + mapOf33 +
		`,"mount_points":[{"host_path":"/srv/new","container_path":"/d","create":true,"owner_uid":33}],"devices":[{"path":"/dev/null","group":"video"}]`
	lines := []string{
		"lxc_options: lxc.cap.drop: sys_time", "apparmor_profile: unconfined", "idmap: u 0 100000 33; u 33 170000 1; g 0 100000 33; g 33 170000 1",
		"mount_points./d.create: directory", "mount_points./d.owner_uid: 170000 (numbers of the host; in the container it is 33)", "devices./dev/null.group: video",
	}
	note := m.check(t, spec(more)).Changes[0].Note
	for _, l := range lines {
		if !strings.Contains(note, "\n"+l+"\n") {
			t.Errorf("%q is not in\n%s", l, note)
		}
	}
	parent := newParent(t, m, "local-lvm")
	if note = parent.check(t, cloned(more)).Changes[0].Note; !strings.Contains(note, "clone_mode: full\n") {
		t.Errorf("no mode in\n%s", note)
	}
	for _, l := range lines {
		if !strings.Contains(note, "\n"+l+"\n") {
			t.Errorf("%q is not in that of a clone\n%s", l, note)
		}
	}
	parent.sh(t, "pct template 800")
	if note = parent.check(t, cloned("")).Changes[0].Note; !strings.Contains(note, "clone_mode: linked\n") {
		t.Errorf("no mode in\n%s", note)
	}
}
