package tasks

import (
	"slices"
	"time"
)

// Underway follows the events of one machine and knows which steps have begun and not
// ended. The zero value is ready; it is not safe for concurrent use.
type Underway struct{ begun []Begun }

// Begun is a step under way.
type Begun struct {
	Step  string
	Since time.Time
}

// Note takes an event.
func (u *Underway) Note(e Event) {
	switch {
	case e.Started != nil:
		u.begun = append(u.begun, Begun{e.Step, e.Time})
	case e.Result != nil:
		u.begun = slices.DeleteFunc(u.begun, func(b Begun) bool { return b.Step == e.Step })
	}
}

// Oldest is the step that has been under way for the longest; its name is empty
// between steps.
func (u *Underway) Oldest() Begun {
	if len(u.begun) == 0 {
		return Begun{}
	}
	return u.begun[0]
}

// Len is how many steps are under way.
func (u *Underway) Len() int { return len(u.begun) }
