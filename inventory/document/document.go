// Package document reads YAML, and JSON with comments, into one kind of tree whose
// every value knows the file, line and column it was written at.
//
// Trees are merged and cut up without losing those places, so that a fault found
// late is still reported where a person can mend it. The package knows nothing of
// what the documents mean, expands no variables and opens no file. Start reading
// at Node and Parse.
package document

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"

	"phoenix/inventory/diag"
)

// Source is the text of one file.
type Source struct {
	// Name is the path as the person gave it, for messages.
	Name string
	// Dir is what relative paths in the file are relative to.
	Dir string

	lines []string
}

// NewSource keeps the lines of data for messages.
func NewSource(name, dir string, data []byte) *Source {
	return &Source{Name: name, Dir: dir, lines: strings.Split(string(data), "\n")}
}

// Pos is a place in a file. Line and Col count from 1; Col in characters.
type Pos struct {
	Source    *Source
	Line, Col int
}

// String is "FILE:LINE".
func (p Pos) String() string {
	if p.Source == nil {
		return ""
	}
	return p.Source.Name + ":" + strconv.Itoa(p.Line)
}

// Kind is what a Node is.
type Kind int

// The kinds of nodes.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Object
)

// String is the kind with its article, for messages.
func (k Kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// Node is one value of a document.
type Node struct {
	Kind Kind
	// Text of a String, or a Number in JSON's form.
	Text string
	// True is the value of a Bool.
	True bool
	// Items of a List.
	Items []*Node
	// Members of an Object, in the order of the file.
	Members []Member
	// Pos is where the value starts.
	Pos Pos
	// Path is the logical path in the file it was written in.
	Path string
}

// Member is one key of an Object and its value.
type Member struct {
	Key    string
	KeyPos Pos
	Value  *Node
}

// Get returns the value of a key, or nil. It may be called on nil.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Members {
		if n.Members[i].Key == key {
			return n.Members[i].Value
		}
	}
	return nil
}

// Keys lists the keys of an object, in the order of the file.
func (n *Node) Keys() []string {
	if n == nil {
		return nil
	}
	out := make([]string, len(n.Members))
	for i, m := range n.Members {
		out[i] = m.Key
	}
	return out
}

// Find follows a path of keys and indexes as far as it leads and returns the last
// node on it. A key may itself have dots, and is then several segments. An index into
// what is not a list is passed over where there is no such key: a single object often
// stands for a list of one. rest is what was not found.
func (n *Node) Find(path []string) (found *Node, rest []string) {
	for len(path) > 0 {
		next, taken := n.Get(path[0]), 1
		if at, err := strconv.Atoi(path[0]); n.Kind == List && err == nil && at >= 0 && at < len(n.Items) {
			next = n.Items[at]
		}
		for i := 2; next == nil && n.Kind == Object && i <= len(path); i++ {
			next, taken = n.Get(strings.Join(path[:i], ".")), i
		}
		if next == nil {
			if _, err := strconv.Atoi(path[0]); err != nil || n.Kind != Object {
				return n, path
			}
			next, taken = n, 1
		}
		n, path = next, path[taken:]
	}
	return n, nil
}

// Walk calls visit for the node and everything below it, parents first. key is nil
// for what is not the value of an object's key.
func (n *Node) Walk(visit func(key *Member, n *Node)) { n.walk(nil, visit) }

func (n *Node) walk(key *Member, visit func(*Member, *Node)) {
	if n == nil {
		return
	}
	visit(key, n)
	for _, item := range n.Items {
		item.walk(nil, visit)
	}
	for i := range n.Members {
		n.Members[i].Value.walk(&n.Members[i], visit)
	}
}

// Any is the value as encoding/json has it, with numbers as json.Number.
func (n *Node) Any() any { return n.value(func(number string) string { return number }) }

func (n *Node) value(number func(string) string) any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Bool:
		return n.True
	case Number:
		return json.Number(number(n.Text))
	case String:
		return n.Text
	case List:
		out := make([]any, len(n.Items))
		for i, item := range n.Items {
			out[i] = item.value(number)
		}
		return out
	case Object:
		out := make(map[string]any, len(n.Members))
		for _, m := range n.Members {
			out[m.Key] = m.Value.value(number)
		}
		return out
	}
	return nil
}

// JSON is the value in standard JSON, with numbers as they were written.
func (n *Node) JSON() json.RawMessage { return encode(n.Any()) }

// Plain is the value in JSON that Go decodes into what a schema calls integers, which are
// also those that are written 1e1 and 10.0.
func (n *Node) Plain() json.RawMessage { return encode(n.value(digits)) }

// digits writes a whole number without a point and an exponent.
func digits(number string) string {
	if r, ok := new(big.Rat).SetString(number); ok && r.IsInt() {
		return r.Num().String()
	}
	return number
}

func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		// Any returns only what encodes; a json.Number was checked when it was read.
		panic("encode document: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}

// Without is a shallow copy of an object that lacks the given keys.
func (n *Node) Without(keys ...string) *Node {
	out := *n
	out.Members = nil
next:
	for _, m := range n.Members {
		for _, k := range keys {
			if m.Key == k {
				continue next
			}
		}
		out.Members = append(out.Members, m)
	}
	return &out
}

// Merge lays over on top of base: objects merge key by key, everything else
// replaces, and so does null. Each value keeps the place it came from. Neither
// argument is changed; either may be nil.
func Merge(base, over *Node) *Node {
	if base == nil || over == nil || base.Kind != Object || over.Kind != Object {
		if over == nil {
			return base
		}
		return over
	}
	out := *over
	out.Members = append([]Member(nil), base.Members...)
	at := make(map[string]int, len(out.Members))
	for i, m := range out.Members {
		at[m.Key] = i
	}
	for _, m := range over.Members {
		if i, ok := at[m.Key]; ok {
			out.Members[i] = Member{Key: m.Key, KeyPos: m.KeyPos, Value: Merge(out.Members[i].Value, m.Value)}
			continue
		}
		out.Members = append(out.Members, m)
	}
	return &out
}

// Fault is a fault of this value.
func (n *Node) Fault(summary, hint string) diag.Diagnostic { return At(n.Pos, n.Path, summary, hint) }

// Below is the logical path of a child; either part may be empty.
func Below(path, child string) string {
	if path == "" || child == "" {
		return path + child
	}
	return path + "." + child
}

// At is a fault at a place.
func At(p Pos, path, summary, hint string) diag.Diagnostic {
	d := diag.Diagnostic{Severity: diag.Error, Line: p.Line, Col: p.Col, Path: path, Summary: summary, Hint: hint}
	if p.Source != nil {
		d.File, d.Source = p.Source.Name, p.Source.Line(p.Line)
	}
	return d
}
