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
		steps[at] = b.brief(steps[at])
		short.Hosts[i].Steps = steps
	}
	faults := []error{render.Write(w, render.FormatText, short, o)}
	for _, b := range boots {
		_, err := io.WriteString(w, b.text(o))
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// boot is what would start on one host after a reboot.
type boot struct {
	host string
	data bootcheck.Data
}

// brief is the step without what is told below the report.
func (b boot) brief(s report.Step) report.Step {
	s.Data = nil
	count := make(map[bootcheck.Effect]int)
	for _, c := range b.data.Containers {
		if f := worst(c.Findings); f != "" {
			count[f]++
		}
	}
	if len(count) == 0 {
		return s
	}
	n := len(b.data.Containers)
	var parts []string
	for _, e := range []bootcheck.Effect{bootcheck.EffectStops, bootcheck.EffectUnknown, bootcheck.EffectDisturbs} {
		if count[e] > 0 {
			parts = append(parts, fmt.Sprintf("%d of %d %s", count[e], n, map[bootcheck.Effect]string{
				bootcheck.EffectStops: "would not start", bootcheck.EffectUnknown: "cannot be told", bootcheck.EffectDisturbs: "would be disturbed",
			}[e]))
		}
	}
	s.Why = strings.Join(parts, ", ") + ", see below"
	s.Changes = slices.Clone(s.Changes)
	for i, c := range s.Changes {
		s.Changes[i] = tasks.Change{Path: c.Path, Note: tasks.NoteByHand}
	}
	return s
}

// worst is the effect that decides about a container; empty where nothing was found.
func worst(found []bootcheck.Finding) bootcheck.Effect {
	for _, e := range []bootcheck.Effect{bootcheck.EffectStops, bootcheck.EffectUnknown, bootcheck.EffectDisturbs} {
		if slices.ContainsFunc(found, func(f bootcheck.Finding) bool { return f.Effect == e }) {
			return e
		}
	}
	return ""
}

// startsShown is how many containers the line of the order names.
const startsShown = 12

// text is the section of one host: how many start, what is wrong with which and how to
// mend it, and the order.
func (b boot) text(o render.Options) string {
	s := o.Style
	var out strings.Builder
	line := func(format string, args ...any) {
		for _, l := range term.Wrap(fmt.Sprintf(format, args...), o.Columns) {
			out.WriteString(l + "\n")
		}
	}
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
	line("")
	line("%s after a reboot: %s", s.Paint(term.Strong, s.Clean(b.host)), what)
	var mends []mend
	for _, c := range b.data.Containers {
		for _, f := range together(c.Findings) {
			word, role := "does not start", term.Bad
			switch f.Effect {
			case bootcheck.EffectDisturbs:
				word, role = "is disturbed", term.Change
			case bootcheck.EffectUnknown:
				word, role = "cannot be told", term.Change
			}
			line("  %s %s: %s: %s", s.Paint(term.Strong, s.Clean(fmt.Sprintf("%d %s", c.CTID, c.Name))), s.Paint(role, word), s.Clean(f.Option), s.Clean(f.What))
			mends = noted(mends, c.CTID, f.Mend)
		}
	}
	for _, m := range mends {
		line("  mend %s by: %s", ranges(m.ctids), s.Clean(m.text))
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

// mend is what mends something, and the containers that it mends it for.
type mend struct {
	text  string
	ctids []int
}

// noted adds a container to those of a mend.
func noted(list []mend, ctid int, text string) []mend {
	if text == "" {
		return list
	}
	i := slices.IndexFunc(list, func(m mend) bool { return m.text == text })
	if i < 0 {
		i, list = len(list), append(list, mend{text: text})
	}
	if !slices.Contains(list[i].ctids, ctid) {
		list[i].ctids = append(list[i].ctids, ctid)
		slices.Sort(list[i].ctids) // as ranges wants them
	}
	return list
}

// together puts findings into one that differ in the device only: a graphics card has six.
func together(found []bootcheck.Finding) []bootcheck.Finding {
	type kind struct {
		effect    bootcheck.Effect
		what, end string
	}
	devices := make(map[kind][]string)
	at := make(map[kind]int)
	var out []bootcheck.Finding
	for _, f := range found {
		start := strings.Index(f.What, "/dev/")
		if start < 0 {
			out = append(out, f)
			continue
		}
		device, end, _ := strings.Cut(f.What[start:], " ")
		k := kind{f.Effect, f.What[:start], end + "\x00" + f.Mend}
		devices[k] = append(devices[k], device)
		i, again := at[k]
		if !again {
			at[k] = len(out)
			out = append(out, f)
			continue
		}
		out[i].Option += ", " + f.Option
		out[i].What = strings.TrimSpace(k.what + strings.Join(devices[k], ", ") + " " + end)
	}
	return out
}
