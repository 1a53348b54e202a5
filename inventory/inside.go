package inventory

import (
	"fmt"
	"maps"
	"slices"

	"phoenix/inventory/document"
	"phoenix/tasks"
	"phoenix/tasks/kind"
	"phoenix/tasks/kind/application"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/packages"
	"phoenix/tasks/kind/script"
)

// Inside is one thing that is made inside a container.
type Inside struct {
	// Name is what of the container it is: "docker", "feature/webserver", "file/etc/motd".
	Name string
	// Feature tells that it is one of the features, which clones inherit.
	Feature bool
	// Kind is the family, Spec what is wanted.
	Kind string
	Spec tasks.Spec
	// TimeoutS bounds the step, in seconds; 0 is the job's default.
	TimeoutS int

	node *document.Node // where it is listed
	from int            // the container whose configuration says so
}

// built are phoenix's own features, by name, and their families. The section of the same
// name at the container has what can be said of each.
func built() map[string]string {
	return map[string]string{
		"base_setup": "base_setup", "nvidia": "nvidia_guest", "docker": "docker", "portainer": "portainer",
		"vllm": "vllm", "ollama": "ollama", "trusted_ca": "trusted_ca", "python_service": "python_service",
	}
}

// insideKeys are those of a container's keys that are about its inside.
func insideKeys() []string {
	return append(slices.Sorted(maps.Keys(built())), "features", "packages", "files", "application_script", "portainer_role")
}

// inside reads what is made inside a container, in its order: the features as they are
// listed, packages, files, and the script of the application. What it inherits is not
// among it; see inherit.
func (l *loader) inside(e *entry, c *Container) {
	l.portainerRole(c)
	for _, item := range listed(c.node.Get("features")) {
		l.listedFeature(e, c, item)
	}
	if n := c.node.Get("packages"); n != nil && n.Kind == document.List {
		s := new(packages.Spec)
		all := &document.Node{Kind: document.Object, Pos: n.Pos, Path: c.node.Path, Members: []document.Member{{Key: "packages", KeyPos: n.Pos, Value: n}}}
		l.decode(section{what: "packages", node: all, at: n.Pos}, s)
		c.add(Inside{Name: "packages", Kind: packages.Name, Spec: s, node: n})
	}
	for _, m := range objects(c.node.Get("files")) {
		s := new(file.Spec)
		l.decode(section{what: "file " + m.Key, node: m.Value, at: m.KeyPos, extra: map[string]any{"path": m.Key}}, s)
		c.add(Inside{Name: "file" + m.Key, Kind: file.Name, Spec: s, node: m.Value})
	}
	if n := c.node.Get("application_script"); n != nil {
		l.applicationScript(c, n)
	}
}

func (c *Container) add(i Inside) {
	i.from = c.Spec.CTID
	c.Inside = append(c.Inside, i)
}

// listed are the items of a list; none where the schema has refused it.
func listed(n *document.Node) []*document.Node {
	if n == nil || n.Kind != document.List {
		return nil
	}
	return n.Items
}

// portainerRole turns the key portainer_role into the section that says the same.
func (l *loader) portainerRole(c *Container) {
	role := c.node.Get("portainer_role")
	if role == nil || role.Kind != document.String || withoutPortainer(c) {
		return
	}
	if n := c.node.Get("portainer").Get("role"); n != nil && n.Text != role.Text {
		l.found.Add(role.Fault(fmt.Sprintf("portainer_role is %s and portainer.role is %s", role.Text, n.Text), "take portainer_role out"))
		return
	}
	section := &document.Node{Kind: document.Object, Pos: role.Pos, Path: role.Path,
		Members: []document.Member{{Key: "role", KeyPos: role.Pos, Value: role}}}
	over := &document.Node{Kind: document.Object, Members: []document.Member{{Key: "portainer", KeyPos: role.Pos, Value: section}}}
	c.node = document.Merge(c.node, over)
}

// withoutPortainer tells whether the container has no Portainer, whatever its profiles and
// its parent list.
func withoutPortainer(c *Container) bool { return textOf(c.node.Get("portainer_role")) == "none" }

// listedFeature reads one item of features: a name, or an object of a name and parameters.
func (l *loader) listedFeature(e *entry, c *Container, item *document.Node) {
	m := document.Member{Key: item.Text, KeyPos: item.Pos, Value: &document.Node{Kind: document.Object, Pos: item.Pos, Path: item.Path}}
	switch {
	case item.Kind == document.Object && len(item.Members) == 1 && item.Members[0].Value.Kind == document.Object:
		m = item.Members[0]
	case item.Kind != document.String || item.Text == "":
		return // the schema says so
	}
	family, own := built()[m.Key]
	switch {
	case c.has(m.Key):
		l.found.Add(item.Fault(fmt.Sprintf("feature %s is listed twice", m.Key), "take one out"))
	case !own:
		if s, ok := l.use(l.featuresBeside(e.at.Source), m, inContainer); ok {
			c.add(Inside{Name: "feature/" + m.Key, Feature: true, Kind: script.Name, Spec: &s.Spec, TimeoutS: s.TimeoutS, node: item})
		}
	case item.Kind == document.Object:
		l.found.Add(item.Fault(fmt.Sprintf("%s is one of phoenix's own features, which have a section of their name", m.Key), fmt.Sprintf(`list "%[1]s", and write the settings under "%[1]s" of the container`, m.Key)))
	case m.Key == "portainer" && withoutPortainer(c):
	default:
		at := c.node.Get(m.Key)
		if at == nil || at.Kind != document.Object {
			at = m.Value
		}
		k, known := kind.All()[family]
		if !known {
			return
		}
		s := k.New()
		l.decode(section{what: "feature " + m.Key, node: at, at: at.Pos}, s)
		c.add(Inside{Name: m.Key, Feature: true, Kind: family, Spec: s, node: item})
	}
}

// has tells whether a feature is among what is made inside.
func (c *Container) has(feature string) bool { return c.at(feature) >= 0 }

func (c *Container) at(feature string) int {
	return slices.IndexFunc(c.Inside, func(i Inside) bool { return i.Feature && (i.Name == feature || i.Name == "feature/"+feature) })
}

// applicationScript reads the script that makes a container what it is for: the path of
// one, or an object like one of the hypervisor's steps whose check can be left out.
func (l *loader) applicationScript(c *Container, n *document.Node) {
	body := n
	if n.Kind == document.String {
		text := l.scriptOf(n, `a string is the path of a script, relative to this file; a script's text is written {"apply": "…"}`)
		body = &document.Node{Kind: document.Object, Pos: n.Pos, Path: n.Path, Members: []document.Member{{Key: "apply", KeyPos: n.Pos, Value: text}}}
	}
	if body.Kind != document.Object {
		return
	}
	l.pathsAsTexts(n)
	out := Inside{Name: application.Name, Kind: application.Name, node: n}
	body, out.TimeoutS = l.withTexts(body)
	s := new(application.Spec)
	l.decode(section{what: "application_script", node: body, at: n.Pos}, s)
	out.Spec = s
	c.add(out)
}
