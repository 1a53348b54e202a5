package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"

	"phoenix/inventory"
	"phoenix/inventory/diag"
	"phoenix/inventory/gpulock"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	cards "phoenix/tasks/kind/gpus"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/mig"
	"phoenix/tasks/report"
	"phoenix/tasks/secret"
	"phoenix/transport/deploy"
	"phoenix/transport/fleet"
)

// gpuChoice gives containers their cards before a run: it asks the hosts where something
// is to be chosen, each once, and has the choice written beside the configuration. Where
// all is pinned already, it asks nobody and writes nothing.
type gpuChoice struct {
	p     *program
	g     *cli
	fleet *inventory.Fleet
	r     request
	// hosts are those that are asked.
	hosts []*inventory.Host
	// values are those of the secrets.
	values map[string]string
	// told says of each container that got other cards than before which they are.
	told []string
	// seen are the cards that hosts told of, divides the hosts that this run divides cards of.
	seen    map[string][]inventory.SeenGPU
	divides map[string]bool
}

// chooseGPUs makes the choice for the hosts of the work that has steps of a container
// whose cards are not chosen. chosen tells whether any host was asked: then what was
// planned before is out of date.
func (p *program) chooseGPUs(ctx context.Context, g *cli, inv *inventory.Fleet, work []assignment, r *request) (chosen bool, err error) {
	c := &gpuChoice{p: p, g: g, fleet: inv, r: *r, divides: map[string]bool{}}
	for _, a := range work {
		c.divides[a.host.Name] = slices.ContainsFunc(a.steps, func(s tasks.Step) bool { return s.Kind == mig.Name })
		open := append(a.host.Unpinned(c.r.mode != tasks.ModeRun), a.host.Unjudged()...)
		if slices.ContainsFunc(a.steps, func(s tasks.Step) bool {
			return slices.ContainsFunc(open, func(ctid int) bool { return s.ID == lxc.StepID(ctid) })
		}) {
			c.hosts = append(c.hosts, a.host)
		}
	}
	if len(c.hosts) == 0 {
		return false, nil
	}
	// All that the run needs, so that nobody is asked twice.
	if c.values, err = p.resolve(ctx, inv, work); err != nil {
		return false, err
	}
	r.values, r.answered = c.values, &answers{}
	before := c.snapshot()
	found := inv.GPUFaults()
	answer, err := c.ask(ctx, r.answered)
	if err != nil {
		return false, err
	}
	for _, h := range c.hosts {
		c.settle(h, answer)
	}
	if err := c.faults(found); err != nil {
		return false, err
	}
	return true, c.keep(before)
}

// ask asks every host what cards it has. A host that does not answer is told of by the
// run itself.
func (c *gpuChoice) ask(ctx context.Context, heard *answers) (report.Report, error) {
	p := c.p
	id, err := report.NewRunID(p.now(), rand.Reader)
	if err != nil {
		return report.Report{}, err
	}
	step, err := tasks.NewStep(cards.Name, gpuStep, gpuQuestion())
	if err != nil {
		return report.Report{}, err
	}
	var names []string
	var hosts []fleet.Host
	for _, h := range c.hosts {
		names = append(names, h.Name)
		hosts = append(hosts, fleet.Host{Target: target(h, c.r.reach, c.values), Job: tasks.Job{
			RunID: id, Operator: p.operator, Mode: tasks.ModeCheck, Steps: []tasks.Step{step}, StepTimeoutS: int(c.r.reach.StepTimeout.Seconds()),
		}})
	}
	if !c.g.Quiet {
		why := "what containers are to have is held against them"
		if slices.ContainsFunc(c.hosts, func(h *inventory.Host) bool { return len(h.Unpinned(c.r.mode != tasks.ModeRun)) > 0 }) {
			why = "some are to be chosen"
		}
		fmt.Fprintf(p.stderr, "phoenix: asking %s for the GPUs: %s\n", strings.Join(names, ", "), why)
	}
	intr := watchSignals(ctx, func(string) {})
	defer intr.release()
	dialer := p.dialer(c.r.reach, p.warn, heard.remember(p.asker()))
	defer dialer.Close()
	stream := report.NewStream(report.StreamOptions{RunID: id, Now: p.now, Redact: secret.NewRedactor(mapValues(c.values)...).Text})
	stream.Emit(report.Event{RunStarted: &report.RunStarted{Command: "gpus", Mode: tasks.ModeCheck, Operator: p.operator, Version: p.version, Hosts: names}})
	f := fleet.Fleet{
		Dialer: dialer, Start: fleet.Deploy(deploy.Options{Stop: intr.Stop}), Emit: stream.Emit, Forks: c.r.reach.Forks,
		HostTimeout: c.r.reach.HostTimeout, Interrupt: intr.Interrupt, Now: p.now,
	}
	tell := fmt.Sprintf("--timeout %s was reached", c.r.reach.Timeout)
	reached, stop := intr.within(c.r.reach.Timeout, tell)
	defer stop()
	f.Run(intr.leave, hosts)
	answer := stream.Finish(report.RunDone{Signal: intr.signal()})
	switch {
	case answer.Signal != "":
		fmt.Fprintln(p.stderr, "phoenix: interrupted; nothing was changed")
		return answer, exitError(answer.ExitCode)
	case reached():
		fmt.Fprintf(p.stderr, "phoenix: %s; nothing was changed\n", tell)
		return answer, exitError(exitStopped)
	}
	return answer, nil
}

// settle chooses for one host, in memory.
func (c *gpuChoice) settle(h *inventory.Host, answer report.Report) {
	i := slices.IndexFunc(answer.Hosts, func(a report.Host) bool { return a.Name == h.Name })
	why := "the host was not asked"
	var data gpufacts.Host
	if i >= 0 {
		data, why = dataOf[gpufacts.Host](answer.Hosts[i])
	}
	if why != "" {
		why, _, _ = strings.Cut(why, "\n")
		c.unmet(h, func(int) string { return "the host could not be asked for its cards: " + diag.Clean(why) })
		return
	}
	data = gpulock.Sound(data)
	c.see(h, &data)
	kept, judged := h.Lock().Lock.Kept(h.Name), len(h.Unjudged()) > 0
	wants := gpuWants(h)
	choice := gpulock.Pick(&data, wants, func(g *gpufacts.GPU) string { return h.GPUPolicy(g.UUID, g.PCIAddress, g.Index) }, kept.Cards)
	if len(choice.Pins)+len(kept.Containers) > 0 || judged && len(choice.Cards) > 0 {
		of := h.Lock().Lock.Of(h.Name)
		of.Cards = choice.Cards
		maps.DeleteFunc(of.Containers, func(id int, _ gpulock.Pin) bool { _, pinned := choice.Pins[id]; return !pinned })
	}
	for _, w := range wants {
		if pin, pinned := choice.Pins[w.CTID]; pinned {
			h.Pin(w.CTID, pin)
			c.tell(h, w, pin, choice.Cards)
		}
	}
	c.unmet(h, func(ctid int) string {
		return diag.Clean(choice.Unmet[ctid] + withoutDriver(&data) + c.instanceAhead(h, ctid, &data))
	})
}

// unmet has the containers of a host whose requests are not answered say why.
func (c *gpuChoice) unmet(h *inventory.Host, why func(ctid int) string) {
	for _, ctid := range h.Unpinned(true) {
		h.Unmet(ctid, why(ctid))
	}
}

// withoutDriver adds what comes next where cards cannot be told apart yet.
func withoutDriver(h *gpufacts.Host) string {
	for _, m := range h.Missed {
		if m.Kind == gpufacts.KindDriverNotLoaded || m.Kind == gpufacts.KindLibraryMissing {
			return "; NVIDIA's driver is not there yet: `phoenix run` chooses once it is"
		}
	}
	return ""
}

// tell notes what a container got, if that is not what it had.
func (c *gpuChoice) tell(h *inventory.Host, w gpulock.Want, pin gpulock.Pin, known map[string]gpulock.Card) {
	name := fmt.Sprint(w.CTID)
	if len(c.fleet.Hosts) > 1 {
		name += " on " + h.Name
	}
	say := func(id string) string {
		card := known[id]
		words := []string{strings.TrimPrefix(strings.TrimPrefix(card.Name, "NVIDIA "), "GeForce ")}
		if card.MemoryBytes > 0 && !strings.HasPrefix(id, "MIG-") {
			words = append(words, gpulock.Gigabytes(card.MemoryBytes))
		}
		if is := strings.TrimSpace(diag.Clean(strings.Join(words, " "))); is != "" {
			return shortUUID(id) + ", " + is
		}
		return shortUUID(id)
	}
	var words []string
	if !slices.Equal(pin.GPUs, w.Pin.GPUs) {
		for _, id := range pin.GPUs {
			words = append(words, say(id))
		}
	}
	for _, index := range slices.Sorted(maps.Keys(pin.Names)) {
		if pin.Names[index] != w.Pin.Names[index] && c.r.mode == tasks.ModeRun {
			words = append(words, "index "+index+" is "+say(pin.Names[index]))
		}
	}
	if len(words) > 0 {
		c.told = append(c.told, fmt.Sprintf("%s (%s)", name, strings.Join(words, "; ")))
	}
}

// faults tells what the choice broke: what Load has not told already.
func (c *gpuChoice) faults(before diag.List) error {
	said := map[string]bool{}
	for _, d := range before {
		said[d.Error()] = true
	}
	found := c.fleet.GPUFaults()
	for _, h := range c.hosts {
		found.Add(h.SeenFaults(c.seen[h.Name])...)
	}
	fresh := slices.DeleteFunc(found, func(d diag.Diagnostic) bool { return said[d.Error()] })
	fresh.Sort()
	if len(fresh) > 0 && (fresh.HasErrors() || !c.g.Quiet) {
		if err := fresh.Render(c.p.stderr, c.p.faultStyle(c.g)); err != nil {
			return err
		}
	}
	if fresh.HasErrors() {
		fmt.Fprintf(c.p.stderr, "phoenix: %s; nothing was changed\n", fresh.Counts())
		return exitError(exitInvalid)
	}
	return nil
}

// snapshot is what each lock file would be, by its path.
func (c *gpuChoice) snapshot() map[string]string {
	out := map[string]string{}
	for _, h := range c.hosts {
		if data, err := h.Lock().Lock.Encode(); err == nil {
			out[h.Lock().Path] = string(data)
		}
	}
	return out
}

// keep writes what is new, and says so. A run that cannot keep its choice changes nothing:
// the next one would choose anew, and may choose other cards.
func (c *gpuChoice) keep(before map[string]string) error {
	var kept []string
	for _, h := range c.hosts {
		f := h.Lock()
		data, err := f.Lock.Encode()
		if err != nil {
			return err
		}
		if string(data) == before[f.Path] {
			continue
		}
		before[f.Path] = string(data)
		if c.r.mode == tasks.ModeRun {
			if _, err := gpulock.Parse(data); err != nil {
				return fmt.Errorf("keep the chosen GPUs: %w; nothing was changed", err)
			}
			if err := replaceLock(f.Path, f.Raw, data); err != nil {
				return fmt.Errorf("keep the chosen GPUs: %w; nothing was changed", err)
			}
			f.Raw = data
		}
		kept = append(kept, f.Path)
	}
	if len(c.told) == 0 {
		if len(kept) > 0 && c.r.mode == tasks.ModeRun && !c.g.Quiet {
			fmt.Fprintf(c.p.stderr, "phoenix: %s written anew, no container got other GPUs: commit it\n", strings.Join(kept, ", "))
		}
		return nil
	}
	end := "not kept: `phoenix run` keeps them"
	if c.r.mode == tasks.ModeRun {
		end = fmt.Sprintf("kept in %s: commit it", strings.Join(kept, ", "))
	}
	fmt.Fprintf(c.p.stderr, "phoenix: GPUs chosen for %s; %s\n", strings.Join(c.told, ", "), end)
	return nil
}

// gpuWants lists what the containers of a host are to have. One that is absent has what it
// has until it is gone.
func gpuWants(h *inventory.Host) []gpulock.Want {
	kept := h.Lock().Lock.Kept(h.Name)
	var out []gpulock.Want
	for i := range h.Containers {
		c := &h.Containers[i]
		of := h.GPUSource(c)
		if c.Spec.State == lxc.StateAbsent || of == nil {
			continue
		}
		w := gpulock.Want{
			CTID: c.Spec.CTID, BudgetGB: h.GPUMemoryGB(c), Pin: kept.Containers[c.Spec.CTID],
			Idle: c.Spec.IsTemplate != nil && *c.Spec.IsTemplate,
		}
		switch {
		case of != c:
			w.Of = of.Spec.CTID
		case c.Request != nil:
			w.Request = c.Request
		default:
			a := c.Spec.GPUAssignment
			w.All, w.Names = a.All(), append(a.Cards(), a.Instances()...)
		}
		out = append(out, w)
	}
	return out
}
