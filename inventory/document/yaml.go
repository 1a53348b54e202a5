package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"phoenix/inventory/diag"
)

// ParseYAML reads exactly one YAML document. A tree is returned only when the
// syntax is right; duplicate keys are reported and the first is kept. Dates stay
// strings; merge keys, custom tags and numbers that JSON does not have are refused.
func ParseYAML(src *Source, data []byte) (n *Node, found diag.List) {
	if d, bad := unreadable(src, data); bad {
		return nil, diag.List{d}
	}
	defer func() {
		// The parser is known to panic on some malformed input.
		if p := recover(); p != nil {
			n, found = nil, diag.List{At(Pos{Source: src, Line: 1, Col: 1}, "", "syntax error: the file is not YAML", "")}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, diag.List{yamlSyntax(src, err)}
	}
	if err := dec.Decode(&next); !errors.Is(err, io.EOF) {
		at := Pos{Source: src, Line: max(next.Line, 1), Col: max(next.Column, 1)}
		return nil, diag.List{At(at, "", "a second YAML document follows", "one file holds one document")}
	}
	p := &yamlParser{src: src}
	root := p.node(&doc, "", 0)
	if p.nodes > maxNodes {
		return nil, diag.List{At(Pos{Source: src, Line: 1, Col: 1}, "", "the document has too many values", "aliases multiply what they point to")}
	}
	HideSecrets(root)
	return root, p.found
}

// yamlSyntax takes the line out of the parser's message.
func yamlSyntax(src *Source, err error) diag.Diagnostic {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	at := Pos{Source: src, Line: 1, Col: 1}
	if errors.Is(err, io.EOF) {
		return At(at, "", "the file is empty", "")
	}
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		at.Col = 0
		text = text[len(m[0]):]
	}
	hint := ""
	if strings.Contains(text, "cannot start any token") {
		hint = "YAML is indented with blanks, never tabs; a value that starts with a special character needs quotes"
	}
	return At(at, "", "syntax error: "+strings.ReplaceAll(text, "\n", " "), hint)
}

type yamlParser struct {
	src   *Source
	found diag.List
	nodes int
	// deep stops the reading: an alias to what holds it would come back here for ever.
	deep bool
}

func (p *yamlParser) node(y *yaml.Node, path string, depth int) *Node {
	n := &Node{Pos: Pos{Source: p.src, Line: y.Line, Col: y.Column}, Path: path}
	if p.nodes++; p.nodes > maxNodes || p.deep {
		return n
	}
	if depth > maxDepth {
		if !p.deep {
			p.found.Add(n.Fault("nested too deeply", fmt.Sprintf("at most %d levels", maxDepth)))
		}
		p.deep = true
		return n
	}
	switch y.Kind {
	case yaml.DocumentNode:
		return p.node(y.Content[0], path, depth)
	case yaml.AliasNode:
		return p.node(y.Alias, path, depth+1)
	case yaml.SequenceNode:
		n.Kind = List
		for i, item := range y.Content {
			n.Items = append(n.Items, p.node(item, Below(path, strconv.Itoa(i)), depth+1))
		}
	case yaml.MappingNode:
		p.object(n, y, depth)
	case yaml.ScalarNode:
		p.scalar(n, y)
	}
	return n
}

func (p *yamlParser) object(n *Node, y *yaml.Node, depth int) {
	n.Kind = Object
	seen := newKeys(&p.found, n.Path)
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		at := Pos{Source: p.src, Line: k.Line, Col: k.Column}
		switch {
		case k.Kind != yaml.ScalarNode:
			p.found.Add(At(at, n.Path, "a key must be a plain word", ""))
		case k.ShortTag() == "!!merge":
			p.found.Add(At(at, n.Path, "merge keys (<<) are not supported", "put what hosts share into a group or into defaults"))
		case seen.add(k.Value, at):
			n.Members = append(n.Members, Member{Key: k.Value, KeyPos: at, Value: p.node(y.Content[i+1], Below(n.Path, k.Value), depth+1)})
		}
	}
}

func (p *yamlParser) scalar(n *Node, y *yaml.Node) {
	switch y.ShortTag() {
	case "!!null":
	case "!!bool":
		n.Kind = Bool
		n.True = strings.EqualFold(y.Value, "true")
	case "!!int", "!!float":
		p.number(n, y)
	case "!!str", "!!timestamp":
		n.Kind, n.Text = String, y.Value
	default:
		n.Kind, n.Text = String, y.Value
		p.found.Add(n.Fault("the tag "+y.Tag+" is not supported", ""))
	}
}

// number keeps the text where JSON has the same form, and converts the other ones
// of YAML (0x1f, 1_000, .5).
func (p *yamlParser) number(n *Node, y *yaml.Node) {
	n.Kind, n.Text = Number, y.Value
	if json.Valid([]byte(y.Value)) && plausibleNumber(y.Value) {
		return
	}
	n.Text = "0"
	var i int64
	var f float64
	switch {
	case y.ShortTag() == "!!int" && y.Decode(&i) == nil:
		n.Text = strconv.FormatInt(i, 10)
	case y.Decode(&f) == nil && f == f && f < 1e18 && f > -1e18:
		n.Text = strconv.FormatFloat(f, 'f', -1, 64)
	default:
		p.found.Add(n.Fault(fmt.Sprintf("%s is not a number that can be used here", diag.Clean(y.Value)), ""))
	}
}
