package agentlet

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
)

// writes is what was written, one entry a write.
type writes [][]byte

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, bytes.Clone(p))
	return len(p), nil
}

func started(step string) wire.Message {
	return wire.Message{Event: &tasks.Event{Step: step, Started: &tasks.Started{Index: 1, Total: 9}}}
}

func ended(step string, s tasks.Status) wire.Message {
	return wire.Message{Event: &tasks.Event{Step: step, Result: &tasks.Result{Status: s}}}
}

func logged(step string) wire.Message {
	return wire.Message{Event: &tasks.Event{Step: step, Log: &tasks.Log{Stream: "task", Text: "x"}}}
}

func TestTheStartOfAStepIsToldUnlessItEndedWellAtOnce(t *testing.T) {
	pause := wire.Message{}
	for _, c := range []struct {
		name   string
		send   []wire.Message
		want   int // messages that arrive
		writes int
	}{
		{"two that end well", []wire.Message{started("a"), ended("a", tasks.StatusOK), started("b"), ended("b", tasks.StatusOK)}, 1, 1},
		{"one that ends well between two that do not", []wire.Message{ended("a", tasks.StatusFailed), ended("b", tasks.StatusOK), ended("c", tasks.StatusFailed)}, 3, 1},
		{"one that would change", []wire.Message{started("a"), ended("a", tasks.StatusWouldChange)}, 2, 1},
		{"one that says something", []wire.Message{started("a"), logged("a"), ended("a", tasks.StatusOK)}, 3, 1},
		{"one that takes its time", []wire.Message{started("a"), pause, ended("a", tasks.StatusOK)}, 2, 2},
		{"the start of another", []wire.Message{started("a"), ended("b", tasks.StatusOK)}, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w writes
				o := newOutbox(&w)
				for _, m := range c.send {
					if reflect.DeepEqual(m, pause) {
						<-time.After(time.Second)
						continue
					}
					o.send(m)
				}
				o.close(time.Minute)
				r, got := wire.NewReader(bytes.NewReader(bytes.Join(w, nil))), 0
				for _, err := r.Read(); err == nil; _, err = r.Read() {
					got++
				}
				if got != c.want || len(w) != c.writes {
					t.Errorf("%d messages in %d writes, want %d in %d", got, len(w), c.want, c.writes)
				}
			})
		})
	}
}

// What shares a message must still fit into one.
func TestManyStepsThatPassAtOnceAllArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps = 4000
		var w writes
		o := newOutbox(&w)
		for i := range steps {
			o.send(ended(fmt.Sprintf("file:/%d/%s", i, strings.Repeat("x", 4000)), tasks.StatusOK))
		}
		o.close(time.Minute)
		r, got := wire.NewReader(bytes.NewReader(bytes.Join(w, nil))), 0
		for m, err := r.Read(); err == nil; m, err = r.Read() {
			got += len(m.Passed)
		}
		if got != steps {
			t.Errorf("%d steps arrived, want %d", got, steps)
		}
	})
}
