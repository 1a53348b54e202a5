package report

import (
	"time"

	"phoenix/tasks"
)

// Schema names the format of a Report. schemas/report.schema.json describes it.
const Schema = "phoenix.report/v1"

// HostStatus is how a host ended. There are no others.
type HostStatus string

// The statuses of a host.
const (
	// HostOK: everything was as wanted.
	HostOK HostStatus = "ok"
	// HostChanged: something was changed, and now everything is as wanted.
	HostChanged HostStatus = "changed"
	// HostDrifted: nothing failed, but something is not as wanted: it would be changed
	// (check, dry run), waits for a restart, or was refused.
	HostDrifted HostStatus = "drifted"
	// HostFailed: a step failed or could not tell its state, the host as a whole
	// failed after it was reached, or it was stopped before its end.
	HostFailed HostStatus = "failed"
	// HostUnreachable: no session with the host came about.
	HostUnreachable HostStatus = "unreachable"
	// HostNotStarted: the run ended before the host's turn came.
	HostNotStarted HostStatus = "not started"
)

// Severity orders statuses: the higher, the worse.
func (s HostStatus) Severity() int {
	switch s {
	case HostFailed:
		return 5
	case HostUnreachable:
		return 4
	case HostNotStarted:
		return 3
	case HostDrifted:
		return 2
	case HostChanged:
		return 1
	}
	return 0
}

// Class is the kind of an Error, for programs that branch on it.
type Class string

// The classes of errors of a host.
const (
	// ClassUnreachable: resolving, connecting, checking the host key or logging in
	// did not work.
	ClassUnreachable Class = "unreachable"
	// ClassHelper: the host was reached, but the helper could not be put there or
	// started.
	ClassHelper Class = "helper"
	// ClassProtocol: what the host sent is not what a helper sends.
	ClassProtocol Class = "protocol"
	// ClassLost: the connection or the helper ended before the job did.
	ClassLost Class = "lost"
	// ClassTimeout: the host took longer than it may.
	ClassTimeout Class = "timeout"
	// ClassLocked: another run has the host's lock.
	ClassLocked Class = "locked"
	// ClassRefused: a critical step was not agreed to.
	ClassRefused Class = "refused"
	// ClassCanceled: the host was stopped before its end.
	ClassCanceled Class = "canceled"
	// ClassNotStarted: the run was stopped before the host was asked for anything.
	ClassNotStarted Class = "not started"
	// ClassInternal: a mistake of phoenix itself.
	ClassInternal Class = "internal"
)

// Error says why a host as a whole did not end well.
type Error struct {
	Class Class `json:"class"`
	// What was being done: "connect to pve3".
	What string `json:"what"`
	// Why it did not work: "dial tcp 10.0.0.15:22: connection refused".
	Why string `json:"why"`
	// Hint says what to type or to look at, one per line; it may be empty.
	Hint string `json:"hint,omitempty"`
}

// Error makes it an error value.
func (e *Error) Error() string {
	if e.Why == "" {
		return e.What
	}
	return e.What + ": " + e.Why
}

// Report is the record of one run.
type Report struct {
	// Schema is the constant Schema.
	Schema string `json:"schema"`
	RunID  string `json:"run_id"`
	// Command, Mode, DryRun, Operator, Version, Args and Limit are as asked for; see
	// RunStarted.
	Command  string     `json:"command"`
	Mode     tasks.Mode `json:"mode"`
	DryRun   bool       `json:"dry_run,omitempty"`
	Operator string     `json:"operator,omitempty"`
	Version  string     `json:"version,omitempty"`
	Args     []string   `json:"args,omitempty"`
	Limit    string     `json:"limit,omitempty"`
	// Started and Ended are the workstation's clock; Ended is absent while the run
	// goes on, and in the record of a run that was killed.
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	// DurationMS is the time from the first to the last event, in milliseconds.
	DurationMS int64 `json:"duration_ms"`
	// Finished tells whether the run came to its own end.
	Finished bool `json:"finished"`
	// Signal, Stopped and Error are as in RunDone.
	Signal  string `json:"signal,omitempty"`
	Stopped string `json:"stopped,omitempty"`
	Error   string `json:"error,omitempty"`
	// Notes concern the run as a whole.
	Notes []Note `json:"notes,omitempty"`
	// Hosts in the inventory's order.
	Hosts  []Host `json:"hosts"`
	Totals Totals `json:"totals"`
	// ExitCode is what the program ends with; see ExitCode.
	ExitCode int `json:"exit_code"`
}

// ReadOnly tells whether the run only looked: a check or a dry run.
func (r Report) ReadOnly() bool { return r.Mode == tasks.ModeCheck || r.DryRun }

// Host is one host's part of a Report.
type Host struct {
	Name    string     `json:"name"`
	Status  HostStatus `json:"status"`
	Address string     `json:"address,omitempty"`
	// Error says why the host as a whole did not end well.
	Error *Error `json:"error,omitempty"`
	// Started and Ended are the workstation's clock.
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// DurationMS and ConnectMS are in milliseconds; ConnectMS is part of DurationMS.
	DurationMS int64 `json:"duration_ms"`
	ConnectMS  int64 `json:"connect_ms,omitempty"`
	// Uploaded tells whether the helper had to be put there first.
	Uploaded bool `json:"uploaded,omitempty"`
	// Planned is the number of steps that the host was asked to take; Steps may have fewer
	// when the host was lost.
	Planned int `json:"planned"`
	// Steps in the order in which they were taken.
	Steps  []Step     `json:"steps"`
	Counts StepCounts `json:"counts"`
	// Earlier runs whose end nobody saw, collected from the host's journal.
	Earlier []Earlier `json:"earlier,omitempty"`
	Notes   []Note    `json:"notes,omitempty"`
}

// Step is the outcome of one step. One that began and whose result was never seen
// has the status unknown.
type Step struct {
	ID string `json:"id"`
	tasks.Result
	// Log is the end of what the step said. It is kept for steps that failed or could
	// not tell their state, at most LogLines lines, and for those that have Data (the
	// output of a command), at most OutputLines lines; of a failure without what Why says.
	Log []tasks.Log `json:"log,omitempty"`
}

// How many lines of a step's log a report keeps: of a step in trouble, and of one
// whose output was asked for.
const (
	LogLines    = 20
	OutputLines = 200
)

// Earlier is what became of an earlier run on a host.
type Earlier struct {
	RunID    string `json:"run_id"`
	Operator string `json:"operator,omitempty"`
	Finished bool   `json:"finished"`
	Steps    []Step `json:"steps"`
}

// Totals add up a run.
type Totals struct {
	Hosts HostCounts `json:"hosts"`
	Steps StepCounts `json:"steps"`
}

// HostCounts counts hosts by status.
type HostCounts struct {
	Total       int `json:"total"`
	OK          int `json:"ok"`
	Changed     int `json:"changed"`
	Drifted     int `json:"drifted"`
	Failed      int `json:"failed"`
	Unreachable int `json:"unreachable"`
	NotStarted  int `json:"not_started"`
}

func (c *HostCounts) add(s HostStatus) {
	c.Total++
	switch s {
	case HostOK:
		c.OK++
	case HostChanged:
		c.Changed++
	case HostDrifted:
		c.Drifted++
	case HostFailed:
		c.Failed++
	case HostUnreachable:
		c.Unreachable++
	case HostNotStarted:
		c.NotStarted++
	}
}

// StepCounts counts steps by status.
type StepCounts struct {
	Total       int `json:"total"`
	OK          int `json:"ok"`
	Changed     int `json:"changed"`
	WouldChange int `json:"would_change"`
	Failed      int `json:"failed"`
	Skipped     int `json:"skipped"`
	Unknown     int `json:"unknown"`
}

func (c *StepCounts) add(s tasks.Status) {
	c.Total++
	switch s {
	case tasks.StatusOK:
		c.OK++
	case tasks.StatusChanged:
		c.Changed++
	case tasks.StatusWouldChange:
		c.WouldChange++
	case tasks.StatusFailed:
		c.Failed++
	case tasks.StatusSkipped:
		c.Skipped++
	case tasks.StatusUnknown:
		c.Unknown++
	}
}

func (c *StepCounts) merge(o StepCounts) {
	c.Total += o.Total
	c.OK += o.OK
	c.Changed += o.Changed
	c.WouldChange += o.WouldChange
	c.Failed += o.Failed
	c.Skipped += o.Skipped
	c.Unknown += o.Unknown
}

// Counts adds up the steps of the earlier run.
func (e Earlier) Counts() StepCounts {
	var c StepCounts
	for _, s := range e.Steps {
		c.add(s.Status)
	}
	return c
}
