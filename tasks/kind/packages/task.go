// Package packages keeps the packages of a container installed or absent, in the way of
// its distribution: apt in Debian and Ubuntu, apk in Alpine.
//
// On a Debian it is the family apt without holds. It upgrades nothing that is installed,
// removes nothing that is not named, and adds no repositories. Start reading at Spec.
package packages

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/distro"
	"phoenix/tasks/kind/apt"
)

// Name of the family in steps and in step IDs.
const Name = "packages"

// Spec is the packages of one container.
type Spec struct {
	// Packages wanted, as the container's distribution calls them. A name that starts
	// with "-" is to be absent: it is removed, and its configuration stays.
	Packages []string `json:"packages,omitempty"`
}

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	add := func(i int, summary, hint string) {
		out.Add(fmt.Sprintf("packages.%d", i), summary, hint)
	}
	valid := regexp.MustCompile(`^[a-z0-9][a-z0-9+._-]*(:[a-z0-9]+)?$`)
	seen := make(map[string]bool)
	for i, p := range s.Packages {
		name := strings.TrimPrefix(p, "-")
		switch {
		case !valid.MatchString(name):
			add(i, fmt.Sprintf("%q is no package name", p), `lower-case letters, digits, + - . _; "-NAME" for one to remove`)
		case seen[name]:
			add(i, name+" is named twice", "")
		}
		seen[name] = true
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{s.Packages} }

type task struct{ names []string }

// Check reads the package manager's database and starts nothing.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	d, err := distro.Read(h)
	if err != nil {
		return nil, err
	}
	if d.Debian() {
		return t.apt().Check(ctx, h)
	}
	m, err := d.Packages()
	if err != nil {
		return nil, err
	}
	var out tasks.Diff
	for _, p := range t.names {
		name, absent := strings.CutPrefix(p, "-")
		version, there, err := m.Version(h, name)
		switch {
		case err != nil:
			return nil, err
		case absent:
			out.Add("packages."+name, version, "", tasks.EffectLive)
		case !absent && !there:
			out.Add("packages."+name, "", "installed", tasks.EffectLive)
		}
	}
	return out, nil
}

// Apply installs and removes what d says.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	on, err := distro.Read(h)
	if err != nil {
		return err
	}
	if on.Debian() {
		return t.apt().Apply(ctx, h, d)
	}
	m, err := on.Packages()
	if err != nil {
		return err
	}
	var install, remove []string
	for _, c := range d {
		if name := strings.TrimPrefix(c.Path, "packages."); c.To == "" {
			remove = append(remove, name)
		} else {
			install = append(install, name)
		}
	}
	if len(install) > 0 {
		if err := m.Install(ctx, h, install...); err != nil {
			return err
		}
	}
	if len(remove) > 0 {
		return m.Remove(ctx, h, remove...)
	}
	return nil
}

func (t *task) apt() tasks.Task { return (&apt.Spec{Packages: t.names}).Task() }
