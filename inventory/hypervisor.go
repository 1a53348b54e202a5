package inventory

import (
	"fmt"
	"maps"
	"slices"

	"phoenix/inventory/document"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/service"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/kind/template"
)

// hypervisorDoc is the typed form of a hypervisor document. A test holds it and the
// schema together; the sections are decoded one by one, where they have places.
type hypervisorDoc struct {
	Schema    string                  `json:"$schema"`
	Version   int                     `json:"version"`
	System    system.Spec             `json:"system"`
	Apt       apt.Spec                `json:"apt"`
	Storage   map[string]storage.Spec `json:"storage"`
	Templates []template.Spec         `json:"templates"`
	Files     map[string]file.Spec    `json:"files"`
	Services  map[string]service.Spec `json:"services"`
}

// hypervisor reads what is wanted of the host itself. A file without variables is
// read once for all hosts.
func (l *loader) hypervisor(e *hostEntry) {
	n := e.node.Get("hypervisor")
	if n == nil || n.Kind != document.String || n.Text == "" {
		return
	}
	cfg := l.config(n, "hypervisor")
	switch {
	case cfg.root == nil:
		return
	case cfg.hypervisor != nil && !cfg.refs:
		e.Hypervisor = cfg.hypervisor
		return
	}
	root := cfg.root
	if cfg.refs {
		root = e.scope.expand(root)
		l.found.Add(l.schemas.check("hypervisor", root, func(n *document.Node) bool { return e.scope.expanded[n] })...)
	}
	l.checkSecrets(root)
	cfg.hypervisor = l.sections(root)
	e.Hypervisor = cfg.hypervisor
}

func (l *loader) sections(root *document.Node) *Hypervisor {
	h := &Hypervisor{}
	if n := root.Get("system"); n != nil && n.Kind == document.Object {
		h.System = new(system.Spec)
		l.decode(section{what: "section system", node: n, at: n.Pos}, h.System)
	}
	if n := root.Get("apt"); n != nil && n.Kind == document.Object {
		h.Apt = new(apt.Spec)
		l.decode(section{what: "section apt", node: n, at: n.Pos}, h.Apt)
	}
	for _, m := range objects(root.Get("storage")) {
		var s storage.Spec
		l.decode(section{what: "storage " + m.Key, node: m.Value, at: m.KeyPos, extra: map[string]any{"id": m.Key}}, &s)
		h.Storages = append(h.Storages, s)
	}
	for _, m := range objects(root.Get("files")) {
		var s file.Spec
		l.decode(section{what: "file " + m.Key, node: m.Value, at: m.KeyPos, extra: map[string]any{"path": m.Key}}, &s)
		h.Files = append(h.Files, s)
	}
	for _, m := range objects(root.Get("services")) {
		var s service.Spec
		l.decode(section{what: "service " + m.Key, node: m.Value, at: m.KeyPos, extra: map[string]any{"name": m.Key}}, &s)
		h.Services = append(h.Services, s)
	}
	h.Templates = l.templates(root.Get("templates"))
	return h
}

// objects are the members whose values are objects; the schema has refused others.
func objects(n *document.Node) []document.Member {
	var out []document.Member
	for _, m := range members(n) {
		if m.Value.Kind == document.Object {
			out = append(out, m)
		}
	}
	return out
}

func (l *loader) templates(n *document.Node) []template.Spec {
	if n == nil || n.Kind != document.List {
		return nil
	}
	var out []template.Spec
	first := make(map[[2]string]document.Pos)
	for i, item := range n.Items {
		if item.Kind != document.Object {
			continue
		}
		var s template.Spec
		l.decode(section{what: fmt.Sprintf("template %d", i), node: item, at: item.Pos}, &s)
		key := [2]string{s.Name, s.Storage}
		if before, twice := first[key]; twice && s.Name != "" {
			l.found.Add(item.Fault(fmt.Sprintf("template %s is wanted twice on storage %s", s.Name, s.Storage), "first at "+before.String()))
			continue
		}
		first[key] = item.Pos
		out = append(out, s)
	}
	return out
}

// sortedKeys lists the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
