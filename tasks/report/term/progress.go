package term

import (
	"fmt"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/report"
)

// progress is what the display knows of a run: which hosts are busy with what.
type progress struct {
	command string
	began   time.Time
	hosts   int
	done    report.HostCounts
	over    map[string]report.HostStatus // the hosts that are done
	busy    []*busyHost                  // in the order in which they began
	ended   bool
}

// busyHost is a host under way.
type busyHost struct {
	name  string
	doing string // the steps' IDs, or what is done between steps
	since time.Time
	steps tasks.Underway
	index int // of the step that was begun last
	total int
	said  string // the last line of a step that has not ended
	voice string // that step
}

func (p *progress) add(e report.Event) {
	switch {
	case e.RunStarted != nil:
		p.command, p.began, p.hosts = e.RunStarted.Command, e.Time, len(e.RunStarted.Hosts)
	case e.HostStarted != nil:
		p.host(e.Host, e.Time)
		if was, again := p.over[e.Host]; again {
			delete(p.over, e.Host)
			p.count(was, -1)
		}
	case e.HostConnected != nil:
		p.host(e.Host, e.Time).turn("connected", e.Time)
	case e.Note != nil:
		p.note(e)
	case e.Step != nil:
		p.step(e)
	case e.HostDone != nil:
		p.leave(e.Host)
		if p.over == nil {
			p.over = make(map[string]report.HostStatus)
		}
		p.over[e.Host] = e.HostDone.Status
		p.count(e.HostDone.Status, 1)
	case e.RunDone != nil:
		p.ended = true
	}
}

func (p *progress) host(name string, at time.Time) *busyHost {
	for _, b := range p.busy {
		if b.name == name {
			return b
		}
	}
	b := &busyHost{name: name, doing: "connecting", since: at}
	p.busy = append(p.busy, b)
	return b
}

// note takes what a host under way is said to be doing, such as to upload the helper.
func (p *progress) note(e report.Event) {
	for _, b := range p.busy {
		if b.name == e.Host && e.Note.Level == report.NoteInfo {
			b.turn(e.Note.Text, e.Time)
		}
	}
}

func (p *progress) leave(name string) {
	for i, b := range p.busy {
		if b.name == name {
			p.busy = append(p.busy[:i], p.busy[i+1:]...)
			return
		}
	}
}

func (p *progress) step(e report.Event) {
	b := p.host(e.Host, e.Time)
	seen := *e.Step
	seen.Time = e.Time // the machine's own clock may be another
	b.steps.Note(seen)
	if e.Step.Started != nil {
		b.index, b.total = e.Step.Started.Index, e.Step.Started.Total
	}
	switch {
	case e.Step.Log != nil:
		b.said, b.voice = e.Step.Log.Text, e.Step.Step
	case e.Step.Result != nil && e.Step.Step == b.voice:
		b.said, b.voice = "", ""
	}
	oldest := b.steps.Oldest()
	switch more := b.steps.Len() - 1; {
	case more > 0:
		b.turn(fmt.Sprintf("%s and %d more", oldest.Step, more), oldest.Since)
	case more == 0:
		b.turn(oldest.Step, oldest.Since)
	case e.Step.Result != nil && b.index == b.total && b.total > 0:
		b.turn("finishing", e.Time)
	}
}

func (b *busyHost) turn(doing string, at time.Time) { b.doing, b.since = doing, at }

func (p *progress) count(s report.HostStatus, by int) {
	p.done.Total += by
	switch s {
	case report.HostOK:
		p.done.OK += by
	case report.HostChanged:
		p.done.Changed += by
	case report.HostDrifted:
		p.done.Drifted += by
	case report.HostUnreachable:
		p.done.Unreachable += by
	case report.HostNotStarted:
		p.done.NotStarted += by
	default:
		p.done.Failed += by
	}
}

// fraction is how much of the run is done, from 0 to 1: whole hosts, and the steps
// of those under way.
func (p *progress) fraction() float64 {
	if p.hosts == 0 {
		return 0
	}
	sum := float64(p.done.Total)
	for _, b := range p.busy {
		if b.total > 0 {
			sum += float64(b.index-max(b.steps.Len(), 1)) / float64(b.total)
		}
	}
	return min(sum/float64(p.hosts), 1)
}

// left estimates the time to the end from the time that the part done took. It is
// not told before there is something to go by.
func (p *progress) left(now time.Time) (time.Duration, bool) {
	f, elapsed := p.fraction(), now.Sub(p.began)
	if f < 0.05 || f >= 1 || elapsed < 2*time.Second {
		return 0, false
	}
	return time.Duration(float64(elapsed) * (1 - f) / f), true
}

// total is the line about the run as a whole.
func (p *progress) total(s Style, now time.Time) string {
	parts := []string{fmt.Sprintf("%s %d/%d hosts", s.Clean(p.command), p.done.Total, p.hosts)}
	if t := s.Tally(HostParts(p.done)...); t != "" {
		parts = append(parts, t)
	}
	parts = append(parts, age(now.Sub(p.began)))
	if d, ok := p.left(now); ok {
		parts = append(parts, "about "+age(d)+" left")
	}
	return strings.Join(parts, " "+s.Dot()+" ")
}

// age is a duration in whole seconds, so that it does not flicker.
func age(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%d s", int(max(d, 0).Seconds()))
	}
	return Duration(d)
}

// isLog tells whether the event is a line that a step logged.
func isLog(e report.Event) bool { return e.Step != nil && e.Step.Log != nil }

// counter is the step counter of a busy host: "12/31".
func (b *busyHost) counter() string {
	if b.total == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", b.index, b.total)
}
