package agentlet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
)

// looker is a step that goes on: it hands over a sample for each that it gets from next. A
// deaf one does not hear that it is to end.
type looker struct {
	next chan int
	deaf bool
}

func (l *looker) registry() tasks.Registry {
	return tasks.NewRegistry(tasks.Kind{Name: "look", New: func() tasks.Spec { return &lookSpec{in: l} }})
}

type lookSpec struct{ in *looker }

func (*lookSpec) Validate() []tasks.Problem { return nil }
func (s *lookSpec) Task() tasks.Task        { return s.in }

func (l *looker) Check(ctx context.Context, _ tasks.Host) (tasks.Diff, error) {
	last := 0
	stop := tasks.ScopeOf(ctx).Stop
	if l.deaf {
		stop = nil
	}
	for {
		select {
		case last = <-l.next:
			if err := tasks.AddSample(ctx, fmt.Sprintf("%d: the password is correct horse", last)); err != nil {
				return nil, err
			}
		case <-stop:
			return nil, tasks.SetData(ctx, last)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (*looker) Apply(context.Context, tasks.Host, tasks.Diff) error { return nil }

func looking(mode tasks.Mode) *tasks.Job {
	j := job(mode, "r1", tasks.Step{ID: "a", Kind: "look", Spec: json.RawMessage(`{}`)})
	j.Secrets = map[string]string{"root": "correct horse"}
	return j
}

func TestAStepThatGoesOnSendsSamplesUntilItIsToldToEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		mode   tasks.Mode
		cancel wire.Cancel
		want   tasks.Result
	}{
		{"softly, in a check", tasks.ModeCheck, wire.Cancel{}, tasks.Result{Status: tasks.StatusOK, Data: json.RawMessage("3")}},
		{"softly, in a run", tasks.ModeRun, wire.Cancel{}, tasks.Result{Status: tasks.StatusOK, Data: json.RawMessage("3")}},
		{"hard", tasks.ModeCheck, wire.Cancel{Hard: true}, tasks.Result{Status: tasks.StatusFailed, Cause: tasks.CauseCanceled, Why: "context canceled"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &looker{next: make(chan int), deaf: c.cancel.Hard}
			dir := t.TempDir()
			s := open(t, dir, func(s *Server) { s.Registry = l.registry() })
			s.start(looking(c.mode))
			for i := 1; i <= 3; i++ {
				l.next <- i
				m := s.read()
				for m.Event != nil && m.Event.Started != nil {
					m = s.read()
				}
				if m.Event == nil || string(m.Event.Sample) != fmt.Sprintf(`"%d: the password is ***"`, i) {
					t.Fatalf("sample %d is %+v: %s", i, m, m.Event.Sample)
				}
			}
			s.send(wire.Message{Cancel: &c.cancel})
			runID := "r1"
			if c.mode == tasks.ModeCheck {
				runID = ""
			}
			rest := s.rest(runID)
			if len(rest) != 2 || rest[0].Event == nil || rest[0].Event.Result == nil {
				t.Fatalf("then came %+v", rest)
			}
			got := *rest[0].Event.Result
			got.DurationMS = 0
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("the result is %+v, want %+v", got, c.want)
			}
			journal, err := os.ReadFile(filepath.Join(dir, "state/runs/r1", eventsFile))
			if c.mode == tasks.ModeCheck && err == nil || c.mode == tasks.ModeRun && (err != nil || bytes.Contains(journal, []byte("sample")) || bytes.Count(journal, []byte("\n")) != 2) {
				t.Errorf("the journal has %q, %v", journal, err)
			}
		})
	}
}

func TestAStepThatGoesOnEndsWithTheConnection(t *testing.T) {
	l := &looker{next: make(chan int)}
	s := open(t, t.TempDir(), func(s *Server) { s.Registry = l.registry() })
	s.start(looking(tasks.ModeCheck))
	l.next <- 1
	if err := s.in.Close(); err != nil {
		t.Fatal(err)
	}
	rest := s.rest("")
	if last := rest[len(rest)-1]; last.Done == nil {
		t.Errorf("%+v", rest)
	}
}

func sampled(step, text string) wire.Message {
	return wire.Message{Event: &tasks.Event{Step: step, Sample: json.RawMessage(`"` + text + `"`)}}
}

// stuck is a channel that takes nothing until it is opened.
type stuck struct {
	open chan struct{}
	writes
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.open
	return s.writes.Write(p)
}

func TestASlowReaderGetsTheLatestSampleOfEachStepOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stuck{open: make(chan struct{})}
		o := newOutbox(w)
		o.send(started("a"))
		before := heap()
		big := strings.Repeat("x", 100<<10)
		for i := range 1000 {
			o.send(sampled("a", fmt.Sprint(i, big)))
			o.send(sampled("b", fmt.Sprint(i, big)))
			if i%100 == 0 {
				o.send(logged("a"))       // which overtakes the samples
				<-time.After(time.Second) // and all are due
			}
		}
		if grown := int(heap()) - int(before); grown > 4<<20 {
			t.Errorf("the heap grew by %d KiB", grown>>10)
		}
		o.send(ended("b", tasks.StatusFailed))
		close(w.open)
		o.close(time.Minute)
		r := wire.NewReader(bytes.NewReader(bytes.Join(w.writes, nil)))
		var got []string
		for m, err := r.Read(); err == nil; m, err = r.Read() {
			switch e := m.Event; {
			case e.Sample != nil:
				got = append(got, e.Step+" "+string(e.Sample[1:4]))
			case e.Log == nil:
				got = append(got, e.Step)
			}
		}
		// The first write was under way with what was there by then.
		want := "a, a 0xx, b 0xx, b 999, b, a 999"
		if strings.Join(got, ", ") != want {
			t.Errorf("arrived %q, want %s", got, want)
		}
	})
}

func TestASampleComesBetweenTheStartAndTheResultOfItsStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w writes
		o := newOutbox(&w)
		for _, m := range []wire.Message{started("a"), sampled("a", "1"), ended("a", tasks.StatusOK), started("b"), sampled("b", "2"), sampled("b", "3"), ended("b", tasks.StatusOK)} {
			o.send(m)
		}
		o.close(time.Minute)
		r := wire.NewReader(bytes.NewReader(bytes.Join(w, nil)))
		var got []string
		for m, err := r.Read(); err == nil; m, err = r.Read() {
			switch e := m.Event; {
			case e == nil:
				got = append(got, m.Passed[0].Step+" passed")
			case e.Started != nil:
				got = append(got, e.Step+" started")
			default:
				got = append(got, e.Step+string(e.Sample))
			}
		}
		if text := strings.Join(got, ", "); text != `a started, a"1", a passed, b started, b"3", b passed` {
			t.Error(text)
		}
	})
}

func TestASampleThatFitsIntoNoMessageIsToldOf(t *testing.T) {
	e := cut(tasks.Event{Step: "a", Sample: json.RawMessage(`"` + strings.Repeat("x", maxData) + `"`)})
	if e.Sample != nil || e.Log == nil || e.Validate() != nil || !strings.Contains(e.Log.Text, "a sample of 4194306 bytes") {
		t.Errorf("%.200v", e)
	}
}
