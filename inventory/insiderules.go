package inventory

import (
	"fmt"
	"slices"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/tasks/kind/basesetup"
	"phoenix/tasks/kind/docker"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/packages"
)

// buildsOn is the feature that comes before another where a container has both.
func buildsOn() map[string]string {
	return map[string]string{"portainer": "docker", "docker": "nvidia", "vllm": "nvidia", "ollama": "nvidia"}
}

// inherit puts the features of a clone's parents before its own, and holds the rules
// between them: what is in the parent is in the clone, too, and is looked at there.
func (l *loader) inherit(h *hostEntry) {
	byID := make(map[int]*Container)
	for i := range h.Containers {
		byID[h.Containers[i].Spec.CTID] = &h.Containers[i]
	}
	done, broken := make(map[int]bool), make(map[int]bool)
	for i := range h.Containers {
		c := &h.Containers[i]
		l.inheritFrom(c, byID, done)
		list := c.node.Get("features")
		broken[c.Spec.CTID] = list != nil && l.faulty(list)
	}
	for i := range h.Containers {
		c := &h.Containers[i]
		if c.Spec.State == lxc.StateAbsent {
			continue
		}
		r := insideRules{l: l, c: c, line: lineage(c, byID)}
		r.cardsForDocker()
		r.order()
		r.nesting()
		r.keyctl()
		r.packages()
		if !slices.ContainsFunc(r.line, func(c *Container) bool { return broken[c.Spec.CTID] }) {
			r.sections()
			r.missing()
		}
	}
}

func (l *loader) inheritFrom(c *Container, byID map[int]*Container, done map[int]bool) {
	if done[c.Spec.CTID] {
		return // also on the way round a circle, which is a fault of its own
	}
	done[c.Spec.CTID] = true
	p := byID[c.Spec.CloneFromCTID]
	if p == nil || !isClone(c) {
		return
	}
	l.inheritFrom(p, byID, done)
	var all []Inside
	for _, i := range p.Inside {
		if !i.Feature || i.Name == "portainer" && withoutPortainer(c) || slices.ContainsFunc(all, func(o Inside) bool { return o.Name == i.Name }) {
			continue
		}
		if at := c.at(strings.TrimPrefix(i.Name, "feature/")); at >= 0 { // in the parent's place, after what the clone lists before it
			all = append(all, c.Inside[:at+1]...)
			c.Inside = c.Inside[at+1:]
			continue
		}
		all = append(all, i)
	}
	c.Inside = driverFirst(append(all, c.Inside...), c.Spec.CTID)
}

// driverFirst puts nvidia, which a clone adds, before what it has of its parent and builds
// on it. What the clone itself lists in another order stays, and is a fault.
func driverFirst(all []Inside, ctid int) []Inside {
	at := slices.IndexFunc(all, func(i Inside) bool { return i.Name == "nvidia" && i.from == ctid })
	if at < 0 {
		return all
	}
	builds := func(i Inside) bool { return buildsOn()[i.Name] == "nvidia" }
	first := slices.IndexFunc(all[:at], builds)
	if first < 0 || slices.ContainsFunc(all[:at], func(i Inside) bool { return builds(i) && i.from == ctid }) {
		return all
	}
	return slices.Insert(slices.Delete(slices.Clone(all), at, at+1), first, all[at])
}

// lineage is a container and those that it is cloned from, the nearest first.
func lineage(c *Container, byID map[int]*Container) []*Container {
	var out []*Container
	for c != nil && !slices.Contains(out, c) {
		out = append(out, c)
		if !isClone(c) {
			break
		}
		c = byID[c.Spec.CloneFromCTID]
	}
	return out
}

// insideRules are those between what is made inside a container and what the container is.
type insideRules struct {
	l *loader
	c *Container
	// line is the container and its parents; a clone is as they are where it says nothing.
	line []*Container
}

// own is a feature that the container itself lists, or nil.
func (r insideRules) own(name string) *Inside {
	if at := r.c.at(name); at >= 0 && r.c.Inside[at].from == r.c.Spec.CTID {
		return &r.c.Inside[at]
	}
	return nil
}

// option is what is said of one of Proxmox's features, nearest first; nil is nothing.
func (r insideRules) option(of func(*lxc.Features) *bool) *bool {
	for _, c := range r.line {
		if o := c.Spec.PctOptions; o != nil && of(o) != nil {
			return of(o)
		}
	}
	return nil
}

func (r insideRules) warn(n *document.Node, summary, hint string) {
	d := n.Fault(summary, hint)
	d.Severity = diag.Warning
	r.l.found.Add(d)
}

// getsCards tells whether the container has NVIDIA's cards.
func (r insideRules) getsCards() bool {
	for _, c := range r.line {
		if c.saysGPUs() {
			return c.Spec.GetsGPUs()
		}
	}
	return false
}

// cardsForDocker gives Docker the cards of a container that has both, and NVIDIA's
// libraries: nobody lists all of that to keep them from Docker.
func (r insideRules) cardsForDocker() {
	if spec := r.own("docker"); spec != nil && !r.c.has("nvidia") {
		if n := r.c.node.Get("docker").Get("nvidia"); n != nil && !r.l.faultyAt(n.Pos) {
			r.l.found.Add(n.Fault("docker.nvidia needs the feature nvidia", `list "nvidia" before "docker", or take nvidia out of the section docker`))
		}
	}
	at := r.c.at("docker")
	if at < 0 || !r.c.has("nvidia") || !r.getsCards() {
		return
	}
	spec, is := r.c.Inside[at].Spec.(*docker.Spec)
	if !is || spec.NVIDIA != nil {
		return
	}
	with := *spec // a clone has the Spec of its parent, which may get no card
	with.NVIDIA = &docker.NVIDIA{}
	r.c.Inside[at].Spec = &with
}

// order finds what is listed before what it builds on.
func (r insideRules) order() {
	for name, before := range buildsOn() {
		if i := r.own(name); i != nil && r.c.at(before) > r.c.at(name) {
			r.l.found.Add(i.node.Fault(fmt.Sprintf("%s is listed before %s, which it builds on", name, before), "list it after"))
		}
	}
}

func (r insideRules) nesting() {
	nesting := func(o *lxc.Features) *bool { return o.Nesting }
	if on := r.option(nesting); !r.c.has("docker") || on != nil && *on {
		return
	}
	const hint = `write "pct_options": {"nesting": true}, and "keyctl": true in an unprivileged container`
	i := r.own("docker")
	switch o := r.c.Spec.PctOptions; {
	case i != nil:
		r.l.found.Add(i.node.Fault("docker needs nesting", hint))
	case o != nil && o.Nesting != nil:
		r.l.found.Add(r.c.node.Get("pct_options").Get("nesting").Fault(fmt.Sprintf("docker, which the container has of container %d, needs nesting", r.c.Inside[r.c.at("docker")].from), "take nesting out, or set it to true"))
	}
}

// keyctl warns of Docker in an unprivileged container that says nothing of keyctl. Who
// writes false has decided; who has to write nesting is told of both.
func (r insideRules) keyctl() {
	i := r.own("docker")
	nesting := r.option(func(o *lxc.Features) *bool { return o.Nesting })
	if i == nil || nesting == nil || !*nesting || r.option(func(o *lxc.Features) *bool { return o.Keyctl }) != nil {
		return
	}
	for _, c := range r.line {
		if u := c.Spec.Unprivileged; u != nil {
			if !*u {
				return
			}
			break
		}
	}
	r.warn(i.node, "docker in an unprivileged container needs keyctl", `write "pct_options": {"keyctl": true}, or false where nothing in Docker uses it`)
}

// packages finds those that one step would install and the other remove, each time anew.
func (r insideRules) packages() {
	at := slices.IndexFunc(r.c.Inside, func(i Inside) bool { return i.Kind == packages.Name })
	base := r.c.at("base_setup")
	if at < 0 || base < 0 {
		return
	}
	own, is := r.c.Inside[at].Spec.(*packages.Spec)
	ground, also := r.c.Inside[base].Spec.(*basesetup.Spec)
	if !is || !also {
		return
	}
	from := slices.IndexFunc(r.line, func(c *Container) bool { return c.Spec.CTID == r.c.Inside[base].from })
	section := r.line[max(from, 0)].node.Get("base_setup").Get("packages")
	for n, p := range own.Packages {
		other := "-" + p
		if name, absent := strings.CutPrefix(p, "-"); absent {
			other = name
		}
		i := slices.Index(ground.Wanted(true), other)
		if i < 0 || n >= len(r.c.Inside[at].node.Items) {
			continue
		}
		place, hint := r.c.Inside[base].node, "base_setup has it by default, or for its locale, time zone or upgrades: take it out here, or say there what it has"
		if section != nil && i < len(section.Items) {
			place, hint = section.Items[i], "take one of the two out"
		}
		r.l.found.Add(r.c.Inside[at].node.Items[n].Fault(fmt.Sprintf("packages has %q, and base_setup has %q (%s): each run would undo the other", p, other, place.Pos), hint))
	}
}

// sections finds settings of features that the container does not list.
func (r insideRules) sections() {
	role := r.c.node.Get("portainer_role")
	for _, m := range r.c.node.Members {
		if _, is := built()[m.Key]; !is || !strings.HasPrefix(m.Value.Path, "lxc_configs.") || r.own(m.Key) != nil {
			continue
		}
		switch {
		case m.Key == "portainer" && withoutPortainer(r.c):
		case m.Key == "portainer" && role != nil && m.KeyPos == role.Pos:
			if !r.c.has("portainer") {
				r.l.found.Add(role.Fault("portainer_role has no effect: the container does not list the feature portainer", `add "portainer" to features`))
			}
		default:
			r.l.found.Add(document.At(m.KeyPos, m.Value.Path, fmt.Sprintf("the section %s has no effect: the container does not list the feature", m.Key), fmt.Sprintf("add %q to features", m.Key)))
		}
	}
}

// missing finds features that need another one.
func (r insideRules) missing() {
	if i := r.own("portainer"); i != nil && !r.c.has("docker") {
		r.l.found.Add(i.node.Fault("portainer needs the feature docker", `list "docker" before it`))
	}
	section := r.c.node.Get("vllm")
	if i := r.own("vllm"); i != nil && !r.c.has("nvidia") && section.Get("model") != nil && textOf(section.Get("device")) != "cpu" {
		r.l.found.Add(i.node.Fault("vllm needs the feature nvidia", `list "nvidia" before it, or write "device": "cpu" under vllm`))
	}
	if r.c.Spec.GetsGPUs() && !r.c.has("nvidia") {
		r.warn(r.c.node.Get("gpu_assignment"), "the container gets a GPU and not the feature nvidia: nothing in it can use the card", `list "nvidia" in features, of the container or of one that it is cloned from`)
	}
}

// idleSections warns of settings in the defaults or a profile that are for a feature which
// none of the containers with them lists.
func (l *loader) idleSections(cfg *config) {
	layer := func(what string, n *document.Node, has func(*entry) bool) {
		for _, m := range members(n) {
			feature := strings.TrimSuffix(m.Key, "_role")
			if _, is := built()[feature]; !is || textOf(m.Value) == "none" {
				continue
			}
			some, lists := false, false
			for _, e := range cfg.entries {
				if has(e) {
					some, lists = true, lists || l.mayList(e, feature)
				}
			}
			if some && !lists {
				d := document.At(m.KeyPos, m.Value.Path, fmt.Sprintf("%s of %s has no effect: no container that has it lists the feature %s", m.Key, what, feature), fmt.Sprintf("list %q in features, or take it out", feature))
				d.Severity = diag.Warning
				l.found.Add(d)
			}
		}
	}
	layer("the defaults", cfg.root.Get("defaults"), func(*entry) bool { return true })
	for _, p := range objects(cfg.root.Get("profiles")) {
		layer("the profile "+p.Key, p.Value, func(e *entry) bool { return slices.Contains(e.profiles, p.Key) })
	}
}

// mayList tells whether a container lists a feature, as far as that can be said before
// variables have values.
func (l *loader) mayList(e *entry, feature string) bool {
	list := e.node.Get("features")
	if list == nil {
		return false
	}
	return l.faulty(list) || slices.ContainsFunc(listed(list), func(n *document.Node) bool { return n.Text == feature || hasRef(n) })
}

// textOf is the text of a value, "" where there is none.
func textOf(n *document.Node) string {
	if n == nil {
		return ""
	}
	return n.Text
}
