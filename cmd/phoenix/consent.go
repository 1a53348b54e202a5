package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"phoenix/inventory"
	"phoenix/inventory/plan"
	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/reboot"
	"phoenix/tasks/kind/zpool"
	"phoenix/tasks/report"
)

// lack is one consent that a step of a host lacks, and what is typed to give it.
type lack struct {
	host *inventory.Host
	step string
	tasks.Allow
	name string
}

// lacks are the consents that a host's steps lack. What a host says of a thing that its
// configuration does not have is nobody's to agree to.
func lacks(h *inventory.Host, steps []report.Step) []lack {
	var out []lack
	for _, s := range steps {
		for _, a := range s.Allow {
			l := lack{host: h, step: s.ID, Allow: a}
			switch a.Flag {
			case tasks.AllowDestroy:
				for _, c := range h.Containers {
					if id := c.Spec.CTID; s.ID == lxc.StepID(id) && a.Name == strconv.Itoa(id) {
						l.name = typed(c.Spec.Name, id)
					}
				}
			case tasks.AllowWipe:
				if wipeable(h, a.Name) {
					l.name = a.Name
				}
			case tasks.AllowReboot:
				l.name = h.Name
			}
			if l.name != "" {
				out = append(out, l)
			}
		}
	}
	return out
}

// wipeable tells whether a pool of the host's configuration has the disk.
func wipeable(h *inventory.Host, disk string) bool {
	return h.Hypervisor != nil && slices.ContainsFunc(h.Hypervisor.Pools, func(p zpool.Spec) bool { return slices.Contains(p.Disks, disk) })
}

// agree adds what was agreed to.
func (l lack) agree(c *tasks.Consent) {
	switch l.Flag {
	case tasks.AllowDestroy:
		id, _ := strconv.Atoi(l.Name)
		c.Destroy = append(c.Destroy, id)
	case tasks.AllowWipe:
		c.Wipe = append(c.Wipe, l.Name)
	case tasks.AllowReboot:
		c.Reboot = true
	}
}

// asking asks for the consents that a run lacks once the hosts were looked at, each once.
type asking struct {
	rec   *recording
	work  []assignment
	asked map[string]bool
}

// more is the work that goes on with what the operator agrees to now; none without a
// terminal, an answer, or anything left to ask.
func (a *asking) more() []assignment {
	if !a.rec.p.interactive() {
		return nil
	}
	hosts := map[string]report.Host{}
	for _, h := range a.rec.stream.Report().Hosts {
		hosts[h.Name] = h
	}
	var open []lack
	for _, w := range a.work {
		if h := hosts[w.host.Name]; h.Error == nil {
			open = append(open, lacks(w.host, h.Steps)...)
		}
	}
	var out []assignment
	agreed := a.ask(slices.DeleteFunc(open, a.again))
	for _, w := range a.work {
		lacked := map[string]bool{}
		w.agreed = tasks.Consent{}
		for _, l := range agreed {
			if l.host == w.host {
				l.agree(&w.agreed)
				lacked[l.step] = true
				a.rec.stream.Emit(report.Event{Host: w.host.Name, Note: &report.Note{Level: report.NoteInfo, Text: a.rec.p.operator + " agreed to " + l.String()}})
			}
		}
		if len(lacked) > 0 {
			w.steps = rest(w.steps, hosts[w.host.Name].Steps, lacked, w.agreed.Reboot)
			out = append(out, w)
		}
	}
	elect(out)
	return out
}

// again tells whether the operator was asked before, and notes it.
func (a *asking) again(l lack) bool {
	key := l.host.Name + " " + l.String()
	was := a.asked[key]
	a.asked[key] = true
	return was
}

// ask asks all questions in one go and returns those that were answered by the name. A
// Ctrl-C takes back the answers before it, too.
func (a *asking) ask(open []lack) []lack {
	if len(open) == 0 {
		return nil
	}
	p, style := a.rec.p, a.rec.p.style(a.rec.g, a.rec.p.stderrTTY)
	var agreed []lack
	var err error
	put := func(ctx context.Context) {
		fmt.Fprintf(p.stderr, "\n%s left undone for want of consent.\n", was(len(open)))
		for _, l := range open {
			what := style.Clean(l.host.Name) + ": " + strings.Join(style.Lines(l.Loss), "\n  ")
			var yes bool
			if yes, err = p.confirmName(ctx, "\n"+what, style.Clean(l.name)); err != nil {
				return
			}
			if yes {
				agreed = append(agreed, l)
			}
		}
	}
	a.rec.display.Suspend(func() { a.rec.intr.aside(put) })
	if err != nil {
		p.warn("nothing was agreed to: " + err.Error())
		return nil
	}
	return agreed
}

func was(n int) string {
	if n == 1 {
		return "1 thing was"
	}
	return fmt.Sprintf("%d things were", n)
}

// rest are the steps that go on once more was agreed to: those that lacked it and those
// that need them; where the host reboots also those that wait for that, and those that
// the plan has behind it, since the reboot stops what they have made.
func rest(steps []tasks.Step, taken []report.Step, lacked map[string]bool, reboots bool) []tasks.Step {
	steps, err := tasks.Order(steps)
	if err != nil {
		return nil // they were taken in an order before
	}
	take := maps.Clone(lacked)
	for _, s := range taken {
		if reboots && len(s.Remaining.With(tasks.EffectReboot)) > 0 {
			take[s.ID] = true
		}
	}
	var out []tasks.Step
	behind := false
	for _, s := range steps {
		if !take[s.ID] && !behind && !slices.ContainsFunc(s.Needs, func(id string) bool { return take[id] }) {
			continue
		}
		take[s.ID] = true
		behind = behind || s.Kind == reboot.Name
		s.Needs = slices.DeleteFunc(slices.Clone(s.Needs), func(id string) bool { return !take[id] })
		out = append(out, s)
	}
	return out
}

// elect has those that go on agree anew on who makes what is the cluster's: a host that
// is done makes nothing more.
func elect(work []assignment) {
	var hosts []*inventory.Host
	var steps [][]tasks.Step
	for _, w := range work {
		for i := range w.steps {
			w.steps[i].Leader = ""
		}
		hosts, steps = append(hosts, w.host), append(steps, w.steps)
	}
	plan.Elect(hosts, steps)
}
