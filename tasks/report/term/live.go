package term

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks/report"
)

// The pace of a live display: it redraws at most every frameInterval, and at least
// every ageInterval, because the ages it shows grow.
const (
	frameInterval = 100 * time.Millisecond
	ageInterval   = time.Second
)

// maxFresh is how many lines of logs one frame takes: thousands a second are more than
// anybody reads, and the record of the run has them all.
const maxFresh = 500

// live draws a line per busy host, with the last that it printed, and one for the run, in place, below the lines that
// stay.
type live struct {
	o     Options
	upTo  level
	runs  progress
	fresh []string // lines that stay and have not been written yet
	more  int      // lines of logs that did not find room among them
	drawn []int    // the widths of the lines drawn in place
	last  time.Time
	dirty bool
}

func newLive(o Options) *live { return &live{o: o, upTo: liveLevel(o.Verbosity)} }

// liveLevel leaves out what the busy lines and the recap show by themselves.
func liveLevel(v Verbosity) level {
	return map[Verbosity]level{Normal: levelTrouble, Steps: levelStep, Logs: levelLog}[min(v, Logs)]
}

func (l *live) event(e report.Event) {
	l.dirty = true
	l.runs.add(e)
	for _, line := range l.o.Style.describe(e) {
		switch {
		case line.level > l.upTo:
		case line.level == levelLog && len(l.fresh) >= maxFresh:
			l.more++
		default:
			l.fresh = append(l.fresh, line.text)
		}
	}
}

func (l *live) paint() time.Duration {
	now := l.o.Now()
	since := now.Sub(l.last)
	switch {
	case l.dirty && since < frameInterval:
		return frameInterval - since
	case !l.dirty && l.idle():
		return time.Hour
	case !l.dirty && since < ageInterval:
		return ageInterval - since
	}
	l.last, l.dirty = now, false
	columns, rows := l.size()
	l.write(columns, l.frame(columns, rows, now))
	return ageInterval
}

// idle tells whether there is nothing to draw in place.
func (l *live) idle() bool { return l.runs.hosts == 0 || l.runs.ended }

// clear takes the drawn lines away and leaves those that stay.
func (l *live) clear() {
	columns, _ := l.size()
	l.write(columns, nil)
	l.last, l.dirty = time.Time{}, true
}

// size is the terminal's, else what COLUMNS and LINES say, else 80 by 24.
func (l *live) size() (columns, rows int) {
	if l.o.Size != nil {
		columns, rows = l.o.Size()
	}
	return l.either(columns, "COLUMNS", 80), l.either(rows, "LINES", 24)
}

func (l *live) either(n int, name string, otherwise int) int {
	if n > 0 {
		return n
	}
	if n, err := strconv.Atoi(l.o.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// write replaces the drawn lines by the fresh ones and a new frame, in one piece so
// that nothing flickers. A line never fills the last column, where terminals differ
// on whether it wraps.
func (l *live) write(columns int, frame []string) {
	var b strings.Builder
	if rows := l.rows(columns); rows > 0 {
		fmt.Fprintf(&b, "\x1b[%dF\x1b[J", rows)
	}
	for _, line := range l.fresh {
		b.WriteString(line + "\n")
	}
	if l.more > 0 {
		fmt.Fprintf(&b, "and %s more, which the record of the run has\n", Count(l.more, "line"))
	}
	l.fresh, l.more, l.drawn = nil, 0, l.drawn[:0]
	for _, line := range frame {
		b.WriteString(line + "\n")
		l.drawn = append(l.drawn, Width(l.o.Style.Clean(line)))
	}
	if b.Len() > 0 {
		_, _ = io.WriteString(l.o.Out, b.String())
	}
}

// rows is how many rows the drawn lines take now: a terminal that has become narrower
// since has wrapped them.
func (l *live) rows(columns int) int {
	n := 0
	for _, w := range l.drawn {
		n += max(1, (w+columns-1)/columns)
	}
	return n
}

// frame is what is drawn in place, at most rows-1 lines of columns-1 columns.
func (l *live) frame(columns, rows int, now time.Time) []string {
	if l.idle() {
		return nil
	}
	s := l.o.Style
	room := max(rows-2, 0) // without the line of the run and the cursor's
	shown := l.runs.busy
	var more string
	if len(shown) > room {
		shown = shown[:max(room-1, 0)]
		more = fmt.Sprintf("  and %d more busy", len(l.runs.busy)-len(shown))
	}
	lines := make([]string, 0, len(shown)+2)
	names := l.nameWidth(shown, columns)
	spare := room - len(shown)
	for _, b := range shown {
		lines = append(lines, l.busyLine(b, names, columns-1, now))
		if said := l.saidLine(b, columns-1); said != "" && spare > 0 && more == "" {
			lines = append(lines, said)
			spare--
		}
	}
	if more != "" && room > 0 {
		lines = append(lines, s.Paint(Faint, s.Fit(more, columns-1, false)))
	}
	return append(lines, l.totalLine(columns-1, now))
}

// saidLine is the last that a program of the host printed, below its busy line; "" where
// every line stays on the screen anyway.
func (l *live) saidLine(b *busyHost, columns int) string {
	s := l.o.Style
	text := strings.TrimSpace(s.Clean(b.said))
	if text == "" || l.upTo >= levelLog || columns < 12 {
		return ""
	}
	return s.Paint(Faint, s.Fit("    "+text, columns, false))
}

// totalLine is cut before it is painted, so that no escape sequence is.
func (l *live) totalLine(columns int, now time.Time) string {
	s := l.o.Style
	bare := s
	bare.Color = false
	text := l.runs.total(bare, now)
	if Width(text) > columns {
		return bare.Fit(text, columns, false)
	}
	return l.runs.total(s, now)
}

func (l *live) nameWidth(hosts []*busyHost, columns int) int {
	n := 0
	for _, b := range hosts {
		n = max(n, Width(l.o.Style.Clean(b.name)))
	}
	return min(n, columns/3)
}

// busyLine is "  pve1  lxc:900   12/31   4 s": the right part keeps its place, and the
// step gives way.
func (l *live) busyLine(b *busyHost, names, columns int, now time.Time) string {
	s := l.o.Style
	right := fmt.Sprintf("%7s %9s", b.counter(), age(now.Sub(b.since)))
	name := s.Fit(s.Clean(b.name), names, true)
	room := min(columns-2-names-2-len(right)-1, 48)
	if room < 8 {
		return s.Fit("  "+name+"  "+s.Clean(b.doing), columns, false)
	}
	return "  " + s.Paint(Strong, name) + "  " + s.Fit(s.Clean(b.doing), room, true) + " " + s.Paint(Faint, right)
}
