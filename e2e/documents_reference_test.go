package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	linkPattern = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	spanPattern = regexp.MustCompile("`([^`\n]+)`")
	flagPattern = regexp.MustCompile(`(?:^|\s)(--[a-z][a-z-]*|-[a-zA-Z])\b`)
)

func TestLinksBetweenDocumentsExist(t *testing.T) {
	anchors := map[string][]string{}
	all := readDocuments(t)
	for _, d := range all {
		for line := range strings.Lines(d.prose) {
			if strings.HasPrefix(line, "#") {
				anchors[d.path] = append(anchors[d.path], slug(line))
			}
		}
	}
	seen := 0
	for _, d := range all {
		for _, m := range linkPattern.FindAllStringSubmatch(d.prose, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			seen++
			path, anchor, _ := strings.Cut(m[1], "#")
			target := d.path
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(d.path), path))
			}
			if _, err := os.Stat(filepath.Join(repositoryRoot, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", d.path, m[1])
			} else if anchor != "" && !slices.Contains(anchors[target], anchor) {
				t.Errorf("%s links to %s; the headings of %s are %v", d.path, m[1], target, anchors[target])
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d links were looked at: the search is broken", seen)
	}
}

// slug is the anchor that a heading gets on the usual sites.
func slug(heading string) string {
	heading = strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return r
		}
		return -1
	}, heading)
}

// TestCommandsAndFlagsInDocumentsExist looks at every piece of code that begins with
// "phoenix" or with a flag.
func TestCommandsAndFlagsInDocumentsExist(t *testing.T) {
	help := helpTexts(t)
	seen := 0
	for _, d := range readDocuments(t) {
		for _, code := range codeOf(d) {
			words := strings.Fields(code)
			switch {
			case strings.HasPrefix(code, "phoenix ") && len(words) > 1:
				seen++
				checkInvocation(t, d.path, code, help)
			case strings.HasPrefix(code, "--"):
				seen++
				name := strings.TrimRight(words[0], ",.")
				if !slices.ContainsFunc(help, func(h helpText) bool { return h.has(name) }) {
					t.Errorf("%s: no command has the flag %s", d.path, name)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d commands and flags were looked at: the search is broken", seen)
	}
}

// codeOf lists code spans, indented lines, and commands in blocks.
func codeOf(d document) []string {
	var out []string
	for line := range strings.Lines(d.prose) {
		if code, indented := strings.CutPrefix(line, "    "); indented {
			out = append(out, strings.TrimSpace(strings.Split(code, "   ")[0]))
		}
	}
	for _, m := range spanPattern.FindAllStringSubmatch(d.prose, -1) {
		out = append(out, m[1])
	}
	for _, b := range d.blocks {
		for line := range strings.Lines(b.text) {
			if command, is := strings.CutPrefix(line, "$ "); is {
				out = append(out, strings.TrimSpace(command))
			}
		}
	}
	return out
}

// helpText is what --help says of one command.
type helpText struct{ command, text string }

func (h helpText) has(flag string) bool {
	return regexp.MustCompile(`(^|[\s,])` + regexp.QuoteMeta(flag) + `($|[\s,=])`).MatchString(h.text)
}

// helpTexts asks for the help of every command, groups of commands included.
func helpTexts(t *testing.T) []helpText {
	t.Helper()
	ask := func(command string) helpText {
		argv := append([]string{"phoenix"}, strings.Fields(command)...)
		o := finish(t, documentCommand(t.Context(), t.TempDir(), append(argv, "--help")...)).want(t, 0)
		return helpText{command, o.stdout}
	}
	top := ask("")
	list, _, _ := strings.Cut(top.text, "\nFlags:")
	_, list, _ = strings.Cut(list, "\nCommands:")
	out := []helpText{top}
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+)?)`).FindAllStringSubmatch(list, -1) {
		out = append(out, ask(m[1]))
	}
	if len(out) < 10 {
		t.Fatalf("--help names %d commands: the search is broken", len(out))
	}
	return out
}

// checkInvocation holds one `phoenix …` to the help of its command.
func checkInvocation(t *testing.T, path, code string, help []helpText) {
	t.Helper()
	code, _, _ = strings.Cut(strings.TrimPrefix(code, "phoenix "), ";")
	code, _, _ = strings.Cut(code, "|")
	code, _, _ = strings.Cut(code+" ", " -- ")
	var found *helpText
	for i, h := range help {
		if h.command != "" && strings.HasPrefix(code+" ", h.command+" ") && (found == nil || len(h.command) > len(found.command)) {
			found = &help[i]
		}
	}
	if strings.HasPrefix(code, "-") {
		found = &help[0]
	}
	group := slices.ContainsFunc(help, func(h helpText) bool { return strings.HasPrefix(h.command, strings.TrimSpace(code)+" ") })
	switch {
	case found == nil && !group:
		t.Errorf("%s: `phoenix %s` is no command", path, code)
	case found == nil:
	default:
		for _, m := range flagPattern.FindAllStringSubmatch(code, -1) {
			known := found.has(m[1]) || code == "--version " // which the help does not have
			if !known && !strings.Contains(code, "no-such-flag") {
				t.Errorf("%s: `phoenix %s` has no flag %s", path, found.command, m[1])
			}
		}
	}
}

// property is the part of a JSON Schema that the tables of the configuration show.
type property struct {
	Ref         string `json:"$ref"`
	Type        any
	Enum        []any
	Const       any
	Default     any
	Description string
	Properties  map[string]property
	Required    []string
	Defs        map[string]property `json:"$defs"`
}

// TestConfigurationPageHasEveryKey holds the tables of docs/configuration.md to the
// schemas: the keys, their types, their defaults, and which are required. A table
// says in a comment in front of it which part of which schema it shows.
func TestConfigurationPageHasEveryKey(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(repositoryRoot, "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	tables := strings.Split(string(data), "<!-- schema: ")[1:]
	for _, text := range tables {
		name, table, _ := strings.Cut(text, " -->\n")
		rows, _, _ := strings.Cut(table, "\n\n")
		shown[name] = true
		words := strings.Fields(name)
		root := readSchema(t, words[0])
		part := root.at(words[1])
		if len(words) == 4 { // NAME POINTER minus POINTER
			for key := range root.at(words[3]).Properties {
				delete(part.Properties, key)
			}
		}
		checkTable(t, name, root, part, strings.Split(rows, "\n")[2:])
	}
	for _, name := range []string{"inventory", "hypervisor", "lxc", "feature"} {
		root := readSchema(t, name)
		want := []string{name + " #"}
		for def, p := range root.Defs {
			if len(p.Properties) > 0 && def != "secret" {
				want = append(want, name+" #/$defs/"+def)
			}
		}
		for _, w := range want {
			if !shown[w] && !shown[w+" minus #/$defs/settings"] {
				t.Errorf("docs/configuration.md has no table of %s", w)
			}
		}
	}
}

func readSchema(t *testing.T, name string) property {
	t.Helper()
	o := finish(t, documentCommand(t.Context(), t.TempDir(), "phoenix", "schema", name)).want(t, 0)
	var p property
	if err := json.Unmarshal([]byte(o.stdout), &p); err != nil {
		t.Fatalf("parse schema %s: %v", name, err)
	}
	return p
}

// at follows a pointer: "#" or "#/$defs/NAME".
func (p property) at(pointer string) property {
	if def, is := strings.CutPrefix(pointer, "#/$defs/"); is {
		return p.Defs[def]
	}
	return p
}

// checkTable compares rows "| `key` | type | default | … |" with the properties.
func checkTable(t *testing.T, name string, root, part property, rows []string) {
	t.Helper()
	var keys []string
	for _, row := range rows {
		cells := strings.Split(strings.ReplaceAll(row, `\|`, ""), " | ")
		if len(cells) < 4 {
			t.Errorf("%s: the row %q has too few cells", name, row)
			continue
		}
		key := strings.Trim(cells[0], "|` ")
		keys = append(keys, key)
		p, ok := part.Properties[key]
		if !ok {
			t.Errorf("%s: the schema has no key %s", name, key)
			continue
		}
		target := p
		if strings.HasPrefix(p.Ref, "#/$defs/") && strings.Count(p.Ref, "/") == 2 {
			target = root.at(p.Ref)
		}
		if p.Default == nil {
			p.Default = target.Default
		}
		if want := target.typeWords(); !strings.HasPrefix(cells[1], want) {
			t.Errorf("%s: %s is %q in the table, %q in the schema", name, key, cells[1], want)
		}
		if want := defaultWord(t, p.Default); cells[2] != want {
			t.Errorf("%s: the default of %s is %s in the table, %s in the schema", name, key, cells[2], want)
		}
		if slices.Contains(part.Required, key) != strings.Contains(row, "**Required.**") {
			t.Errorf("%s: table and schema disagree whether %s is required", name, key)
		}
	}
	for key := range part.Properties {
		if !slices.Contains(keys, key) {
			t.Errorf("%s: the table lacks %s", name, key)
		}
	}
}

// typeWords is how a type is written in the tables.
func (p property) typeWords() string {
	var words []string
	switch {
	case p.Const != nil:
		return "`1`"
	case p.Enum != nil:
		for _, v := range p.Enum {
			if v == "" {
				v = `""`
			}
			words = append(words, "`"+v.(string)+"`")
		}
		return strings.Join(words, " / ")
	}
	if one, is := p.Type.(string); is {
		return one
	}
	for _, v := range p.Type.([]any) {
		if v != "null" {
			words = append(words, v.(string))
		}
	}
	return strings.Join(words, " or ")
}

func defaultWord(t *testing.T, v any) string {
	t.Helper()
	if v == nil {
		return "-"
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return "`" + string(data) + "`"
}
