package plan

import (
	"maps"
	"slices"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/repository"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/kind/upgrade"
)

const (
	repositoriesID = "apt:repositories"
	packagesID     = "apt:packages"
)

// system makes a step of each thing that the machine is by itself, so that one can be
// selected or fail alone.
func (b *builder) system(v *inventory.Hypervisor) {
	s := v.System
	if s == nil {
		return
	}
	if s.Timezone != "" || s.NTP != nil {
		b.add(system.Name, "system:time", "system", &system.Spec{Timezone: s.Timezone, NTP: s.NTP}, nil, nil)
	}
	if s.Locale != "" {
		b.add(system.Name, "system:locale", "system", &system.Spec{Locale: s.Locale}, nil, nil)
	}
	if s.Hostname != "" {
		b.add(system.Name, "system:hostname", "system", &system.Spec{Hostname: s.Hostname}, nil, nil)
	}
}

// apt puts the archives before what comes from them, and the packages that are named
// before the upgrade of all others.
func (b *builder) apt(v *inventory.Hypervisor) {
	if v.Repositories != nil {
		b.add(repository.Name, repositoriesID, "apt", v.Repositories, keyrings(v.Repositories), nil)
	}
	if v.Apt != nil {
		b.add(apt.Name, packagesID, "apt", v.Apt, []string{repositoriesID}, nil)
	}
	if v.Upgrade != nil && v.Upgrade.Upgrade != upgrade.Never {
		b.add(upgrade.Name, "apt:upgrade", "apt", v.Upgrade, []string{repositoriesID, packagesID}, nil)
	}
}

// keyrings are the steps that put the keys of extra sources on the host, and before
// them the folders that they are in.
func keyrings(s *repository.Spec) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.ExtraSources)) {
		key := s.ExtraSources[name].SignedBy
		if !strings.HasPrefix(key, "/") {
			continue
		}
		for i, c := range key {
			if c == '/' && i > 0 {
				out = append(out, file.Name+":"+key[:i])
			}
		}
		out = append(out, file.Name+":"+key)
	}
	return unique(out)
}
