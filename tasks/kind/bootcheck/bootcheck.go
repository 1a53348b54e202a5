// Package bootcheck tells which containers of a Proxmox VE node would start if it were
// rebooted now: every one that has `onboot: 1`, whoever made it.
//
// It is what `phoenix check --boot` sends. It reads files only, starts no program and
// changes nothing. What keeps a container from starting now is package guest's to know;
// here is what a boot changes: which file systems are mounted then, which devices are
// made, which bridges come up, what is started before what. What would keep a container
// from starting, or disturb it, is a difference that people have to mend; what cannot be
// told from files is unknown, and never taken for well. Facts are those of Proxmox VE 8
// and 9, OpenZFS and systemd. Start reading at Spec, Data and task.Check.
package bootcheck

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// Name of the family in steps and in step IDs.
const Name = "bootcheck"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// The answers of Container.Starts.
const (
	Yes     = "yes"
	No      = "no"
	Unknown = "unknown"
)

type task struct{ spec Spec }

// Check simulates the boot. A finding is a difference, which a run does not mend; where
// all that is found is unknown, so is the state.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	guests, err := guest.List(h)
	if err != nil {
		return nil, err
	}
	m, err := look(h)
	if err != nil {
		return nil, err
	}
	d, err := m.simulate(guests, t.spec.DependsOn)
	if err != nil {
		return nil, err
	}
	if err := tasks.SetData(ctx, d); err != nil {
		return nil, err
	}
	return d.verdict()
}

// Apply is never needed: nothing sends this step in a run.
func (t *task) Apply(context.Context, tasks.Host, tasks.Diff) error {
	return errors.New("apply a boot check: there is nothing that it could change")
}

// verdict is what the findings come to.
func (d Data) verdict() (tasks.Diff, error) {
	var diff tasks.Diff
	var unknown []string
	for _, c := range d.Containers {
		for _, f := range c.Findings {
			if f.Effect == EffectUnknown {
				unknown = append(unknown, fmt.Sprintf("%d %s: %s: %s", c.CTID, c.Name, f.Option, f.What))
				continue
			}
			wanted := "starts"
			if f.Effect == EffectDisturbs {
				wanted = "starts undisturbed"
			}
			note := tasks.NoteByHand
			if f.Mend != "" {
				note += ": " + f.Mend
			}
			diff = append(diff, tasks.Change{Path: fmt.Sprintf("%d.%s", c.CTID, f.Option), From: f.What, To: wanted, Note: note})
		}
	}
	if len(diff) == 0 && len(unknown) > 0 {
		return nil, &tasks.UnknownError{Why: "it cannot be told which containers would start after a reboot:\n" + strings.Join(unknown, "\n")}
	}
	return diff, nil
}

// simulate looks at every container that is to start at boot.
func (m *machine) simulate(guests []*guest.Guest, dependsOn map[int][]int) (Data, error) {
	d := Data{Containers: []Container{}, DelayS: m.delay}
	plan, err := m.sequence(guests)
	if err != nil {
		return d, err
	}
	for i := range plan {
		if err := m.container(&plan[i]); err != nil {
			return d, err
		}
	}
	m.conflicts(plan)
	order(plan, dependsOn, guests)
	for _, s := range plan {
		s.Starts = s.answer()
		d.Containers = append(d.Containers, s.Container)
	}
	return d, nil
}

// start is a container with what the simulation needs to know of it.
type start struct {
	Container
	guest *guest.Guest
	// options are those that it has after the pending changes, raw its raw ones.
	options map[string]string
	raw     []pve.RawOption
}

func (s *start) add(effect Effect, option, what, mend string) {
	s.Findings = append(s.Findings, Finding{Option: option, Effect: effect, What: what, Mend: mend})
}

// answer tells whether it starts.
func (s *start) answer() string {
	answer := Yes
	for _, f := range s.Findings {
		switch f.Effect {
		case EffectStops:
			return No
		case EffectUnknown:
			answer = Unknown
		}
	}
	return answer
}

// container finds what keeps one container from starting.
func (m *machine) container(s *start) error {
	if s.guest.Template() {
		s.add(EffectStops, "template", "a template never starts, and has onboot set", fmt.Sprintf("pct set %d --onboot 0", s.CTID))
		return nil
	}
	if m.off != "" && !s.HA {
		s.add(EffectStops, "host", m.off, "systemctl unmask "+guestsUnit+"; systemctl enable "+guestsUnit)
	}
	// A left-over lock of a backup is taken off by Proxmox before it starts guests
	// (startall in PVE::API2::Nodes, pve-manager 8.4).
	if lock := s.guest.Lock(); lock != "" && lock != "backup" {
		s.add(EffectStops, "lock", fmt.Sprintf("it is locked (%s)", lock), guest.LockAdvice(s.CTID, lock, s.guest.Config))
	}
	obstacles, err := guest.Obstacles(m.host, s.options, s.raw)
	if err != nil {
		return err
	}
	missing := make(map[string]bool)
	for _, o := range obstacles {
		effect := EffectStops
		if o.Unknown {
			effect = EffectUnknown
		}
		missing[o.Option] = true
		s.add(effect, o.Option, strings.TrimPrefix(o.Err.Error(), "look at "+o.Option+": "), o.Mend)
	}
	m.mountPoints(s, missing)
	m.devices(s, missing)
	m.bridges(s, missing)
	m.profile(s, missing)
	return nil
}
