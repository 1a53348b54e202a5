package power_test

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/power"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	conf    = "/etc/pve/lxc/900.conf"
	sockets = "/proc/net/unix"
	ready   = `{"ctid":900,"state":"running","ready_s":3}`
	stop    = `{"ctid":900,"state":"stopped"}`
	restart = `{"ctid":900,"state":"running","restart":true}`
)

// newMachine is a simulated host with container 900, which is stopped.
func newMachine(t *testing.T) *sim.Machine {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{LockTimeout: 50 * time.Millisecond, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	sh(t, m, "pct create 900 local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst --rootfs local-lvm:4 --hostname web --net0 name=eth0,bridge=vmbr0,ip=dhcp")
	return m
}

func started(t *testing.T) *sim.Machine {
	t.Helper()
	m := newMachine(t)
	sh(t, m, "pct start 900")
	return m
}

func sh(t *testing.T, m *sim.Machine, line string) {
	t.Helper()
	out, err := m.Host().Run(t.Context(), tasks.Cmd{Argv: strings.Fields(line)})
	if err != nil || out.Code != 0 {
		t.Fatalf("%s: %v %d %s", line, err, out.Code, out.Stderr)
	}
}

func run(t *testing.T, h tasks.Host, spec string) tasks.Result {
	t.Helper()
	return taskstest.Run(t, power.Kind(), spec, h)
}

func wants(t *testing.T, res tasks.Result, status tasks.Status, why string) {
	t.Helper()
	if res.Status != status || !strings.Contains(res.Why, why) {
		t.Fatalf("%s: %s; want %s: %s", res.Status, res.Why, status, why)
	}
}

func TestConformance(t *testing.T) {
	for name, c := range map[string]struct {
		spec   string
		fresh  func(*testing.T) *sim.Machine
		drifts []taskstest.Drift
	}{
		"start": {ready, newMachine, []taskstest.Drift{
			{Name: "it was stopped", Paths: []string{"state"}, Make: func(t *testing.T, h tasks.Host) { command(t, h, "pct stop 900") }},
		}},
		"stop": {stop, started, []taskstest.Drift{
			{Name: "it was started", Paths: []string{"state"}, Make: func(t *testing.T, h tasks.Host) { command(t, h, "pct start 900") }},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			taskstest.Suite{
				Kind: power.Kind(), Spec: c.spec, Drifts: c.drifts,
				New: func(t *testing.T) taskstest.Machine {
					m := c.fresh(t)
					return taskstest.Machine{Host: m.Host(), Digest: m.Digest}
				},
			}.Run(t)
		})
	}
}

func command(t *testing.T, h tasks.Host, line string) {
	t.Helper()
	if out, err := h.Run(t.Context(), tasks.Cmd{Argv: strings.Fields(line)}); err != nil || out.Code != 0 {
		t.Fatalf("%s: %v %s", line, err, out.Stderr)
	}
}

func TestARestartIsMadeOnceEachTimeItIsAskedFor(t *testing.T) {
	m := started(t)
	for range 2 {
		before := taskstest.Get(t, m.Host(), sockets)
		rec := taskstest.NewRecorder(m.Host())
		res := run(t, rec, restart)
		wants(t, res, tasks.StatusChanged, "")
		if got := rec.Commands(); !slices.Equal(got, []string{"pct shutdown 900 --timeout 60", "pct start 900"}) {
			t.Errorf("ran %q", got)
		}
		if taskstest.Get(t, m.Host(), sockets) == before {
			t.Error("it is still the same start")
		}
		if len(res.Changes) != 1 || res.Changes[0].Path != "restart" || res.Changes[0].Effect != tasks.EffectRestart {
			t.Errorf("changes %+v", res.Changes)
		}
	}
}

func TestARestartOfAStoppedContainerStartsIt(t *testing.T) {
	m := newMachine(t)
	rec := taskstest.NewRecorder(m.Host())
	res := run(t, rec, restart)
	wants(t, res, tasks.StatusChanged, "")
	if got := rec.Commands(); !slices.Equal(got, []string{"pct start 900"}) {
		t.Errorf("ran %q", got)
	}
}

func TestWhatWouldNotStartAgainIsNotStopped(t *testing.T) {
	m := started(t)
	text := taskstest.Get(t, m.Host(), conf)
	taskstest.Put(t, m.Host(), conf, strings.Replace(text, "bridge=vmbr0", "bridge=vmbr9", 1))
	rec := taskstest.NewRecorder(m.Host())
	wants(t, run(t, rec, restart), tasks.StatusFailed, "restart container 900: it would not start again: look for bridge vmbr9")
	if got := rec.Commands(); len(got) > 0 {
		t.Errorf("ran %q", got)
	}
}

func TestARestartWhoseStartFailsSaysThatItIsStoppedNow(t *testing.T) {
	m := started(t)
	rec := taskstest.NewRecorder(m.Host())
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.String() == "pct start 900" {
			return &taskstest.Answer{Output: tasks.Output{Code: 255, Stderr: []byte("startup for container '900' failed\n")}}
		}
		return nil
	}
	res := run(t, rec, restart)
	wants(t, res, tasks.StatusFailed, "container 900 was stopped for a restart and is stopped now")
	if len(res.Remaining) != 1 || res.Remaining[0].Path != "state" {
		t.Errorf("remaining %+v", res.Remaining)
	}
}

func TestATemplateCannotBeStartedAndIsStoppedAlready(t *testing.T) {
	m := newMachine(t)
	sh(t, m, "pct template 900")
	wants(t, run(t, m.Host(), ready), tasks.StatusFailed, "start container 900: it is a template, which cannot run")
	wants(t, run(t, m.Host(), stop), tasks.StatusOK, "")
}

func TestALockedContainerIsLeftAlone(t *testing.T) {
	m := started(t)
	sh(t, m, "pct set 900 --lock backup")
	rec := taskstest.NewRecorder(m.Host())
	wants(t, run(t, rec, stop), tasks.StatusFailed, "container 900: it is locked (backup)")
	if got := rec.Commands(); len(got) > 0 {
		t.Errorf("ran %q", got)
	}
	// A backup does not keep a running container from being used, nor from being waited for.
	wants(t, run(t, m.Host(), ready), tasks.StatusOK, "")
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if strings.HasSuffix(o.Read, "/net/fib_trie") {
			return &taskstest.Answer{Err: fs.ErrNotExist}
		}
		return nil
	}
	if res := taskstest.Check(t, power.Kind(), ready, rec); res.Status != tasks.StatusWouldChange || res.Changes[0].Path != "ready" {
		t.Errorf("%+v", res)
	}
}

func TestAContainerThatIsElsewhereIsSaidToBeThere(t *testing.T) {
	m := newMachine(t)
	for list, want := range map[string]string{
		`{"ids":{"901":{"node":"other","type":"lxc","version":1}}}`: "it is on node other, and this is node pve",
		`{"ids":{"901":{"node":"pve","type":"qemu","version":1}}}`:  "the number belongs to a virtual machine on node pve",
		`{"ids":{}}`: "find container 901: there is none on this host",
	} {
		taskstest.Put(t, m.Host(), "/etc/pve/.vmlist", list)
		wants(t, run(t, m.Host(), strings.Replace(stop, "900", "901", 1)), tasks.StatusFailed, want)
	}
}

// deaf has the guest ignore a request to shut down.
func deaf(t *testing.T, m *sim.Machine) {
	t.Helper()
	if err := os.Symlink("/dev/null", m.Root+"/var/lib/lxc/900/rootfs/etc/systemd/system/poweroff.target"); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyForceStopsWhatDoesNotStopByItself(t *testing.T) {
	m := started(t)
	deaf(t, m)
	res := run(t, m.Host(), `{"ctid":900,"state":"stopped","stop_s":7}`)
	wants(t, res, tasks.StatusFailed, "it has not stopped by itself within 7 s, and still runs; --force stops it then")
	rec := taskstest.NewRecorder(m.Host())
	wants(t, run(t, rec, `{"ctid":900,"state":"stopped","stop_s":7,"force":true}`), tasks.StatusChanged, "")
	if got := rec.Commands(); !slices.Equal(got, []string{"pct shutdown 900 --timeout 7 --forceStop 1"}) {
		t.Errorf("ran %q", got)
	}
}

// TestReadyWaitsForTheAddress has the address come while it is waited for, and in the
// other case never.
func TestReadyWaitsForTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		looks := 0
		lease := 4
		rec := taskstest.NewRecorder(m.Host())
		rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
			if strings.HasSuffix(o.Read, "/net/fib_trie") {
				if looks++; looks < lease {
					return &taskstest.Answer{Err: fs.ErrNotExist}
				}
			}
			return nil
		}
		wants(t, run(t, rec, ready), tasks.StatusChanged, "")
		if looks < lease {
			t.Errorf("looked %d times", looks)
		}
		lease = 1 << 30
		began := time.Now()
		res := run(t, rec, ready)
		wants(t, res, tasks.StatusFailed, "wait for container 900: it is not ready after 3s: no address on eth0 (dhcp)")
		if d := time.Since(began); d < 3*time.Second || d > 5*time.Second {
			t.Errorf("waited %s", d)
		}
		if len(res.Remaining) != 1 || res.Remaining[0].Path != "ready" || res.Remaining[0].From != "no: no address on eth0 (dhcp)" {
			t.Errorf("remaining %+v", res.Remaining)
		}
	})
}

func TestAContainerThatCannotBeEnteredIsNotReady(t *testing.T) {
	m := started(t)
	for code, status := range map[int]tasks.Status{0: tasks.StatusOK, 1: tasks.StatusWouldChange, 126: tasks.StatusOK, 127: tasks.StatusOK, 255: tasks.StatusWouldChange} {
		rec := taskstest.NewRecorder(m.Host())
		rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
			if o.Cmd == nil {
				return nil
			}
			return &taskstest.Answer{Output: tasks.Output{Code: code, Stderr: []byte("lxc-attach: Connection refused\nmore\n")}}
		}
		res := taskstest.Check(t, power.Kind(), ready, rec)
		if res.Status != status || status != tasks.StatusOK && res.Changes[0].From != "no: it cannot be entered: lxc-attach: Connection refused" {
			t.Errorf("lxc-attach ends with %d, and the check says %+v", code, res)
		}
	}
}

func TestHighAvailabilityIsSaidAndWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		if err := os.Mkdir(m.Root+"/etc/pve/ha", 0o755); err != nil {
			t.Fatal(err)
		}
		taskstest.Put(t, m.Host(), "/etc/pve/ha/resources.cfg", "ct: 900\n\tstate stopped\n\n")
		res := taskstest.Check(t, power.Kind(), ready, m.Host())
		if len(res.Changes) != 1 || !strings.Contains(res.Changes[0].Note, "high availability does it") {
			t.Fatalf("%+v", res)
		}
		rec := taskstest.NewRecorder(m.Host())
		rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
			if o.String() != "pct start 900" {
				return nil
			}
			time.AfterFunc(40*time.Second, func() { sh(t, m, "pct start 900") })
			return &taskstest.Answer{Output: tasks.Output{Stdout: []byte("Requesting HA start for CT 900\n")}}
		}
		began := time.Now()
		wants(t, run(t, rec, ready), tasks.StatusChanged, "")
		if d := time.Since(began); d < 40*time.Second {
			t.Errorf("waited %s", d)
		}
	})
}

func TestCheckStartsNoProgramWhereNothingIsToBeReady(t *testing.T) {
	m := started(t)
	for _, spec := range []string{stop, restart, `{"ctid":900,"state":"running"}`} {
		rec := taskstest.NewRecorder(m.Host())
		taskstest.Check(t, power.Kind(), spec, rec)
		if got := rec.Commands(); len(got) > 0 {
			t.Errorf("%s: ran %q", spec, got)
		}
	}
}

func TestFaultsOfASpecAreAllFound(t *testing.T) {
	for _, c := range []struct {
		spec  power.Spec
		paths []string
	}{
		{power.Spec{CTID: 900, State: "running", Restart: true, ReadyS: 1, StopS: 1}, nil},
		{power.Spec{CTID: 99, State: "up", ReadyS: -1, StopS: -1}, []string{"ctid", "state", "ready_s", "ready_s", "stop_s"}},
		{power.Spec{CTID: 900, State: "stopped", Restart: true, ReadyS: 5}, []string{"restart", "ready_s"}},
	} {
		var got []string
		for _, p := range c.spec.Validate() {
			got = append(got, p.Path)
		}
		if !slices.Equal(got, c.paths) {
			t.Errorf("%+v: faults at %q, want %q", c.spec, got, c.paths)
		}
	}
	if id := power.StepID(900); id != "power:900" {
		t.Errorf("the step is called %s", id)
	}
}
