package fleet

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks/report"
	"phoenix/transport"
	"phoenix/transport/deploy"
)

// deaf is a dialer whose hosts never answer.
type deaf struct{}

func (deaf) Dial(ctx context.Context, _ transport.Target) (transport.Conn, error) {
	<-ctx.Done()
	return nil, &transport.DialError{Stage: transport.StageConnect, Err: ctx.Err()}
}

func TestAHostThatIsStillBeingConnectedToIsNotBegunWhenTheRunIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, cancel := context.WithCancel(t.Context())
		done := make(chan report.Event, 2)
		f := Fleet{Dialer: deaf{}, Emit: func(e report.Event) { done <- e }, Interrupt: Interrupt{Stop: stop}}
		go f.Run(t.Context(), []Host{{Target: transport.Target{Name: "pve1"}}})
		<-done // it was turned to
		synctest.Wait()
		cancel()
		e := (<-done).HostDone
		if e == nil || e.Error == nil || e.Error.Class != report.ClassNotStarted {
			t.Errorf("it ended as %+v", e)
		}
	})
}

// slow is a dialer whose hosts take for ever, and say that their time was over.
type slow struct{}

func (slow) Dial(ctx context.Context, _ transport.Target) (transport.Conn, error) {
	<-ctx.Done()
	return nil, &transport.DialError{Stage: transport.StageConnect, Err: context.Cause(ctx)}
}

func TestTheBoundOfAHostIsGivenOnceAsTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last report.Event
		f := Fleet{Dialer: slow{}, Emit: func(e report.Event) { last = e }, HostTimeout: time.Second}
		f.Run(t.Context(), []Host{{Target: transport.Target{Name: "pve1"}}})
		e := last.HostDone.Error
		if e == nil || e.Class != report.ClassTimeout || strings.Count(e.Why, "took longer") != 1 {
			t.Errorf("it ended as %+v", e)
		}
	})
}

func TestAHostThatIsStoppedBeforeItGotItsJobIsNotStarted(t *testing.T) {
	stopped := fmt.Errorf("start: %w", deploy.ErrStopped)
	if e := startError(t.Context(), transport.Target{Name: "pve1"}, stopped); e.Class != report.ClassNotStarted {
		t.Errorf("it ended as %+v", e)
	}
}
