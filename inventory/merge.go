package inventory

import (
	"fmt"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
)

// merged is what all inventory sources say together.
type merged struct {
	defaults *document.Node
	// groups and hosts are in the order of the files; a host of a range is there
	// once for each name.
	groups []named
	hosts  []named
	// secrets holds the members of all secrets sections.
	secrets []document.Member
}

// named is a group or a host with what is written about it.
type named struct {
	name string
	at   document.Pos
	node *document.Node
}

func (m *merged) group(name string) *named { return find(m.groups, name) }

func find(list []named, name string) *named {
	for i := range list {
		if list[i].name == name {
			return &list[i]
		}
	}
	return nil
}

func names(list []named) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = n.name
	}
	return out
}

// readInventory reads all sources and lays them side by side. What two of them say
// is a fault: nobody could tell which was meant.
func (l *loader) readInventory() *merged {
	inv := &merged{}
	seen := make(map[string]document.Pos)
	for _, root := range l.roots() {
		for _, m := range members(root.Get("defaults")) {
			if l.first(seen, "defaults."+m.Key, m) {
				if inv.defaults == nil {
					inv.defaults = &document.Node{Kind: document.Object, Path: "defaults", Pos: m.KeyPos}
				}
				inv.defaults.Members = append(inv.defaults.Members, m)
			}
		}
		for _, m := range members(root.Get("groups")) {
			if l.first(seen, "group "+m.Key, m) {
				inv.groups = append(inv.groups, named{name: m.Key, at: m.KeyPos, node: m.Value})
			}
		}
		for _, m := range members(root.Get("secrets")) {
			if l.first(seen, "secret "+m.Key, m) {
				inv.secrets = append(inv.secrets, m)
			}
		}
		for _, m := range members(root.Get("hosts")) {
			l.addHosts(inv, seen, m)
		}
	}
	return inv
}

// addHosts adds the hosts of one key, which may be a range.
func (l *loader) addHosts(inv *merged, seen map[string]document.Pos, m document.Member) {
	list, err := expandName(m.Key)
	if err != nil {
		l.found.Add(document.At(m.KeyPos, m.Value.Path, fmt.Sprintf("%q is not a range of names: %v", m.Key, err), "pve[1-3] is pve1, pve2, pve3"))
		return
	}
	for _, name := range list {
		one := m
		one.Key = name
		if l.first(seen, "host "+name, one) {
			inv.hosts = append(inv.hosts, named{name: name, at: m.KeyPos, node: m.Value})
		}
	}
}

// first tells whether a thing is said for the first time, and reports it otherwise.
func (l *loader) first(seen map[string]document.Pos, what string, m document.Member) bool {
	if before, twice := seen[what]; twice {
		l.found.Add(document.At(m.KeyPos, m.Value.Path, what+" is said twice", "first at "+before.String()))
		return false
	}
	seen[what] = m.KeyPos
	return true
}

// members are those of an object, none of anything else.
func members(n *document.Node) []document.Member {
	if n == nil || n.Kind != document.Object {
		return nil
	}
	return n.Members
}

// strings are the items of a list that are strings.
func stringItems(n *document.Node) []*document.Node {
	var out []*document.Node
	if n != nil && n.Kind == document.String {
		return []*document.Node{n}
	}
	if n != nil && n.Kind == document.List {
		for _, item := range n.Items {
			if item.Kind == document.String {
				out = append(out, item)
			}
		}
	}
	return out
}

// membership says which groups each host is in, those of least precedence first: a
// parent before its children, and otherwise as written.
type membership struct {
	l   *loader
	inv *merged
	// parents of a group, by name.
	parents map[string][]string
	// listed are the groups that name a host under hosts, by host.
	listed map[string][]string
}

func (l *loader) membership(inv *merged) *membership {
	ms := &membership{l: l, inv: inv, parents: make(map[string][]string), listed: make(map[string][]string)}
	for _, g := range inv.groups {
		for _, child := range stringItems(g.node.Get("children")) {
			if l.known(child, "group", names(inv.groups)) {
				ms.parents[child.Text] = append(ms.parents[child.Text], g.name)
			}
		}
		for _, item := range stringItems(g.node.Get("hosts")) {
			ms.list(g.name, item)
		}
	}
	rings := false
	for _, g := range inv.groups {
		if ms.reaches(g.name, g.name, make(map[string]bool)) {
			rings = true
			l.found.Add(document.At(g.at, g.node.Path, "the group is its own descendant", "take it out of the children of its own"))
		}
	}
	if rings {
		ms.parents = nil // nothing sensible can be said about precedence
	}
	return ms
}

func (ms *membership) list(group string, item *document.Node) {
	list, err := expandName(item.Text)
	if err != nil {
		ms.l.found.Add(item.Fault(fmt.Sprintf("%q is not a range of names: %v", item.Text, err), ""))
		return
	}
	for _, name := range list {
		host := *item
		host.Text = name
		if ms.l.known(&host, "host", names(ms.inv.hosts)) {
			ms.listed[name] = append(ms.listed[name], group)
		}
	}
}

// reaches tells whether target is above name.
func (ms *membership) reaches(name, target string, seen map[string]bool) bool {
	for _, p := range ms.parents[name] {
		if p == target {
			return true
		}
		if !seen[p] {
			seen[p] = true
			if ms.reaches(p, target, seen) {
				return true
			}
		}
	}
	return false
}

// of lists the groups of a host.
func (ms *membership) of(h named) []string {
	var out []string
	seen := make(map[string]bool)
	var add func(group string)
	add = func(group string) {
		if seen[group] {
			return
		}
		seen[group] = true
		for _, p := range ms.parents[group] {
			add(p)
		}
		out = append(out, group)
	}
	for _, g := range ms.listed[h.name] {
		add(g)
	}
	for _, item := range stringItems(h.node.Get("groups")) {
		if ms.l.known(item, "group", names(ms.inv.groups)) {
			add(item.Text)
		}
	}
	return out
}

// known tells whether a name that is written in n is one of those, and reports it
// otherwise.
func (l *loader) known(n *document.Node, what string, all []string) bool {
	for _, name := range all {
		if name == n.Text {
			return true
		}
	}
	l.found.Add(n.Fault(fmt.Sprintf("there is no %s %q", what, n.Text), diag.DidYouMean(n.Text, all)))
	return false
}
