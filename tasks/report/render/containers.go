package render

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks/kind/containers"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// How many hosts with containers that no configuration names have a line, and how many
// containers such a line names.
const (
	hostLines      = 10
	containerWords = 4
)

// containers tells, of a check, of containers that no configuration names, a line for
// each host, and of those that may use more memory than their host has. They come apart
// from what the hosts are grouped by, for they are no difference.
func (t *text) containers(hosts []report.Host) {
	lines, more, count := 0, 0, 0
	for _, h := range hosts {
		d, ok := together(h)
		if !ok {
			continue
		}
		if m := d.Memory; m != nil {
			t.line(t.s.Paint(term.Change, "warning: ") + fmt.Sprintf("%s: its containers may use %s of memory together, and it has %s",
				t.s.Clean(h.Name), gib(m.MayUse), gib(m.Has)))
		}
		switch {
		case len(d.Unmanaged) == 0, t.verbosity == term.Quiet, !t.report.ReadOnly():
		case lines >= hostLines && t.verbosity < term.Steps:
			more, count = more+1, count+len(d.Unmanaged)
		default:
			lines++
			t.line(t.s.Paint(term.Faint, "not managed: ") + t.s.Clean(h.Name) + "  " + t.unmanaged(d.Unmanaged))
		}
	}
	if more > 0 {
		t.line(t.s.Paint(term.Faint, "not managed: ") + fmt.Sprintf("%s on %s more (-v names them)", term.Count(count, "container"), term.Count(more, "host")))
	}
}

// together is what the host has found out about its containers together.
func together(h report.Host) (containers.Data, bool) {
	var d containers.Data
	i := slices.IndexFunc(h.Steps, func(s report.Step) bool { return s.ID == containers.StepID && len(s.Data) > 0 })
	if i < 0 {
		return d, false
	}
	return d, json.Unmarshal(h.Steps[i].Data, &d) == nil
}

// unmanaged names containers: "100 web (running), 101 CT101 (stopped)".
func (t *text) unmanaged(list []containers.Container) string {
	var words []string
	for _, c := range list {
		if len(words) == containerWords && len(list) > containerWords+1 && t.verbosity < term.Steps {
			words = append(words, fmt.Sprintf("and %d more", len(list)-containerWords))
			break
		}
		words = append(words, fmt.Sprintf("%d %s (%s)", c.CTID, t.s.Clean(c.Name), t.s.Clean(c.State)))
	}
	return strings.Join(words, ", ")
}

func gib(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
