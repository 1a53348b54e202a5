package inventory

import (
	"fmt"
	"maps"
	"slices"

	"phoenix/inventory/document"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/firewall"
	"phoenix/tasks/kind/health"
	"phoenix/tasks/kind/kernel"
	"phoenix/tasks/kind/nfs"
	"phoenix/tasks/kind/samba"
	"phoenix/tasks/kind/script"
	"phoenix/tasks/kind/service"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/kind/template"
	"phoenix/tasks/kind/user"
)

// hypervisorDoc is the typed form of a hypervisor document. A test holds it and the
// schema together; the sections are decoded one by one, where they have places.
type hypervisorDoc struct {
	Schema    string                  `json:"$schema"`
	Version   int                     `json:"version"`
	System    system.Spec             `json:"system"`
	Apt       aptDoc                  `json:"apt"`
	Kernel    kernel.Spec             `json:"kernel"`
	NVIDIA    nvidiaDoc               `json:"nvidia"`
	Network   networkDoc              `json:"network"`
	ZFS       zfsDoc                  `json:"zfs"`
	Storage   map[string]storage.Spec `json:"storage"`
	NFS       nfs.Spec                `json:"nfs"`
	Samba     samba.Spec              `json:"samba"`
	Firewall  firewall.Spec           `json:"firewall"`
	Templates []template.Spec         `json:"templates"`
	Files     map[string]file.Spec    `json:"files"`
	Services  map[string]service.Spec `json:"services"`

	Users        map[string]user.Spec   `json:"users"`
	Steps        map[string]script.Spec `json:"steps"`
	Features     map[string]any         `json:"features"`
	HealthChecks map[string]health.Spec `json:"health_checks"`
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
		e.Hypervisor, e.network = cfg.hypervisor, cfg.root.Get("network")
		return
	}
	root := cfg.root
	if cfg.refs {
		root = e.scope.expand(root)
		l.found.Add(l.schemas.check("hypervisor", root, func(n *document.Node) bool { return e.scope.expanded[n] })...)
	}
	l.checkSecrets(root)
	cfg.hypervisor = l.sections(root)
	e.Hypervisor, e.network = cfg.hypervisor, root.Get("network")
}

func (l *loader) sections(root *document.Node) *Hypervisor {
	v := &Hypervisor{
		System:    one[system.Spec](l, root, "system"),
		Storages:  keyed[storage.Spec](l, root.Get("storage"), "storage", "id"),
		NFS:       one[nfs.Spec](l, root, "nfs"),
		Samba:     one[samba.Spec](l, root, "samba"),
		Firewall:  one[firewall.Spec](l, root, "firewall"),
		Templates: l.templates(root.Get("templates")),
		Files:     keyed[file.Spec](l, root.Get("files"), "file", "path"),
		Services:  keyed[service.Spec](l, root.Get("services"), "service", "name"),

		Users:        l.users(root.Get("users")),
		PVEUsers:     l.pveUsers(root.Get("users")),
		Scripts:      l.scripts(root),
		Features:     l.hostFeatures(root),
		HealthChecks: l.healthChecks(root.Get("health_checks")),
	}
	l.apt(root, v)
	l.hardware(root, v)
	l.network(root.Get("network"), v)
	l.zfs(root.Get("zfs"), v)
	l.numbersOnce(root.Get("users"), v)
	l.foreignFiles(root.Get("files"), v)
	return v
}

// spec is a pointer to a T that validates itself.
type spec[T any] interface {
	*T
	validator
}

// one reads a section that is one Spec; nil when it is absent.
func one[T any, P spec[T]](l *loader, parent *document.Node, key string) *T {
	n := parent.Get(key)
	if n == nil || n.Kind != document.Object {
		return nil
	}
	s := new(T)
	l.decode(section{what: "section " + key, node: n, at: n.Pos}, P(s))
	return s
}

// keyed reads a section that is an object of Specs, each of which has its name as a
// key of its own.
func keyed[T any, P spec[T]](l *loader, n *document.Node, what, key string) []T {
	var out []T
	for _, m := range objects(n) {
		s := new(T)
		l.decode(section{what: what + " " + m.Key, node: m.Value, at: m.KeyPos, extra: map[string]any{key: m.Key}}, P(s))
		out = append(out, *s)
	}
	return out
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
