package term

import (
	"fmt"
	"io"
	"strings"
	"time"

	"phoenix/tasks/report"
)

// plain writes one line per event, with the time, and a heartbeat while nothing
// happens.
type plain struct {
	o     Options
	upTo  level
	runs  progress
	last  time.Time // of the last line
	lines strings.Builder
}

func newPlain(o Options) *plain {
	return &plain{o: o, upTo: plainLevel(o.Verbosity), last: o.Now()}
}

func plainLevel(v Verbosity) level {
	return map[Verbosity]level{Quiet: levelTrouble, Normal: levelOutcome, Steps: levelStep, Logs: levelLog}[min(v, Logs)]
}

func (p *plain) event(e report.Event) {
	p.runs.add(e)
	for _, l := range p.o.Style.describe(e) {
		if l.level <= p.upTo {
			p.line(e.Time, l.text)
		}
	}
}

func (p *plain) line(at time.Time, text string) {
	p.lines.WriteString(at.In(p.o.Zone).Format(time.TimeOnly) + " " + text + "\n")
	p.last = p.o.Now()
}

func (p *plain) paint() time.Duration {
	now := p.o.Now()
	quiet := now.Sub(p.last)
	if p.beats() && quiet >= HeartbeatInterval {
		p.line(now, p.heartbeat(now))
		quiet = 0
	}
	p.flush()
	if !p.beats() {
		return time.Hour
	}
	return HeartbeatInterval - quiet
}

// beats tells whether silence is worth a line.
func (p *plain) beats() bool {
	return p.upTo >= levelOutcome && p.runs.hosts > 0 && !p.runs.ended
}

// flush writes what has been gathered. A stream that cannot be written to is not the
// run's concern.
func (p *plain) flush() {
	if p.lines.Len() > 0 {
		_, _ = io.WriteString(p.o.Out, p.lines.String())
		p.lines.Reset()
	}
}

func (p *plain) clear() { p.flush() }

// heartbeatHosts is how many busy hosts a heartbeat names.
const heartbeatHosts = 3

func (p *plain) heartbeat(now time.Time) string {
	s := p.o.Style
	var busy []string
	for i, b := range p.runs.busy {
		if i == heartbeatHosts {
			busy = append(busy, fmt.Sprintf("%d more", len(p.runs.busy)-i))
			break
		}
		busy = append(busy, fmt.Sprintf("%s %s for %s", s.Clean(b.name), s.Clean(b.doing), age(now.Sub(b.since))))
	}
	text := "still running " + p.runs.total(s, now)
	if len(busy) > 0 {
		text += "; busy: " + strings.Join(busy, ", ")
	}
	return text
}
