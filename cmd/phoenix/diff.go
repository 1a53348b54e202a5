package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// reportDiffCmd is `phoenix report diff`.
type reportDiffCmd struct {
	From string  `arg:"" name:"run" help:"The earlier run."`
	To   string  `arg:"" name:"other" optional:"" help:"The run to compare it with; the newest by default."`
	Out  listing `embed:""`
}

// compared is what is different between two runs, for one host.
type compared struct {
	Host string `json:"host"`
	// From and To are the host's statuses; one is empty where only the other run had
	// the host.
	From  report.HostStatus `json:"from,omitempty"`
	To    report.HostStatus `json:"to,omitempty"`
	Steps []comparedStep    `json:"steps"`
}

// comparedStep is a step that is different.
type comparedStep struct {
	Step string       `json:"step"`
	From tasks.Status `json:"from,omitempty"`
	To   tasks.Status `json:"to,omitempty"`
	// Gone and New are differences of properties that only one of the runs has.
	Gone tasks.Diff `json:"gone,omitempty"`
	New  tasks.Diff `json:"new,omitempty"`
}

// Run is called by kong.
func (c *reportDiffCmd) Run(p *program, g *cli) error {
	store, err := p.store()
	if err != nil {
		return err
	}
	if c.To == "" {
		if c.To, err = newest(store); err != nil {
			return err
		}
	}
	from, err := kept(store, c.From)
	if err != nil {
		return err
	}
	to, err := kept(store, c.To)
	if err != nil {
		return err
	}
	diff := compare(from, to)
	if c.Out.Output == "json" {
		return p.printJSON(map[string]any{"from": from.RunID, "to": to.RunID, "hosts": diff})
	}
	s := p.style(g, p.stdoutTTY)
	fmt.Fprintf(p.stdout, "%s %s -> %s %s\n", s.Clean(from.Command), from.RunID, s.Clean(to.Command), to.RunID)
	for _, h := range diff {
		h.write(p.stdout, s)
	}
	same := len(to.Hosts)
	for _, h := range diff {
		if h.To != "" {
			same--
		}
	}
	_, err = fmt.Fprintf(p.stdout, "%s the same, %d different\n", term.Count(same, "host"), len(diff))
	return err
}

// compare lists the hosts that are not the same in both runs: those of the second
// in their order, then those that only the first has.
func compare(from, to report.Report) []compared {
	out := []compared{}
	before := make(map[string]report.Host)
	for _, h := range from.Hosts {
		before[h.Name] = h
	}
	for _, h := range to.Hosts {
		old, both := before[h.Name]
		delete(before, h.Name)
		c := compared{Host: h.Name, From: old.Status, To: h.Status, Steps: compareSteps(old.Steps, h.Steps)}
		if !both || c.From != c.To || len(c.Steps) > 0 {
			out = append(out, c)
		}
	}
	for _, h := range from.Hosts {
		if _, only := before[h.Name]; only {
			out = append(out, compared{Host: h.Name, From: h.Status, Steps: compareSteps(h.Steps, nil)})
		}
	}
	return out
}

func compareSteps(from, to []report.Step) []comparedStep {
	out := []comparedStep{}
	find := func(list []report.Step, id string) (report.Step, bool) {
		i := slices.IndexFunc(list, func(s report.Step) bool { return s.ID == id })
		if i < 0 {
			return report.Step{}, false
		}
		return list[i], true
	}
	for _, s := range to {
		old, _ := find(from, s.ID)
		c := comparedStep{Step: s.ID, From: old.Status, To: s.Status, Gone: without(old.Changes, s.Changes), New: without(s.Changes, old.Changes)}
		if c.From != c.To || len(c.Gone)+len(c.New) > 0 {
			out = append(out, c)
		}
	}
	for _, s := range from {
		if _, both := find(to, s.ID); !both {
			out = append(out, comparedStep{Step: s.ID, From: s.Status, Gone: s.Changes})
		}
	}
	return out
}

// without is what of a is not in b.
func without(a, b tasks.Diff) tasks.Diff {
	return slices.DeleteFunc(slices.Clone(a), func(c tasks.Change) bool { return slices.Contains(b, c) })
}

func (h compared) write(w io.Writer, s term.Style) {
	fmt.Fprintln(w, transition(s, h.Host, string(h.From), string(h.To)))
	for _, step := range h.Steps {
		fmt.Fprintln(w, "    "+transition(s, step.Step, string(step.From), string(step.To)))
		for _, side := range []struct {
			mark string
			diff tasks.Diff
		}{{"- ", step.Gone}, {"+ ", step.New}} {
			for _, c := range side.diff {
				for i, l := range s.Change(c, 0) {
					mark := side.mark
					if i > 0 {
						mark = "  "
					}
					fmt.Fprintln(w, "        "+mark+l)
				}
			}
		}
	}
}

// transition is "~ pve1  changed -> ok", or + or - where one side has none.
func transition(s term.Style, name, from, to string) string {
	name, from, to = s.Clean(name), s.Clean(from), s.Clean(to)
	switch {
	case from == "":
		return s.Paint(term.Good, "+ ") + s.Paint(term.Strong, name) + "  " + to
	case to == "":
		return s.Paint(term.Bad, "- ") + s.Paint(term.Strong, name) + "  " + from
	case from == to:
		return "  " + s.Paint(term.Strong, name) + "  " + to
	}
	return s.Paint(term.Change, "~ ") + s.Paint(term.Strong, name) + "  " + strings.Join([]string{from, to}, " -> ")
}
