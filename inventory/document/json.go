package document

import (
	"bytes"
	"encoding/json"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"

	"phoenix/inventory/diag"
)

// ParseJSON reads JSON that may have comments and trailing commas. A tree is
// returned only when the syntax is right; duplicate keys are reported and the
// first is kept.
func ParseJSON(src *Source, data []byte) (*Node, diag.List) {
	if d, bad := unreadable(src, data); bad {
		return nil, diag.List{d}
	}
	data = append(bytes.Clone(data), '\n') // ends a comment on the last line
	p := &jsonParser{src: src, data: data, starts: lineStarts(data)}
	if at, deep := tooDeep(data); deep {
		return nil, diag.List{At(p.pos(at), "", "nested too deeply", "at most "+strconv.Itoa(maxDepth)+" levels")}
	}
	v, err := hujson.Parse(data)
	if err != nil {
		return nil, diag.List{p.syntax(err)}
	}
	root := p.node(&v, "")
	HideSecrets(root)
	return root, p.found
}

type jsonParser struct {
	src    *Source
	data   []byte
	starts []int
	found  diag.List
}

// pos turns an offset into line and column.
func (p *jsonParser) pos(offset int) Pos {
	line := sort.SearchInts(p.starts, offset+1)
	return Pos{Source: p.src, Line: line, Col: utf8.RuneCount(p.data[p.starts[line-1]:offset]) + 1}
}

// syntax takes the place out of hujson's message, which starts with it.
func (p *jsonParser) syntax(err error) diag.Diagnostic {
	text := strings.TrimPrefix(err.Error(), "hujson: ")
	m := regexp.MustCompile(`^line (\d+), column (\d+): (.*)$`).FindStringSubmatch(text)
	if m == nil {
		return At(Pos{Source: p.src, Line: 1, Col: 1}, "", "syntax error: "+text, "")
	}
	line, _ := strconv.Atoi(m[1])
	col, _ := strconv.Atoi(m[2])
	at := Pos{Source: p.src, Line: line, Col: col}
	if line >= 1 && line <= len(p.starts) {
		// Columns there are bytes; the last byte is the line end added for the parser.
		at = p.pos(min(p.starts[line-1]+max(col-1, 0), len(p.data)-1))
	}
	hint := ""
	if strings.Contains(m[3], "unexpected EOF") {
		hint = "a bracket or quote was opened and not closed"
	}
	return At(at, "", "syntax error: "+strings.ReplaceAll(m[3], "\n", " "), hint)
}

func (p *jsonParser) node(v *hujson.Value, path string) *Node {
	n := &Node{Pos: p.pos(v.StartOffset), Path: path}
	switch t := v.Value.(type) {
	case *hujson.Object:
		n.Kind = Object
		seen := newKeys(&p.found, path)
		for i := range t.Members {
			m := &t.Members[i]
			key := m.Name.Value.(hujson.Literal).String()
			if at := p.pos(m.Name.StartOffset); seen.add(key, at) {
				n.Members = append(n.Members, Member{Key: key, KeyPos: at, Value: p.node(&m.Value, Below(path, key))})
			}
		}
	case *hujson.Array:
		n.Kind = List
		for i := range t.Elements {
			n.Items = append(n.Items, p.node(&t.Elements[i], Below(path, strconv.Itoa(i))))
		}
	case hujson.Literal:
		p.literal(n, t)
	}
	return n
}

func (p *jsonParser) literal(n *Node, l hujson.Literal) {
	switch l.Kind() {
	case '"':
		n.Kind, n.Text = String, l.String()
	case 't', 'f':
		n.Kind, n.True = Bool, l.Bool()
	case '0':
		n.Kind, n.Text = Number, string(l)
		if !plausibleNumber(n.Text) {
			p.found.Add(n.Fault("the number is too large, or too close to 0", ""))
			n.Text = "0"
		}
	}
}

// maxExponent is the largest power of ten that a number may be written with.
const maxExponent = 40

// plausibleNumber refuses numbers that no setting needs and whose exact form would
// take gigabytes, such as 1e999999999 and 1e-999999999.
func plausibleNumber(text string) bool {
	f, err := strconv.ParseFloat(text, 64)
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if n, err := strconv.Atoi(text[i+1:]); err != nil || n > maxExponent || n < -maxExponent {
			return false
		}
	}
	return err == nil && json.Valid([]byte(text)) && len(text) <= 40 && f < 1e18 && f > -1e18
}

func lineStarts(data []byte) []int {
	starts := []int{0}
	for i, c := range data {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// tooDeep finds the bracket that is nested beyond maxDepth. The parser is recursive
// and would exhaust the stack on a file of nothing but brackets.
func tooDeep(data []byte) (offset int, deep bool) {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '/':
			i += commentLen(data[i:])
		case '[', '{':
			if depth++; depth > maxDepth {
				return i, true
			}
		case ']', '}':
			depth--
		}
	}
	return 0, false
}

// commentLen is how many bytes beyond the slash a comment takes; 0 for none.
func commentLen(data []byte) int {
	end := -1
	switch {
	case bytes.HasPrefix(data, []byte("//")):
		end = bytes.IndexByte(data, '\n')
	case bytes.HasPrefix(data, []byte("/*")):
		if end = bytes.Index(data[2:], []byte("*/")); end >= 0 {
			end += 3
		}
	default:
		return 0
	}
	if end < 0 {
		return len(data)
	}
	return end
}
