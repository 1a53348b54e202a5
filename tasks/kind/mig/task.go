// Package mig divides NVIDIA cards into MIG instances as a configuration says, and has
// the same made at each boot: no instance outlives one, and from Hopper on the mode does
// not either (NVIDIA's MIG User Guide, "Getting Started with MIG").
//
// It asks nvidia-smi, and changes a card only while nothing uses it: no process has it
// open and no running container has it. What is wanted and there already is kept, since
// containers go by its UUID; where it is in the way of the rest, it is made anew. It never
// destroys an instance that a container is configured with, never ends a process, never
// stops a container, never reboots, and leaves cards alone that the spec does not name. An instance has its place named when it is made: its
// number follows from that, and the driver makes the UUID of card, number and engine
// (open-gpu-kernel-modules, nvGenerateSmcUuid), so that it is the same after a boot.
// Start reading at Spec; look.go finds, fit.go plans, unit.go has the unit.
package mig

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
)

// Name of the family in steps and in step IDs.
const Name = "mig"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{s} }

type task struct{ spec *Spec }

// Check looks at the cards that are named, and compares.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	m, err := t.look(ctx, h)
	if err != nil && gpu.DriverAhead(ctx) {
		return t.foreseen(err), nil
	}
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	for _, c := range m.cards {
		c.diff(&d)
	}
	m.diffUnit(&d)
	// A card of which nothing can be made keeps no other from its own.
	for _, written := range t.spec.cards() {
		if why := m.unmet[written]; why != nil {
			d = append(d, tasks.Change{Path: "mig." + written, To: t.spec.Layouts[written].words(), Effect: tasks.EffectLive, Note: tasks.NoteCannot + tasks.LogLine([]byte(why.Error()))})
		}
	}
	return d, nil
}

// foreseen is what there will be to do once the steps before it have brought the driver,
// as far as that can be told: a card that is to be whole is so to begin with.
func (t *task) foreseen(why error) tasks.Diff {
	var d tasks.Diff
	for _, card := range t.spec.cards() {
		if layout := t.spec.Layouts[card]; !layout.off() {
			d = append(d, tasks.Change{Path: "mig." + card + ".instances", To: layout.words(), Effect: tasks.EffectLive,
				Note: "what is there shows once the steps before it have run: " + why.Error()})
		}
	}
	return d
}

func modeWord(on bool) string {
	if on {
		return "enabled"
	}
	return "disabled"
}

// diff compares one card. Its changes wait for the same: a reset, or whatever uses it.
func (c *card) diff(d *tasks.Diff) {
	begin, at, effect, note, from := len(*d), "mig."+c.written+".", tasks.EffectLive, "", modeWord(c.on())
	switch {
	case c.pends():
		effect = tasks.EffectReboot
		from += ", and the other after a reset"
		note = "the driver refused to reset the card; with nvidia-persistenced stopped, `nvidia-smi --gpu-reset -i " + c.address + "` may do it without a reboot"
	case c.waits() != "":
		effect = tasks.EffectPending
		note = tasks.NoteByHand + c.waits()
	case c.plan != nil && c.plan.anew:
		note = "instances that could stay are made anew: they are in the way"
	}
	d.Add(at+"mode", from, modeWord(!c.layout.off()), effect)
	d.Add(at+"instances", described(c.instances), c.wanted(), effect)
	for i := range (*d)[begin:] {
		(*d)[begin+i].Note = note
	}
	if len(c.gone) > 0 {
		d.Add(at+"nodes", "no "+strings.Join(c.gone, " "), "there", tasks.EffectLive)
	}
}

// Apply divides one card after the other, then has the same made at boot. A fault of one
// card keeps no other from its own.
func (t *task) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	m, err := t.look(ctx, h)
	var faults []error
	for _, written := range t.spec.cards() {
		if err != nil || ctx.Err() != nil {
			break
		}
		if err := t.divide(ctx, h, m, written); err != nil {
			faults = append(faults, fmt.Errorf("divide card %s: %w", written, err))
		}
	}
	if err == nil {
		m, err = t.look(ctx, h)
	}
	if err == nil {
		err = m.finish(ctx, h)
	}
	return errors.Join(append(faults, err)...)
}

func run(ctx context.Context, h tasks.Host, argv ...string) error {
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: argv})
	return err
}

// divide makes a card what is wanted. What was made decides what can be made in it, and a
// run that was cut short is gone on with: so each round begins with what there is.
//
// Before Hopper the mode takes a reset of the card, which the driver tries by itself;
// where it could not, it is asked for once by name, and then left to a reboot. It is
// refused while anything has the card open.
func (t *task) divide(ctx context.Context, h tasks.Host, m *machine, written string) error {
	for range 4 {
		c := m.card(written)
		if c == nil {
			return m.unmet[written]
		}
		if c.asWanted() || !c.free() {
			return nil
		}
		if c.plan.anew {
			tasks.Logf(ctx, "card %s: instances that could stay are in the way of the rest: they are made anew, and their UUIDs may change", c.written)
		}
		for _, line := range c.commands() { // of words without spaces
			if err := run(ctx, h, strings.Fields("nvidia-smi "+line)...); err != nil {
				return err
			}
		}
		var err error
		if m, err = t.look(ctx, h); err != nil {
			return err
		}
		if c = m.card(written); c != nil && c.pends() {
			if err := run(ctx, h, "nvidia-smi", "--gpu-reset", "-i", c.address); err != nil {
				tasks.Logf(ctx, "card %s: %v", c.written, err)
				return ctx.Err()
			}
			if m, err = t.look(ctx, h); err != nil {
				return err
			}
		}
	}
	return nil
}

// commands are what nvidia-smi is asked for next. A GPU instance is given its place, and
// is filled as a whole at once, or with parts once its number is known.
func (c *card) commands() (out []string) {
	mig, full, gone, whole, shared := "mig -i "+c.address, "", "", "", ""
	for _, g := range c.plan.destroy {
		id := "," + strconv.Itoa(g.id)
		if gone += id; len(g.parts) > 0 {
			full += id
		}
	}
	for _, g := range c.plan.create {
		if spec := "," + g.profile + ":" + strconv.Itoa(g.start); g.add[0] == g.profile {
			whole += spec
		} else {
			shared += spec
		}
	}
	add := func(option, list, end string) {
		if list != "" {
			out = append(out, mig+option+list[1:]+end)
		}
	}
	add(" -dci -gi ", full, "")
	add(" -dgi -gi ", gone, "")
	if c.on() == c.layout.off() {
		return append(out, "-i "+c.address+" -mig "+map[bool]string{true: "0", false: "1"}[c.on()])
	}
	add(" -cgi ", whole, " -C")
	add(" -cgi ", shared, "")
	for _, g := range c.plan.fill {
		parts := ""
		if g.add[0] != g.profile { // that is what it gets without a name
			parts = " " + strings.Join(g.add, ",")
		}
		out = append(out, mig+" -gi "+strconv.Itoa(g.id)+" -cci"+parts)
	}
	return out
}

// finish makes the device nodes of what there is now, and the unit that makes all of it
// at boot.
func (m *machine) finish(ctx context.Context, h tasks.Host) error {
	for _, c := range m.cards {
		for _, file := range c.access() {
			if len(c.gone) == 0 {
				break
			}
			if err := run(ctx, h, "nvidia-modprobe", "-f", file); err != nil {
				return err
			}
		}
	}
	return m.setUnit(ctx, h)
}
