package render

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/kind/bootcheck"
	"phoenix/tasks/kind/containers"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// Text writes the recap: the hosts, worst first and identical ones together, each with
// its properties that changed or differ; then what adds up, and the one next command
// where there is something left to do. A check reads as a plan.
func Text(w io.Writer, r report.Report, o Options) error {
	t := &text{w: bufio.NewWriter(w), s: o.Style, verbosity: o.Verbosity, columns: o.Columns, report: r}
	for _, n := range r.Notes {
		t.note("", n)
	}
	groups := group(r.Hosts, t.host)
	for _, c := range classes(groups) {
		t.class(c)
	}
	t.containers(r.Hosts)
	t.similar(groups)
	t.totals()
	if next := Next(r); next != "" {
		t.line(t.s.Paint(term.Faint, "next: ") + t.s.Clean(next))
	}
	return t.w.Flush()
}

type text struct {
	w         *bufio.Writer
	s         term.Style
	verbosity term.Verbosity
	columns   int
	report    report.Report
}

// line ignores errors: bufio keeps the first for Flush.
func (t *text) line(s string) {
	for _, l := range term.Wrap(strings.TrimRight(s, " "), t.columns) {
		_, _ = t.w.WriteString(l + "\n")
	}
}

func (t *text) note(indent string, n report.Note) {
	for _, l := range noteLines(t.s, n) {
		t.line(indent + l)
	}
}

func noteLines(s term.Style, n report.Note) []string {
	if n.Level != report.NoteWarning {
		return nil
	}
	out := []string{s.Paint(term.Change, "warning: ") + s.Clean(n.Text)}
	for _, hint := range s.Lines(n.Hint) {
		out = append(out, "  "+hint)
	}
	return out
}

// namesShown is how many names of a group are listed.
const namesShown = 4

// class writes hosts that have something in common: that once, then what each has
// besides.
func (t *text) class(c hostClass) {
	hosts := c.hosts()
	status := hosts[0].Status
	if t.verbosity == term.Quiet && status == report.HostOK {
		return
	}
	role := term.HostRole(status)
	t.line(t.s.Paint(term.Strong, t.names(hosts)) + "  " + t.s.Paint(role, string(status)) + t.detail(hosts))
	t.blocks("  ", c.shared)
	said := len(c.shared) > 0
	for _, g := range c.groups {
		own := without(g.body, c.shared)
		if len(own) > 0 && len(c.groups) > 1 {
			t.line("  " + t.s.Paint(term.Strong, t.names(g.hosts)) + " besides:")
			t.blocks("    ", own)
		} else {
			t.blocks("  ", own)
		}
		said = said || len(own) > 0
	}
	if said {
		t.line("")
	}
}

func (t *text) blocks(indent string, list []block) {
	for _, b := range list {
		for _, l := range strings.Split(string(b), "\n") {
			t.line(indent + l)
		}
	}
}

func (t *text) names(hosts []report.Host) string {
	var names []string
	for _, h := range hosts {
		names = append(names, t.s.Clean(h.Name))
	}
	if extra := len(names) - namesShown; extra > 1 && t.verbosity < term.Steps {
		names = append(names[:namesShown], fmt.Sprintf("and %d more", extra))
	}
	return strings.Join(names, ", ")
}

// detail is what follows the status: the steps, and the time of the slowest host.
func (t *text) detail(hosts []report.Host) string {
	var slowest int64
	for _, h := range hosts {
		slowest = max(slowest, h.DurationMS)
	}
	h := hosts[0]
	var parts []string
	if h.Counts.Total > 0 {
		parts = append(parts, term.Count(h.Counts.Total, "step"))
	}
	if h.Status != report.HostNotStarted {
		parts = append(parts, term.Millis(slowest))
	}
	if len(parts) == 0 {
		return ""
	}
	return t.s.Paint(term.Faint, "  "+strings.Join(parts, " "+t.s.Dot()+" "))
}

// host is what is shown of a host below its name; hosts with the same text are
// grouped.
func (t *text) host(h report.Host) []block {
	var out []block
	add := func(lines ...string) {
		if len(lines) > 0 {
			out = append(out, block(strings.Join(lines, "\n")))
		}
	}
	if h.Error != nil {
		add(t.hostError(*h.Error)...)
	}
	for _, n := range h.Notes {
		add(noteLines(t.s, n)...)
	}
	for _, e := range h.Earlier {
		add(t.earlier(e))
	}
	for _, s := range h.Steps {
		add(t.step(s)...)
	}
	return out
}

func (t *text) hostError(e report.Error) []string {
	lines := t.s.Lines(e.Error())
	for i, l := range lines {
		lines[i] = "  " + l
		if i == 0 {
			lines[i] = t.s.Paint(term.Bad, "! "+l)
		}
	}
	for _, hint := range t.s.Lines(e.Hint) {
		lines = append(lines, "  "+hint)
	}
	return lines
}

func (t *text) earlier(e report.Earlier) string {
	line := "journal of run " + t.s.Clean(e.RunID)
	if e.Operator != "" {
		line += " by " + t.s.Clean(e.Operator)
	}
	end := "which came to its end unseen"
	if !e.Finished {
		end = "which did not come to its end"
	}
	return fmt.Sprintf("%s, %s: %s", line, end, t.s.Tally(term.StepParts(e.Counts())...))
}

func (t *text) step(s report.Step) []string {
	// What the cards of a check are is for phoenix gpus, and in the data.
	if s.ID == containers.StepID || s.ID == gpus.StepID && t.report.Command == "check" { // see containers
		s.Data = nil
	}
	if s.Status == tasks.StatusOK && len(s.Data) == 0 && len(s.Warnings) == 0 && t.verbosity < term.Steps {
		return nil
	}
	glyph, role := term.StepGlyph(s.Result)
	head := t.s.Paint(role, glyph) + " " + t.s.Clean(s.ID) + "  " + t.s.Paint(role, term.StepWord(s.Result))
	why := t.s.Lines(s.Why)
	if len(why) > 0 {
		head += ": " + why[0]
	}
	out := []string{head}
	for i := 1; i < len(why); i++ {
		out = append(out, "    "+why[i])
	}
	if !strings.HasPrefix(s.ID, bootcheck.Name+":") { // phoenix check --boot says it in a section of its own
		out = append(out, t.changes(s)...)
	}
	for _, w := range s.Warnings {
		out = append(out, "    "+t.s.Paint(term.Change, "warning: ")+t.s.Clean(w))
	}
	for _, l := range s.Log {
		out = append(out, "    "+t.s.Paint(term.Faint, "| "+t.s.Clean(l.Text)))
	}
	return append(out, t.data(s.Data)...)
}

// changes shows what was or would be changed, then what remains, unless that is the
// same.
func (t *text) changes(s report.Step) []string {
	width := 0
	for _, d := range []tasks.Diff{s.Changes, s.Remaining} {
		for _, c := range d {
			width = max(width, min(term.Width(t.s.Clean(c.Path)), 28))
		}
	}
	var out []string
	add := func(d tasks.Diff, indent string) {
		for _, c := range d {
			for _, l := range t.s.Change(c, width) {
				out = append(out, indent+l)
			}
		}
	}
	add(s.Changes, "    ")
	if len(s.Remaining) > 0 {
		out = append(out, "    "+t.s.Paint(term.Change, remains(s)))
		add(withoutSaid(withoutHeld(s.Remaining), s.Changes), "      ")
	}
	return out
}

// withoutSaid takes out of the notes the lines that other changes of the step have.
func withoutSaid(d, other tasks.Diff) tasks.Diff {
	said := make(map[string]bool)
	for _, c := range other {
		for _, l := range strings.Split(c.Note, "\n") {
			said[l] = true
		}
	}
	out := slices.Clone(d)
	for i := range out {
		lines := slices.DeleteFunc(strings.Split(out[i].Note, "\n"), func(l string) bool { return said[l] })
		out[i].Note = strings.Join(lines, "\n")
	}
	return out
}

// withoutHeld takes what would be refused out of the notes: after a run, the step says
// that it was. Other reasons stay.
func withoutHeld(d tasks.Diff) tasks.Diff {
	out := slices.Clone(d)
	for i := range out {
		out[i].Note = out[i].Reasons()
	}
	return out
}

// remains heads the properties that still differ.
func remains(s report.Step) string {
	switch s.Cause {
	case tasks.CausePending:
		if len(s.Remaining.With(tasks.EffectReboot)) > 0 {
			return "waits for a reboot:"
		}
		if strings.HasPrefix(s.Why, tasks.NoteByHand) {
			break
		}
		return "waits for a restart:"
	case tasks.CauseRefused:
		return "left as it is:"
	}
	return "still differs:"
}

// similar says how alike the hosts of a fleet are.
func (t *text) similar(groups []hostGroup) {
	if t.verbosity == term.Quiet {
		return
	}
	largest := 0
	for _, g := range groups {
		largest = max(largest, len(g.hosts))
	}
	n := len(t.report.Hosts)
	switch {
	case largest < 2:
	case largest < n && t.report.Totals.Hosts.OK == n:
		// That one has more steps than another is no difference worth a word.
	case largest == n:
		t.line(fmt.Sprintf("all %d hosts identical", n))
	case n-largest == 1:
		t.line(fmt.Sprintf("%d hosts identical, 1 differs", largest))
	default:
		t.line(fmt.Sprintf("%d hosts identical, %d differ", largest, n-largest))
	}
}

func (t *text) totals() {
	r := t.report
	parts := []string{term.Count(r.Totals.Hosts.Total, "host")}
	if tally := t.s.Tally(term.HostParts(r.Totals.Hosts)...); tally != "" {
		parts[0] += ": " + tally
	}
	parts = append(parts, term.Count(r.Totals.Steps.Total, "step"))
	if e := t.effects(); e != "" {
		parts = append(parts, e)
	}
	if n := t.warnings(); n > 0 {
		parts = append(parts, term.Count(n, "warning"))
	}
	parts = append(parts, term.Millis(r.DurationMS))
	t.line(strings.Join(parts, " "+t.s.Dot()+" "))
	switch {
	case r.Signal != "":
		t.line(t.s.Paint(term.Bad, "! the run was interrupted"))
	case r.Stopped != "":
		t.line(t.s.Paint(term.Bad, "! the run was stopped: "+t.s.Clean(r.Stopped)))
	case r.Error != "":
		t.line(t.s.Paint(term.Bad, "! internal error: "+t.s.Clean(r.Error)))
	case !r.Finished:
		t.line(t.s.Paint(term.Bad, "! the end of the run was not seen"))
	}
}

// warnings counts those of all steps: where only the last lines are shown, nothing else
// tells of them.
func (t *text) warnings() int {
	n := 0
	for _, h := range t.report.Hosts {
		for _, s := range h.Steps {
			n += len(s.Warnings)
		}
	}
	return n
}

// effects says what making the differences true would cost. What is restarted, for however
// many of them, counts once.
func (t *text) effects() string {
	if !t.report.ReadOnly() {
		return ""
	}
	count := make(map[tasks.Effect]int)
	total, containers, services := 0, 0, 0
	for _, h := range t.report.Hosts {
		for _, s := range h.Steps {
			total += len(s.Changes)
			restarts := false
			for _, c := range s.Changes {
				if c.Effect != tasks.EffectRestart {
					count[c.Effect]++
				}
				restarts = restarts || c.Effect == tasks.EffectRestart
			}
			switch {
			case restarts && strings.HasPrefix(s.ID, "lxc:"):
				containers++
			case restarts:
				services++
			}
		}
	}
	restart := func(n int, what string) string {
		if n > 1 {
			return what + "s restart"
		}
		return what + " restarts"
	}
	if total == 0 {
		return ""
	}
	line := term.Count(total, "difference")
	tally := t.s.Tally(
		term.Part{N: count[tasks.EffectDestroy], Word: "destroy", Role: term.Bad},
		term.Part{N: count[tasks.EffectReplace], Word: "replace", Role: term.Bad},
		term.Part{N: count[tasks.EffectRollback], Word: "rollback", Role: term.Bad},
		term.Part{N: count[tasks.EffectReboot], Word: "reboot", Role: term.Bad},
		term.Part{N: containers, Word: restart(containers, "container"), Role: term.Change},
		term.Part{N: services, Word: restart(services, "service"), Role: term.Change},
		term.Part{N: count[tasks.EffectPending], Word: "pending", Role: term.Change},
		term.Part{N: count[tasks.EffectLive], Word: "live"},
	)
	if tally == "" {
		return line
	}
	return line + " (" + tally + ")"
}
