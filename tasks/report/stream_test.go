package report

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
)

// gathered is a sink that remembers.
type gathered struct{ events []Event }

func (g *gathered) Event(e Event) { g.events = append(g.events, e) }

// ticking is a clock that moves on by a second each time it is read.
func ticking() func() time.Time {
	at := time.Date(2026, 11, 23, 4, 15, 30, 0, time.UTC)
	return func() time.Time { at = at.Add(time.Second); return at }
}

func streamed(redact func(string) string) (*Stream, *gathered) {
	g := &gathered{}
	return NewStream(StreamOptions{RunID: "20261123-041530-ab12cd", Now: ticking(), Redact: redact, Sinks: []Sink{g}}), g
}

func TestAStreamCompletesItsEvents(t *testing.T) {
	s, g := streamed(nil)
	s.Emit(Event{RunStarted: &RunStarted{Command: "check", Mode: tasks.ModeCheck, Hosts: []string{"a"}}})
	s.Emit(Event{Host: "a", HostStarted: &HostStarted{}})
	s.Emit(Event{Host: "a", Step: &tasks.Event{Step: "x", Result: &tasks.Result{Status: tasks.StatusWouldChange}}})
	s.Emit(Event{Host: "a", HostDone: &HostDone{}})
	r := s.Finish(RunDone{})
	if !reflect.DeepEqual(r, Build(g.events)) {
		t.Errorf("the report is not the fold of what the sinks saw:\n%+v\n%+v", r, Build(g.events))
	}
	for i, e := range g.events {
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		if e.Seq != int64(i+1) || e.RunID != r.RunID || (e.Schema != "") != (i == 0) {
			t.Errorf("event %d: seq %d, run %q, schema %q", i, e.Seq, e.RunID, e.Schema)
		}
	}
	if d := g.events[3].HostDone; d.Status != HostDrifted || d.DurationMS != 2000 {
		t.Errorf("host_done %+v, want drifted after 2000 ms", d)
	}
	if d := g.events[4].RunDone; d.ExitCode != ExitDrift || d.DurationMS != 4000 || r.ExitCode != ExitDrift {
		t.Errorf("run_done %+v, want exit code 2 after 4000 ms", d)
	}
}

func TestAnEventWithoutOneContentIsDropped(t *testing.T) {
	s, g := streamed(nil)
	s.Emit(Event{})
	s.Emit(Event{Note: &Note{}, RunDone: &RunDone{}})
	if len(g.events) != 0 {
		t.Errorf("passed on %+v", g.events)
	}
}

func TestNoSecretLeavesAStream(t *testing.T) {
	const secret = `hunt"er2`
	s, g := streamed(func(text string) string { return strings.ReplaceAll(text, secret, "[redacted]") })
	data, err := json.Marshal(map[string]any{"stdout": "x " + secret, secret: []any{secret, 1e300}})
	if err != nil {
		t.Fatal(err)
	}
	diff := tasks.Diff{{Path: secret, From: secret, To: secret, Note: "+" + secret}}
	step := func(host string, e tasks.Event) { s.Emit(Event{Host: host, Step: &e}) }
	s.Emit(Event{RunStarted: &RunStarted{Hosts: []string{"a"}}})
	s.Emit(Event{Note: &Note{Text: secret, Hint: secret}})
	step("a", tasks.Event{Step: "x", Log: &tasks.Log{Stream: "stdout", Text: secret}})
	original := tasks.Result{Status: tasks.StatusFailed, Why: secret, Changes: diff, Remaining: diff, Data: data, Allow: []tasks.Allow{{Flag: tasks.AllowWipe, Name: secret, Loss: secret}}}
	step("a", tasks.Event{Step: "x", Result: &original})
	s.Emit(Event{Host: "a", Journal: &Journal{Events: []tasks.Event{{Step: "y", Result: &original}, {Step: "y", Log: &tasks.Log{Text: secret}}}}})
	s.Emit(Event{Host: "a", HostDone: &HostDone{Error: &Error{What: secret, Why: secret, Hint: secret}}})
	r := s.Finish(RunDone{Error: secret, Stopped: secret})

	var out bytes.Buffer
	if err := WriteJSON(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, e := range g.events {
		line, err := AppendLine(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(line)
	}
	if text := out.String(); strings.Contains(text, "er2") || strings.Count(text, "[redacted]") < 20 {
		t.Errorf("the secret is still there, or its places are not:\n%s", text)
	}
	if original.Why != secret || diff[0].From != secret || original.Allow[0].Name != secret {
		t.Error("the caller's own values were changed")
	}
}

func TestJSONHidesNothingFromTheReader(t *testing.T) {
	e := Event{Seq: 1, Kind: KindNote, Note: &Note{Text: "a\u009b2J b\u202e c\x7f d\x1b[2J <é> \U000e0041"}}
	line, err := AppendLine(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.IndexFunc(line, func(r rune) bool { return r != '\n' && (r < ' ' || hidden(r)) }); i >= 0 {
		t.Errorf("%q holds a control character at %d", line, i)
	}
	if !bytes.Contains(line, []byte("<é>")) {
		t.Errorf("%q escapes what is harmless", line)
	}
	var back Event
	if err := json.Unmarshal(line, &back); err != nil || back.Note.Text != e.Note.Text {
		t.Errorf("%q reads back as %q (%v)", line, back.Note.Text, err)
	}
}

func TestAStreamSurvivesNDJSON(t *testing.T) {
	for _, name := range []string{"mixed.ndjson", "check.ndjson"} {
		events := fixture(t, name)
		var b []byte
		for _, e := range events {
			var err error
			if b, err = AppendLine(b, e); err != nil {
				t.Fatal(err)
			}
		}
		back, err := ReadEvents(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		assertSame(t, Build(back), Build(events))
	}
}
