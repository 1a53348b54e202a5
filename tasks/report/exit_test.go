package report

import (
	"testing"

	"phoenix/tasks"
)

func TestExitCode(t *testing.T) {
	host := func(s HostStatus) Host { return Host{Status: s} }
	refused := Host{Status: HostDrifted, Steps: []Step{{Result: tasks.Result{Status: tasks.StatusSkipped, Cause: tasks.CauseRefused}}}}
	locked := Host{Status: HostFailed, Error: &Error{Class: ClassLocked}}
	all := []Host{host(HostFailed), host(HostUnreachable), host(HostDrifted), refused}
	check := tasks.ModeCheck
	for _, c := range []struct {
		name string
		r    Report
		want int
	}{
		{"nothing to say is 0", Report{Finished: true, Hosts: []Host{host(HostOK), host(HostChanged)}}, 0},
		{"drift after a run is what waits for a restart, and is 0", Report{Finished: true, Mode: tasks.ModeRun, Hosts: []Host{host(HostDrifted)}}, 0},
		{"drift in a check is 2", Report{Finished: true, Mode: check, Hosts: []Host{host(HostDrifted), host(HostOK)}}, 2},
		{"drift in a dry run is 2", Report{Finished: true, DryRun: true, Hosts: []Host{host(HostDrifted)}}, 2},
		{"unreachable beats drift", Report{Finished: true, Mode: check, Hosts: []Host{host(HostDrifted), host(HostUnreachable)}}, 4},
		{"failed beats unreachable", Report{Finished: true, Hosts: []Host{host(HostUnreachable), host(HostFailed)}}, 1},
		{"a refused step beats failed", Report{Finished: true, Hosts: all}, 5},
		{"a held lock is a rule", Report{Finished: true, Hosts: []Host{locked}}, 5},
		{"a rule that stopped the run beats failed", Report{Finished: true, Stopped: "--max-failures 1 was reached", Hosts: []Host{host(HostFailed)}}, 5},
		{"an interrupt beats all", Report{Finished: true, Signal: "interrupt", Stopped: "x", Hosts: all}, 130},
		{"termination has its own code", Report{Finished: true, Signal: "terminated", Hosts: all}, 143},
		{"an internal error is 1", Report{Finished: true, Error: "out of files", Hosts: []Host{host(HostOK)}}, 1},
		{"a host left out without a reason is 1", Report{Finished: true, Hosts: []Host{host(HostNotStarted)}}, 1},
		{"a run without an end is 1", Report{Hosts: []Host{host(HostOK)}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ExitCode(c.r); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
		})
	}
}
