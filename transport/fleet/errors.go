package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks/report"
	"phoenix/transport"
	"phoenix/transport/deploy"
)

// The errors of a host are classified here, at the edge, and nowhere else.

func dialError(ctx context.Context, t transport.Target, err error) *report.Error {
	e := &report.Error{Class: report.ClassUnreachable, What: "connect to " + t.Name, Why: err.Error()}
	var dial *transport.DialError
	if errors.As(err, &dial) {
		e.What = fmt.Sprintf("%s %s", dial.Stage, t.Name)
		e.Why, e.Hint = dial.Err.Error(), dial.Hint
		if dial.Stage == transport.StageConnect && dial.Hint == "" && len(t.Jump) == 0 {
			e.Hint = byHand(t)
		}
	}
	return timedOut(ctx, e)
}

// byHand is a command that tries the same without phoenix.
func byHand(t transport.Target) string {
	address := t.Address
	if t.User != "" {
		address = t.User + "@" + address
	}
	if t.Port != 0 && t.Port != 22 {
		return fmt.Sprintf("ssh -p %d %s true", t.Port, address)
	}
	return fmt.Sprintf("ssh %s true", address)
}

// startError is the error of a host that was logged in to and whose helper did not
// come up.
func startError(ctx context.Context, t transport.Target, err error) *report.Error {
	if errors.Is(err, deploy.ErrStopped) {
		return &report.Error{Class: report.ClassNotStarted, What: "start the helper on " + t.Name, Why: err.Error()}
	}
	e := &report.Error{Class: report.ClassHelper, What: "start the helper on " + t.Name, Why: err.Error()}
	var known *deploy.Error
	if errors.As(err, &known) {
		e.What, e.Why, e.Hint = known.What+" on "+t.Name, known.Why, known.Hint
	}
	if errors.Is(err, transport.ErrPeerGone) {
		e.Class = report.ClassLost
	}
	return timedOut(ctx, e)
}

// lostError is the error of a helper that ended before it said that it was done.
func lostError(ctx context.Context, t transport.Target, err error) *report.Error {
	var malformed *wire.FrameError
	if errors.As(err, &malformed) {
		return protocolError(t, err)
	}
	return timedOut(ctx, &report.Error{
		Class: report.ClassLost,
		What:  "follow the job on " + t.Name,
		Why:   err.Error(),
		Hint:  "the host finishes the step it is in by itself; run again to collect what it did",
	})
}

func protocolError(t transport.Target, err error) *report.Error {
	return &report.Error{
		Class: report.ClassProtocol, What: "understand " + t.Name, Why: err.Error(),
		Hint: "phoenix clean -l " + t.Name + " removes the helper; the next run puts a fresh one there",
	}
}

func lockedError(t transport.Target, h wire.Holder, now time.Time) *report.Error {
	return &report.Error{
		Class: report.ClassLocked,
		What:  "take the lock of " + t.Name,
		Why: fmt.Sprintf("run %s of %s has it since %s (process %d)",
			h.RunID, h.Operator, now.Sub(h.Since).Round(time.Second), h.PID),
		Hint: "wait for that run to end; the lock goes with it, even when it is killed",
	}
}

// timedOut renames the error of a host whose own bound was what ended it, or that
// the operator left.
func timedOut(ctx context.Context, e *report.Error) *report.Error {
	cause := context.Cause(ctx)
	var limit errHostTimeout
	switch {
	case cause == nil:
	case errors.As(cause, &limit):
		e.Class = report.ClassTimeout
		// What was cut short often gives the bound as its own reason.
		if !strings.Contains(e.Why, limit.Error()) {
			e.Why = limit.Error() + ": " + e.Why
		}
	default:
		e.Class, e.Why = report.ClassCanceled, "the run was left: "+e.Why
	}
	return e
}
