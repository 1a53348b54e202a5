package inventory

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
)

// hasRef tells whether the node itself is a string with a variable.
func hasRef(n *document.Node) bool {
	return n.Kind == document.String && strings.Contains(strings.ReplaceAll(n.Text, "$${", ""), "${")
}

// hasRefs tells whether a document has to be expanded: it has a variable, or an
// escaped one.
func hasRefs(n *document.Node) bool {
	found := false
	n.Walk(func(_ *document.Member, v *document.Node) {
		found = found || v.Kind == document.String && strings.Contains(v.Text, "${")
	})
	return found
}

// piece is literal text or the name of a variable.
type piece struct {
	text string
	name string
}

// pieces cuts a string at its references. "$${" stands for "${".
func pieces(text string) ([]piece, error) {
	var out []piece
	literal := func(s string) {
		if s != "" {
			out = append(out, piece{text: s})
		}
	}
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			literal(text)
			return out, nil
		}
		if at > 0 && text[at-1] == '$' {
			literal(text[:at-1] + "${")
			text = text[at+2:]
			continue
		}
		end := strings.IndexByte(text[at:], '}')
		if end < 0 {
			return nil, fmt.Errorf("${ is not closed")
		}
		literal(text[:at])
		out = append(out, piece{name: text[at+2 : at+end]})
		text = text[at+end+1:]
	}
}

const variablesHint = "there are ${host.name}, ${host.address} and ${vars.NAME}; write $${ for a plain ${"

// checkReferences finds references that no host can ever satisfy.
func checkReferences(root *document.Node) diag.List {
	var out diag.List
	root.Walk(func(_ *document.Member, n *document.Node) {
		if !hasRef(n) || strings.HasPrefix(n.Path, "secrets.") {
			return
		}
		parts, err := pieces(n.Text)
		if err != nil {
			out.Add(n.Fault(err.Error(), variablesHint))
		}
		for _, p := range parts {
			if p.name != "" && !knownForm(p.name) {
				out.Add(n.Fault(fmt.Sprintf("unknown variable ${%s}", diag.Clean(p.name)), variablesHint))
			}
		}
	})
	return out
}

func knownForm(name string) bool {
	return regexp.MustCompile(`^(host\.name|host\.address|vars\.[A-Za-z_][A-Za-z0-9_]*)$`).MatchString(name)
}

// scope is what variables mean on one host.
type scope struct {
	host string
	// address is the host's address as it is written; nil means the name.
	address *document.Node
	vars    *document.Node

	found *diag.List
	// open holds the variables being expanded, to find one that needs itself.
	open []string
	// resolved holds the variables expanded so far: without it, variables that use
	// others twice would take a time that doubles with each.
	resolved map[string]*document.Node
	// failed tells that the string at hand could not be expanded.
	failed bool
	// expanded marks nodes whose text came out of an expansion.
	expanded map[*document.Node]bool
}

func newScope(host string, settings *document.Node, found *diag.List) *scope {
	return &scope{host: host, address: settings.Get("address"), vars: settings.Get("vars"), found: found, resolved: make(map[string]*document.Node), expanded: make(map[*document.Node]bool)}
}

// expand returns the tree with all references replaced. Nodes without any are
// shared with the argument. A reference that cannot be replaced is a fault.
func (s *scope) expand(n *document.Node) *document.Node { return s.expandMember(nil, n) }

func (s *scope) expandMember(m *document.Member, n *document.Node) *document.Node {
	switch n.Kind {
	case document.String:
		if !strings.Contains(n.Text, "${") {
			return n
		}
		out := s.text(n)
		s.found.Add(controlFault(m, out)...)
		return out
	case document.List:
		out := *n
		out.Items = make([]*document.Node, len(n.Items))
		for i, item := range n.Items {
			out.Items[i] = s.expand(item)
		}
		return &out
	case document.Object:
		out := *n
		out.Members = slices.Clone(n.Members)
		for i := range out.Members {
			out.Members[i].Value = s.expandMember(&n.Members[i], n.Members[i].Value)
		}
		return &out
	}
	return n
}

// text expands one string. A string that is one reference takes the variable's
// kind, and keeps its own place and path.
func (s *scope) text(n *document.Node) *document.Node {
	out := &document.Node{Kind: document.String, Pos: n.Pos, Path: n.Path}
	s.expanded[out] = true
	s.failed = false
	defer func() {
		if s.failed {
			delete(s.expanded, out) // one fault of it is enough
		}
	}()
	parts, err := pieces(n.Text)
	if err != nil {
		s.failed = true // reported by checkReferences
		return out
	}
	if len(parts) == 1 && parts[0].name != "" {
		if v := s.lookup(n, parts[0].name); v != nil {
			out.Kind, out.Text, out.True, out.Items, out.Members = v.Kind, v.Text, v.True, v.Items, v.Members
		}
		return out
	}
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.text)
		if p.name != "" {
			b.WriteString(s.inline(n, p.name))
		}
	}
	out.Text = b.String()
	return out
}

// inline is the text of a variable inside a longer string.
func (s *scope) inline(n *document.Node, name string) string {
	v := s.lookup(n, name)
	switch {
	case v == nil:
		return ""
	case v.Kind == document.String || v.Kind == document.Number:
		return v.Text
	case v.Kind == document.Bool:
		return fmt.Sprint(v.True)
	}
	s.found.Add(n.Fault(fmt.Sprintf("${%s} is %s and cannot stand inside a text", name, v.Kind), "use it as the whole value"))
	s.failed = true
	return ""
}

// lookup finds the value of a variable, expanded; nil after reporting a fault at n.
func (s *scope) lookup(n *document.Node, name string) *document.Node {
	v := s.find(n, name)
	if v == nil {
		s.failed = true
	}
	return v
}

func (s *scope) find(n *document.Node, name string) *document.Node {
	if name == "host.name" || name == "host.address" && s.address == nil {
		return &document.Node{Kind: document.String, Text: s.host}
	}
	if !knownForm(name) {
		return nil // reported by checkReferences
	}
	if v, ok := s.resolved[name]; ok {
		return v
	}
	v := s.address
	if key, isVar := strings.CutPrefix(name, "vars."); isVar {
		if v = s.vars.Get(key); v == nil {
			hint := diag.DidYouMean(key, s.vars.Keys())
			if hint == "" {
				hint = "set it under vars of the host, of a group or of defaults"
			}
			s.found.Add(n.Fault(fmt.Sprintf("unknown variable ${%s} on host %s", name, s.host), hint))
			return nil
		}
	}
	if slices.Contains(s.open, name) {
		s.found.Add(n.Fault(fmt.Sprintf("${%s} needs itself: %s", name, strings.Join(append(s.open, name), " -> ")), ""))
		return nil
	}
	s.open = append(s.open, name)
	failed := s.failed
	out := s.expand(v)
	s.open = s.open[:len(s.open)-1]
	if budget := maxExpansion; !s.failed && !within(out, &budget) {
		s.found.Add(n.Fault(fmt.Sprintf("${%s} expands to more than %d characters and values", name, maxExpansion), ""))
		out, s.failed = nil, true
	}
	s.failed = failed || s.failed
	s.resolved[name] = out
	return out
}

// maxExpansion bounds what one variable may become, in characters and values.
const maxExpansion = 1 << 20

// within tells whether a tree is smaller than the budget, which it uses up. It ends
// soon on a tree that is not.
func within(n *document.Node, budget *int) bool {
	*budget -= 1 + len(n.Text)
	if *budget < 0 {
		return false
	}
	for _, item := range n.Items {
		if !within(item, budget) {
			return false
		}
	}
	for _, m := range n.Members {
		if !within(m.Value, budget) {
			return false
		}
	}
	return true
}
