// Package service keeps a systemd unit enabled or disabled, running or stopped.
//
// It never masks, edits or restarts a unit: a unit that should run and does is left
// alone. Start reading at Spec; task.go has what is done.
package service

import (
	"context"
	"fmt"
	"strconv"

	"phoenix/tasks"
	"phoenix/tasks/systemd"
)

// Name of the family in steps and in step IDs.
const Name = "service"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	switch {
	case s.Name == "":
		out.Add("name", "is missing", "name a systemd unit: chrony")
	case !systemd.ValidName(s.Name):
		out.Add("name", fmt.Sprintf("%q is no name of a systemd unit", s.Name), "letters, digits and _ . : @ \\ -, not beginning with -")
	}
	if s.Enabled == nil && s.Active == nil {
		out.Add("", "says nothing about the unit", "set enabled, active or both")
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check asks systemd once. A unit that does not exist yet differs, since a step
// before this one may install it.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	u, err := systemd.Show(ctx, h, t.spec.Name)
	if err != nil {
		return nil, err
	}
	return t.diff(u)
}

func (t *task) diff(u systemd.Unit) (tasks.Diff, error) {
	var d tasks.Diff
	if want := t.spec.Enabled; want != nil && *want != u.Enabled() && !(u.Static() && !*want) {
		if u.Static() {
			return nil, fmt.Errorf("check %s: the unit is %s, it has no [Install] section and cannot be enabled (leave enabled out)", u.Name, u.File)
		}
		d.Add("enabled", found(u, u.File), strconv.FormatBool(*want), tasks.EffectLive)
	}
	if want := t.spec.Active; want != nil && *want != u.Running() {
		d.Add("active", found(u, u.Active), strconv.FormatBool(*want), tasks.EffectLive)
	}
	if !u.Exists() && !want(t.spec.Enabled) && !want(t.spec.Active) {
		return nil, nil // what does not exist is neither enabled nor running
	}
	return d, nil
}

func want(p *bool) bool { return p != nil && *p }

// found is a state in systemd's word; a unit without an unit file has none.
func found(u systemd.Unit, state string) string {
	switch {
	case !u.Exists():
		return "not found"
	case state == "":
		return "no unit file"
	}
	return state
}

// Apply enables, disables, starts and stops. A masked unit was switched off on
// purpose and is not unmasked.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	u, err := systemd.Show(ctx, h, t.spec.Name)
	if err != nil {
		return err
	}
	switch {
	case !u.Exists():
		return fmt.Errorf("set %s: the unit does not exist (add the package that has it, in a step before this one)", u.Name)
	case u.Load == "masked" && (want(t.spec.Enabled) || want(t.spec.Active)):
		return fmt.Errorf("set %s: the unit is masked (systemctl unmask %s, if that was not on purpose)", u.Name, u.Name)
	}
	var enabled, active *bool
	if d.Has("enabled") {
		enabled = t.spec.Enabled
	}
	if d.Has("active") {
		active = t.spec.Active
	}
	return systemd.Set(ctx, h, u, enabled, active)
}
