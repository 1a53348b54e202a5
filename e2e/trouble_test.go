package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"phoenix/e2e/realhost"
)

// execute is `phoenix exec` of a gate on one host.
func (g gate) execute(flags ...string) []string {
	return slices.Concat([]string{"exec", "-l", g.r.Hosts[g.host].Name}, flags, []string{"--"}, g.argv())
}

// earlier returns what a report tells of an earlier run on a host.
func (r record) earlier(t *testing.T, host, run string) (finished bool, steps []string) {
	t.Helper()
	for _, e := range r.host(host).Earlier {
		if e.RunID != run {
			continue
		}
		for _, s := range e.Steps {
			steps = append(steps, s.ID+" "+s.Status)
		}
		return e.Finished, steps
	}
	t.Fatalf("the report of %s does not tell of the earlier run %s: %+v", host, run, r.host(host).Earlier)
	return false, nil
}

// lastRun is the ID of the newest run that the workstation kept.
func (r *rig) lastRun(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(r.home, "state/phoenix/runs/*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no runs are kept: %v", err)
	}
	// Runs of one second are not in the order of their names.
	newest := slices.MaxFunc(found, func(a, b string) int { return modified(t, a).Compare(modified(t, b)) })
	return filepath.Base(newest)
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

func TestTroubleInMidStep(t *testing.T) {
	r := newRig(t, 2, realhost.Options{})
	proxy := r.proxy(t, 0)
	r.known(t, "127.2.0.1", proxy.port(), r.Hosts[0].HostKey)
	r.inventory(t, fmt.Sprintf("  far: {address: 127.2.0.1, port: %d, containers: []}\n", proxy.port()))
	r.write(t, "hypervisor.json", hypervisor)
	r.write(t, "lxc.json", `{"version": 1}`)
	r.phoenix(t, "exec", "-l", "pve*", "--", "true").want(t, 0) // "far" is pve1 by another way, and would find it locked

	t.Run("a helper that is killed is that host's failure, and is told of by the next run", func(t *testing.T) {
		g := r.gate(0, "killed")
		run := r.start(t, append([]string{"exec", "-vv", "-l", "pve*", "-o", "json", "--"}, "sh", "-c", "[ $(hostname) = pve2 ] || { "+g.argv()[2]+"; }")...)
		g.reached(t)
		run.says(t, "pve1: exec:host begins") // so that it can be named
		r.killHelper(t, 0)
		got := run.wait(t).want(t, 1).report(t)
		got.wantFault(t, "pve1", "lost", "exec:host", "KILL", "run again")
		if s := got.status("pve2"); s != "changed" {
			t.Errorf("the other host is %s", s)
		}
		g.open(t)
		next := r.phoenix(t, "run", "-l", "pve1", "-o", "json").want(t, 0).report(t)
		finished, steps := next.earlier(t, "pve1", got.RunID)
		if finished || !slices.Equal(steps, []string{"exec:host unknown"}) {
			t.Errorf("the earlier run: finished %v, steps %v", finished, steps)
		}
		if again := r.phoenix(t, "run", "-l", "pve1", "-o", "json").want(t, 0).report(t); len(again.host("pve1").Earlier) > 0 {
			t.Errorf("what was collected is told of again: %+v", again.host("pve1").Earlier)
		}
	})
	t.Run("when the connection is lost the helper finishes, and the next run collects its record", func(t *testing.T) {
		g := r.gate(0, "lost")
		run := r.start(t, append([]string{"exec", "-vv", "-l", "far", "-o", "json", "--"}, g.argv()...)...)
		g.reached(t)
		run.says(t, "far: exec:host begins") // so that it can be named
		proxy.cut()
		got := run.wait(t).want(t, 1).report(t)
		got.wantFault(t, "far", "lost", "exec:host", "run again")
		if len(r.processes(0, "agentlet-")) != 1 {
			t.Error("the helper did not survive the loss of its connection")
		}
		g.open(t)
		eventually(t, "the step ends", func() bool { return g.is("passed") })
		eventually(t, "the helper leaves", func() bool { return len(r.processes(0, "agentlet-")) == 0 })
		next := r.phoenix(t, "run", "-l", "pve1", "-o", "json").want(t, 0).report(t)
		finished, steps := next.earlier(t, "pve1", got.RunID)
		if !finished || !slices.Equal(steps, []string{"exec:host changed"}) {
			t.Errorf("the earlier run: finished %v, steps %v", finished, steps)
		}
	})
	t.Run("phoenix that is killed leaves nothing half done", func(t *testing.T) {
		g := r.gate(0, "orphan")
		run := r.start(t, g.execute()...)
		g.reached(t)
		id := r.lastRun(t)
		run.signal(t, syscall.SIGKILL)
		run.wait(t)
		r.phoenix(t, "exec", "-l", "pve1", "-o", "json", "--", "true").want(t, 5).report(t).wantFault(t, "pve1", "locked", id)
		g.open(t)
		eventually(t, "the helper leaves", func() bool { return len(r.processes(0, "agentlet-")) == 0 })
		next := r.phoenix(t, "run", "-l", "pve1", "-o", "json").want(t, 0).report(t)
		if finished, steps := next.earlier(t, "pve1", id); !finished || !slices.Equal(steps, []string{"exec:host changed"}) {
			t.Errorf("the earlier run: finished %v, steps %v", finished, steps)
		}
	})
	t.Run("a host that loses its power is lost, the others finish", func(t *testing.T) {
		g := r.gate(1, "power")
		run := r.start(t, append([]string{"exec", "-l", "pve*", "-o", "json", "--"}, "sh", "-c", "[ $(hostname) = pve1 ] || { "+g.argv()[2]+"; }")...)
		g.reached(t)
		r.Hosts[1].Kill()
		got := run.wait(t).want(t, 1).report(t)
		got.wantFault(t, "pve2", "lost")
		if s := got.status("pve1"); s != "changed" {
			t.Errorf("the other host is %s", s)
		}
	})
}

func TestAHelperKilledInARunOfTheConfiguration(t *testing.T) {
	r := newRig(t, 1, realhost.Options{})
	r.configure(t, hypervisor, containers)
	faults := r.Hosts[0].Path("/.sim/faults.json")
	if err := os.WriteFile(faults, []byte(`[{"kind": "hang", "program": "pct", "verb": "create"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	run := r.start(t, "run", "-o", "json")
	eventually(t, "the creation hangs", func() bool { return strings.Contains(r.commandLines(0, "pvesim"), "pct create") })
	r.killHelper(t, 0)
	got := run.wait(t).want(t, 1).report(t)
	got.wantFault(t, "pve1", "lost", "lxc:900")
	for _, pid := range r.processes(0, "pvesim") {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := os.Remove(faults); err != nil {
		t.Fatal(err)
	}
	next := r.phoenix(t, "run", "-o", "json").want(t, 0).report(t)
	finished, steps := next.earlier(t, "pve1", got.RunID)
	if finished || !slices.Contains(steps, "lxc:900 unknown") || !slices.Contains(steps, "storage:tank changed") {
		t.Errorf("the earlier run: finished %v, steps %v", finished, steps)
	}
	r.phoenix(t, "check").want(t, 0)
}

// commandLines is what the processes of that name on a host were started with.
func (r *rig) commandLines(host int, name string) string {
	var b strings.Builder
	for _, pid := range r.processes(host, name) {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil {
			b.WriteString(strings.ReplaceAll(string(data), "\x00", " ") + "\n")
		}
	}
	return b.String()
}

func TestOneOperatorAtATime(t *testing.T) {
	r := newRig(t, 1, realhost.Options{})
	r.configure(t, hypervisor, `{"version": 1}`)
	g := r.gate(0, "first")
	first := r.start(t, g.execute()...)
	g.reached(t)
	id := r.lastRun(t)
	pid := fmt.Sprintf("(process %d)", r.pidInside(t, r.processes(0, "agentlet-")[0]))
	t.Run("a second run ends with 5 and names the holder", func(t *testing.T) {
		r.phoenix(t, "run", "-o", "json").want(t, 5).report(t).wantFault(t, "pve1", "locked", id, "@", pid)
		r.phoenix(t, "run").want(t, 5).says(t, id, "wait for that run")
	})
	t.Run("a check needs no lock", func(t *testing.T) { r.phoenix(t, "check").want(t, 2) })
	t.Run("clean leaves the host alone", func(t *testing.T) {
		r.phoenix(t, "clean", "-o", "json").want(t, 5).report(t).wantFault(t, "pve1", "locked", id)
		if len(r.helperPaths(t, 0)) != 1 {
			t.Error("clean removed the helper under a run")
		}
	})
	t.Run("killing the holder frees the lock, whatever its command does", func(t *testing.T) {
		r.killHelper(t, 0)
		first.wait(t).want(t, 1)
		if g.is("passed") {
			t.Fatal("the command has ended")
		}
		r.phoenix(t, "run").want(t, 0)
	})
	g.open(t)
	t.Run("clean removes what phoenix keeps for itself", func(t *testing.T) {
		r.phoenix(t, "clean").want(t, 0).says(t, "/var/lib/phoenix")
		out, err := r.Hosts[0].Exec(t.Context(), "find", "/var", "/run", "/etc", "/srv", "/root/.ssh", "-name", "*phoenix*", "-o", "-name", "*agentlet*")
		if err != nil {
			t.Fatal(err)
		}
		left := slices.DeleteFunc(strings.Fields(string(out)), func(p string) bool {
			return strings.HasPrefix(p, "/etc/phoenix-") || p == "/var/cache/phoenix-e2e" // the tests' own
		})
		if len(left) > 0 {
			t.Errorf("clean left %v", left)
		}
		r.phoenix(t, "clean", "-o", "json").want(t, 0)
		if got := r.phoenix(t, "clean", "-o", "json").want(t, 0).report(t); got.status("pve1") != "ok" {
			t.Errorf("a second clean: %s", got.status("pve1"))
		}
	})
}

// pidInside is what a process is called in its own PID namespace.
func (r *rig) pidInside(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(rest)
			var inside int
			if _, err := fmt.Sscan(fields[len(fields)-1], &inside); err != nil {
				t.Fatal(err)
			}
			return inside
		}
	}
	t.Fatalf("process %d has no NSpid", pid)
	return 0
}
