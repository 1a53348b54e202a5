package term

import (
	"fmt"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/report"
)

// Verbosity says how much is told while a run goes on. The zero value is normal.
type Verbosity int

// The verbosities: -q, none, -v, -vv.
const (
	Quiet  Verbosity = -1
	Normal Verbosity = 0
	// Steps tells of each step.
	Steps Verbosity = 1
	// Logs tells of each line that a step logs, too.
	Logs Verbosity = 2
)

// level is how much a line matters; a display shows lines up to a level.
type level int

const (
	levelTrouble level = iota // shown even when quiet
	levelOutcome              // normal, where no screen shows it in another way
	levelStep                 // -v
	levelLog                  // -vv
)

// line is one line about an event.
type line struct {
	level level
	text  string
}

// describe says what an event is, in one line, or more where a person needs to act.
func (s Style) describe(e report.Event) []line {
	lines := s.content(e)
	if e.Host == "" {
		return lines
	}
	name := s.Paint(Strong, s.Clean(e.Host)) + ": "
	for i := range lines {
		lines[i].text = name + lines[i].text
	}
	return lines
}

func (s Style) content(e report.Event) []line {
	switch {
	case e.RunStarted != nil:
		return []line{{levelOutcome, s.runStarted(e)}}
	case e.Note != nil:
		return s.note(*e.Note)
	case e.HostStarted != nil:
		return []line{{levelStep, strings.TrimSpace("connecting " + s.Clean(e.HostStarted.Address))}}
	case e.HostConnected != nil:
		return []line{{levelStep, s.connected(*e.HostConnected)}}
	case e.Journal != nil:
		return []line{{levelOutcome, s.journal(*e.Journal)}}
	case e.Step != nil:
		return s.step(*e.Step)
	case e.HostDone != nil:
		return s.hostDone(*e.HostDone)
	case e.RunDone != nil:
		return []line{{levelOutcome, s.runDone(*e.RunDone)}}
	}
	return nil
}

func (s Style) runStarted(e report.Event) string {
	what := s.Clean(e.RunStarted.Command)
	if e.RunStarted.DryRun {
		what += " --dry-run"
	}
	return fmt.Sprintf("run %s: %s on %s", s.Clean(e.RunID), what, Count(len(e.RunStarted.Hosts), "host"))
}

func (s Style) note(n report.Note) []line {
	at, word := levelStep, "note: "
	if n.Level == report.NoteWarning {
		at, word = levelTrouble, s.Paint(Change, "warning: ")
	}
	out := []line{{at, word + s.Clean(n.Text)}}
	for _, hint := range s.Lines(n.Hint) {
		out = append(out, line{at, "  " + hint})
	}
	return out
}

func (s Style) connected(c report.HostConnected) string {
	text := "connected"
	if c.Uploaded {
		text += ", helper installed"
	}
	return text + " (" + Millis(c.DurationMS) + ")"
}

func (s Style) journal(j report.Journal) string {
	by := ""
	if j.Operator != "" {
		by = " by " + s.Clean(j.Operator)
	}
	return fmt.Sprintf("collected the journal of run %s%s", s.Clean(j.RunID), by)
}

func (s Style) step(e tasks.Event) []line {
	id := s.Clean(e.Step)
	switch {
	case e.Started != nil:
		return []line{{levelLog, fmt.Sprintf("%s begins (%d of %d)", id, e.Started.Index, e.Started.Total)}}
	case e.Log != nil && e.Log.Stream == "quiet":
		return []line{{levelOutcome, id + " | " + s.Clean(e.Log.Text)}}
	case e.Log != nil:
		return []line{{levelLog, id + " | " + s.Clean(e.Log.Text)}}
	case e.Result != nil:
		out := []line{{stepLevel(*e.Result), s.result(id, *e.Result)}}
		for _, w := range e.Result.Warnings {
			out = append(out, line{levelTrouble, s.Paint(Change, "warning: ") + id + ": " + s.Clean(w)})
		}
		return out
	}
	return nil
}

func stepLevel(r tasks.Result) level {
	if r.Status == tasks.StatusOK || r.Cause == tasks.CauseNeed || r.Cause == tasks.CauseCanceled {
		return levelStep
	}
	return levelOutcome
}

// result says how a step ended, in one line.
func (s Style) result(id string, r tasks.Result) string {
	glyph, role := StepGlyph(r)
	text := s.Paint(role, glyph+" "+id+" "+StepWord(r))
	if len(r.Changes) > 0 {
		text += fmt.Sprintf(" (%s, %s)", s.made(r), Millis(r.DurationMS))
	} else if r.DurationMS >= 1000 {
		text += " (" + Millis(r.DurationMS) + ")"
	}
	if r.Why != "" {
		text += ": " + s.Clean(r.Why)
	}
	return text
}

// made names the one property that changed, or counts them. What was made or taken away
// as a whole says so itself.
func (s Style) made(r tasks.Result) string {
	c, n := r.Changes[0], len(r.Changes)
	switch {
	case n > 1:
		return fmt.Sprintf("%d properties", n)
	case r.Status != tasks.StatusChanged && r.Status != tasks.StatusWouldChange:
		return "1 property" // its name would be taken for that of what went wrong
	case c.Path == "exists" && c.To != "":
		return s.Clean(c.To)
	case c.Path == "exists":
		return "destroyed"
	}
	return s.Clean(c.Path)
}

func (s Style) hostDone(d report.HostDone) []line {
	at := levelOutcome
	if HostRole(d.Status) == Bad {
		at = levelTrouble
	}
	text := s.Paint(HostRole(d.Status), s.Clean(string(d.Status))) + " (" + Millis(d.DurationMS) + ")"
	if d.Error == nil {
		return []line{{at, text}}
	}
	out := []line{{at, text + ": " + s.Clean(d.Error.Error())}}
	for _, hint := range s.Lines(d.Error.Hint) {
		out = append(out, line{at, "  " + hint})
	}
	return out
}

func (s Style) runDone(d report.RunDone) string {
	text := "done"
	switch {
	case d.Signal != "":
		text = s.Paint(Bad, "interrupted")
	case d.Stopped != "":
		text = s.Paint(Bad, "stopped: "+s.Clean(d.Stopped))
	case d.Error != "":
		text = s.Paint(Bad, "internal error: "+s.Clean(d.Error))
	}
	return fmt.Sprintf("%s after %s, exit status %d", text, Millis(d.DurationMS), d.ExitCode)
}
