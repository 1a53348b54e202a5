// Package parts makes one task of several: the packages, files, services and the proof
// that a feature is made of.
//
// It decides nothing about any of them. Start reading at New.
package parts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
)

// Part is one of the tasks.
type Part struct {
	// Name goes before the paths of its changes: "daemon.log-driver". Empty leaves them as
	// they are.
	Name string
	// Task must be good for several rounds of Check and Apply.
	Task tasks.Task
}

// New is the task of all parts, in their order. What a later part finds may depend on
// what an earlier one has made, so each is checked again before it is applied.
func New(all ...Part) tasks.Task { return several(all) }

type several []Part

// Check lists the differences of all parts, each below its name. The first error ends it.
func (s several) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	var out tasks.Diff
	for _, p := range s {
		d, err := p.Task.Check(ctx, h)
		if err != nil {
			return nil, err
		}
		for _, c := range d {
			c.Path = p.path(c.Path)
			out = append(out, c)
		}
	}
	return out, nil
}

// Apply makes one part after the other, from the first that differs on. A part that was refused does not hold the
// others up; one that failed does.
func (s several) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	var refused error
	begun := false
	for _, p := range s {
		begun = begun || slices.ContainsFunc(d, p.has)
		if !begun {
			continue
		}
		now, err := p.Task.Check(ctx, h)
		if err == nil && len(now) > 0 {
			err = p.Task.Apply(ctx, h, now)
		}
		var r *tasks.RefusedError
		switch {
		case errors.As(err, &r):
			refused = err
		case err != nil && p.Name != "":
			return fmt.Errorf("%s: %w", p.Name, err)
		case err != nil:
			return err
		}
	}
	return refused
}

func (p Part) path(below string) string {
	if p.Name == "" || below == "" {
		return p.Name + below
	}
	return p.Name + "." + below
}

// has tells whether a change is this part's; where it has no name, that is not known.
func (p Part) has(c tasks.Change) bool {
	return p.Name == "" || c.Path == p.Name || strings.HasPrefix(c.Path, p.Name+".")
}
