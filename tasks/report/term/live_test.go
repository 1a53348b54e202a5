package term

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"phoenix/tasks"
	"phoenix/tasks/report"
)

// terminal interprets what a live display writes, as a real one would.
type terminal struct {
	screen
	columns int
	lines   []string // of which the last is the one of the cursor
}

// show returns the lines on the terminal after all that was written.
func (v *terminal) show(t *testing.T) string {
	t.Helper()
	text := v.take()
	sequence := regexp.MustCompile(`^\x1b\[([0-9;]*)([A-Za-z])`)
	if v.lines == nil {
		v.lines = []string{""}
	}
	for text != "" {
		if text[0] == '\x1b' {
			if m := sequence.FindStringSubmatch(text); m != nil {
				v.control(t, m[2], m[1])
				text = text[len(m[0]):]
				continue
			}
		}
		r, n := utf8.DecodeRuneInString(text)
		text = text[n:]
		last := len(v.lines) - 1
		switch {
		case r == '\n':
			v.lines = append(v.lines, "")
		case r < ' ':
			t.Fatalf("wrote %q", r)
		case Width(v.lines[last]) >= v.columns:
			v.lines = append(v.lines, string(r))
		default:
			v.lines[last] += string(r)
		}
	}
	return strings.Join(v.lines, "\n")
}

func (v *terminal) control(t *testing.T, final, number string) {
	t.Helper()
	switch final {
	case "F":
		n, err := strconv.Atoi(number)
		if err != nil || n >= len(v.lines) {
			t.Fatalf("moves up %s lines of %d", number, len(v.lines)-1)
		}
		for _, l := range v.lines[len(v.lines)-1-n:] {
			if strings.HasPrefix(l, "keep") {
				t.Fatalf("clears the line %q, which is to stay", l)
			}
		}
		v.lines = append(v.lines[:len(v.lines)-1-n], "")
	case "J", "m":
	default:
		t.Fatalf("wrote the sequence %s%s", number, final)
	}
}

func openLive(v *terminal, rows int, verbosity Verbosity) *Display {
	return Open(Options{
		Out: v, Style: Style{Unicode: true, Live: true, Color: true}, Verbosity: verbosity,
		Size: func() (int, int) { return v.columns, rows },
	})
}

func TestLiveShowsWhoIsBusyWithWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &terminal{columns: 60}
		d := openLive(v, 24, Normal)
		d.Event(started("pve1", "pve22", "c"))
		// The first paint is of this event alone, so that all later ones have their time.
		synctest.Wait()
		d.Event(hostStarted("pve1"))
		d.Event(hostStarted("pve22"))
		d.Event(step("pve1", "lxc:900", 12, 31))
		d.Event(report.Event{Time: time.Now(), Host: "pve22", Note: &report.Note{Level: report.NoteInfo, Text: "uploading the helper"}})
		pass(5*time.Second + frameInterval)
		want := "" +
			"  pve1   lxc:900                            12/31       5 s\n" +
			"  pve22  uploading the helper                           5 s\n" +
			"check 0/3 hosts · 5 s · about 38 s left\n"
		if got := v.show(t); got != want {
			t.Errorf("shows\n%s\nwant\n%s", got, want)
		}
		d.Event(hostDone("pve1", report.HostChanged))
		d.Event(hostDone("pve22", report.HostUnreachable))
		pass(time.Second)
		want = "pve22: unreachable (1.5 s)\ncheck 2/3 hosts · 1 unreachable, 1 changed · 5 s · about 2…\n"
		if got := v.show(t); got != want {
			t.Errorf("shows\n%s\nwant\n%s", got, want)
		}
		d.Close()
		if got := v.show(t); got != "pve22: unreachable (1.5 s)\n" {
			t.Errorf("leaves\n%s", got)
		}
	})
}

func TestLiveStaysOnTheScreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range [][2]int{{80, 24}, {40, 10}, {20, 3}, {12, 2}, {5, 1}, {300, 100}} {
			v := &terminal{columns: size[0]}
			d := openLive(v, size[1], Normal)
			d.Event(started("x"))
			for i := range 50 {
				h := fmt.Sprintf("host-with-a-long-name-%d", i)
				d.Event(hostStarted(h))
				d.Event(step(h, "file:/etc/a/very/long/path/that/goes/on/and/on/and/on/and/on.conf", 3, 100))
			}
			pass(3 * time.Second)
			lines := strings.Split(v.show(t), "\n")
			if len(lines) > max(size[1], 2) {
				t.Errorf("%v: %d lines", size, len(lines))
			}
			for _, l := range lines {
				if Width(l) >= size[0] {
					t.Errorf("%v: %q has %d columns", size, l, Width(l))
				}
			}
			if size[1] == 10 && !strings.Contains(v.show(t), "and 43 more busy") {
				t.Errorf("%v: shows\n%s", size, v.show(t))
			}
			d.Close()
		}
	})
}

func TestLiveDrawsAtMostTenTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &terminal{columns: 80}
		d := openLive(v, 24, Normal)
		defer d.Close()
		d.Event(started("a"))
		pass(time.Second)
		v.take()
		for i := range 1000 {
			d.Event(step("a", "x", i, 1000))
			pass(time.Millisecond)
		}
		if n := strings.Count(v.take(), "\x1b[J"); n < 9 || n > 11 {
			t.Errorf("drew %d frames in a second of 1000 events", n)
		}
		pass(10 * time.Second)
		if n := strings.Count(v.take(), "\x1b[J"); n < 9 || n > 11 {
			t.Errorf("drew %d frames in 10 s without events", n)
		}
	})
}

func TestLiveClearsWhatANarrowerTerminalHasWrapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &terminal{columns: 80}
		d := openLive(v, 24, Normal)
		d.Event(warning("keep this"))
		d.Event(started("pve1"))
		d.Event(step("pve1", "file:/etc/a/long/path/to/a/file", 1, 2))
		pass(time.Second)
		v.show(t)
		v.columns = 30
		var wrapped []string
		for _, l := range v.lines {
			for Width(l) > 30 {
				wrapped, l = append(wrapped, l[:30]), l[30:]
			}
			wrapped = append(wrapped, l)
		}
		v.lines = wrapped
		d.Close()
		if got := v.show(t); got != "warning: keep this\n" {
			t.Errorf("leaves\n%s", got)
		}
	})
}

func TestSuspendGivesTheScreenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &terminal{columns: 80}
		d := openLive(v, 24, Normal)
		defer d.Close()
		d.Event(started("pve1"))
		d.Event(hostStarted("pve1"))
		pass(time.Second)
		d.Suspend(func() {
			if got := v.show(t); got != "" {
				t.Errorf("the screen still shows %q", got)
			}
			fmt.Fprint(v, "keep: Passphrase: \n")
			d.Event(step("pve1", "lxc:900", 1, 2))
			pass(10 * time.Second)
			if got := v.show(t); got != "keep: Passphrase: \n" {
				t.Errorf("drew meanwhile: %q", got)
			}
		})
		pass(time.Second)
		if got := v.show(t); !strings.HasPrefix(got, "keep: Passphrase: \n  pve1  lxc:900") {
			t.Errorf("shows\n%s", got)
		}
	})
}

func TestLiveTellsMoreWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for verbosity, want := range map[Verbosity][]int{Normal: {0, 0}, Steps: {1, 0}, Logs: {1, 1}} {
			v := &terminal{columns: 200}
			d := openLive(v, 24, verbosity)
			for _, e := range fixture(t, "mixed.ndjson") {
				d.Event(e)
			}
			d.Close()
			got := v.show(t)
			if steps, logs := strings.Count(got, "file:/etc/motd changed"), strings.Count(got, "formatting volume"); steps != want[0] || logs != want[1] {
				t.Errorf("verbosity %d: %d steps, %d logs, want %v:\n%s", verbosity, steps, logs, want, got)
			}
		}
	})
}

func logLine(host, id, text string) report.Event {
	return report.Event{Time: time.Now(), Host: host, Step: &tasks.Event{Step: id, Log: &tasks.Log{Stream: "stdout", Text: text}}}
}

func TestLiveShowsTheLastLineOfAStepUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &terminal{columns: 60}
		d := openLive(v, 24, Normal)
		d.Event(started("pve1", "pve2"))
		synctest.Wait()
		for _, h := range []string{"pve1", "pve2"} {
			d.Event(hostStarted(h))
			d.Event(step(h, "lxc:900", 1, 2))
		}
		d.Event(logLine("pve1", "lxc:900", "Get:1 http://deb.debian.org"))
		d.Event(logLine("pve1", "lxc:900", "\x1b[31mUnpacking docker.io (20.10.24) over a version of a name that is long ..."))
		pass(time.Second + frameInterval)
		want := "" +
			"  pve1  lxc:900                               1/2       1 s\n" +
			"    Unpacking docker.io (20.10.24) over a version of a nam…\n" +
			"  pve2  lxc:900                               1/2       1 s\n" +
			"check 0/2 hosts · 1 s\n"
		if got := v.show(t); got != want {
			t.Errorf("shows\n%s\nwant\n%s", got, want)
		}
		d.Event(report.Event{Time: time.Now(), Host: "pve1", Step: &tasks.Event{Step: "lxc:900", Result: &tasks.Result{Status: tasks.StatusChanged}}})
		pass(time.Second)
		if got := v.show(t); strings.Contains(got, "Unpacking") {
			t.Errorf("still shows\n%s", got)
		}
		d.Close()
	})
}

func TestLiveGivesBusyHostsTheRoomOfTheirLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for rows, want := range map[int]int{10: 4, 8: 2, 6: 0, 5: 0} { // of 4 hosts
			v := &terminal{columns: 80}
			d := openLive(v, rows, Normal)
			d.Event(started("x"))
			for i := range 4 {
				h := fmt.Sprintf("pve%d", i)
				d.Event(hostStarted(h))
				d.Event(step(h, "lxc:900", 1, 2))
				d.Event(logLine(h, "lxc:900", "Unpacking"))
			}
			pass(time.Second)
			got := v.show(t)
			if n := strings.Count(got, "Unpacking"); n != want || len(strings.Split(got, "\n")) > rows {
				t.Errorf("%d rows: %d lines, want %d:\n%s", rows, n, want, got)
			}
			d.Close()
		}
	})
}

func TestLiveIsNotDrownedByAFloodOfLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for verbosity, want := range map[Verbosity]int{Normal: 0, Logs: maxFresh} {
			v := &terminal{columns: 80}
			l := newLive(Options{Out: v, Style: Style{Live: true}, Verbosity: verbosity, Now: time.Now, Getenv: env()})
			l.event(started("pve1"))
			l.event(step("pve1", "lxc:900", 1, 2))
			l.paint()
			v.take()
			const flood = 100_000
			e := logLine("pve1", "lxc:900", "noise")
			for range flood {
				l.event(e)
			}
			l.event(warning("keep: this matters"))
			if len(l.fresh) > maxFresh+2 {
				t.Errorf("verbosity %d: %d lines wait", verbosity, len(l.fresh))
			}
			<-time.After(frameInterval)
			l.paint()
			got := v.take()
			if n := strings.Count(got, "| noise\n"); n > want || n < want-2 || !strings.Contains(got, "keep: this matters") {
				t.Errorf("verbosity %d: %d lines of %d are drawn, want %d", verbosity, n, flood, want)
			}
			if rest := regexp.MustCompile(`(?m)^and 99\d\d\d lines more, which the record of the run has$`).MatchString(got); rest != (want > 0) {
				t.Errorf("verbosity %d: what was left out is told: %v", verbosity, rest)
			}
		}
	})
}

func TestSizeFallsBack(t *testing.T) {
	l := newLive(Options{Getenv: env("COLUMNS=132", "LINES=x")})
	if c, r := l.size(); c != 132 || r != 24 {
		t.Errorf("%d by %d, want 132 by 24", c, r)
	}
	l = newLive(Options{Getenv: env("COLUMNS=132"), Size: func() (int, int) { return 100, 50 }})
	if c, r := l.size(); c != 100 || r != 50 {
		t.Errorf("%d by %d, want 100 by 50", c, r)
	}
}

func TestInterjectWritesBetweenFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &terminal{columns: 80}
		d := openLive(v, 24, Normal)
		d.Event(started("pve1"))
		d.Event(hostStarted("pve1"))
		pass(time.Second)
		for i := range 3 {
			d.Interject(func() { fmt.Fprintf(v, "keep %d\n", i) })
		}
		pass(time.Second)
		if got := v.show(t); !strings.HasPrefix(got, "keep 0\nkeep 1\nkeep 2\n  pve1  connecting") {
			t.Errorf("shows\n%s", got)
		}
		d.Close()
		d.Interject(func() { fmt.Fprintln(v, "keep 3") })
		if got := v.show(t); got != "keep 0\nkeep 1\nkeep 2\nkeep 3\n" {
			t.Errorf("leaves\n%s", got)
		}
	})
}
