package inventory

import (
	"context"
	"path/filepath"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/inventory/secrets"
)

// loader collects what was read and what is wrong with it.
type loader struct {
	ctx     context.Context
	opts    Options
	schemas schemaSet
	found   diag.List
	// configs are the configuration files read so far, by path: many hosts share one.
	configs map[string]*config
	// locks are the lock files read so far, by path.
	locks   map[string]*LockFile
	secrets map[string]secrets.Source
	// features are the folders of features read so far, by path.
	features map[string]featureFolder
	// secretNames offers corrections for a misspelt reference.
	secretNames []string
}

// config is one configuration file that was read. root is nil when it is so broken
// that nothing more can be said about it.
type config struct {
	name string
	root *document.Node
	// hypervisor is what the file says when no variable makes hosts differ.
	hypervisor *Hypervisor
	// placed are the CTIDs that some host carries.
	placed map[int]bool
	// entries are the containers of an LXC file.
	entries []*entry
	// refs tells that the file has variables.
	refs bool
}

func newLoader(ctx context.Context, o Options) *loader {
	return &loader{ctx: ctx, opts: o, schemas: compileSchemas(), configs: make(map[string]*config), locks: make(map[string]*LockFile), secrets: make(map[string]secrets.Source), features: make(map[string]featureFolder)}
}

// load goes on after faults as far as there is something left to look at.
func (l *loader) load() *Fleet {
	inv := l.readInventory()
	l.readSecrets(inv)
	hosts := l.hosts(inv)
	for _, h := range hosts {
		l.hypervisor(h)
	}
	l.place(hosts)
	fleet := &Fleet{Secrets: l.secrets, groups: inv.groupList()}
	for _, h := range hosts {
		l.readLock(h)
		l.containers(h)
		nodes := neighbours(h, hosts)
		for i := range h.Containers {
			h.Containers[i].Spec.Nodes = nodes
		}
		fleet.Hosts = append(fleet.Hosts, h.Host)
	}
	l.unplaced()
	for _, cfg := range l.lxcConfigs() {
		l.idleSections(cfg)
	}
	l.crossHosts(hosts)
	return fleet
}

// path resolves a path that a file says: relative to that file, ~ is the home
// directory.
func (l *loader) path(n *document.Node) string {
	p := n.Text
	if rest, ok := strings.CutPrefix(p, "~/"); ok && l.opts.Home != "" {
		return filepath.Join(l.opts.Home, rest)
	}
	if filepath.IsAbs(p) || n.Pos.Source == nil {
		return filepath.Clean(p)
	}
	return filepath.Join(n.Pos.Source.Dir, p)
}

// config reads a configuration file once. schema is its kind.
func (l *loader) config(n *document.Node, schema string) *config {
	name := l.path(n)
	key := schema + ":" + name
	if c, ok := l.configs[key]; ok {
		return c
	}
	c := &config{name: name, placed: make(map[int]bool)}
	l.configs[key] = c
	data, fault := l.readFile(name)
	if fault != nil {
		l.found.Add(n.Fault("read "+name+": "+fault.Summary, fault.Hint))
		return c
	}
	src := document.NewSource(name, filepath.Dir(name), data)
	root, faults := document.ParseJSON(src, data)
	l.found.Add(faults...)
	if root == nil {
		return c
	}
	c.root = l.accept(root, schema)
	l.exposed(name, c.root)
	c.refs = c.root != nil && hasRefs(c.root)
	return c
}

// accept looks at a document by itself: version, texts, structure. It returns nil
// for one of another format.
func (l *loader) accept(root *document.Node, schema string) *document.Node {
	if root.Kind != document.Object {
		l.found.Add(root.Fault("the document is "+root.Kind.String()+", not an object", "`phoenix schema "+schema+"` prints what it may hold"))
		return nil
	}
	if d, old := oldFormat(root, schema); old {
		l.found.Add(d)
		return nil
	}
	if d, swapped := l.schemas.swapped(root, schema); swapped {
		l.found.Add(d)
		return nil
	}
	l.found.Add(checkTexts(root)...)
	l.found.Add(checkReferences(root)...)
	l.found.Add(l.schemas.check(schema, root, func(n *document.Node) bool { return !hasRef(n) })...)
	return root
}
