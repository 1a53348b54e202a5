package term

import (
	"fmt"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/report"
)

// Duration writes a time in at most two units: "40 ms", "0.4 s", "42 s",
// "1 min 12 s", "2 h 3 min".
func Duration(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", max(d, 0).Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// Millis is Duration for a number of milliseconds.
func Millis(ms int64) string { return Duration(time.Duration(ms) * time.Millisecond) }

// Count writes a number with its noun: "1 host", "3 hosts".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// HostRole is how a status of a host is painted.
func HostRole(s report.HostStatus) Role {
	switch s {
	case report.HostOK:
		return Good
	case report.HostChanged, report.HostDrifted:
		return Change
	}
	return Bad
}

// StepGlyph is the mark of a step's result and how it is painted: "~" for what
// changed, would change or waits, "!" for what needs a look, "." for what was not
// tried, "=" for what was as wanted.
func StepGlyph(r tasks.Result) (string, Role) {
	switch {
	case r.Status == tasks.StatusFailed, r.Status == tasks.StatusUnknown, r.Cause == tasks.CauseRefused:
		return "!", Bad
	case r.Status == tasks.StatusChanged, r.Status == tasks.StatusWouldChange, r.Cause == tasks.CausePending:
		return "~", Change
	case r.Status == tasks.StatusSkipped:
		return ".", Faint
	}
	return "=", Good
}

// StepWord says how a step ended: its status, but for the causes that a person knows
// by their own names.
func StepWord(r tasks.Result) string {
	switch {
	case r.Cause == tasks.CauseRefused:
		return "refused"
	case r.Cause == tasks.CausePending && r.Status == tasks.StatusSkipped:
		return "pending"
	}
	return string(r.Status)
}

// How many columns of one value a change shows: on its line, and on one of its own.
const (
	maxValue = 120
	maxLine  = 1000
)

// Change writes one change: "~ memory_mb  512 -> 1024 (live)", "+" for what comes,
// "-" for what goes, "!" for what is destroyed and made anew. The path is filled up
// to pathWidth columns. Values that are long or have several lines follow on lines of their
// own, then the lines of its note, all indented.
func (s Style) Change(c tasks.Change, pathWidth int) []string {
	glyph, role, text := s.values(c)
	below := s.below(c, text)
	if below != nil {
		text = ""
	}
	line := s.Paint(role, glyph) + " " + s.Fit(s.Clean(c.Path), max(pathWidth, Width(s.Clean(c.Path))), text != "")
	if text != "" {
		line += "  " + text
	}
	if c.Effect != "" {
		line += "  " + s.Paint(effectRole(c.Effect), "("+s.Clean(string(c.Effect))+")")
	}
	lines := append([]string{line}, below...)
	for _, note := range s.Lines(c.Note) {
		lines = append(lines, "    "+s.Paint(noteRole(note), note))
	}
	return lines
}

// values is the glyph of a change and its old and new value.
func (s Style) values(c tasks.Change) (glyph string, role Role, text string) {
	switch {
	case effectRole(c.Effect) == Bad && c.Effect != tasks.EffectReboot:
		glyph, role = "!", Bad
	case c.From == "" && c.To != "":
		glyph, role = "+", Added
	case c.From != "" && c.To == "":
		glyph, role = "-", Removed
	default:
		glyph, role = "~", Change
	}
	switch {
	case c.From == "" && c.To == "":
	case c.From == "":
		text = s.value(c.To)
	case c.To == "":
		text = s.value(c.From)
	default:
		text = s.value(c.From) + " -> " + s.value(c.To)
	}
	return glyph, role, text
}

// value writes a value on one line, with its line breaks as \n.
func (s Style) value(v string) string {
	v = strings.ReplaceAll(strings.ReplaceAll(v, "\r\n", "\n"), "\n", `\n`)
	return s.Fit(s.Clean(v), maxValue, false)
}

func effectRole(e tasks.Effect) Role {
	switch e {
	case tasks.EffectReplace, tasks.EffectDestroy, tasks.EffectRollback, tasks.EffectReboot:
		return Bad
	case tasks.EffectRestart, tasks.EffectPending:
		return Change
	}
	return Faint
}

// noteRole colours the lines of a text diff.
func noteRole(line string) Role {
	switch {
	case strings.HasPrefix(line, "+"):
		return Added
	case strings.HasPrefix(line, "-"):
		return Removed
	}
	return Faint
}

// Tally joins the counts that are not zero: "1 failed, 2 changed, 28 ok".
func (s Style) Tally(parts ...Part) string {
	var out []string
	for _, p := range parts {
		if p.N > 0 {
			out = append(out, s.Paint(p.Role, fmt.Sprintf("%d %s", p.N, p.Word)))
		}
	}
	return strings.Join(out, ", ")
}

// Part is one count of a Tally.
type Part struct {
	N    int
	Word string
	Role Role
}

// HostParts are the counts of hosts, worst first.
func HostParts(c report.HostCounts) []Part {
	return []Part{
		{c.Failed, "failed", Bad}, {c.Unreachable, "unreachable", Bad}, {c.NotStarted, "not started", Bad},
		{c.Drifted, "drifted", Change}, {c.Changed, "changed", Change}, {c.OK, "ok", Good},
	}
}

// StepParts are the counts of steps, worst first.
func StepParts(c report.StepCounts) []Part {
	return []Part{
		{c.Failed, "failed", Bad}, {c.Unknown, "unknown", Bad}, {c.Skipped, "skipped", Change},
		{c.WouldChange, "would change", Change}, {c.Changed, "changed", Change}, {c.OK, "ok", Good},
	}
}
