package inventory

import (
	"slices"

	"phoenix/inventory/document"
)

// Setting is one effective setting of a host and the line that decided it.
type Setting struct {
	// Key is the setting: "address", "vars.octet".
	Key string `json:"key"`
	// Value as a person would write it; objects and lists as JSON.
	Value string `json:"value"`
	// Origin is "FILE:LINE", or "default".
	Origin string `json:"origin"`
}

// Settings lists the effective settings of the host, sorted by key.
func (h *Host) Settings() []Setting { return slices.Clone(h.settings) }

// settingList flattens the settings of a host; variables count one by one.
func settingList(e *hostEntry) []Setting {
	var out []Setting
	add := func(key string, n *document.Node) {
		text := n.Text
		if n.Kind != document.String {
			text = string(n.JSON())
		}
		out = append(out, Setting{Key: key, Value: text, Origin: n.Pos.String()})
	}
	if e.node.Get("address") == nil {
		out = append(out, Setting{Key: "address", Value: e.Address, Origin: "default"})
	}
	for _, m := range e.node.Members {
		if m.Key != "vars" {
			add(m.Key, m.Value)
			continue
		}
		for _, v := range members(m.Value) {
			add("vars."+v.Key, v.Value)
		}
	}
	slices.SortFunc(out, func(a, b Setting) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return out
}

// group is a group of the inventory.
type group struct {
	name     string
	children []string
}

func (m *merged) groupList() []group {
	var out []group
	for _, g := range m.groups {
		one := group{name: g.name}
		for _, c := range stringItems(g.node.Get("children")) {
			one.children = append(one.children, c.Text)
		}
		out = append(out, one)
	}
	return out
}

// Branch is a group in the Graph.
type Branch struct {
	// Name of the group; "" holds the hosts that are in none.
	Name string `json:"name"`
	// Children are the names of the groups directly below.
	Children []string `json:"children,omitempty"`
	// Hosts that are in the group.
	Hosts []Leaf `json:"hosts,omitempty"`
}

// Leaf is a host in the Graph.
type Leaf struct {
	Name string `json:"name"`
	// Containers on the host, by ascending CTID.
	Containers []Guest `json:"containers,omitempty"`
}

// Guest is a container in the Graph.
type Guest struct {
	CTID int    `json:"ctid"`
	Name string `json:"name,omitempty"`
}

// Graph shows groups, their hosts and their containers, in the order of the files.
// A host is below every group that it is in.
func (f *Fleet) Graph() []Branch {
	var out []Branch
	for _, g := range f.groups {
		out = append(out, Branch{Name: g.name, Children: g.children, Hosts: f.leaves(func(h *Host) bool { return slices.Contains(h.Groups, g.name) })})
	}
	if alone := f.leaves(func(h *Host) bool { return len(h.Groups) == 0 }); alone != nil {
		out = append(out, Branch{Hosts: alone})
	}
	return out
}

func (f *Fleet) leaves(in func(*Host) bool) []Leaf {
	var out []Leaf
	for _, h := range f.Hosts {
		if !in(h) {
			continue
		}
		l := Leaf{Name: h.Name}
		for _, c := range h.Containers {
			l.Containers = append(l.Containers, Guest{CTID: c.Spec.CTID, Name: c.Spec.Name})
		}
		out = append(out, l)
	}
	return out
}
