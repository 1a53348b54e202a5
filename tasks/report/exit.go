package report

import "phoenix/tasks"

// The exit codes that a report can lead to. 3 and 64 are decided before there is a
// run.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitDrift       = 2
	ExitUnreachable = 4
	ExitStopped     = 5
	ExitInterrupted = 130
	ExitTerminated  = 143
)

// ExitCode is what the program ends with. When several apply, the order is
// 130/143 > 5 > 1 > 4 > 2:
//
//   - a signal interrupted the run: 130, or 143 for "terminated";
//   - a rule stopped it (Stopped), a host's lock was held, or a critical step was
//     refused: 5;
//   - a host failed (a step that could not tell its state counts as failed, since
//     success was not seen), a host was left out without a reason, or the run has an
//     internal error or no end: 1;
//   - a host was unreachable: 4;
//   - a check or a dry run found differences: 2.
//
// A run (not a check) whose only remaining differences wait for a restart that is
// not allowed ends with 0: it did all that it may.
func ExitCode(r Report) int {
	switch {
	case r.Signal == "terminated":
		return ExitTerminated
	case r.Signal != "":
		return ExitInterrupted
	case r.Stopped != "" || r.any(Host.blocked):
		return ExitStopped
	case r.Error != "" || !r.Finished || r.any(func(h Host) bool { return h.Status == HostFailed || h.Status == HostNotStarted }):
		return ExitFailed
	case r.any(func(h Host) bool { return h.Status == HostUnreachable }):
		return ExitUnreachable
	case r.ReadOnly() && r.any(func(h Host) bool { return h.Status == HostDrifted }):
		return ExitDrift
	}
	return ExitOK
}

func (r Report) any(is func(Host) bool) bool {
	for _, h := range r.Hosts {
		if is(h) {
			return true
		}
	}
	return false
}

// blocked tells whether a rule kept something on the host from being done.
func (h Host) blocked() bool {
	if h.Error != nil && (h.Error.Class == ClassLocked || h.Error.Class == ClassRefused) {
		return true
	}
	for _, s := range h.Steps {
		if s.Cause == tasks.CauseRefused {
			return true
		}
	}
	return false
}
