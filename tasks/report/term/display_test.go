package term

import (
	"flag"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/report"
)

// screen is an io.Writer that remembers.
type screen struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// take returns what was written since the last take.
func (s *screen) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.b.Reset()
	return s.b.String()
}

func fixture(t *testing.T, name string) []report.Event {
	t.Helper()
	f, err := os.Open("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events, err := report.ReadEvents(f)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// golden compares with a file below testdata; `go test . -args update` writes it anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if flag.Arg(0) == "update" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func started(hosts ...string) report.Event {
	return report.Event{Time: time.Now(), RunStarted: &report.RunStarted{Command: "check", Hosts: hosts}}
}

func hostStarted(host string) report.Event {
	return report.Event{Time: time.Now(), Host: host, HostStarted: &report.HostStarted{}}
}

func step(host, id string, i, n int) report.Event {
	return report.Event{Time: time.Now(), Host: host, Step: &tasks.Event{Step: id, Started: &tasks.Started{Index: i, Total: n}}}
}

func hostDone(host string, s report.HostStatus) report.Event {
	return report.Event{Time: time.Now(), Host: host, HostDone: &report.HostDone{Status: s, DurationMS: 1500}}
}

func warning(text string) report.Event {
	return report.Event{Time: time.Now(), Note: &report.Note{Level: report.NoteWarning, Text: text}}
}

// pass lets simulated time pass and the display settle.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestPlainTellsOneLinePerEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			verbosity Verbosity
			file      string
		}{{Quiet, "quiet"}, {Normal, "normal"}, {Logs, "logs"}} {
			var out screen
			d := Open(Options{Out: &out, Verbosity: c.verbosity, Zone: time.UTC})
			for _, e := range fixture(t, "mixed.ndjson") {
				d.Event(e)
			}
			d.Close()
			golden(t, "plain-"+c.file+".txt", out.take())
		}
	})
}

func TestPlainBreaksItsSilenceEvery30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		d := Open(Options{Out: &out, Zone: time.UTC})
		defer d.Close()
		pass(time.Hour)
		if got := out.take(); got != "" {
			t.Errorf("before the run it said %q", got)
		}
		d.Event(started("a", "b", "c", "d", "e"))
		for _, h := range []string{"a", "b", "c", "d"} {
			d.Event(hostStarted(h))
		}
		pass(10 * time.Second)
		d.Event(step("a", "lxc:900", 3, 4))
		out.take()
		pass(19 * time.Second)
		if got := out.take(); got != "" {
			t.Errorf("after 29 s it said %q", got)
		}
		pass(time.Second)
		want := "01:00:30 still running check 0/5 hosts - 30 s - about 4 min 30 s left; busy: a lxc:900 for 20 s, b connecting for 30 s, c connecting for 30 s, 1 more\n"
		if got := out.take(); !strings.HasSuffix(got, want) {
			t.Errorf("after 30 s it said %q, want %q", got, want)
		}
		pass(29 * time.Second)
		d.Event(warning("x"))
		pass(29 * time.Second)
		if got := out.take(); strings.Contains(got, "still running") {
			t.Errorf("a line did not put the heartbeat off: %q", got)
		}
		pass(time.Second)
		if got := out.take(); strings.Count(got, "still running") != 1 {
			t.Errorf("the second heartbeat is %q", got)
		}
		d.Event(report.Event{Time: time.Now(), RunDone: &report.RunDone{}})
		pass(time.Second)
		out.take()
		pass(time.Hour)
		if got := out.take(); got != "" {
			t.Errorf("after the run it said %q", got)
		}
	})
}

func TestNothingIsSaidAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		d := Open(Options{Out: &out})
		d.Event(warning("kept"))
		d.Close()
		d.Close()
		d.Event(warning("late"))
		called := false
		d.Suspend(func() { called = true })
		if got := out.take(); !strings.Contains(got, "kept") || strings.Contains(got, "late") || !called {
			t.Errorf("wrote %q, called %v", got, called)
		}
	})
}

// stuck is a terminal that takes nothing until it is released.
type stuck struct {
	release chan struct{}
	screen
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	return s.screen.Write(p)
}

func TestAStoppedTerminalBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{release: make(chan struct{})}
		d := Open(Options{Out: out, Verbosity: Logs})
		d.Event(warning("first"))
		synctest.Wait()
		for range 3 * queueLimit {
			d.Event(report.Event{Host: "a", Step: &tasks.Event{Step: "x", Log: &tasks.Log{Text: "noise"}}})
		}
		d.Event(warning("last"))
		if n := len(d.queue); n > queueLimit+1 {
			t.Errorf("%d events wait", n)
		}
		close(out.release)
		d.Close()
		if got := out.take(); !strings.Contains(got, "last") {
			t.Error("the warning was dropped with the noise")
		}
	})
}
