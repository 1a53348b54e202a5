package lxc_test

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

func TestAbsentIsRefusedWithoutConsent(t *testing.T) {
	m := newGuest(t, spec(""))
	res := m.apply(t, spec(`"state":"absent"`), tasks.Consent{Destroy: []int{901}})
	wantStatus(t, res, tasks.StatusSkipped)
	if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "destroying container 900 is refused without --allow-destroy 900") {
		t.Errorf("cause %q, why %q", res.Cause, res.Why)
	}
	wantAsked(t, res, "container 900 (web1) and all its volumes are destroyed")
	wantCalls(t, m)
}

// wantAsked wants a step that lacks the consent to lose container 900, and no other.
func wantAsked(t *testing.T, res tasks.Result, loss string) {
	t.Helper()
	if want := (tasks.Allow{Flag: tasks.AllowDestroy, Name: "900", Loss: loss}); !slices.Equal(res.Allow, []tasks.Allow{want}) {
		t.Errorf("asked for %#v, want %#v", res.Allow, want)
	}
}

func TestAbsentStopsAndDestroys(t *testing.T) {
	m := newGuest(t, spec(""))
	wantStatus(t, m.apply(t, spec(`"state":"absent"`), tasks.Consent{Destroy: []int{900}}), tasks.StatusChanged)
	wantCalls(t, m, "shutdown 900 --timeout 60 --forceStop 1", "destroy 900 --purge 1")
	wantStatus(t, m.apply(t, spec(`"state":"absent"`), tasks.Consent{}), tasks.StatusOK)
}

func TestProtectedContainerIsNotDestroyed(t *testing.T) {
	m := newGuest(t, spec(`"protection":true`))
	for _, s := range []string{spec(`"state":"absent"`), spec(`"state":"absent","protection":false`), spec(`"unprivileged":false`)} {
		res := m.apply(t, s, tasks.Consent{Destroy: []int{900}})
		wantStatus(t, res, tasks.StatusSkipped)
		if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, `is refused: it is protected: set "protection": false in a run of its own first`) || len(res.Allow) > 0 {
			t.Errorf("cause %q, why %q, asked for %+v", res.Cause, res.Why, res.Allow)
		}
	}
	wantCalls(t, m)
}

func TestReplacementIsRefusedAfterAllElse(t *testing.T) {
	m := newGuest(t, spec(`"volumes":[{"storage":"local-lvm","size_gb":2,"container_path":"/data"}]`))
	for name, c := range map[string]struct{ spec, path string }{
		"another privilege":              {spec(`"unprivileged":false`), "unprivileged"},
		"a smaller root volume":          {strings.Replace(spec(""), `"storage_size_gb":4`, `"storage_size_gb":2`, 1), "storage_size_gb"},
		"another pool":                   {strings.Replace(spec(""), `"local-lvm"`, `"local-zfs"`, 1), "storage_pool"},
		"a smaller volume":               {spec(`"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/data"}]`), "volumes./data.size_gb"},
		"a volume on another storage":    {spec(`"volumes":[{"storage":"local-zfs","size_gb":2,"container_path":"/data"}]`), "volumes./data.storage"},
		"a directory in place of a disk": {spec(`"mount_points":[{"host_path":"/srv","container_path":"/data"}]`), "mount_points./data.host_path"},
	} {
		res := m.apply(t, c.spec, tasks.Consent{Restart: true})
		wantStatus(t, res, tasks.StatusSkipped)
		if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "--allow-destroy 900") ||
			!res.Remaining.Has(c.path) || !res.Remaining.Only(tasks.EffectReplace) {
			t.Errorf("%s: cause %q, why %q, remaining %+v", name, res.Cause, res.Why, res.Remaining)
		}
	}
	wantCalls(t, m)
	res := m.apply(t, strings.Replace(spec(`"unprivileged":false`), `"memory_mb":512`, `"memory_mb":1024`, 1), tasks.Consent{})
	wantStatus(t, res, tasks.StatusSkipped)
	if !res.Changes.Has("memory_mb") || m.line(t, "memory") != "memory: 1024" {
		t.Errorf("changes %+v, %s: want the memory changed all the same", res.Changes, m.line(t, "memory"))
	}
	wantAsked(t, res, "container 900 (web1) and all its volumes are destroyed, and it is made anew:\nunprivileged true -> false")
}

func TestACheckSaysWhatARunWouldRefuse(t *testing.T) {
	replaced := spec(`"unprivileged":false`)
	smaller := strings.Replace(spec(""), `"storage_size_gb":4`, `"storage_size_gb":2`, 1)
	one := func(t *testing.T, d tasks.Diff) tasks.Change {
		t.Helper()
		d = append(d.With(tasks.EffectReplace), d.With(tasks.EffectDestroy)...)
		if len(d) != 1 {
			t.Fatalf("changes %+v, want one that destroys", d)
		}
		return d[0]
	}
	for name, c := range map[string]struct{ has, spec, note, why string }{
		"another privilege": {spec(""), replaced, "would be refused without --allow-destroy 900",
			"unprivileged true -> false needs container 900 to be destroyed and made anew (its data would be lost), which is refused without --allow-destroy 900"},
		"a smaller volume": {spec(""), smaller, "would be refused without --allow-destroy 900; or set storage_size_gb to 4",
			"storage_size_gb 4 -> 2 needs container 900 to be destroyed and made anew (its data would be lost), which is refused without --allow-destroy 900; or set storage_size_gb to 4"},
		"a container to go": {spec(""), spec(`"state":"absent"`), "its volumes are destroyed with it\nwould be refused without --allow-destroy 900",
			"destroying container 900 is refused without --allow-destroy 900"},
		"a protected one": {spec(`"protection":true`), replaced, `would be refused: it is protected: set "protection": false in a run of its own first`,
			`made anew (its data would be lost), which is refused: it is protected: set "protection": false in a run of its own first`},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, c.has)
			res := m.check(t, c.spec)
			if d := one(t, res.Changes); d.Note != c.note || !d.Held() || (d.Effect == tasks.EffectDestroy) != (name == "a container to go") {
				t.Errorf("changes %+v, want the note %q", d, c.note)
			}
			if res := m.apply(t, c.spec, tasks.Consent{}); !strings.HasSuffix(res.Why, c.why) {
				t.Errorf("why  %q\nwant %q", res.Why, c.why)
			}
			res = m.step(t, c.spec, tasks.ModeCheck, tasks.Consent{Destroy: []int{900}})
			if held := one(t, res.Changes).Held(); held != (name == "a protected one") {
				t.Errorf("with consent, held is %t", held)
			}
		})
	}
}

func TestReplacementWithConsentMakesTheContainerAnew(t *testing.T) {
	m := newGuest(t, spec(""))
	const rules = "[RULES]\nIN DROP # by hand\n"
	taskstest.Put(t, m, "/etc/pve/firewall/900.fw", rules)
	wantStatus(t, m.apply(t, spec(`"unprivileged":false`), tasks.Consent{Destroy: []int{900}}), tasks.StatusChanged)
	if got := taskstest.Get(t, m, "/etc/pve/firewall/900.fw"); got != rules {
		t.Errorf("its rules of the firewall are %q", got)
	}
	calls := m.pct()
	if len(calls) != 4 || calls[1] != "destroy 900" || !strings.HasPrefix(calls[2], "create 900 ") || calls[3] != "start 900" {
		t.Errorf("pct was called as %q", calls)
	}
	wantStatus(t, m.check(t, spec(`"unprivileged":false`)), tasks.StatusOK)
}

func TestReplacementThatCouldNotBeMadeDestroysNothing(t *testing.T) {
	m := newGuest(t, spec(""))
	s := strings.Replace(spec(`"unprivileged":false`), "debian-12-standard", "debian-99-standard", 1)
	res := m.apply(t, s, tasks.Consent{Destroy: []int{900}})
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "find template debian-99-standard") {
		t.Errorf("why %q", res.Why)
	}
	wantCalls(t, m)
}

// TestNothingIsDestroyedThatCouldNotBeMadeAgain replaces a container whose new one
// pct create would refuse.
func TestNothingIsDestroyedThatCouldNotBeMadeAgain(t *testing.T) {
	smaller := strings.Replace(spec("%s"), `"storage_size_gb":4`, `"storage_size_gb":2`, 1)
	for name, c := range map[string]struct{ more, storage, want string }{
		"a storage that is switched off": {"", "lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\tcontent rootdir,images\n\tdisable\n", "storage local-lvm is disabled"},
		"a storage of another node":      {"", "lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\tcontent rootdir,images\n\tnodes pve2,pve3\n", "storage local-lvm is not for this node, pve: it is limited to pve2, pve3"},
		"a template storage that is off": {"", "dir: local\n\tpath /var/lib/vz\n\tcontent vztmpl\n\tdisable 1\n\nlvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\tcontent rootdir,images\n", "storage local is disabled"},
		"a device that is missing":       {`"devices":[{"path":"/dev/nosuch"}]`, "", "look for device /dev/nosuch"},
		"a hook script that is missing":  {`"hookscript":"local:snippets/nosuch.sh"`, "", "look for hookscript local:snippets/nosuch.sh"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(""))
			if c.storage != "" {
				taskstest.Put(t, m.sim.Host(), "/etc/pve/storage.cfg", c.storage)
			}
			more := c.more
			if more == "" {
				more = `"state":"running"`
			}
			res := m.apply(t, strings.Replace(smaller, "%s", more, 1), tasks.Consent{Destroy: []int{900}, Restart: true})
			wantStatus(t, res, tasks.StatusFailed)
			if !strings.Contains(res.Why, c.want) {
				t.Errorf("why %q, want %q", res.Why, c.want)
			}
			wantCalls(t, m)
		})
	}
}

func TestWhatIsDestroyedIsCountedWithItsSnapshots(t *testing.T) {
	m := newGuest(t, spec(""))
	m.sh(t, "pct snapshot 900 one")
	m.sh(t, "pct snapshot 900 two")
	for s, want := range map[string]string{
		spec(`"state":"absent"`):     "its volumes and its 2 snapshots are destroyed with it\nwould be refused without --allow-destroy 900",
		spec(`"unprivileged":false`): "its volumes and its 2 snapshots are destroyed with it\nwould be refused without --allow-destroy 900",
	} {
		if c := m.check(t, s).Changes[0]; c.Note != want {
			t.Errorf("%+v, want the note %q", c, want)
		}
	}
	wantAsked(t, m.apply(t, spec(`"state":"absent"`), tasks.Consent{}), "container 900 (web1) and all its volumes and its 2 snapshots are destroyed")
}
