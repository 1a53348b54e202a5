package lxc_test

import (
	"fmt"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

const render = `"devices":[{"path":"/dev/null","mode":"0660","group":"render"}]`

// guestFile writes a file inside the container.
func (m *machine) guestFile(t *testing.T, name, text string) {
	t.Helper()
	taskstest.Put(t, m.sim.Host(), "/tmp/pushed", text)
	m.sh(t, "pct push 900 /tmp/pushed "+name)
}

func TestTheGroupOfADeviceIsTheContainersOwn(t *testing.T) {
	for _, release := range []string{"8.4", "9.1"} {
		t.Run(release, func(t *testing.T) {
			m := newMachine(t, release)
			wantStatus(t, m.apply(t, spec(render), tasks.Consent{Restart: true}), tasks.StatusChanged)
			if line := m.line(t, "dev0"); line != "dev0: /dev/null,gid=106,mode=0660" && line != "dev0: /dev/null,mode=0660,gid=106" {
				t.Errorf("%q", line)
			}
			wantStatus(t, m.check(t, spec(render)), tasks.StatusOK)
			m.guestFile(t, "/etc/group", "root:x:0:\nrender:x:991:\n")
			res := m.check(t, spec(render))
			if len(res.Changes) != 1 || res.Changes[0].Path != "devices./dev/null.group" || res.Changes[0].From != "106" || res.Changes[0].To != "991" ||
				!strings.HasPrefix(res.Changes[0].Note, "group render of the container") {
				t.Fatalf("%+v", res)
			}
			wantStatus(t, m.apply(t, spec(render), tasks.Consent{Restart: true}), tasks.StatusChanged)
			wantStatus(t, m.check(t, spec(render)), tasks.StatusOK)
		})
	}
}

func TestTheGroupOfADeviceOfAStoppedContainerStays(t *testing.T) {
	m := newGuest(t, spec(render))
	stopped := spec(render + `,"state":"stopped"`)
	m.sh(t, "pct stop 900")
	m.hand(t, "gid=106", "gid=7")
	res := m.apply(t, stopped, tasks.Consent{Restart: true})
	if res.Status != tasks.StatusOK || !strings.Contains(m.line(t, "dev0"), "gid=7") {
		t.Errorf("%+v\n%s", res, m.line(t, "dev0"))
	}
	wantStatus(t, m.check(t, stopped), tasks.StatusOK)
	wantStatus(t, m.apply(t, spec(render), tasks.Consent{Restart: true}), tasks.StatusChanged)
	if !strings.Contains(m.line(t, "dev0"), "gid=106") {
		t.Errorf("%s", m.line(t, "dev0"))
	}
}

func TestAGroupThatTheContainerDoesNotHaveIsNamed(t *testing.T) {
	m := newGuest(t, spec(""))
	res := m.check(t, spec(strings.Replace(render, `"render"`, `"rendr"`, 1)))
	if want := "find the group of device /dev/null: container 900 has no group rendr; it has: "; res.Status != tasks.StatusFailed || !strings.HasPrefix(res.Why, want) {
		t.Errorf("%+v", res)
	}
}

func TestAGroupOutsideTheMapOfUsersIsRefused(t *testing.T) {
	m := newGuest(t, spec(""))
	m.guestFile(t, "/etc/group", "render:x:70000:\n")
	res := m.check(t, spec(render))
	if want := "find the group of device /dev/null: group render is number 70000 in container 900, which its map of users does not have"; res.Status != tasks.StatusFailed || res.Why != want {
		t.Errorf("%+v", res)
	}
}

func TestManyGroupsAreNotAllListed(t *testing.T) {
	m := newGuest(t, spec(""))
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, "g%03d:x:%d:\n", i, 1000+i)
	}
	m.guestFile(t, "/etc/group", b.String())
	if res := m.check(t, spec(render)); !strings.HasSuffix(res.Why, "g028, g029 and 470 more") {
		t.Errorf("%+v", res)
	}
}

func TestAContainerThatWasMadeAndThenFailedIsNotSaidToBeMissing(t *testing.T) {
	m := newMachine(t, "8.4")
	res := m.apply(t, spec(strings.Replace(render, `"render"`, `"rendr"`, 1)), tasks.Consent{})
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "has no group rendr") || !strings.Contains(res.Why, "the container stays") || !res.Changes.Has("exists") || len(res.Remaining) > 0 {
		t.Errorf("%+v", res)
	}
}
