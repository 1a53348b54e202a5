package tasks

import (
	"errors"
	"fmt"
	"strings"
)

// UnknownError says that a state could not be told; the step ends as "unknown",
// never as "ok" or "skipped".
type UnknownError struct {
	// Why is shown to the operator: "container 900 is stopped".
	Why string
}

func (e *UnknownError) Error() string { return e.Why }

// RefusedError says that a critical change was left undone because the operator
// has not agreed to it.
type RefusedError struct {
	// What was refused: "destroying container 900".
	What string
	// Allow is what would allow it, all of it; empty where no consent does.
	Allow []Allow
	// Instead is what has to be done first, or can be done instead.
	Instead string
}

func (e *RefusedError) Error() string { return e.text(e.What + " is refused") }

// Note is the note of a change that a run would refuse. Change.Held finds it.
func (e *RefusedError) Note() string { return e.text(noteRefused) }

func (e *RefusedError) text(begin string) string {
	var flags []string
	for _, a := range e.Allow {
		flags = append(flags, a.String())
	}
	flag := strings.Join(flags, " ")
	switch {
	case flag != "" && e.Instead != "":
		return begin + " without " + flag + "; or " + e.Instead
	case flag != "":
		return begin + " without " + flag
	case e.Instead != "":
		return begin + ": " + e.Instead
	}
	return begin
}

// CommandError is a program that ended with a status other than 0, or that claimed
// success and did not deliver.
type CommandError struct {
	// Argv of the program.
	Argv []string
	// Code is its exit status.
	Code int
	// Stderr is the end of what it said, at most 20 lines.
	Stderr string
}

func (e *CommandError) Error() string {
	s := fmt.Sprintf("run %s: exit status %d", strings.Join(e.Argv, " "), e.Code)
	if e.Stderr != "" {
		s += ": " + e.Stderr
	}
	return s
}

// Failed turns the outcome of a program into an error: nil for status 0. It fits
// around Host.Run: a program that could not be started keeps its error.
func Failed(c Cmd, out Output, err error) error {
	if err != nil || out.Code == 0 {
		return err
	}
	return &CommandError{Argv: c.Argv, Code: out.Code, Stderr: lastLines(out, 20)}
}

// lastLines is the end of what a program said on stderr or, where it said nothing
// there, on stdout.
func lastLines(out Output, n int) string {
	text := strings.TrimSpace(string(out.Stderr))
	if text == "" {
		text = strings.TrimSpace(string(out.Stdout))
	}
	lines := strings.Split(text, "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

// asRefused finds a refusal in the chain of an error.
func asRefused(err error) (*RefusedError, bool) {
	var r *RefusedError
	ok := errors.As(err, &r)
	return r, ok
}

// AwayError says that a container cannot be looked into, because it does not run.
type AwayError struct {
	CTID int
	// Absent tells that there is no such container.
	Absent bool
	// Receipt is what was last made inside, if that was noted; see Inside.
	Receipt string
}

func (e *AwayError) Error() string {
	if e.Absent {
		return fmt.Sprintf("container %d is not there", e.CTID)
	}
	return fmt.Sprintf("container %d is stopped", e.CTID)
}
