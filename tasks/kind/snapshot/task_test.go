package snapshot_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/snapshot"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	conf   = "/etc/pve/lxc/900.conf"
	create = `{"ctid":900,"name":"before","description":"before the upgrade","state":"present"}`
	remove = `{"ctid":900,"name":"before","state":"absent"}`
)

// newMachine is a simulated host with container 900 on the given storage.
func newMachine(t *testing.T, storage string) *sim.Machine {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Layout: sim.LayoutRecorded, LockTimeout: 50 * time.Millisecond, Seed: 1, Now: func() time.Time { return time.Unix(1795386694, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	sh(t, m.Host(), "pct create 900 local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst --rootfs "+storage+":4 --hostname web")
	return m
}

func sh(t *testing.T, h tasks.Host, line string) {
	t.Helper()
	out, err := h.Run(t.Context(), tasks.Cmd{Argv: strings.Fields(line)})
	if err != nil || out.Code != 0 {
		t.Fatalf("%s: %v %d %s", line, err, out.Code, out.Stderr)
	}
}

func wants(t *testing.T, res tasks.Result, status tasks.Status, why string) {
	t.Helper()
	if res.Status != status || !strings.Contains(res.Why, why) {
		t.Fatalf("%s: %s; want %s: %s", res.Status, res.Why, status, why)
	}
}

func TestConformance(t *testing.T) {
	for name, c := range map[string]struct {
		spec, first string
		drift       taskstest.Drift
	}{
		"create": {create, "", taskstest.Drift{Name: "it was taken away", Paths: []string{"snapshot"},
			Make: func(t *testing.T, h tasks.Host) { sh(t, h, "pct delsnapshot 900 before") }}},
		"delete": {remove, "pct snapshot 900 before", taskstest.Drift{Name: "it was made again", Paths: []string{"snapshot"},
			Make: func(t *testing.T, h tasks.Host) { sh(t, h, "pct snapshot 900 before") }}},
	} {
		t.Run(name, func(t *testing.T) {
			taskstest.Suite{
				Kind: snapshot.Kind(), Spec: c.spec, Drifts: []taskstest.Drift{c.drift},
				New: func(t *testing.T) taskstest.Machine {
					m := newMachine(t, "local-btrfs")
					if c.first != "" {
						sh(t, m.Host(), c.first)
					}
					return taskstest.Machine{Host: m.Host(), Digest: m.Digest}
				},
			}.Run(t)
		})
	}
}

func TestOneCallOfPctAndNoneInACheck(t *testing.T) {
	m := newMachine(t, "local-btrfs")
	for _, step := range []struct{ spec, call string }{
		{create, "pct snapshot 900 before --description before the upgrade"},
		{remove, "pct delsnapshot 900 before"},
	} {
		rec := taskstest.NewRecorder(m.Host())
		taskstest.Check(t, snapshot.Kind(), step.spec, rec)
		if got := rec.Commands(); len(got) > 0 {
			t.Errorf("a check ran %q", got)
		}
		res := taskstest.Run(t, snapshot.Kind(), step.spec, rec)
		wants(t, res, tasks.StatusChanged, "")
		if got := rec.Commands(); !slices.Equal(got, []string{step.call}) {
			t.Errorf("ran %q, want %q", got, step.call)
		}
		if c := res.Changes[0]; step.spec == remove && (c.From != "before of 2026-11-22 22:31:34 UTC" || c.To != "") {
			t.Errorf("change %+v", c)
		}
	}
}

func TestWithoutQuorumNothingIsTried(t *testing.T) {
	m := newMachine(t, "local-btrfs")
	taskstest.Suite{Kind: snapshot.Kind(), Spec: create}.WithoutQuorum(t, m.Host())
	sh(t, m.Host(), "pct snapshot 900 before")
	taskstest.Suite{Kind: snapshot.Kind(), Spec: remove}.WithoutQuorum(t, m.Host())
}

func TestOnlyPhoenixOwnAreCountedAndTheOldestGo(t *testing.T) {
	const keep = `{"ctid":900,"name":"phoenix-20261122-100000","description":"taken by phoenix (phoenix)","state":"present","keep":2}`
	m := newMachine(t, "local-btrfs")
	own := strings.Fields("pct snapshot 900 NAME --description")
	for _, c := range []struct{ name, text string }{
		{"mine", "taken by phoenix (phoenix)"}, {"phoenix-20261122-070000", ""}, {"phoenix-before-20261122-070000", "taken by phoenix (phoenix-before)"},
		{"phoenix-20261122-080000", "taken by phoenix (phoenix)"}, {"phoenix-20261122-090000", "taken by phoenix (phoenix)"},
	} {
		own[3] = c.name
		out, err := m.Host().Run(t.Context(), tasks.Cmd{Argv: append(slices.Clone(own), c.text)})
		if err != nil || out.Code != 0 {
			t.Fatal(err, string(out.Stderr))
		}
	}
	res := taskstest.Check(t, snapshot.Kind(), keep, m.Host())
	if len(res.Changes) != 2 || res.Changes[1].Path != "keep.phoenix-20261122-080000" || res.Changes[1].To != "" {
		t.Errorf("changes %+v", res.Changes)
	}
	rec := taskstest.NewRecorder(m.Host())
	wants(t, taskstest.Run(t, snapshot.Kind(), keep, rec), tasks.StatusChanged, "")
	want := []string{"pct snapshot 900 phoenix-20261122-100000 --description taken by phoenix (phoenix)", "pct delsnapshot 900 phoenix-20261122-080000"}
	if got := rec.Commands(); !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
	if err := m.Fault(sim.Fault{Kind: sim.FaultExit, Program: "pct", Verb: "snapshot", Code: 255, Stderr: "no space"}); err != nil {
		t.Fatal(err)
	}
	rec = taskstest.NewRecorder(m.Host())
	wants(t, taskstest.Run(t, snapshot.Kind(), strings.Replace(keep, "-100000", "-110000", 1), rec), tasks.StatusFailed, "no space")
	if got := rec.Commands(); len(got) != 1 {
		t.Errorf("after a failure ran %q", got)
	}
}

func TestWhatCannotHaveSnapshotsIsNamed(t *testing.T) {
	m := newMachine(t, "local")
	wants(t, taskstest.Check(t, snapshot.Kind(), create, m.Host()), tasks.StatusFailed,
		"take a snapshot of container 900: rootfs is on storage local of type dir, which cannot (snapshot)")
	bound := newMachine(t, "local-btrfs")
	taskstest.Put(t, bound.Host(), conf, taskstest.Get(t, bound.Host(), conf)+"mp0: /srv/data,mp=/data\n")
	wants(t, taskstest.Check(t, snapshot.Kind(), create, bound.Host()), tasks.StatusFailed, "mp0 is /srv/data of the host, not a volume")
	template := newMachine(t, "local-btrfs")
	sh(t, template.Host(), "pct template 900")
	wants(t, taskstest.Check(t, snapshot.Kind(), create, template.Host()), tasks.StatusFailed, "it is a template")
}

func TestALockAndAnUnfinishedSnapshotStopTheStep(t *testing.T) {
	m := newMachine(t, "local-btrfs")
	before := taskstest.Get(t, m.Host(), conf)
	taskstest.Put(t, m.Host(), conf, "lock: backup\n"+before)
	wants(t, taskstest.Run(t, snapshot.Kind(), create, m.Host()), tasks.StatusFailed, "it is locked (backup)")
	taskstest.Put(t, m.Host(), conf, before+"\n[before]\nsnapstate: prepare\nsnaptime: 1\n")
	for _, spec := range []string{create, remove} {
		wants(t, taskstest.Run(t, snapshot.Kind(), spec, m.Host()), tasks.StatusFailed, "pct delsnapshot 900 before --force 1")
	}
}

func TestFaultsOfASpecAreAllFound(t *testing.T) {
	for _, c := range []struct {
		spec  snapshot.Spec
		paths []string
	}{
		{snapshot.Spec{CTID: 900, Name: "s1", State: "present", Description: "für später"}, nil},
		{snapshot.Spec{CTID: 1, Name: "1s", State: "there", Description: "a\nb"}, []string{"ctid", "name", "state", "description"}},
		{snapshot.Spec{CTID: 900, Name: "current", State: "absent", Description: strings.Repeat("x", 8193)}, []string{"name", "description"}},
		{snapshot.Spec{CTID: 900, Name: "--force", State: "absent"}, []string{"name"}},
		{snapshot.Spec{CTID: 900, Name: "mine", State: "present", Keep: 2}, []string{"keep"}},
		{snapshot.Spec{CTID: 900, Name: "phoenix-20261122-100000", Description: "mine", State: "present", Keep: 2}, []string{"keep"}},
		{snapshot.Spec{CTID: 900, Name: strings.Repeat("x", 41), State: "absent"}, []string{"name"}},
	} {
		var got []string
		for _, p := range c.spec.Validate() {
			got = append(got, p.Path)
		}
		if !slices.Equal(got, c.paths) {
			t.Errorf("%+v: faults at %q, want %q", c.spec, got, c.paths)
		}
	}
	if id := snapshot.StepID(900, "before"); id != "snapshot:900@before" {
		t.Errorf("the step is called %s", id)
	}
}
