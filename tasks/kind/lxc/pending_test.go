package lxc_test

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

const keyctl = `{"ctid":900,"pct_options":{"nesting":true,"keyctl":true},"timezone":"UTC"}`

func TestRestartIsLeftUndoneWithoutConsent(t *testing.T) {
	for name, c := range map[string]struct {
		more    string
		consent tasks.Consent
	}{
		"the job does not allow it":     {`"restart":"allowed"`, tasks.Consent{}},
		"the container does not either": {`"restart":"never"`, tasks.Consent{Restart: true}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(""))
			s := strings.TrimSuffix(keyctl, "}") + "," + c.more + "}"
			res := m.apply(t, s, c.consent)
			wantStatus(t, res, tasks.StatusChanged)
			if res.Cause != tasks.CausePending || !res.Remaining.Only(tasks.EffectPending) || len(res.Remaining) != 2 {
				t.Errorf("cause %q, remaining %+v", res.Cause, res.Remaining)
			}
			wantCalls(t, m, "set 900 --features keyctl=1,nesting=1 --timezone UTC")
			res = m.apply(t, s, c.consent)
			wantStatus(t, res, tasks.StatusSkipped)
			if res.Cause != tasks.CausePending || len(m.pct()) != 1 {
				t.Errorf("cause %q, calls %q: want nothing sent a second time", res.Cause, m.pct())
			}
		})
	}
}

func TestStagedValueNeedsOnlyTheRestart(t *testing.T) {
	m := newGuest(t, spec(""))
	m.sh(t, "pct set 900 --features nesting=1,keyctl=1 --timezone UTC")
	res := m.check(t, keyctl)
	if got := paths(res.Changes); !slices.Equal(got, []string{"pct_options.keyctl", "timezone"}) || !res.Changes.Only(tasks.EffectPending) {
		t.Fatalf("check: %+v", res.Changes)
	}
	res = m.apply(t, keyctl, tasks.Consent{Restart: true})
	wantStatus(t, res, tasks.StatusChanged)
	if len(res.Changes) != 2 || !res.Changes.Only(tasks.EffectRestart) || len(res.Remaining) > 0 {
		t.Errorf("result %+v, want it to say that the container was restarted", res)
	}
	wantCalls(t, m, "shutdown 900 --timeout 60 --forceStop 1", "start 900")
}

func TestACheckSaysThatARunDoesNotRestart(t *testing.T) {
	for more, want := range map[string]tasks.Change{
		`"restart":"never"`:   {Effect: tasks.EffectPending, Note: noteWaits + tasks.NoteNoRestart + ` ("restart": "never")`},
		`"state":"stopped"`:   {Effect: tasks.EffectPending, Note: noteWaits + tasks.NoteNoRestart + ` ("state": "stopped")`},
		`"restart":"allowed"`: {Effect: tasks.EffectRestart, Note: "written already; the run restarts it"},
	} {
		m := newGuest(t, spec(""))
		m.sh(t, "pct set 900 --timezone UTC")
		res := m.step(t, spec(`"timezone":"UTC",`+more), tasks.ModeCheck, tasks.Consent{Restart: true})
		if c := res.Changes[0]; c.Path != "timezone" || c.Effect != want.Effect || c.Note != want.Note || c.Held() != (want.Effect == tasks.EffectPending) {
			t.Errorf("%s: %+v", more, res.Changes)
		}
	}
}

// noteWaits is the first line of the note of what a run leaves waiting.
const noteWaits = "written, and waits for the next start\n"

func TestWhatWaitsForTheStartOfAStoppedContainerIsMadeByIt(t *testing.T) {
	m := newGuest(t, spec(""))
	m.sh(t, "pct stop 900")
	m.hand(t, "unprivileged: 1\n", "unprivileged: 1\n\n[pve:pending]\ntimezone: UTC\n")
	s := spec(`"timezone":"UTC","restart":"never"`)
	if c := m.check(t, s).Changes[0]; c.Path != "timezone" || c.Effect != tasks.EffectLive || c.Note != "written already; the run starts it" || c.Held() {
		t.Errorf("change %+v", c)
	}
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
	wantStatus(t, m.check(t, s), tasks.StatusOK)
}

func TestAnotherStagedValueIsNotedAndReplaced(t *testing.T) {
	m := newGuest(t, spec(`"timezone":"Europe/Berlin"`))
	m.sh(t, "pct set 900 --timezone Asia/Tokyo")
	res := m.check(t, keyctl)
	if c := res.Changes[len(res.Changes)-1]; c.Path != "timezone" || c.From != "Europe/Berlin" || !strings.Contains(c.Note, "another value is staged for the next start: Asia/Tokyo") {
		t.Errorf("change %+v", c)
	}
	wantStatus(t, m.apply(t, keyctl, tasks.Consent{Restart: true}), tasks.StatusChanged)
	wantStatus(t, m.check(t, keyctl), tasks.StatusOK)
}

func TestStagedDriftIsTakenBack(t *testing.T) {
	want := spec(`"timezone":"Europe/Berlin"`)
	for name, c := range map[string]struct{ by, path, key string }{
		"a value":              {"pct set 900 --timezone Asia/Tokyo", "timezone", "timezone"},
		"a key of a value":     {"pct set 900 --features nesting=0", "pct_options.nesting", "features"},
		"the end of an option": {"pct set 900 --delete timezone", "timezone", "timezone"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, want)
			m.sh(t, c.by)
			res := m.check(t, want)
			if len(res.Changes) != 1 || res.Changes[0].Path != c.path || !strings.Contains(res.Changes[0].Note, "staged for the next start") {
				t.Fatalf("check: %+v", res.Changes)
			}
			wantStatus(t, m.apply(t, want, tasks.Consent{}), tasks.StatusChanged)
			wantCalls(t, m, "set 900 --revert "+c.key)
			wantStatus(t, m.check(t, want), tasks.StatusOK)
		})
	}
}

func TestStagedEndOfAMountIsTakenBack(t *testing.T) {
	want := spec(`"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/data"}]`)
	m := newGuest(t, want)
	m.sh(t, "pct set 900 --delete mp0")
	res := m.check(t, want)
	if len(res.Changes) != 1 || res.Changes[0].Path != "volumes./data" || res.Changes[0].From != "(to be removed)" {
		t.Fatalf("check: %+v", res.Changes)
	}
	wantStatus(t, m.apply(t, want, tasks.Consent{}), tasks.StatusChanged)
	wantCalls(t, m, "set 900 --revert mp0")
}

func TestRawOptionsOfARunningContainerWaitForItsStart(t *testing.T) {
	m := newGuest(t, spec(""))
	s := `{"ctid":900,"lxc_options":["lxc.prlimit.nofile: 4096"]}`
	res := m.apply(t, s, tasks.Consent{})
	wantStatus(t, res, tasks.StatusChanged)
	if res.Cause != tasks.CausePending || !res.Remaining.Has("lxc_options") {
		t.Fatalf("cause %q, remaining %+v", res.Cause, res.Remaining)
	}
	for _, by := range []string{"pct set 900 --onboot 1", "pct set 900 --memory 600"} { // each makes LXC's file anew
		m.sh(t, by)
		if res := m.check(t, s); !res.Changes.Only(tasks.EffectPending) {
			t.Fatalf("after %s: %s %+v", by, res.Status, res.Changes)
		}
	}
	m.sh(t, "pct reboot 900")
	wantStatus(t, m.check(t, s), tasks.StatusOK)
}

func TestRawOptionsThatAreTakenAwayWaitForTheStart(t *testing.T) {
	m := newGuest(t, spec(`"lxc_options":["lxc.prlimit.nofile: 4096","lxc.cap.drop: sys_time"]`))
	for _, s := range []string{`{"ctid":900,"lxc_options":[]}`, `{"ctid":900,"lxc_options":["lxc.cap.drop: sys_time","lxc.prlimit.nofile: 4096"]}`} {
		res := m.apply(t, s, tasks.Consent{})
		wantStatus(t, res, tasks.StatusChanged)
		if res.Cause != tasks.CausePending || !res.Remaining.Has("lxc_options") {
			t.Fatalf("%s: cause %q, remaining %+v", s, res.Cause, res.Remaining)
		}
	}
	same := `{"ctid":900,"lxc_options":["lxc.prlimit.nofile: 4096","lxc.cap.drop: sys_time"]}`
	wantStatus(t, m.apply(t, same, tasks.Consent{}), tasks.StatusChanged) // as it was started
	wantStatus(t, m.check(t, same), tasks.StatusOK)
	m.Recorder = taskstest.NewRecorder(m.sim.Host())
	wantStatus(t, m.apply(t, `{"ctid":900,"lxc_options":[]}`, tasks.Consent{Restart: true}), tasks.StatusChanged)
	wantCalls(t, m, "shutdown 900 --timeout 60 --forceStop 1", "start 900")
	wantStatus(t, m.check(t, `{"ctid":900,"lxc_options":[]}`), tasks.StatusOK)
}

func TestRestartIsRefusedWhenTheContainerWouldNotStartAgain(t *testing.T) {
	m := newGuest(t, spec(""))
	m.hand(t, "unprivileged: 1\n", "unprivileged: 1\n\n[pve:pending]\nnet1: name=eth1,bridge=vmbr77\n")
	res := m.apply(t, keyctl, tasks.Consent{Restart: true})
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "restart container 900: it would not start again: look for bridge vmbr77") {
		t.Errorf("why %q", res.Why)
	}
	for _, c := range m.pct() {
		if strings.HasPrefix(c, "shutdown") {
			t.Errorf("the container was stopped: %q", m.pct())
		}
	}
}

func TestNewDeviceReachesARunningContainerInRelease9(t *testing.T) {
	for release, effect := range map[string]tasks.Effect{"8.4": tasks.EffectRestart, "9.1": tasks.EffectLive} {
		m := newMachine(t, release)
		wantStatus(t, m.apply(t, spec(""), tasks.Consent{}), tasks.StatusChanged)
		s := spec(`"devices":[{"path":"/dev/null"}]`)
		res := m.check(t, s)
		if len(res.Changes) != 1 || res.Changes[0].Effect != effect {
			t.Errorf("release %s: %+v, want %s", release, res.Changes, effect)
		}
		res = m.apply(t, s, tasks.Consent{})
		wantStatus(t, res, tasks.StatusChanged)
		if (res.Cause == tasks.CausePending) != (effect == tasks.EffectRestart) {
			t.Errorf("release %s: cause %q", release, res.Cause)
		}
	}
}

func TestMACAddressSurvivesAStagedInterfaceWithoutOne(t *testing.T) {
	m := newGuest(t, spec(""))
	_, mac, _ := strings.Cut(m.line(t, "net0"), "hwaddr=")
	mac, _, _ = strings.Cut(mac, ",")
	m.hand(t, "unprivileged: 1\n", "unprivileged: 1\n\n[pve:pending]\nnet0: name=eth0,bridge=vmbr1,ip=dhcp\n")
	s := strings.Replace(spec(""), `"ip":"dhcp"`, `"ip":"10.99.99.9/24"`, 1)
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
	if l := m.line(t, "net0"); len(mac) != 17 || l != "net0: name=eth0,bridge=vmbr0,hwaddr="+mac+",ip=10.99.99.9/24,type=veth" {
		t.Errorf("%s, want the MAC address %s", l, mac)
	}
}

func TestARunSaysThatItRestartsTheContainer(t *testing.T) {
	m := newGuest(t, spec(""))
	m.sh(t, "pct set 900 --timezone UTC")
	var said []string
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Consent: tasks.Consent{Restart: true}, Log: func(l tasks.Log) { said = append(said, l.Text) }})
	task := decode(t, `{"ctid":900,"timezone":"UTC"}`).Task()
	d, err := task.Check(ctx, tasks.ReadOnly(m))
	if err == nil {
		err = task.Apply(ctx, m, d)
	}
	if err != nil || !slices.Contains(said, "container 900: restarting it") {
		t.Errorf("%v, said %q", err, said)
	}
}
