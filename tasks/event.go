package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Status is how a step ended. There are no others.
type Status string

// The statuses of a step.
const (
	StatusOK          Status = "ok"
	StatusChanged     Status = "changed"
	StatusWouldChange Status = "would change"
	StatusFailed      Status = "failed"
	// StatusSkipped steps were not tried, or not finished, for the reason in Why.
	StatusSkipped Status = "skipped"
	// StatusUnknown steps could not tell the state, for the reason in Why.
	StatusUnknown Status = "unknown"
)

// Cause says why a step did not simply end well, for programs that branch on it.
type Cause string

// The causes.
const (
	CauseNone Cause = ""
	// CauseNeed: a step that it needs did not end well.
	CauseNeed Cause = "need"
	// CauseRefused: a critical change was not agreed to.
	CauseRefused Cause = "refused"
	// CausePending: written on the host, waits for a restart that is not allowed.
	CausePending Cause = "pending"
	// CauseCanceled: the operator stopped the run.
	CauseCanceled Cause = "canceled"
	// CauseTimeout: the step took longer than it may.
	CauseTimeout Cause = "timeout"
	// CauseNotApplied: the properties still differ after Apply reported success.
	CauseNotApplied Cause = "not applied"
)

// Result is the outcome of one step.
type Result struct {
	Status Status `json:"status"`
	// Why explains every status but ok and changed.
	Why   string `json:"why,omitempty"`
	Cause Cause  `json:"cause,omitempty"`
	// Changes were made or, in a check, would be made.
	Changes Diff `json:"changes,omitempty"`
	// Remaining still differs after the step: pending, refused or not applied.
	Remaining Diff `json:"remaining,omitempty"`
	// Allow lists the consents that the step lacks for what remains.
	Allow []Allow `json:"allow,omitempty"`
	// Warnings are what somebody should look at, however the step ended: no run changes it.
	Warnings []string `json:"warnings,omitempty"`
	// Data is what the step was asked to find out; only facts, gpus, status, bootcheck and exec have it.
	Data json.RawMessage `json:"data,omitempty"`
	// DurationMS is the time the step took, in milliseconds.
	DurationMS int64 `json:"duration_ms"`
}

// EndedWell tells whether the steps that need this one can be taken.
func (r Result) EndedWell() bool {
	switch r.Status {
	case StatusOK, StatusChanged, StatusWouldChange:
		return true
	}
	return r.Cause == CausePending
}

// Event is one thing that happened on one machine. Exactly one of Started, Log, Sample,
// Confirm, Reboot and Result is set.
type Event struct {
	// Time is the machine's own clock.
	Time time.Time `json:"time"`
	// Step is the ID of the step.
	Step string `json:"step"`
	// Started is set when the step begins.
	Started *Started `json:"started,omitempty"`
	// Log is a line that a program printed or a task says.
	Log *Log `json:"log,omitempty"`
	// Sample is what a step that goes on has found out, in the form of a result's Data. It
	// is for whoever looks on: no record keeps it, and one that is not taken in time gives
	// way to the next.
	Sample json.RawMessage `json:"sample,omitempty"`
	// Confirm asks for a new connection; see package guard.
	Confirm *Confirm `json:"confirm,omitempty"`
	// Reboot says that the machine goes down now, as the operator agreed to.
	Reboot *Reboot `json:"reboot,omitempty"`
	// Result ends the step.
	Result *Result `json:"result,omitempty"`
}

// Confirm asks whoever follows the run to show, over a new connection, that the
// machine can still be reached once a change has been made.
type Confirm struct {
	// Token names the change.
	Token string `json:"token"`
	// TimeoutS is how long the machine waits for it, in seconds from the end of the
	// change.
	TimeoutS int `json:"timeout_s"`
	// Addresses are where the machine may be reached, beside its present address.
	Addresses []string `json:"addresses,omitempty"`
}

// Reboot announces a reboot. The steps that have no result then are not yet taken.
type Reboot struct {
	// BootID is that of the system that goes down: /proc/sys/kernel/random/boot_id.
	BootID string `json:"boot_id"`
	// Changes are what the reboot makes.
	Changes Diff `json:"changes"`
}

// Started announces a step.
type Started struct {
	// Index counts from 1 to Total.
	Index int `json:"index"`
	Total int `json:"total"`
}

// Log is one line of text, at most 8 KiB.
type Log struct {
	// Stream is "stdout", "stderr" (of a program), "task", or "quiet" for what is said
	// because the step says nothing.
	Stream string `json:"stream"`
	Text   string `json:"text"`
}

// Validate refuses an event that is not exactly one thing.
func (e Event) Validate() error {
	set := 0
	for _, is := range []bool{e.Started != nil, e.Log != nil, len(e.Sample) > 0, e.Confirm != nil, e.Reboot != nil, e.Result != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("validate event of step %q: %d of started, log, sample, confirm, reboot, result are set, want 1", e.Step, set)
	}
	if e.Step == "" {
		return fmt.Errorf("validate event: no step")
	}
	return nil
}

// Scope is what a task may use beside its Host: the job's consent, the values of
// secrets, and a way to say what it is doing. It travels in the context.
type Scope struct {
	// Consent is what the operator agreed to.
	Consent Consent
	// Secrets holds values by name.
	Secrets map[string]string
	// Peer is the address that the operator's connection comes from, as the machine
	// sees it; empty when nobody could tell.
	Peer string
	// Helper is the path of the program that runs the step, for the watchdog of
	// package guard.
	Helper string
	// Waiting are the changes that the steps before this one have left to a reboot, by
	// step and property: "kernel:settings cmdline".
	Waiting []string
	// Ahead are the steps that this one needs and that would change first: in a check,
	// they have not. Those of which a run would leave all as it is are not among them.
	Ahead []string
	// Earlier are all steps before this one that would change: what is not there yet,
	// they may bring.
	Earlier []string
	// Changed are the steps that this one needs and that have changed something.
	Changed []string
	// CTID is the container that the step is taken in; 0 on the machine itself. Machine is
	// the machine that the container is on, which a Check cannot change either.
	CTID    int
	Machine Host
	// Log receives lines of text; nil drops them.
	Log func(Log)
	// Warn receives what goes into the Warnings of the result; nil drops it.
	Warn func(text string)
	// Running takes note of a program until ended is called; see the function Running.
	Running func(c Cmd) (ended func())
	// Confirm announces a change that has to be confirmed; nil means that nobody can.
	Confirm func(Confirm)
	// Reboot announces that the machine goes down; nil means that nobody would wait
	// for it.
	Reboot func(Reboot)
	// Data receives what the step was asked to find out; nil drops it.
	Data func(json.RawMessage)
	// Sample receives what a step that goes on has found out so far; nil drops it.
	Sample func(json.RawMessage)
	// Stop, when closed, asks a step that would go on by itself to come to its end.
	Stop <-chan struct{}
}

type scopeKey struct{}

// WithScope returns a context that carries s.
func WithScope(ctx context.Context, s Scope) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// ScopeOf returns the scope in ctx; without one, the zero scope, which allows
// nothing and drops what it is told.
func ScopeOf(ctx context.Context) Scope {
	s, _ := ctx.Value(scopeKey{}).(Scope)
	return s
}

// ConsentOf is what the operator agreed to.
func ConsentOf(ctx context.Context) Consent { return ScopeOf(ctx).Consent }

// Logf says what a task is doing, for people.
func Logf(ctx context.Context, format string, args ...any) {
	if log := ScopeOf(ctx).Log; log != nil {
		log(Log{Stream: "task", Text: fmt.Sprintf(format, args...)})
	}
}

// Warnf says what somebody should look at, however the step ends. Once is enough for the
// same text.
func Warnf(ctx context.Context, format string, args ...any) {
	if warn := ScopeOf(ctx).Warn; warn != nil {
		warn(fmt.Sprintf(format, args...))
	}
}

// SetData hands over what the step was asked to find out.
func SetData(ctx context.Context, v any) error { return hand(ScopeOf(ctx).Data, v) }

// AddSample hands over what the step has found out so far. It goes on.
func AddSample(ctx context.Context, v any) error { return hand(ScopeOf(ctx).Sample, v) }

func hand(to func(json.RawMessage), v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if to != nil {
		to(raw)
	}
	return nil
}

// SecretValue returns the value behind a reference. An unknown name is an error.
func SecretValue(ctx context.Context, name string) (string, error) {
	v, ok := ScopeOf(ctx).Secrets[name]
	if !ok {
		return "", fmt.Errorf("find secret %q: it did not travel with the job", name)
	}
	return v, nil
}
