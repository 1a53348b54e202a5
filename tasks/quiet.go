package tasks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// quiet tells that a step under way has said nothing for a while, and again whenever that
// while has doubled: whoever watches knows that it still runs.
type quiet struct {
	after time.Duration
	say   func(text string)

	mu      sync.Mutex // guards what follows; held while it says something
	since   time.Time  // of the last line
	tell    time.Duration
	running []*Cmd
	timer   *time.Timer
	over    bool
}

// listen begins to watch a step; never with an after of 0.
func listen(after time.Duration, say func(text string)) *quiet {
	q := &quiet{after: after, say: say, since: time.Now(), tell: after}
	if after > 0 {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.timer = time.AfterFunc(after, q.due)
	}
	return q
}

// heard takes note of a line. Nearly always the timer finds out by itself when it is due:
// there may be a million lines.
func (q *quiet) heard() {
	if q.after == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.since = time.Now()
	if q.tell > q.after && !q.over {
		q.tell = q.after
		q.timer.Reset(q.after)
	}
}

// runs takes note of a program until ended is called.
func (q *quiet) runs(c Cmd) (ended func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running = append(q.running, &c)
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.running = slices.DeleteFunc(q.running, func(other *Cmd) bool { return other == &c })
	}
}

func (q *quiet) due() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		return
	}
	silent := time.Since(q.since)
	if silent >= q.tell {
		text := fmt.Sprintf("nothing was printed for %s; it is still running", q.tell)
		if n := len(q.running); n > 0 {
			text += " (" + brief(q.running[n-1].Argv) + ")"
		}
		q.say(text)
		q.tell *= 2
	}
	q.timer.Reset(q.tell - silent)
}

// end says nothing more: the step has its result.
func (q *quiet) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	if q.timer != nil {
		q.timer.Stop()
	}
}

// brief is the beginning of a command line, on one line.
func brief(argv []string) string {
	const most = 60
	text := []rune(LogLine([]byte(strings.Join(strings.Fields(strings.Join(argv, " ")), " "))))
	if len(text) > most {
		return strings.TrimSpace(string(text[:most])) + "…"
	}
	return string(text)
}

// Running tells the step in ctx that a program of it runs, until ended is called. A Host
// calls it in Run.
func Running(ctx context.Context, c Cmd) (ended func()) {
	if running := ScopeOf(ctx).Running; running != nil {
		return running(c)
	}
	return func() {}
}
