// Package basesetup gives a container what every other feature builds on: a few
// packages, a locale, a time zone, and a policy of who upgrades it overnight.
//
// It is made of the families packages, system, file and service. It never upgrades
// anything itself and knows no feature by name. On Alpine there are no locales but
// C.UTF-8 and there is nothing that upgrades by itself: asking for either is an error,
// not a thing left out. Start reading at Spec; task.go has the parts.
package basesetup

import (
	"fmt"
	"slices"

	"phoenix/tasks"
	"phoenix/tasks/kind/packages"
	"phoenix/tasks/kind/system"
)

// Name of the family in steps and in step IDs, and of the feature.
const Name = "base_setup"

// The policies of Spec.UnattendedUpgrades.
const (
	policyOff      = "off"
	policySecurity = "security"
	policyAll      = "all"
)

// Spec is the ground of one container.
type Spec struct {
	// Packages wanted, "-NAME" for one to be absent. Absent means ca-certificates and
	// curl; an empty list means none.
	Packages []string `json:"packages,omitzero"`
	// Locale is the default of all programs: "en_US.UTF-8". Empty is not managed.
	Locale string `json:"locale,omitempty"`
	// Timezone is a name below /usr/share/zoneinfo: "Europe/Berlin". Empty is not managed.
	Timezone string `json:"timezone,omitempty"`
	// UnattendedUpgrades says what the container upgrades by itself each day: nothing
	// (off), what its distribution calls a security update (security), or whatever its
	// package sources have (all). Empty is not managed.
	UnattendedUpgrades string `json:"unattended_upgrades,omitempty"`
	// Hold lists packages that are never upgraded that way. An upgrade by hand takes them.
	Hold []string `json:"hold,omitempty"`
}

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	out := tasks.Problems(slices.Concat((&packages.Spec{Packages: s.Packages}).Validate(), s.system().Validate()))
	if !slices.Contains([]string{"", policyOff, policySecurity, policyAll}, s.UnattendedUpgrades) {
		out.Add("unattended_upgrades", fmt.Sprintf("%q is no policy", s.UnattendedUpgrades), "use off, security or all")
	}
	for _, p := range (&packages.Spec{Packages: s.Hold}).Validate() {
		out.Add("hold"+p.Path[len("packages"):], p.Summary, "")
	}
	for i, name := range s.Hold {
		if name != "" && name[0] == '-' {
			out.Add(fmt.Sprintf("hold.%d", i), fmt.Sprintf("%q is no package name", name), "")
		}
	}
	if len(s.Hold) > 0 && !s.upgrades() {
		out.Add("hold", "nothing is upgraded that could be held", "set unattended_upgrades to security or all")
	}
	for _, need := range s.needed(true) {
		if i := slices.Index(s.Packages, "-"+need.name); i >= 0 {
			out.Add(fmt.Sprintf("packages.%d", i), fmt.Sprintf("%s is to be absent, and %s needs it", need.name, need.by), "take it out of packages, or leave out "+need.by)
		}
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

func (s *Spec) system() *system.Spec {
	return &system.Spec{Timezone: s.Timezone, Locale: s.Locale}
}

// upgrades tells whether the container is to upgrade something by itself.
func (s *Spec) upgrades() bool {
	return s.UnattendedUpgrades == policySecurity || s.UnattendedUpgrades == policyAll
}

// need is a package that one of the settings cannot do without.
type need struct{ name, by string }

func (s *Spec) needed(debian bool) []need {
	var out []need
	if s.Timezone != "" {
		out = append(out, need{"tzdata", "timezone"})
	}
	if s.Locale != "" && debian {
		out = append(out, need{"locales", "locale"})
	}
	if s.upgrades() && debian {
		out = append(out, need{"unattended-upgrades", "unattended_upgrades"})
	}
	return out
}

// Wanted is the whole list of packages, with those that the other settings need.
func (s *Spec) Wanted(debian bool) []string {
	out := slices.Clone(s.Packages)
	if s.Packages == nil {
		out = []string{"ca-certificates", "curl"}
	}
	for _, n := range s.needed(debian) {
		if !slices.Contains(out, n.name) {
			out = append(out, n.name)
		}
	}
	return out
}
