package wire

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"phoenix/tasks"
)

// Limits of the protocol.
const (
	// Version of the protocol; both ends come from one build, so a difference is a
	// helper that was replaced.
	Version = 1
	// MaxMessage is the largest message, in bytes, in either direction.
	MaxMessage = 8 << 20
	// MaxValues is how many values (of objects and lists) one message may hold: what is
	// read takes up to a hundred times the memory of the shortest way to write it.
	MaxValues = 1 << 19
	// MaxSession is how much one end reads of the other in all, in bytes, without samples.
	// It is far beyond what a run has to say, and keeps one host from filling the record of all.
	MaxSession = 1 << 30
	// MaxNoise is how much a login shell may print before the greeting, in bytes.
	MaxNoise = 64 << 10
	// HeartbeatInterval is how often the helper says that it is alive.
	HeartbeatInterval = 5 * time.Second
)

// Message is one frame. Exactly one field is set.
type Message struct {
	// Down: workstation to helper.
	Job     *tasks.Job `json:"job,omitempty"`
	Cancel  *Cancel    `json:"cancel,omitempty"`
	Confirm *Confirm   `json:"confirm,omitempty"`

	// Up: helper to workstation.
	Hello     *Hello       `json:"hello,omitempty"`
	Event     *tasks.Event `json:"event,omitempty"`
	Passed    []Passed     `json:"passed,omitempty"`
	Heartbeat *Heartbeat   `json:"heartbeat,omitempty"`
	Journal   *Journal     `json:"journal,omitempty"`
	Done      *Done        `json:"done,omitempty"`
}

// Cancel asks the helper to stop.
type Cancel struct {
	// Hard cancels the step under way; otherwise it goes on to its end and no
	// further step is started.
	Hard bool `json:"hard,omitempty"`
}

// Confirm says that what Token names has been seen from outside: the record of the
// run of that ID has arrived, or the change of that token works.
type Confirm struct {
	Token string `json:"token"`
	// Ticket came with the answer to the first confirm of a change; see package guard.
	Ticket string `json:"ticket,omitempty"`
}

// Hello is the helper's first message.
type Hello struct {
	Version int `json:"version"`
	// SHA256 of the helper's own file, in hexadecimal.
	SHA256 string `json:"sha256"`
	// Hostname, Arch (as Go names it) and PID of the helper.
	Hostname string `json:"hostname"`
	Arch     string `json:"arch"`
	PID      int    `json:"pid"`
	// UID the helper runs as; anything but 0 is refused by the workstation.
	UID int `json:"uid"`
}

// Heartbeat is sent every HeartbeatInterval.
type Heartbeat struct {
	// Step that has been under way for the longest, empty between steps.
	Step string `json:"step,omitempty"`
	// ForMS is how long it has been, in milliseconds.
	ForMS int64 `json:"for_ms,omitempty"`
}

// Passed is a step that is as wanted, of which nothing else is to be said. Hundreds of
// them share a message.
type Passed struct {
	// Step is the ID of the step.
	Step string `json:"step"`
	// AtUS is when it ended on the machine's own clock, in microseconds since 1970 UTC.
	AtUS int64 `json:"at_us"`
	// DurationMS is the time the step took, in milliseconds.
	DurationMS int64 `json:"duration_ms,omitempty"`
}

// PassedOf is the short form of an event, and whether it has one: only that a step
// ended with "ok", with nothing said or found out beside it, does.
func PassedOf(e tasks.Event) (Passed, bool) {
	r := e.Result
	if r == nil || e.Started != nil || e.Log != nil || r.Status != tasks.StatusOK || r.Why != "" || r.Cause != "" ||
		len(r.Changes)+len(r.Remaining)+len(r.Allow)+len(r.Warnings)+len(r.Data) > 0 {
		return Passed{}, false
	}
	return Passed{Step: e.Step, AtUS: e.Time.UnixMicro(), DurationMS: r.DurationMS}, true
}

// Event is the long form.
func (p Passed) Event() tasks.Event {
	return tasks.Event{Time: time.UnixMicro(p.AtUS).UTC(), Step: p.Step, Result: &tasks.Result{Status: tasks.StatusOK, DurationMS: p.DurationMS}}
}

// Journal is what an earlier run left on the host whose end nobody saw.
type Journal struct {
	RunID    string        `json:"run_id"`
	Operator string        `json:"operator,omitempty"`
	Events   []tasks.Event `json:"events"`
	// Finished tells whether the helper of that run came to its end.
	Finished bool `json:"finished"`
}

// Done is the helper's last message.
type Done struct {
	// Error is set when the job as a whole could not be taken or finished.
	Error string `json:"error,omitempty"`
	// Holder is set when another run has the host's lock.
	Holder *Holder `json:"holder,omitempty"`
	// Ticket answers the first confirm of a change, which has to come again with it
	// over another connection.
	Ticket string `json:"ticket,omitempty"`
}

// Holder is who has a host's lock.
type Holder struct {
	RunID    string    `json:"run_id"`
	Operator string    `json:"operator"`
	PID      int       `json:"pid"`
	Since    time.Time `json:"since"`
}

// Validate refuses a message that is not exactly one thing, or whose one thing is
// malformed.
func (m Message) Validate() error {
	set := 0
	for _, is := range []bool{
		m.Job != nil, m.Cancel != nil, m.Confirm != nil,
		m.Hello != nil, m.Event != nil, m.Passed != nil, m.Heartbeat != nil, m.Journal != nil, m.Done != nil,
	} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("validate message: %d fields are set, want 1", set)
	case m.Job != nil:
		return m.Job.Validate()
	case m.Event != nil:
		return m.Event.Validate()
	case slices.ContainsFunc(m.Passed, func(p Passed) bool { return p.Step == "" }):
		return errors.New("validate passed: no step")
	case m.Confirm != nil && m.Confirm.Token == "":
		return errors.New("validate confirm: no token")
	case m.Hello != nil && m.Hello.Version != Version:
		return fmt.Errorf("validate hello: protocol version %d, want %d", m.Hello.Version, Version)
	}
	return nil
}

// Down tells whether the message goes from the workstation to the helper.
func (m Message) Down() bool { return m.Job != nil || m.Cancel != nil || m.Confirm != nil }
