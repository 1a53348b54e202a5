package deploy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/transport"
)

// Error says why the helper could not be put on a host or started there.
type Error struct {
	// Host is the target's name.
	Host string
	// What was being done: "start the helper".
	What string
	// Why it could not be.
	Why string
	// Hint says how to mend it; it may be empty or have several lines.
	Hint string
	// Err is the cause, where there is one.
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("%s on %s: %s", e.What, e.Host, e.Why) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// GoneError is a host that stopped answering. It is a transport.ErrPeerGone.
type GoneError struct {
	Host string
	// Step that was under way, empty between steps, and how long it had been when
	// the host was last heard of.
	Step string
	For  time.Duration
	// Silent is how long nothing was heard.
	Silent time.Duration
}

func (e *GoneError) Error() string {
	s := fmt.Sprintf("hear from %s: nothing for %s", e.Host, e.Silent.Round(time.Second))
	if e.Step != "" {
		s += fmt.Sprintf("; it was in step %s, for %s by then", e.Step, e.For.Round(time.Second))
	}
	return s
}

// Is tells that the error is a transport.ErrPeerGone.
func (e *GoneError) Is(target error) bool { return target == transport.ErrPeerGone }

// LostError is a session that ended before the helper said that it was done.
type LostError struct {
	Host string
	// Step that was under way, empty between steps.
	Step string
	// Stderr is the end of what the helper said there, made printable.
	Stderr string
	// Err is how the session ended: io.EOF, a *transport.ExitError, or an error of
	// reading.
	Err error
}

func (e *LostError) Error() string {
	s := "hear from " + e.Host + ": the helper ended before its job was done"
	if e.Step != "" {
		s += ", in step " + e.Step
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Stderr != "" {
		s += "; it said: " + oneLine(e.Stderr)
	}
	return s
}

// Unwrap returns how the session ended.
func (e *LostError) Unwrap() error { return e.Err }

// HeldError is a host that a run has the lock of.
type HeldError struct {
	Host   string
	Holder wire.Holder
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("clean %s: run %s of %s has the lock since %s (process %d)", e.Host, e.Holder.RunID, e.Holder.Operator,
		e.Holder.Since.Format("2006-01-02 15:04:05 MST"), e.Holder.PID)
}

// exitCode is the exit status in err: 0 for nil, -1 where there is none.
func exitCode(err error) int {
	var exit *transport.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.Code
	}
	return -1
}

func oneLine(s string) string { return strings.ReplaceAll(wire.Printable([]byte(s)), "\n", " | ") }
