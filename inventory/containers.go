package inventory

import (
	"fmt"
	"slices"
	"strconv"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
)

// entry is a container of an LXC document, before anybody knows its host.
type entry struct {
	ctid int
	at   document.Pos
	// node is the entry over its profiles over the defaults, without the two keys
	// below.
	node     *document.Node
	profiles []string
	// pin names the host it must be on, or is nil.
	pin *document.Node
}

// entries merges the containers of a file, once.
func (l *loader) entries(cfg *config) []*entry {
	if cfg.root == nil || cfg.entries != nil {
		return cfg.entries
	}
	profiles := cfg.root.Get("profiles")
	for _, p := range objects(profiles) {
		if n := p.Value.Get("profiles"); n != nil {
			l.found.Add(n.Fault("a profile cannot name profiles", "list them at the container"))
		}
	}
	defaults := cfg.root.Get("defaults")
	for _, m := range objects(cfg.root.Get("lxc_configs")) {
		ctid, err := strconv.Atoi(m.Key)
		if err != nil {
			continue // the schema says so
		}
		if e := l.entry(ctid, m, defaults, profiles); e != nil {
			cfg.entries = append(cfg.entries, e)
		}
	}
	slices.SortFunc(cfg.entries, func(a, b *entry) int { return a.ctid - b.ctid })
	return cfg.entries
}

func (l *loader) entry(ctid int, m document.Member, defaults, profiles *document.Node) *entry {
	e := &entry{ctid: ctid, at: m.KeyPos}
	list := m.Value.Get("profiles")
	if list == nil {
		list = defaults.Get("profiles")
	}
	node := defaults
	for _, item := range stringItems(list) {
		if !l.known(item, "profile", profiles.Keys()) {
			continue
		}
		e.profiles = append(e.profiles, item.Text)
		if p := profiles.Get(item.Text); p.Kind == document.Object {
			node = document.Merge(otherOrigin(node, p), p)
		}
	}
	node = document.Merge(otherOrigin(node, m.Value), m.Value)
	e.pin = node.Get("host")
	if e.pin != nil && hasRef(e.pin) {
		l.found.Add(e.pin.Fault("host cannot hold a variable", "the host decides what variables mean"))
		e.pin = nil
	}
	e.node = node.Without("profiles", "host")
	return e
}

// otherOrigin takes out of the base what a layer over it replaces: a container comes from
// a template or from another container, and the layer that is closer to it says which.
func otherOrigin(base, over *document.Node) *document.Node {
	says := func(key string) bool { n := over.Get(key); return n != nil && n.Kind != document.Null }
	if base == nil {
		return nil
	}
	if says("template") {
		base = base.Without("clone_from_ctid", "clone_mode", "clone_from_snapshot")
	}
	if says("clone_from_ctid") {
		base = base.Without("template")
	}
	return base
}

// place decides which containers live on which host.
func (l *loader) place(hosts []*hostEntry) {
	owners := make(owners)
	for _, h := range hosts {
		if h.lxc == nil || h.lxc.root == nil {
			continue
		}
		for _, e := range l.entries(h.lxc) {
			if e.pin != nil && e.pin.Kind == document.String && e.pin.Text == h.Name {
				l.claim(owners, h, e, e.pin)
			}
		}
		if h.all {
			l.placeAll(owners, h)
		}
		for _, item := range h.listed {
			l.placeListed(owners, h, item)
		}
	}
	l.checkPins(hosts)
	for _, h := range hosts {
		slices.Sort(h.CTIDs)
	}
}

// placed names a container in the cluster it is in.
type placed struct {
	cluster string
	ctid    int
}

// owners says where each container was placed first.
type owners map[placed]*hostEntry

// claim places a container on a host, where n says so. Twice on one host is once.
func (l *loader) claim(o owners, h *hostEntry, e *entry, n *document.Node) {
	h.lxc.placed[e.ctid] = true
	key := placed{h.Cluster, e.ctid}
	switch before := o[key]; before {
	case nil:
		o[key] = h
		h.CTIDs = append(h.CTIDs, e.ctid)
	case h:
	default:
		l.found.Add(n.Fault(fmt.Sprintf("container %d is on two hosts, %s and %s", e.ctid, before.Name, h.Name),
			"a CTID is unique in a cluster; give hosts of different clusters a cluster of their own"))
	}
}

func (l *loader) placeAll(o owners, h *hostEntry) {
	n := h.node.Get("containers")
	if n == nil {
		n = h.node
	}
	for _, e := range l.entries(h.lxc) {
		if e.pin == nil {
			l.claim(o, h, e, n)
		}
	}
}

func (l *loader) placeListed(o owners, h *hostEntry, item *document.Node) {
	from, to, ok := span(item)
	if !ok || l.faultyAt(item.Pos) {
		return // the schema says so
	}
	if from > to {
		l.found.Add(item.Fault(fmt.Sprintf("%q runs backwards", item.Text), fmt.Sprintf("write %d-%d", to, from)))
		return
	}
	any := false
	for _, e := range l.entries(h.lxc) {
		if e.ctid < from || e.ctid > to {
			continue
		}
		any = true
		if e.pin != nil && e.pin.Text != h.Name {
			l.found.Add(item.Fault(fmt.Sprintf("container %d is pinned to host %s", e.ctid, e.pin.Text), "see "+e.pin.Pos.String()))
			continue
		}
		l.claim(o, h, e, item)
	}
	if !any {
		var ids []string
		for _, e := range l.entries(h.lxc) {
			ids = append(ids, strconv.Itoa(e.ctid))
		}
		l.found.Add(item.Fault(fmt.Sprintf("%s has no container %s", h.lxc.name, item.Text), diag.DidYouMean(item.Text, ids)))
	}
}

// checkPins finds pins that lead nowhere.
func (l *loader) checkPins(hosts []*hostEntry) {
	all := make([]string, len(hosts))
	for i, h := range hosts {
		all[i] = h.Name
	}
	for _, cfg := range l.lxcConfigs() {
		for _, e := range cfg.entries {
			if e.pin == nil || e.pin.Kind != document.String || !l.known(e.pin, "host", all) {
				continue
			}
			if h := hosts[slices.Index(all, e.pin.Text)]; h.lxc != cfg {
				l.found.Add(e.pin.Fault(fmt.Sprintf("host %s does not read this file", h.Name), "say lxc: "+cfg.name+" for it"))
			}
		}
	}
}

// lxcConfigs are the LXC files that were read, in order of their names.
func (l *loader) lxcConfigs() []*config {
	var out []*config
	for _, key := range sortedKeys(l.configs) {
		if cfg := l.configs[key]; cfg.entries != nil {
			out = append(out, cfg)
		}
	}
	return out
}

// containers reads the containers of a host.
func (l *loader) containers(h *hostEntry) {
	for _, ctid := range h.CTIDs {
		i := slices.IndexFunc(h.lxc.entries, func(e *entry) bool { return e.ctid == ctid })
		e := h.lxc.entries[i]
		node := e.node
		if hasRefs(node) {
			node = h.scope.expand(node)
			l.found.Add(l.schemas.check("lxc#/$defs/container", node, func(n *document.Node) bool { return h.scope.expanded[n] })...)
		}
		h.Containers = append(h.Containers, l.container(e, node))
	}
	h.keep()
}

func (l *loader) container(e *entry, node *document.Node) Container {
	c := Container{Profiles: e.profiles, Origin: e.at.String(), node: node}
	l.checkSecrets(node)
	c.Firewall = l.guestFirewall(e.ctid, node.Get("firewall"))
	own := l.gpuKeys(&c, append(insideKeys(), "firewall", "health_checks"))
	l.decode(section{what: fmt.Sprintf("container %d", e.ctid), node: node.Without(own...), at: e.at, extra: map[string]any{"ctid": e.ctid}}, &c.Spec)
	c.Spec.CTID = e.ctid
	c.HealthChecks = l.healthChecks(node.Get("health_checks"))
	l.inside(e, &c)
	l.checkAlone(e, &c)
	return c
}

// unplaced warns of containers that no host carries, and validates them as far as
// that can be done without a host.
func (l *loader) unplaced() {
	for _, cfg := range l.lxcConfigs() {
		for _, e := range cfg.entries {
			if cfg.placed[e.ctid] || e.pin != nil {
				continue
			}
			d := document.At(e.at, e.node.Path, fmt.Sprintf("container %d is on no host", e.ctid), "list it under containers of a host, or name its host")
			d.Severity = diag.Warning
			l.found.Add(d)
			if !hasRefs(e.node) {
				l.container(e, e.node)
			}
		}
	}
}
