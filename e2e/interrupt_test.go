package e2e

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"phoenix/e2e/realhost"
)

func TestInterrupts(t *testing.T) {
	r := newRig(t, 2, realhost.Options{})
	r.configure(t, hypervisor, `{"version": 1}`)
	r.phoenix(t, "exec", "--", "true").want(t, 0)

	t.Run("once: the step goes on to its end, no further host is started, and the report is written", func(t *testing.T) {
		g := r.gate(0, "once")
		run := r.start(t, append([]string{"exec", "--forks", "1", "-o", "json", "--"}, g.argv()...)...)
		g.reached(t)
		run.signal(t, syscall.SIGINT)
		run.says(t, "stopping")
		g.open(t)
		got := run.wait(t).want(t, 130).report(t)
		if s := got.statuses(); s != "pve1 changed, pve2 not started" || got.Signal != "interrupt" || got.ExitCode != 130 {
			t.Errorf("%s, signal %q, exit code %d", s, got.Signal, got.ExitCode)
		}
		if !g.is("passed") {
			t.Error("the running step was not left to its end")
		}
	})
	t.Run("twice: the running step is canceled and the lock is free", func(t *testing.T) {
		g := r.gate(0, "twice")
		run := r.start(t, g.execute("-o", "json")...)
		g.reached(t)
		run.interrupt(t, "stopping", "canceling")
		got := run.wait(t).want(t, 130).report(t)
		if got.status("pve1") != "failed" || g.is("passed") {
			t.Errorf("pve1 is %s, its step ended %v", got.status("pve1"), g.is("passed"))
		}
		if strings.Contains(r.commandLines(0, "dash")+r.commandLines(0, "bash"), "/run/twice") {
			t.Error("the canceled command still runs")
		}
		r.phoenix(t, "exec", "-l", "pve1", "--", "true").want(t, 0)
		eventually(t, "the helpers leave", func() bool { return len(r.processes(0, "agentlet-")) == 0 })
	})
	t.Run("SIGTERM counts twice", func(t *testing.T) {
		g := r.gate(0, "term")
		run := r.start(t, g.execute("-o", "json")...)
		g.reached(t)
		run.signal(t, syscall.SIGTERM)
		if got := run.wait(t).want(t, 143).report(t); got.Signal != "terminated" || g.is("passed") {
			t.Errorf("signal %q, its step ended %v", got.Signal, g.is("passed"))
		}
	})
	t.Run("three times: phoenix leaves a host that does not answer, with a report", func(t *testing.T) {
		g := r.gate(0, "thrice")
		run := r.start(t, g.execute("-o", "json")...)
		g.reached(t)
		helper := r.processes(0, "agentlet-")[0]
		if err := syscall.Kill(helper, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		run.interrupt(t, "stopping", "canceling", "leaving")
		got := run.wait(t).want(t, 130).report(t)
		got.wantFault(t, "pve1", "canceled")
		if err := syscall.Kill(helper, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		g.open(t)
		eventually(t, "the helper leaves", func() bool { return len(r.processes(0, "agentlet-")) == 0 })
	})
	t.Run("while a host says nothing, before it is logged in to", func(t *testing.T) {
		silent := listen(t, func(net.Conn) {})
		r.inventory(t, fmt.Sprintf("  silent: {address: 127.2.0.1, port: %d}\n", silent.port()))
		run := r.start(t, "check", "-l", "silent", "-o", "json")
		eventually(t, "it dials", func() bool { return silent.accepted.Load() > 0 })
		// Nothing is at work on the host, so there is nothing to wait for.
		run.interrupt(t, "stopping")
		run.wait(t).want(t, 130).report(t)
	})
}

// interrupt sends one signal per answer and waits for each, because the kernel joins
// signals of a kind that come before the first is taken.
func (r *running) interrupt(t *testing.T, answers ...string) {
	t.Helper()
	for _, answer := range answers {
		r.signal(t, syscall.SIGINT)
		r.says(t, answer)
	}
}

func TestBounds(t *testing.T) {
	r := newRig(t, 3, realhost.Options{})
	r.configure(t, hypervisor, `{"version": 1}`)
	r.phoenix(t, "exec", "--", "true").want(t, 0)
	t.Run("--host-timeout ends the slow host, the others finish", func(t *testing.T) {
		got := r.phoenix(t, "exec", "--host-timeout", "1500ms", "-o", "json", "--", "sh", "-c", "[ $(hostname) != pve2 ] || sleep 5").want(t, 1).report(t)
		got.wantFault(t, "pve2", "timeout", "1.5s")
		if s := got.statuses(); s != "pve1 changed, pve2 failed, pve3 changed" {
			t.Error(s)
		}
		eventually(t, "the helper leaves", func() bool { return len(r.processes(1, "agentlet-")) == 0 })
	})
	t.Run("--timeout ends the run and is told as the reason", func(t *testing.T) {
		got := r.phoenix(t, "exec", "--timeout", "2s", "--forks", "1", "-o", "json", "--", "sleep", "33").want(t, 5).report(t)
		if s := got.statuses(); s != "pve1 failed, pve2 not started, pve3 not started" || !strings.Contains(got.Stopped, "--timeout 2s") {
			t.Errorf("%s, stopped %q", s, got.Stopped)
		}
	})
	t.Run("--step-timeout fails the step and cleans up behind it", func(t *testing.T) {
		got := r.phoenix(t, "exec", "--step-timeout", "1s", "-l", "pve3", "-o", "json", "--", "sleep", "77").want(t, 1).report(t)
		if s := got.host("pve3").Steps[0]; s.Status != "failed" || !strings.Contains(s.Why, "1s") {
			t.Errorf("%s: %s", s.Status, s.Why)
		}
		if left := r.processes(2, "sleep"); len(left) > 0 {
			t.Errorf("the command still runs: %v", left)
		}
	})
	t.Run("--max-failures starts no further host", func(t *testing.T) {
		got := r.phoenix(t, "exec", "--max-failures", "1", "--forks", "1", "-o", "json", "--", "false").want(t, 5).report(t)
		if s := got.statuses(); s != "pve1 failed, pve2 not started, pve3 not started" || !strings.Contains(got.Stopped, "--max-failures 1") {
			t.Errorf("%s, stopped %q", s, got.Stopped)
		}
	})
	t.Run("without bounds every host is tried", func(t *testing.T) {
		got := r.phoenix(t, "exec", "-o", "json", "--", "false").want(t, 1).report(t)
		if n := strings.Count(got.statuses(), "failed"); n != 3 || slices.Contains(got.changes(), "") {
			t.Error(got.statuses())
		}
	})
}
