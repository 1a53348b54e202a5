package wire

import (
	"errors"
	"fmt"
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
	// MaxSession is how much one end reads of the other in all, in bytes. It is far
	// beyond what a run has to say, and keeps one host from filling the record of all.
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
	// Step under way, empty between steps.
	Step string `json:"step,omitempty"`
	// ForMS is how long it has been, in milliseconds.
	ForMS int64 `json:"for_ms,omitempty"`
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
		m.Hello != nil, m.Event != nil, m.Heartbeat != nil, m.Journal != nil, m.Done != nil,
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
	case m.Confirm != nil && m.Confirm.Token == "":
		return errors.New("validate confirm: no token")
	case m.Hello != nil && m.Hello.Version != Version:
		return fmt.Errorf("validate hello: protocol version %d, want %d", m.Hello.Version, Version)
	}
	return nil
}

// Down tells whether the message goes from the workstation to the helper.
func (m Message) Down() bool { return m.Job != nil || m.Cancel != nil || m.Confirm != nil }
