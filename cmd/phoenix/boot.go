package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/kind/bootcheck"
	"phoenix/tasks/report"
	"phoenix/tasks/report/render"
	"phoenix/tasks/report/term"
)

// writeText writes the report for people and, below it, what would start after a reboot,
// where that was asked.
func writeText(w io.Writer, r report.Report, o render.Options) error {
	short := r
	short.Hosts = slices.Clone(r.Hosts)
	var boots []boot
	for i, h := range r.Hosts {
		at := slices.IndexFunc(h.Steps, func(s report.Step) bool { return strings.HasPrefix(s.ID, bootcheck.Name+":") && len(s.Data) > 0 })
		if at < 0 {
			continue
		}
		b := boot{host: h.Name}
		if err := json.Unmarshal(h.Steps[at].Data, &b.data); err != nil {
			return fmt.Errorf("read what %s told of its boot: %w", h.Name, err)
		}
		boots = append(boots, b)
		steps := slices.Clone(h.Steps)
		steps[at] = brief(steps[at])
		short.Hosts[i].Steps = steps
	}
	faults := []error{render.Write(w, render.FormatText, short, o)}
	for _, b := range boots {
		if o.Verbosity > term.Quiet || b.trouble() {
			_, err := io.WriteString(w, b.text(o))
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// brief is the step without what is told below the report.
func brief(s report.Step) report.Step {
	s.Data = nil
	s.Why, _, _ = strings.Cut(s.Why, "\n")
	s.Changes = slices.Clone(s.Changes)
	for i, c := range s.Changes {
		s.Changes[i] = tasks.Change{Path: c.Path, Note: tasks.NoteByHand}
	}
	return s
}

// boot is what would start on one host after a reboot.
type boot struct {
	host string
	data bootcheck.Data
}

func (b boot) trouble() bool {
	return slices.ContainsFunc(b.data.Containers, func(c bootcheck.Container) bool { return len(c.Findings) > 0 })
}

// startsShown is how many containers the line of the order names.
const startsShown = 12

// text is the section of one host: how many start, what is wrong with which and how to
// mend it, and the order.
func (b boot) text(o render.Options) string {
	s := o.Style
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	starting := 0
	for _, c := range b.data.Containers {
		if c.Starts == bootcheck.Yes {
			starting++
		}
	}
	what := fmt.Sprintf("%d of %d start", starting, len(b.data.Containers))
	if len(b.data.Containers) == 0 {
		what = "no container is to start"
	}
	line("\n%s after a reboot: %s", s.Paint(term.Strong, s.Clean(b.host)), what)
	for _, c := range b.data.Containers {
		for _, f := range c.Findings {
			word, role := "does not start", term.Bad
			switch f.Effect {
			case bootcheck.EffectDisturbs:
				word, role = "is disturbed", term.Change
			case bootcheck.EffectUnknown:
				word, role = "cannot be told", term.Change
			}
			line("  %s %s: %s: %s", s.Paint(term.Strong, s.Clean(fmt.Sprintf("%d %s", c.CTID, c.Name))), s.Paint(role, word), s.Clean(f.Option), s.Clean(f.What))
			if f.Mend != "" {
				line("      mend by: %s", s.Clean(f.Mend))
			}
		}
	}
	if order := b.order(o.Verbosity); order != "" {
		line("  order: %s", s.Clean(order))
	}
	return out.String()
}

// order names the containers in the order of their start, each with the time that the
// delays before it take.
func (b boot) order(v term.Verbosity) string {
	var names []string
	for _, c := range b.data.Containers {
		if c.Starts == bootcheck.No || c.HA {
			continue
		}
		name := fmt.Sprintf("%d %s", c.CTID, c.Name)
		if c.AfterS > 0 {
			name += fmt.Sprintf(" (after %d s)", c.AfterS)
		}
		names = append(names, name)
	}
	if extra := len(names) - startsShown; extra > 1 && v < term.Steps {
		names = append(names[:startsShown], fmt.Sprintf("and %d more", extra))
	}
	return strings.Join(names, ", ")
}
