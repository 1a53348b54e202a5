package rollback_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/rollback"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	conf = "/etc/pve/lxc/900.conf"
	spec = `{"ctid":900,"snapshot":"before","stop_s":9}`
)

// newMachine is a simulated host with container 900, which had 512 MiB when its
// snapshot was made, has more now, and runs.
func newMachine(t *testing.T, layout sim.Layout, storage string) *sim.Machine {
	t.Helper()
	now := time.Unix(1795386694, 0)
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Layout: layout, LockTimeout: 50 * time.Millisecond, Seed: 1, Now: func() time.Time { now = now.Add(time.Second); return now }})
	if err != nil {
		t.Fatal(err)
	}
	sh(t, m.Host(), "pct create 900 local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst --rootfs "+storage+":4 --hostname web --memory 512")
	sh(t, m.Host(), "pct snapshot 900 before")
	sh(t, m.Host(), "pct set 900 --memory 2048")
	sh(t, m.Host(), "pct start 900")
	return m
}

func sh(t *testing.T, h tasks.Host, line string) {
	t.Helper()
	out, err := h.Run(t.Context(), tasks.Cmd{Argv: strings.Fields(line)})
	if err != nil || out.Code != 0 {
		t.Fatalf("%s: %v %d %s", line, err, out.Code, out.Stderr)
	}
}

// step runs the step with a consent.
func step(t *testing.T, h tasks.Host, mode tasks.Mode, consent tasks.Consent) tasks.Result {
	t.Helper()
	var res tasks.Result
	r := tasks.Runner{Host: h, Registry: tasks.NewRegistry(rollback.Kind()), Emit: func(e tasks.Event) {
		if e.Result != nil {
			res = *e.Result
		}
	}}
	err := r.Run(t.Context(), tasks.Job{RunID: "test", Mode: mode, Consent: consent,
		Steps: []tasks.Step{{ID: rollback.StepID(900), Kind: rollback.Name, Spec: json.RawMessage(spec)}}})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func agreed(t *testing.T, h tasks.Host) tasks.Result {
	t.Helper()
	return step(t, h, tasks.ModeRun, tasks.Consent{Rollback: []int{900}})
}

func wants(t *testing.T, res tasks.Result, status tasks.Status, why string) {
	t.Helper()
	if res.Status != status || !strings.Contains(res.Why, why) {
		t.Fatalf("%s: %s; want %s: %s", res.Status, res.Why, status, why)
	}
}

func running(t *testing.T, m *sim.Machine) bool {
	t.Helper()
	return strings.Contains(taskstest.Get(t, m.Host(), "/proc/net/unix"), "/var/lib/lxc/900/command")
}

func TestWithoutQuorumNothingIsTried(t *testing.T) {
	m := newMachine(t, sim.LayoutZFS, "local-zfs")
	taskstest.Suite{Kind: rollback.Kind(), Spec: spec, Consent: tasks.Consent{Rollback: []int{900}}}.WithoutQuorum(t, m.Host())
}

func TestARunningContainerIsStoppedPutBackAndStartedEachTime(t *testing.T) {
	m := newMachine(t, sim.LayoutZFS, "local-zfs")
	for range 2 {
		sh(t, m.Host(), "pct exec 900 -- touch /root/marker")
		rec := taskstest.NewRecorder(m.Host())
		res := agreed(t, rec)
		wants(t, res, tasks.StatusChanged, "")
		want := []string{"pct shutdown 900 --timeout 9 --forceStop 1", "pct rollback 900 before", "pct start 900"}
		if got := rec.Commands(); !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
		c := res.Changes[0]
		if c.Path != "rollback" || c.From != "now" || !strings.HasPrefix(c.To, "snapshot before of 2026-11-22 22:3") || c.Effect != tasks.EffectRollback ||
			c.Note != "what it has written since is lost; it is stopped and started again" {
			t.Errorf("change %+v", c)
		}
		if text := taskstest.Get(t, m.Host(), conf); !strings.HasPrefix(text, "arch: amd64\nhostname: web\nmemory: 512\n") || !running(t, m) {
			t.Errorf("afterwards\n%s", text)
		}
		if _, err := m.Host().Stat("/var/lib/lxc/900/rootfs/root/marker"); err == nil {
			t.Error("what was written since is still there")
		}
	}
}

func TestAStoppedContainerStaysStopped(t *testing.T) {
	m := newMachine(t, sim.LayoutZFS, "local-zfs")
	sh(t, m.Host(), "pct stop 900")
	rec := taskstest.NewRecorder(m.Host())
	wants(t, agreed(t, rec), tasks.StatusChanged, "")
	if got := rec.Commands(); !slices.Equal(got, []string{"pct rollback 900 before"}) {
		t.Errorf("ran %q", got)
	}
}

func TestWithoutConsentNothingIsTouched(t *testing.T) {
	m := newMachine(t, sim.LayoutZFS, "local-zfs")
	before, err := m.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []tasks.Consent{{}, {Destroy: []int{900}, Rollback: []int{901}, Restart: true}} {
		res := step(t, m.Host(), tasks.ModeRun, c)
		wants(t, res, tasks.StatusSkipped, "rolling back container 900 is refused without --allow-rollback 900")
		if res.Cause != tasks.CauseRefused || !res.Remaining[0].Held() {
			t.Errorf("%+v", res)
		}
	}
	if after, _ := m.Digest(); after != before {
		t.Error("the host has changed")
	}
	if res := step(t, m.Host(), tasks.ModeCheck, tasks.Consent{Rollback: []int{900}}); res.Status != tasks.StatusWouldChange || res.Changes[0].Held() {
		t.Errorf("%+v", res)
	}
}

func TestAProtectedContainerIsNeverRolledBack(t *testing.T) {
	m := newMachine(t, sim.LayoutZFS, "local-zfs")
	sh(t, m.Host(), "pct set 900 --protection 1")
	res := agreed(t, m.Host())
	wants(t, res, tasks.StatusSkipped, "rolling back container 900 is refused: it is protected")
	if !running(t, m) {
		t.Error("it was stopped")
	}
}

func TestWhatCannotBeRolledBackToIsToldBeforeAnythingIsStopped(t *testing.T) {
	m := newMachine(t, sim.LayoutZFS, "local-zfs")
	sh(t, m.Host(), "pct snapshot 900 later")
	newer := taskstest.Get(t, m.Host(), conf)
	for text, want := range map[string]string{
		newer: "take them away first with phoenix snapshot delete 900 --name later",
		strings.ReplaceAll(newer, "[before]", "[other]"):                     "it has no snapshot before; there are: ",
		strings.ReplaceAll(newer, "[before]", "[before]\nsnapstate: delete"): "pct delsnapshot 900 before --force 1",
		"lock: backup\n" + newer[:strings.Index(newer, "\n[later]")]:         "it is locked (backup)",
	} {
		taskstest.Put(t, m.Host(), conf, text)
		rec := taskstest.NewRecorder(m.Host())
		wants(t, agreed(t, rec), tasks.StatusFailed, want)
		if got := rec.Commands(); len(got) > 0 {
			t.Errorf("ran %q", got)
		}
	}
}

func TestNewerSnapshotsAreInNobodysWayOutsideOfZFS(t *testing.T) {
	m := newMachine(t, sim.LayoutRecorded, "local-btrfs")
	sh(t, m.Host(), "pct snapshot 900 later")
	wants(t, agreed(t, m.Host()), tasks.StatusChanged, "")
}

// TestAFailureLeavesTheContainerRunningAsItWas has each call go wrong in each way.
func TestAFailureLeavesTheContainerRunningAsItWas(t *testing.T) {
	for call, want := range map[string]struct {
		why  string
		runs bool
	}{
		"pct shutdown": {"roll back container 900: stop container 900", true},
		"pct rollback": {"roll back container 900: run pct rollback", true},
		"pct start":    {"container 900 was stopped for a rollback and is stopped now", false},
	} {
		m := newMachine(t, sim.LayoutZFS, "local-zfs")
		rec := taskstest.NewRecorder(m.Host())
		rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
			if o.Cmd == nil || !strings.HasPrefix(o.String(), call) {
				return nil
			}
			return &taskstest.Answer{Output: tasks.Output{Code: 255, Stderr: []byte("injected\n")}}
		}
		res := agreed(t, rec)
		wants(t, res, tasks.StatusFailed, want.why)
		if running(t, m) != want.runs {
			t.Errorf("%s fails, and the container runs: %v", call, !want.runs)
		}
	}
}

func TestSuccessThatDidNothingIsAFailure(t *testing.T) {
	m := newMachine(t, sim.LayoutRecorded, "local-btrfs")
	sh(t, m.Host(), "pct snapshot 900 later")
	rec := taskstest.NewRecorder(m.Host())
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Cmd == nil || !strings.HasPrefix(o.String(), "pct rollback") {
			return nil
		}
		return &taskstest.Answer{}
	}
	wants(t, agreed(t, rec), tasks.StatusFailed, "it has not gone back to before")
}

func TestFaultsOfASpecAreAllFound(t *testing.T) {
	var got []string
	for _, p := range (&rollback.Spec{CTID: 1, Snapshot: "no name", StopS: -1}).Validate() {
		got = append(got, p.Path)
	}
	if !slices.Equal(got, []string{"ctid", "snapshot", "stop_s"}) {
		t.Errorf("faults at %q", got)
	}
}
