package inventory

import (
	"slices"
	"strconv"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/tasks"
)

// validator is what every family's Spec is.
type validator interface{ Validate() []tasks.Problem }

// section is a part of a document that one Spec describes.
type section struct {
	// what it is, for messages: "container 900".
	what string
	// node holds the Spec's keys, except those in extra.
	node *document.Node
	// at is where a fault of the whole is shown: the key.
	at document.Pos
	// extra adds keys that the document has in another form.
	extra map[string]any
}

// decode fills spec from a section and reports its faults where they are written.
// Parts that the schema has already refused are left out, so that the rest is still
// looked at.
func (l *loader) decode(s section, spec validator) {
	n := l.prune(s.node)
	for _, key := range sortedKeys(s.extra) {
		value := &document.Node{Kind: document.String}
		switch v := s.extra[key].(type) {
		case string:
			value.Text = v
		case int:
			value.Kind, value.Text = document.Number, strconv.Itoa(v)
		}
		n = document.Merge(n, &document.Node{Kind: document.Object, Members: []document.Member{{Key: key, Value: value}}})
	}
	if err := tasks.UnmarshalStrict(n.Plain(), spec); err != nil {
		l.undecoded(s.node, s.what, err)
		return
	}
	for _, p := range spec.Validate() {
		if d, known := l.locate(s, p); !known {
			l.found.Add(d)
		}
	}
}

// locate finds where a problem of a spec is written. known tells that the schema
// has already found fault with that place.
func (l *loader) locate(s section, p tasks.Problem) (d diag.Diagnostic, known bool) {
	if p.Path == "" {
		return document.At(s.at, s.node.Path, p.Summary, p.Hint), false
	}
	segments := strings.Split(p.Path, ".")
	if _, extra := s.extra[segments[0]]; extra {
		return document.At(s.at, s.node.Path, p.Summary, p.Hint), l.faultyAt(s.at)
	}
	n, rest := s.node.Find(segments)
	at, path := n.Pos, n.Path
	if n == s.node {
		at = s.at
	}
	if len(rest) > 0 {
		path = document.Below(path, strings.Join(rest, "."))
		known = slices.ContainsFunc(l.found, func(d diag.Diagnostic) bool {
			return d.Path == n.Path && d.Summary == "missing "+strconv.Quote(rest[0])
		})
	}
	// A list with a fault in it was left out as a whole, which is no fault of its own.
	return document.At(at, path, p.Summary, p.Hint), known || l.faultyAt(at) || l.faulty(n)
}

// faultyAt tells whether an error was found at exactly that place.
func (l *loader) faultyAt(p document.Pos) bool {
	return p.Source != nil && slices.ContainsFunc(l.found, func(d diag.Diagnostic) bool {
		return d.Severity == diag.Error && d.File == p.Source.Name && d.Line == p.Line && d.Col == p.Col
	})
}

// prune leaves out what was found faulty. A list with a faulty item goes as a
// whole: without one item, the others would have other indexes.
func (l *loader) prune(n *document.Node) *document.Node {
	if !l.found.HasErrors() || n.Kind != document.Object {
		return n
	}
	out := *n
	out.Members = nil
	for _, m := range n.Members {
		if l.faultyAt(m.KeyPos) || l.faulty(m.Value) {
			continue
		}
		m.Value = l.prune(m.Value)
		out.Members = append(out.Members, m)
	}
	return &out
}

// faulty tells whether a value must be left out: it is itself at fault, or it is a
// list that holds a fault.
func (l *loader) faulty(n *document.Node) bool {
	if l.faultyAt(n.Pos) {
		return true
	}
	if n.Kind != document.List {
		return false
	}
	bad := false
	n.Walk(func(m *document.Member, v *document.Node) {
		bad = bad || l.faultyAt(v.Pos) || m != nil && l.faultyAt(m.KeyPos)
	})
	return bad
}
