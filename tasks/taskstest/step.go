package taskstest

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"sync"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guard"
)

// step runs the suite's one step through the real Runner.
func (s Suite) step(t *testing.T, h tasks.Host, mode tasks.Mode) (tasks.Result, []tasks.Event) {
	t.Helper()
	return s.stepContext(t.Context(), t, h, mode)
}

func (s Suite) stepContext(ctx context.Context, t *testing.T, h tasks.Host, mode tasks.Mode) (tasks.Result, []tasks.Event) {
	t.Helper()
	var events []tasks.Event
	ctx, over := context.WithCancel(ctx)
	var confirming sync.WaitGroup
	defer confirming.Wait()
	defer over()
	r := tasks.Runner{Host: h, Registry: tasks.NewRegistry(s.Kind), Helper: "/var/lib/phoenix/agentlet", Emit: func(e tasks.Event) {
		events = append(events, e)
		if c := e.Confirm; c != nil {
			confirming.Go(func() { confirm(ctx, machineOf(h), c.Token) })
		}
	}}
	err := r.Run(ctx, tasks.Job{
		RunID: "conformance", Mode: mode, Secrets: s.Secrets, Consent: s.Consent,
		Steps: []tasks.Step{{ID: s.Kind.Name + ":test", Kind: s.Kind.Name, Spec: json.RawMessage(s.Spec)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		if e.Result != nil {
			return *e.Result, events
		}
	}
	t.Fatal("the step has no result")
	return tasks.Result{}, nil
}

// confirm is the workstation that gets in again after a change; see package guard.
func confirm(ctx context.Context, h tasks.Host, token string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if ticket, err := guard.Confirm(ctx, h, token, ""); err == nil {
			if _, err := guard.Confirm(ctx, h, token, ticket); err == nil {
				return
			}
		}
		<-tick.C
	}
}

// machineOf is the machine itself, behind whatever records or spoils what is done to
// it: who confirms a change comes from outside.
func machineOf(h tasks.Host) tasks.Host {
	for {
		switch outer := h.(type) {
		case *Recorder:
			h = outer.host
		case Machine:
			h = outer.Host
		default:
			return h
		}
	}
}

// SystemdRun is `systemd-run` as package guard calls it, with a watchdog that is there
// and never has to act, since the test's own workstation confirms.
func SystemdRun(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
	err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: path.Join(guard.Dir, c.Argv[len(c.Argv)-1], "watching")})
	if err != nil {
		return tasks.Output{Code: 1, Stderr: []byte(err.Error() + "\n")}
	}
	return tasks.Output{}
}

// Apply runs the suite's step on a host, with its secrets and consent, and returns
// its result.
func (s Suite) Apply(t *testing.T, h tasks.Host) tasks.Result {
	t.Helper()
	res, _ := s.step(t, h, tasks.ModeRun)
	return res
}

// Check runs one check of a spec on a host and returns its result, for tests that
// look at single cases.
func Check(t *testing.T, k tasks.Kind, spec string, h tasks.Host) tasks.Result {
	t.Helper()
	res, _ := Suite{Kind: k, Spec: spec}.step(t, h, tasks.ModeCheck)
	return res
}

// Run runs one step on a host and returns its result.
func Run(t *testing.T, k tasks.Kind, spec string, h tasks.Host) tasks.Result {
	t.Helper()
	res, _ := Suite{Kind: k, Spec: spec}.step(t, h, tasks.ModeRun)
	return res
}

func show(r tasks.Result) string {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Sprint(r)
	}
	return string(raw)
}
