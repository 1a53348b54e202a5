package lxc_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	netted  = `"snapshot_before_change":true`
	falling = netted + `,"rollback_on_failure":true`
)

// timeIn is the time in the names of snapshots, which tests replace.
var timeIn = regexp.MustCompile(`\d{8}-\d{6}(-\d+)?`)

// more is a change of memory, which is live.
func more(s string) string { return strings.Replace(s, `"memory_mb":512`, `"memory_mb":1024`, 1) }

// told lists the calls of pct with T for each time.
func (m *machine) told() []string {
	var out []string
	for _, c := range m.pct() {
		out = append(out, timeIn.ReplaceAllString(c, "T"))
	}
	return out
}

func wantTold(t *testing.T, m *machine, want ...string) {
	t.Helper()
	if got := m.told(); !slices.Equal(got, want) {
		t.Errorf("pct was called as\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// snapshots lists the names of the snapshots with T for each time.
func (m *machine) snapshots(t *testing.T) []string {
	t.Helper()
	var out []string
	for l := range strings.Lines(m.conf(t)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(l), "["); ok && name != "pve:pending]" {
			out = append(out, timeIn.ReplaceAllString(strings.TrimSuffix(name, "]"), "T"))
		}
	}
	return out
}

func wantSnapshots(t *testing.T, m *machine, want ...string) {
	t.Helper()
	if got := m.snapshots(t); !slices.Equal(got, want) {
		t.Errorf("snapshots %q, want %q", got, want)
	}
}

func wantWhy(t *testing.T, res tasks.Result, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(timeIn.ReplaceAllString(res.Why, "T"), w) {
			t.Errorf("why %q, want %q in it", res.Why, w)
		}
	}
}

// fail makes a call of pct fail without doing anything.
func (m *machine) fail(verbs ...string) {
	m.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Cmd == nil || !slices.ContainsFunc(verbs, func(v string) bool { return strings.HasPrefix(o.String(), "pct "+v) }) {
			return nil
		}
		return &taskstest.Answer{Output: tasks.Output{Code: 255, Stderr: []byte("injected fault\n")}}
	}
}

const (
	takeBefore = "snapshot 900 phoenix-before-T --description taken by phoenix (phoenix-before)"
	restartOf  = "shutdown 900 --timeout 60 --forceStop 1"
)

func TestASnapshotIsTakenBeforeTheFirstChange(t *testing.T) {
	m := newGuest(t, spec(netted))
	wantStatus(t, m.apply(t, spec(netted), tasks.Consent{Restart: true}), tasks.StatusOK)
	res := m.check(t, more(spec(netted)))
	if c := res.Changes[0]; c.Note != "made after a snapshot (snapshot_before_change)" || c.Held() {
		t.Errorf("change %+v", c)
	}
	wantStatus(t, m.apply(t, more(spec(netted)), tasks.Consent{}), tasks.StatusChanged)
	wantTold(t, m, takeBefore, "set 900 --memory 1024")
	wantStatus(t, m.apply(t, more(spec(netted)), tasks.Consent{}), tasks.StatusOK)
	wantSnapshots(t, m, "phoenix-before-T")
	if text := m.conf(t); !strings.Contains(text, "#taken by phoenix (phoenix-before)\n") {
		t.Errorf("configuration\n%s", text)
	}
}

func TestWhatASnapshotDoesNotKnowTakesNone(t *testing.T) {
	waiting := spec(netted + `,"timezone":"UTC"`)
	for name, c := range map[string]struct {
		make string
		spec string
	}{
		"a start":                      {"pct stop 900", spec(netted)},
		"a stop":                       {"", spec(netted + `,"state":"stopped"`)},
		"a snapshot for clones":        {"", spec(netted + `,"template_snapshot_name":"base"`)},
		"what waits for a restart":     {"pct set 900 --timezone UTC", waiting},
		"a container that goes":        {"", spec(netted + `,"state":"absent"`)},
		"what a new one would mend":    {"", strings.Replace(spec(netted), `"storage_size_gb":4`, `"storage_size_gb":2`, 1)},
		"a template, which takes none": {"pct stop 900", more(spec(netted + `,"is_template":true`))},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(netted))
			if c.make != "" {
				m.sh(t, c.make)
			}
			m.apply(t, c.spec, tasks.Consent{})
			if slices.ContainsFunc(m.told(), func(c string) bool { return strings.Contains(c, "phoenix-before") }) {
				t.Errorf("calls %q", m.told())
			}
		})
	}
}

func TestNothingIsChangedWhereTheSnapshotCannotBeTaken(t *testing.T) {
	onDir := func(s string) string { return strings.Replace(s, "local-lvm", "local", 1) }
	const why = "rootfs is on storage local of type dir, which cannot (snapshot)"
	made := func(t *testing.T) *machine {
		m := newMachine(t, "8.4")
		m.sh(t, "pvesm set local --content rootdir,vztmpl")
		wantStatus(t, m.apply(t, onDir(spec("")), tasks.Consent{}), tasks.StatusChanged)
		m.Recorder = taskstest.NewRecorder(m.sim.Host())
		return m
	}
	t.Run("it is wanted", func(t *testing.T) {
		m := made(t)
		for _, mode := range []tasks.Mode{tasks.ModeCheck, tasks.ModeRun} {
			res := m.step(t, more(onDir(spec(netted))), mode, tasks.Consent{})
			wantStatus(t, res, tasks.StatusFailed)
			wantWhy(t, res, why, "snapshot_before_change", `"if_possible"`)
		}
		wantCalls(t, m)
	})
	t.Run("it is wanted if possible", func(t *testing.T) {
		m := made(t)
		s := more(onDir(spec(`"snapshot_before_change":"if_possible","rollback_on_failure":true`)))
		if res := m.check(t, s); res.Changes[0].Note != "made without a snapshot (snapshot_before_change): "+why {
			t.Errorf("%+v", res.Changes)
		}
		m.fail("set")
		res := m.apply(t, s, tasks.Consent{Restart: true})
		wantStatus(t, res, tasks.StatusFailed)
		m.Inject = nil
		wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
		wantCalls(t, m, "set 900 --memory 1024", "set 900 --memory 1024")
	})
	t.Run("the storage is full", func(t *testing.T) {
		m := newGuest(t, spec(""))
		before := m.conf(t)
		m.fail("snapshot")
		res := m.apply(t, more(spec(falling)), tasks.Consent{Restart: true})
		wantStatus(t, res, tasks.StatusFailed)
		wantWhy(t, res, "change container 900: it was not begun: take snapshot phoenix-before-T of container 900", "injected fault")
		wantTold(t, m, takeBefore)
		if m.conf(t) != before {
			t.Errorf("configuration\n%s", m.conf(t))
		}
	})
}

// zoned is a change that needs a restart and one that does not.
func zoned(more string) string {
	return strings.Replace(spec(more+`,"timezone":"UTC"`), `"memory_mb":512`, `"memory_mb":1024`, 1)
}

func TestAContainerWhoseChangesFailIsRolledBack(t *testing.T) {
	for name, c := range map[string]struct {
		fail  string
		spec  string
		calls []string
	}{
		"the start after them": {"start", zoned(falling), []string{takeBefore, "set 900 --memory 1024 --timezone UTC", restartOf, "start 900",
			"rollback 900 phoenix-before-T", "start 900", "delsnapshot 900 phoenix-before-T"}},
		"a later change": {"resize", strings.Replace(more(spec(falling)), `"storage_size_gb":4`, `"storage_size_gb":8`, 1),
			[]string{takeBefore, "set 900 --memory 1024", "resize 900 rootfs 8G",
				"shutdown 900 --timeout 10 --forceStop 1", "rollback 900 phoenix-before-T", "start 900", "delsnapshot 900 phoenix-before-T"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(""))
			before := m.conf(t)
			m.sh(t, "pct exec 900 -- touch /root/before")
			once := false
			m.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
				if o.Cmd == nil || once || !strings.HasPrefix(o.String(), "pct "+c.fail) {
					return nil
				}
				once = true
				return &taskstest.Answer{Output: tasks.Output{Code: 255, Stderr: []byte("injected fault\n")}}
			}
			res := m.apply(t, c.spec, tasks.Consent{Restart: true})
			wantStatus(t, res, tasks.StatusFailed)
			wantWhy(t, res, "injected fault", "it was rolled back to the snapshot taken before (phoenix-before-T)")
			if strings.Contains(res.Why, "is stopped now") || len(res.Changes) != 0 || len(res.Remaining) == 0 {
				t.Errorf("result %+v", res)
			}
			wantTold(t, m, c.calls...)
			if m.conf(t) != before || !m.runs(t) {
				t.Errorf("configuration\n%s", m.conf(t))
			}
		})
	}
}

func (m *machine) runs(t *testing.T) bool {
	t.Helper()
	return strings.Contains(taskstest.Get(t, m.sim.Host(), "/proc/net/unix"), "/var/lib/lxc/900/command")
}

func TestAFailureThatChangedNothingStopsNoContainer(t *testing.T) {
	m := newGuest(t, spec(""))
	before := m.conf(t)
	m.fail("set")
	res := m.apply(t, more(spec(falling)), tasks.Consent{Restart: true})
	wantStatus(t, res, tasks.StatusFailed)
	wantTold(t, m, takeBefore, "set 900 --memory 1024", "delsnapshot 900 phoenix-before-T")
	if strings.Contains(res.Why, "roll") || m.conf(t) != before {
		t.Errorf("why %q, configuration\n%s", res.Why, m.conf(t))
	}
}

func TestWhatIsNotRolledBackNamesTheSnapshot(t *testing.T) {
	const byHand = "phoenix rollback 900 phoenix-before-T puts it back to before"
	grown := func(more string) string {
		return strings.Replace(strings.Replace(spec(more), `"storage_size_gb":4`, `"storage_size_gb":8`, 1), `"memory_mb":512`, `"memory_mb":1024`, 1)
	}
	for name, c := range map[string]struct {
		more    string
		fail    []string
		consent bool
		why     []string
	}{
		"it is not to be":            {netted, []string{"resize"}, true, []string{"injected fault; " + byHand}},
		"a restart is not allowed":   {falling, []string{"resize"}, false, []string{"which needs a restart, and that is not allowed; " + byHand}},
		"the rollback fails as well": {falling, []string{"resize", "rollback"}, true, []string{"grow rootfs of container 900", "it could not be rolled back: roll back container 900", byHand}},
		"it does not start again":    {falling, []string{"resize", "start"}, true, []string{"it was rolled back to phoenix-before-T, but: container 900 was stopped for a rollback and is stopped now"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(""))
			m.fail(c.fail...)
			res := m.apply(t, grown(c.more), tasks.Consent{Restart: c.consent})
			wantStatus(t, res, tasks.StatusFailed)
			wantWhy(t, res, c.why...)
			wantSnapshots(t, m, "phoenix-before-T")
		})
	}
}

func TestARestartThatFailsSaysThatTheContainerIsStopped(t *testing.T) {
	m := newGuest(t, spec(""))
	m.fail("start")
	res := m.apply(t, zoned(`"restart":"allowed"`), tasks.Consent{Restart: true})
	wantStatus(t, res, tasks.StatusFailed)
	wantWhy(t, res, "container 900 was stopped for a restart and is stopped now: start container 900")
	wantCalls(t, m, "set 900 --memory 1024 --timezone UTC", "shutdown 900 --timeout 60 --forceStop 1", "start 900")
}

func TestACancelledChangeIsRolledBack(t *testing.T) {
	m := newGuest(t, spec(""))
	before := m.conf(t)
	ctx, cancel := context.WithCancel(tasks.WithScope(t.Context(), tasks.Scope{Consent: tasks.Consent{Restart: true}}))
	m.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Read != "" && slices.ContainsFunc(m.pct(), func(c string) bool { return strings.HasPrefix(c, "set") }) {
			cancel() // after the call has ended well
		}
		return nil
	}
	task := decode(t, zoned(falling)).Task()
	d, err := task.Check(ctx, tasks.ReadOnly(m))
	if err != nil {
		t.Fatal(err)
	}
	err = task.Apply(ctx, m, d)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "it was rolled back") || m.conf(t) != before || !m.runs(t) {
		t.Errorf("error %v, calls %q, configuration\n%s", err, m.told(), m.conf(t))
	}
}

func TestWhatIsFinishedWhenTheRunIsCancelledStays(t *testing.T) {
	m := newMachine(t, "8.4")
	ctx, cancel := context.WithCancel(t.Context())
	m.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Read != "" && slices.ContainsFunc(m.pct(), func(c string) bool { return strings.HasPrefix(c, "start") }) {
			cancel() // after the call has ended well
		}
		return nil
	}
	task := decode(t, spec(`"remove_failed":true`)).Task()
	d, err := task.Check(ctx, tasks.ReadOnly(m))
	if err != nil {
		t.Fatal(err)
	}
	err = task.Apply(ctx, m, d)
	if calls := m.pct(); !errors.Is(err, context.Canceled) || calls[len(calls)-1] != "start 900" {
		t.Errorf("error %v, calls %q", err, calls)
	}
}

func TestASnapshotThatWasKilledHalfWayIsNamed(t *testing.T) {
	m := newGuest(t, spec(""))
	if err := m.sim.Fault(sim.Fault{Kind: sim.FaultKill, Program: "pct", Verb: "snapshot", Point: "prepared"}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, m.apply(t, more(spec(netted)), tasks.Consent{}), tasks.StatusFailed)
	if err := m.sim.Heal(); err != nil {
		t.Fatal(err)
	}
	res := m.apply(t, more(spec(netted)), tasks.Consent{})
	wantStatus(t, res, tasks.StatusSkipped)
	wantWhy(t, res, "locked (snapshot)", "pct unlock 900, and snapshot phoenix-before-T, which is not finished then, is taken away with pct delsnapshot 900 phoenix-before-T --force 1")
	m.sh(t, "pct unlock 900")
	wantStatus(t, m.apply(t, more(spec(netted)), tasks.Consent{}), tasks.StatusChanged)
	if got := m.snapshots(t); len(got) != 2 {
		t.Errorf("snapshots %q", got)
	}
}

func TestARollbackThatWasKilledHalfWayIsNamed(t *testing.T) {
	m := newGuest(t, spec(""))
	if err := m.sim.Fault(sim.Fault{Kind: sim.FaultKill, Program: "pct", Verb: "rollback", Point: "stopped"}); err != nil {
		t.Fatal(err)
	}
	m.fail("resize")
	s := strings.Replace(more(spec(falling)), `"storage_size_gb":4`, `"storage_size_gb":8`, 1)
	res := m.apply(t, s, tasks.Consent{Restart: true})
	wantStatus(t, res, tasks.StatusFailed)
	wantWhy(t, res, "grow rootfs of container 900", "it could not be rolled back", "CT is locked (rollback)", "phoenix rollback 900 phoenix-before-T puts it back to before")
	res = m.apply(t, s, tasks.Consent{Restart: true})
	wantStatus(t, res, tasks.StatusSkipped)
	wantWhy(t, res, "locked (rollback)", "pct unlock 900, and the rollback that was cut off is made again with phoenix rollback 900 SNAPSHOT")
}

func TestALockThatACutOffSnapshotLeftIsToldByItself(t *testing.T) {
	const left = "parent: cut\nlock: snapshot\n\n[cut]\nrootfs: local-lvm:vm-900-disk-0,size=4G\nsnapstate: prepare\nsnaptime: 1\n"
	m := newGuest(t, spec(""))
	taskstest.Put(t, m.sim.Host(), "/etc/pve/lxc/900.conf", m.conf(t)+left)
	const why = "locked (snapshot): wait until that is over; a lock that was left behind is taken off with pct unlock 900, and snapshot cut, which is not finished then"
	res := m.check(t, spec(""))
	if got := paths(res.Changes); !slices.Equal(got, []string{"lock"}) || !res.Changes[0].Held() || !strings.Contains(res.Changes[0].Note, why) {
		t.Errorf("%+v", res)
	}
	res = m.apply(t, spec(""), tasks.Consent{})
	wantStatus(t, res, tasks.StatusSkipped)
	wantWhy(t, res, why)
	taskstest.Put(t, m.sim.Host(), "/var/log/pve/tasks/active", "UPID:pve:00000001:00000002:00000003:vzsnapshot:900:root@pam:\n")
	wantStatus(t, m.check(t, spec("")), tasks.StatusOK)
	taskstest.Put(t, m.sim.Host(), "/var/log/pve/tasks/active", "")
	m.sh(t, "pct unlock 900")
	m.sh(t, "pct delsnapshot 900 cut --force 1")
	wantStatus(t, m.check(t, spec("")), tasks.StatusOK)
}

func TestACheckHoldsWhatNoRestartLeaves(t *testing.T) {
	m := newGuest(t, spec(""))
	m.sh(t, "pct set 900 --timezone UTC")
	s := spec(`"timezone":"UTC","nameserver":"1.1.1.1"`)
	res := m.step(t, s, tasks.ModeCheck, tasks.Consent{})
	for _, c := range res.Changes {
		if c.Path == "timezone" && (!c.Held() || !strings.Contains(c.Note, "(--no-restart)")) ||
			c.Path == "nameserver" && (c.Held() || c.Note != "it is written, and then waits for the next start (--no-restart)") {
			t.Errorf("change %+v", c)
		}
	}
	for _, c := range m.step(t, s, tasks.ModeCheck, tasks.Consent{Restart: true}).Changes {
		if c.Held() || strings.Contains(c.Note, "no-restart") {
			t.Errorf("change %+v", c)
		}
	}
}

func TestFaultsOfTheSafetyKeys(t *testing.T) {
	for keys, path := range map[string]string{
		`"rollback_on_failure":true`: "rollback_on_failure",
		netted + `,"mount_points":[{"host_path":"/srv","container_path":"/srv"}]`:                         "snapshot_before_change",
		`"enable_lifecycle_snapshots":true,"mount_points":[{"host_path":"/srv","container_path":"/srv"}]`: "enable_lifecycle_snapshots",
		`"snapshot_retention":-1`:                                    "snapshot_retention",
		`"template_snapshot_name":"phoenix-changed-20260101-000000"`: "template_snapshot_name",
		`"snapshot_before_change":"if_possible","mount_points":[{"host_path":"/srv","container_path":"/srv"}]`: "",
		falling: "",
	} {
		var s lxc.Spec
		if err := json.Unmarshal([]byte(spec(keys)), &s); err != nil {
			t.Fatal(err)
		}
		var got string
		for _, p := range s.Validate() {
			got += p.Path
		}
		if got != path {
			t.Errorf("%s: faults at %q, want %q", keys, got, path)
		}
		again, err := json.Marshal(&s)
		var back lxc.Spec
		if err != nil || json.Unmarshal(again, &back) != nil || back.SnapshotBeforeChange != s.SnapshotBeforeChange {
			t.Errorf("%s: %v %s", keys, err, again)
		}
	}
	if err := json.Unmarshal([]byte(`{"snapshot_before_change":"yes"}`), new(lxc.Spec)); err == nil {
		t.Error("yes was read")
	}
}

func TestConformanceWithSafetyNets(t *testing.T) {
	s := spec(falling + `,"enable_lifecycle_snapshots":true`)
	taskstest.Suite{
		Kind: lxc.Kind(), Spec: s, Consent: tasks.Consent{Restart: true},
		Drifts: []taskstest.Drift{
			drift("less memory", "pct set 900 --memory 64", "memory_mb"),
			drift("stopped", "pct stop 900", "state"),
		},
		New: func(t *testing.T) taskstest.Machine {
			m := newMachine(t, "8.4")
			return taskstest.Machine{Host: m.sim.Host(), Digest: m.sim.Digest}
		},
	}.Run(t)
}

func TestConformanceOfAChangeUnderANet(t *testing.T) {
	taskstest.Suite{
		Kind: lxc.Kind(), Spec: zoned(falling), Consent: tasks.Consent{Restart: true},
		New: func(t *testing.T) taskstest.Machine {
			m := newGuest(t, spec(""))
			return taskstest.Machine{Host: m.sim.Host(), Digest: m.sim.Digest}
		},
	}.Run(t)
}
