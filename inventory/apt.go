package inventory

import (
	"slices"

	"phoenix/inventory/document"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/repository"
	"phoenix/tasks/kind/upgrade"
)

// aptDoc is the typed form of the section apt: the keys of three families side by
// side, each of which is a step of its own.
type aptDoc struct {
	Repositories repository.Spec `json:",inline"`
	Packages     apt.Spec        `json:",inline"`
	Upgrade      upgrade.Spec    `json:",inline"`
}

// apt reads the section for its three families.
func (l *loader) apt(root *document.Node, v *Hypervisor) {
	n := root.Get("apt")
	v.Repositories = part[repository.Spec](l, n, []string{"repositories", "ceph", "extra_sources"}, "lock_timeout_s")
	v.Apt = part[apt.Spec](l, n, []string{"packages", "hold"}, "cache_max_age_s", "lock_timeout_s")
	v.Upgrade = part[upgrade.Spec](l, n, []string{"upgrade"}, "cache_max_age_s", "lock_timeout_s")
}

// part reads the keys of a section that are one family's own, and those that it shares
// with others; nil when none of its own is there.
func part[T any, P spec[T]](l *loader, n *document.Node, own []string, shared ...string) *T {
	if n == nil || n.Kind != document.Object || !slices.ContainsFunc(n.Keys(), func(k string) bool { return slices.Contains(own, k) }) {
		return nil
	}
	others := slices.DeleteFunc(n.Keys(), func(k string) bool { return slices.Contains(own, k) || slices.Contains(shared, k) })
	s := new(T)
	l.decode(section{what: "section " + n.Path, node: n.Without(others...), at: n.Pos}, P(s))
	return s
}
