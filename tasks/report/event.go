package report

import (
	"errors"
	"fmt"
	"time"

	"phoenix/tasks"
)

// EventSchema names the format of the stream. The first event of a stream carries
// it.
const EventSchema = "phoenix.event/v1"

// Kind says what an Event is about; it is also the JSON key of its content.
type Kind string

// The kinds of events, in the order in which a run has them.
const (
	KindRunStarted    Kind = "run_started"
	KindNote          Kind = "note"
	KindHostStarted   Kind = "host_started"
	KindHostConnected Kind = "host_connected"
	KindJournal       Kind = "journal"
	KindStep          Kind = "step"
	KindHostDone      Kind = "host_done"
	KindRunDone       Kind = "run_done"
)

// Event is one thing that happened in a run. Exactly one of the contents is set, and
// Kind names it. As JSON on one line each, the events are the NDJSON output and the
// file events.ndjson of a run.
type Event struct {
	// Schema is EventSchema in the first event of a stream, and empty after it.
	Schema string `json:"schema,omitempty"`
	// Seq counts the events of the run from 1.
	Seq int64 `json:"seq"`
	// Time is the workstation's clock.
	Time time.Time `json:"time"`
	// RunID names the run.
	RunID string `json:"run_id"`
	// Kind names the content.
	Kind Kind `json:"kind"`
	// Host is the inventory's name of the host; empty for what concerns the run.
	Host string `json:"host,omitempty"`

	RunStarted    *RunStarted    `json:"run_started,omitempty"`
	Note          *Note          `json:"note,omitempty"`
	HostStarted   *HostStarted   `json:"host_started,omitempty"`
	HostConnected *HostConnected `json:"host_connected,omitempty"`
	Journal       *Journal       `json:"journal,omitempty"`
	Step          *tasks.Event   `json:"step,omitempty"`
	HostDone      *HostDone      `json:"host_done,omitempty"`
	RunDone       *RunDone       `json:"run_done,omitempty"`
}

// RunStarted is what was asked for.
type RunStarted struct {
	// Command is the name of the command: "run", "check", "exec".
	Command string `json:"command"`
	// Mode is what the jobs of the run may do.
	Mode tasks.Mode `json:"mode"`
	// DryRun is set for `run --dry-run`.
	DryRun bool `json:"dry_run,omitempty"`
	// Operator is who asked: "ann@laptop".
	Operator string `json:"operator,omitempty"`
	// Version of the program.
	Version string `json:"version,omitempty"`
	// Hosts lists the names of all selected hosts, in the inventory's order.
	Hosts []string `json:"hosts"`
	// Args are the arguments that a suggested next command repeats, such as
	// ["-i", "hosts.yaml"]: without the command, without --dry-run, and without the
	// limit. They must hold no secret.
	Args []string `json:"args,omitempty"`
	// Limit is the value of --limit; empty selects all hosts.
	Limit string `json:"limit,omitempty"`
}

// NoteLevel says how much a note matters.
type NoteLevel string

// The levels of notes.
const (
	NoteInfo    NoteLevel = "info"
	NoteWarning NoteLevel = "warning"
)

// Note is something a person should know that changes no outcome.
type Note struct {
	Level NoteLevel `json:"level"`
	Text  string    `json:"text"`
	// Hint says what to do about it; it may be empty.
	Hint string `json:"hint,omitempty"`
}

// HostStarted says that the run turned to a host. It comes again for a host that is
// done when the operator has agreed to what some of its steps lack.
type HostStarted struct {
	// Address that is dialed.
	Address string `json:"address,omitempty"`
}

// HostConnected says that the helper of a host answered.
type HostConnected struct {
	// Uploaded tells whether the helper had to be put there first.
	Uploaded bool `json:"uploaded,omitempty"`
	// Steps is how many the host was asked to take.
	Steps int `json:"steps,omitempty"`
	// DurationMS is the time from HostStarted, in milliseconds.
	DurationMS int64 `json:"duration_ms"`
}

// Journal is what an earlier run left on a host whose end nobody saw.
type Journal struct {
	// RunID and Operator are those of the earlier run.
	RunID    string `json:"run_id"`
	Operator string `json:"operator,omitempty"`
	// Finished tells whether that run came to its end on the host.
	Finished bool `json:"finished"`
	// Events of that run, by the host's own clock.
	Events []tasks.Event `json:"events"`
}

// HostDone ends a host.
type HostDone struct {
	// Status is filled in by the Stream from what was seen of the host.
	Status HostStatus `json:"status"`
	// Error says why the host as a whole did not end well; nil when its steps say
	// it all.
	Error *Error `json:"error,omitempty"`
	// DurationMS is the time from HostStarted, in milliseconds.
	DurationMS int64 `json:"duration_ms"`
}

// RunDone ends the run.
type RunDone struct {
	// Signal is what interrupted the run: "interrupt" or "terminated"; else empty.
	Signal string `json:"signal,omitempty"`
	// Stopped is the rule that ended the run early: "--max-failures 3 was reached".
	Stopped string `json:"stopped,omitempty"`
	// Error is an internal error of the workstation's side.
	Error string `json:"error,omitempty"`
	// ExitCode is filled in by the Stream.
	ExitCode int `json:"exit_code"`
	// DurationMS is filled in by the Stream: the time from RunStarted, in
	// milliseconds.
	DurationMS int64 `json:"duration_ms"`
}

// kinds returns the kinds of all contents that are set.
func (e Event) kinds() []Kind {
	var out []Kind
	for _, c := range []struct {
		set  bool
		kind Kind
	}{
		{e.RunStarted != nil, KindRunStarted},
		{e.Note != nil, KindNote},
		{e.HostStarted != nil, KindHostStarted},
		{e.HostConnected != nil, KindHostConnected},
		{e.Journal != nil, KindJournal},
		{e.Step != nil, KindStep},
		{e.HostDone != nil, KindHostDone},
		{e.RunDone != nil, KindRunDone},
	} {
		if c.set {
			out = append(out, c.kind)
		}
	}
	return out
}

// Validate refuses an event that is not exactly one thing, whose kind is not its
// content's, or that concerns a host and names none (or the reverse).
func (e Event) Validate() error {
	kinds := e.kinds()
	switch {
	case len(kinds) != 1:
		return fmt.Errorf("validate event %d: %d contents are set, want 1", e.Seq, len(kinds))
	case e.Kind != kinds[0]:
		return fmt.Errorf("validate event %d: kind is %q but the content is %q", e.Seq, e.Kind, kinds[0])
	}
	switch e.Kind {
	case KindRunStarted, KindRunDone:
		if e.Host != "" {
			return fmt.Errorf("validate event %d: %s names the host %q", e.Seq, e.Kind, e.Host)
		}
	case KindNote:
	default:
		if e.Host == "" {
			return fmt.Errorf("validate event %d: %s names no host", e.Seq, e.Kind)
		}
	}
	if e.Step != nil {
		return e.Step.Validate()
	}
	return nil
}

// errNoRun is the error of a stream that does not begin with a run.
var errNoRun = errors.New("no run_started event")
