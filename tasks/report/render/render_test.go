package render

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// fixture builds the report of a recorded stream.
func fixture(t *testing.T, name string) report.Report {
	t.Helper()
	f, err := os.Open("../testdata/" + name + ".ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events, err := report.ReadEvents(f)
	if err != nil {
		t.Fatal(err)
	}
	return report.Build(events)
}

// golden compares with a file below testdata; `go test . -args update` writes it anew.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if flag.Arg(0) == "update" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestGolden(t *testing.T) {
	unicode := term.Style{Unicode: true}
	for _, c := range []struct {
		golden, fixture string
		format          Format
		options         Options
	}{
		{"mixed.txt", "mixed", FormatText, Options{Style: unicode}},
		{"mixed-color.txt", "mixed", FormatText, Options{Style: term.Style{Unicode: true, Color: true}}},
		{"mixed-ascii-steps.txt", "mixed", FormatText, Options{Verbosity: term.Steps}},
		{"mixed-quiet.txt", "mixed", FormatText, Options{Style: unicode, Verbosity: term.Quiet}},
		{"check.txt", "check", FormatText, Options{Style: unicode}},
		{"mixed.json", "mixed", FormatJSON, Options{}},
		{"mixed.xml", "mixed", FormatJUnit, Options{}},
		{"check.xml", "check", FormatJUnit, Options{}},
	} {
		t.Run(c.golden, func(t *testing.T) {
			var b bytes.Buffer
			if err := Write(&b, c.format, fixture(t, c.fixture), c.options); err != nil {
				t.Fatal(err)
			}
			golden(t, c.golden, b.Bytes())
		})
	}
}

func TestTextShowsTheOutputOfACommand(t *testing.T) {
	for data, want := range map[string]string{
		`{"code": 0}`:               "  ~ exec:host  changed\n      | up 3 days\n\n1 host",
		`{"code": 3}`:               "      | up 3 days\n      exit status 3\n",
		`{"stdout": "x\u001b[2Jy"}`: "      | up 3 days\n      xy\n",
		`{"cpus": 4}`:               "      {\n        \"cpus\": 4\n      }\n",
	} {
		r := report.Report{Hosts: []report.Host{{Name: "a", Status: report.HostChanged, Steps: []report.Step{{
			ID: "exec:host", Result: tasks.Result{Status: tasks.StatusChanged, Data: []byte(data)}, Log: []tasks.Log{{Text: "up 3 days"}},
		}}}}, Totals: report.Totals{Hosts: report.HostCounts{Total: 1}}, Finished: true}
		var b bytes.Buffer
		if err := Text(&b, r, Options{}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s: wrote\n%s\nwant in it\n%s", data, b.String(), want)
		}
	}
}

func TestSimilarSpeaksOfDifferencesOnly(t *testing.T) {
	for name, c := range map[string]struct {
		last report.Host
		want string
	}{
		"all alike":               {report.Host{Status: report.HostOK}, "all 3 hosts identical\n"},
		"ok with fewer steps":     {report.Host{Status: report.HostOK, Counts: report.StepCounts{Total: 1}}, ""},
		"one of three is drifted": {report.Host{Status: report.HostDrifted}, "2 hosts identical, 1 differs\n"},
	} {
		r := report.Report{Finished: true, Hosts: []report.Host{{Name: "a", Status: report.HostOK}, {Name: "b", Status: report.HostOK}, c.last}}
		for _, h := range r.Hosts {
			if r.Totals.Hosts.Total++; h.Status == report.HostOK {
				r.Totals.Hosts.OK++
			}
		}
		var b bytes.Buffer
		if err := Text(&b, r, Options{}); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); strings.Contains(got, "identical") != (c.want != "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: wrote\n%s\nwant in it %q", name, got, c.want)
		}
	}
}

func TestARefusalIsSaidOnce(t *testing.T) {
	refused := &tasks.RefusedError{What: "destroying container 900", Allow: []tasks.Allow{{Flag: tasks.AllowDestroy, Name: "900"}}}
	r := report.Report{Finished: true, Hosts: []report.Host{{Name: "a", Status: report.HostDrifted, Steps: []report.Step{{ID: "lxc:900", Result: tasks.Result{
		Status: tasks.StatusSkipped, Cause: tasks.CauseRefused, Why: refused.Error(),
		Remaining: tasks.Diff{{Path: "exists", From: "x", Effect: tasks.EffectReplace, Note: refused.Note()}},
	}}}}}}
	var b bytes.Buffer
	if err := Text(&b, r, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(b.String(), "--allow-destroy 900\n"); got != 1 {
		t.Errorf("said %d times:\n%s", got, b.String())
	}
}

func TestTextIsHarmless(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, fixture(t, "mixed"), Options{Style: term.Style{Unicode: true}, Verbosity: term.Logs}); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e') }); i >= 0 {
		t.Errorf("a control character at %d of\n%q", i, b.String())
	}
}

// counted is what a strict reader finds in a JUnit report.
type counted struct{ tests, failures, errs, skipped int }

func TestJUnitAddsUp(t *testing.T) {
	for _, name := range []string{"mixed", "check"} {
		var b bytes.Buffer
		if err := JUnit(&b, fixture(t, name)); err != nil {
			t.Fatal(err)
		}
		var doc junitSuites
		if err := xml.Unmarshal(b.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		all := counted{doc.Tests, doc.Failures, doc.Errors, doc.Skipped}
		var sum counted
		for _, s := range doc.Suites {
			if got, want := elements(t, s), (counted{s.Tests, s.Failures, s.Errors, s.Skipped}); got != want {
				t.Errorf("%s, %s: has %+v, says %+v", name, s.Name, got, want)
			}
			sum = counted{sum.tests + s.Tests, sum.failures + s.Failures, sum.errs + s.Errors, sum.skipped + s.Skipped}
		}
		if sum != all || all.tests == 0 {
			t.Errorf("%s: the suites add up to %+v, the whole says %+v", name, sum, all)
		}
	}
}

func elements(t *testing.T, s junitSuite) counted {
	t.Helper()
	c := counted{tests: len(s.Cases)}
	for _, x := range s.Cases {
		outcomes := 0
		for _, o := range []struct {
			is *junitOutcome
			n  *int
		}{{x.Failure, &c.failures}, {x.Error, &c.errs}, {x.Skipped, &c.skipped}} {
			if o.is != nil {
				outcomes++
				*o.n++
			}
		}
		if outcomes > 1 || x.Name == "" || x.Class == "" {
			t.Errorf("case %+v", x)
		}
	}
	return c
}

func TestJUnitIsXMLWhateverAHostSays(t *testing.T) {
	r := fixture(t, "mixed")
	r.Hosts[1].Steps[1].Why = "a]]>b\x00\x01\x1b[2J\ufffe & <x> \"q\"\nnext"
	r.Hosts[1].Name = `<"&'>`
	var b bytes.Buffer
	if err := JUnit(&b, r); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(&b)
	d.Strict = true
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestParseOutput(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Output
		err  string
	}{
		{"text", Output{Format: FormatText}, ""},
		{"json=out.json", Output{FormatJSON, "out.json"}, ""},
		{"junit=a=b.xml", Output{FormatJUnit, "a=b.xml"}, ""},
		{"ndjson=-", Output{Format: FormatNDJSON}, ""},
		{"json=", Output{}, "no file"},
		{"yaml", Output{}, "use text, json, ndjson, junit"},
		{"", Output{}, "unknown format"},
	} {
		got, err := ParseOutput(c.in)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %+v, %v, want %+v, %s", c.in, got, err, c.want, c.err)
		}
	}
}

func TestNDJSONIsTheStreamAndNotTheReport(t *testing.T) {
	if err := Write(io.Discard, FormatNDJSON, report.Report{}, Options{}); err == nil {
		t.Error("a report was written as NDJSON")
	}
}

func TestNDJSONIsReadBackAsItWas(t *testing.T) {
	var b bytes.Buffer
	n := NewNDJSON(&b)
	s := report.NewStream(report.StreamOptions{RunID: "20261123-041530-ab12cd", Sinks: []report.Sink{n}})
	s.Emit(report.Event{RunStarted: &report.RunStarted{Hosts: []string{"a"}}})
	s.Emit(report.Event{Host: "a", HostStarted: &report.HostStarted{}})
	s.Finish(report.RunDone{Signal: "interrupt"})
	events, err := report.ReadEvents(&b)
	if err != nil || len(events) != 3 || n.Err() != nil {
		t.Fatalf("%d events, %v, %v", len(events), err, n.Err())
	}
	if events[2].RunDone.ExitCode != report.ExitInterrupted {
		t.Errorf("run_done %+v", events[2].RunDone)
	}
}

func TestAReaderThatWentAwayStopsNothing(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	n := NewNDJSON(w)
	n.Event(report.Event{})
	n.Event(report.Event{})
	if !errors.Is(n.Err(), io.ErrClosedPipe) {
		t.Errorf("error %v", n.Err())
	}
}

func TestWhatIsRestartedCountsOnceAndANoteIsSaidOnce(t *testing.T) {
	restart := func(path string) tasks.Change { return tasks.Change{Path: path, To: "x", Effect: tasks.EffectRestart} }
	step := func(r tasks.Result) report.Step { return report.Step{ID: "lxc:900", Result: r} }
	text := func(mode tasks.Mode, steps ...report.Step) string {
		var out bytes.Buffer
		r := report.Report{Command: "check", Mode: mode, Finished: true, Hosts: []report.Host{{Name: "a", Status: report.HostDrifted, Steps: steps}}}
		if err := Text(&out, r, Options{}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	two := step(tasks.Result{Status: tasks.StatusWouldChange, Changes: tasks.Diff{restart("timezone"), restart("tty_count")}})
	for want, steps := range map[string][]report.Step{
		"2 differences (1 container restarts)": {two},
		"4 differences (2 containers restart)": {two, two},
		"1 difference (1 destroy)":             {step(tasks.Result{Status: tasks.StatusWouldChange, Changes: tasks.Diff{{Path: "exists", From: "x", Effect: tasks.EffectDestroy}}})},
	} {
		if got := text(tasks.ModeCheck, steps...); !strings.Contains(got, want) {
			t.Errorf("%s, want %q", got, want)
		}
	}
	const note = "made without a snapshot"
	got := text(tasks.ModeRun, step(tasks.Result{Status: tasks.StatusFailed, Why: "grow", Changes: tasks.Diff{{Path: "a", To: "1", Note: note}},
		Remaining: tasks.Diff{{Path: "b", To: "2", Note: note + "\nanother reason"}}}))
	if strings.Count(got, note) != 1 || !strings.Contains(got, "another reason") {
		t.Errorf("%s, want the note once", got)
	}
}

func TestWarningsOfAStepThatIsAsWantedAreShown(t *testing.T) {
	r := report.Report{Command: "check", Finished: true, Hosts: []report.Host{{Name: "pve1", Status: report.HostOK, Steps: []report.Step{
		{ID: "docker:910", Result: tasks.Result{Status: tasks.StatusOK, Warnings: []string{"lxc.cap.drop: leaves root\x1b[31m every capability"}}},
		{ID: "file:/etc/motd", Result: tasks.Result{Status: tasks.StatusOK}},
	}}}}
	var b strings.Builder
	if err := Text(&b, r, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "docker:910  ok\n") || !strings.Contains(got, "    warning: lxc.cap.drop: leaves root") || strings.ContainsAny(got, "\x1b") || strings.Contains(got, "motd") {
		t.Error(got)
	}
}

func TestRestartsOfContainersAndOfServicesAreCountedApart(t *testing.T) {
	restart := func(id string) report.Step {
		d := tasks.Diff{{Path: "a", To: "1", Effect: tasks.EffectRestart}, {Path: "b", To: "1", Effect: tasks.EffectRestart}}
		return report.Step{ID: id, Result: tasks.Result{Status: tasks.StatusWouldChange, Changes: d}}
	}
	r := report.Report{Command: "check", Mode: tasks.ModeCheck, Finished: true, Hosts: []report.Host{{Name: "pve1", Status: report.HostDrifted, Steps: []report.Step{restart("lxc:910"), restart("docker:910"), restart("docker:911")}}}}
	var b strings.Builder
	if err := Text(&b, r, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "6 differences (1 container restarts, 2 services restart)") {
		t.Error(got)
	}
}
