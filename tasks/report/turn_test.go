package report

import (
	"slices"
	"testing"
	"time"

	"phoenix/tasks"
)

// turn is a host's turn of one step, which ends with the result.
func turn(at int, r *tasks.Result, fault *Error) []Event {
	when := time.Date(2026, 11, 23, 10, at, 0, 0, time.UTC)
	out := []Event{
		{Kind: KindHostStarted, Host: "a", Time: when, HostStarted: &HostStarted{}},
		{Kind: KindHostConnected, Host: "a", Time: when, HostConnected: &HostConnected{Uploaded: at == 0, DurationMS: 10}},
		{Kind: KindStep, Host: "a", Time: when, Step: &tasks.Event{Step: "s", Started: &tasks.Started{Index: 1, Total: 1}}},
	}
	if r != nil {
		out = append(out, Event{Kind: KindStep, Host: "a", Time: when, Step: &tasks.Event{Step: "s", Result: r}})
	}
	return append(out, Event{Kind: KindHostDone, Host: "a", Time: when, HostDone: &HostDone{Error: fault, DurationMS: 100}})
}

func TestASecondTurnAddsToTheFirst(t *testing.T) {
	memory, storage := tasks.Change{Path: "memory_mb", To: "1"}, tasks.Change{Path: "storage_pool", To: "tank", Effect: tasks.EffectReplace}
	first := turn(0, &tasks.Result{
		Status: tasks.StatusSkipped, Cause: tasks.CauseRefused, Changes: tasks.Diff{memory}, Remaining: tasks.Diff{storage},
		Allow: []tasks.Allow{{Flag: tasks.AllowDestroy, Name: "900"}}, DurationMS: 30,
	}, nil)
	lost := &Error{Class: ClassLost, What: "follow a"}
	for name, tc := range map[string]struct {
		events []Event
		status tasks.Status
		host   HostStatus
		made   tasks.Diff
	}{
		"alone it is refused":                {nil, tasks.StatusSkipped, HostDrifted, tasks.Diff{memory}},
		"what it makes comes to what it has": {turn(5, &tasks.Result{Status: tasks.StatusChanged, Changes: tasks.Diff{storage}, DurationMS: 40}, nil), tasks.StatusChanged, HostChanged, tasks.Diff{memory, storage}},
		"what it only verifies was changed":  {turn(5, &tasks.Result{Status: tasks.StatusOK}, nil), tasks.StatusChanged, HostChanged, tasks.Diff{memory}},
		"what fails has made what it made":   {turn(5, &tasks.Result{Status: tasks.StatusFailed, Why: "no"}, nil), tasks.StatusFailed, HostFailed, tasks.Diff{memory}},
		"what begins and is lost is unknown": {turn(5, nil, lost), tasks.StatusUnknown, HostFailed, tasks.Diff{memory}},
	} {
		t.Run(name, func(t *testing.T) {
			h := Build(slices.Concat(first, tc.events)).Hosts[0]
			if s := h.Steps[0]; len(h.Steps) != 1 || s.Status != tc.status || h.Status != tc.host || !slices.Equal(s.Changes, tc.made) {
				t.Errorf("host %s, step %s with %+v", h.Status, s.Status, s.Changes)
			}
			if len(tc.events) == 0 {
				return
			}
			if s := h.Steps[0]; len(s.Allow) > 0 || len(s.Remaining) > 0 {
				t.Errorf("it still lacks %v for %+v", s.Allow, s.Remaining)
			}
			if h.DurationMS != 200 || h.ConnectMS != 20 || !h.Uploaded || h.Started.Minute() != 0 || h.Ended.Minute() != 5 {
				t.Errorf("the host took %d ms, %d to connect, from %s to %s", h.DurationMS, h.ConnectMS, h.Started, h.Ended)
			}
		})
	}
	second := turn(5, &tasks.Result{Status: tasks.StatusOK}, nil)
	if h := Build(slices.Concat(first, second[:1])).Hosts[0]; h.Status != HostFailed || h.Error.Class != ClassLost {
		t.Errorf("a host in its second turn is %s: %v", h.Status, h.Error)
	}
}
