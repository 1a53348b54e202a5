package document

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"phoenix/inventory/diag"
)

// The bounds of a document: far beyond what a person writes, and near enough to
// keep a hostile file from taking the memory.
const (
	// MaxSize is the largest file, in bytes.
	MaxSize  = 8 << 20
	maxDepth = 100
	maxNodes = 200_000
)

// Parse reads JSON when the name says so or the text starts like an object, and
// YAML otherwise.
func Parse(src *Source, data []byte) (*Node, diag.List) {
	name := strings.ToLower(src.Name)
	yaml := strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
	if strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".jsonc") ||
		!yaml && bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return ParseJSON(src, data)
	}
	return ParseYAML(src, data)
}

// unreadable refuses what no parser should see.
func unreadable(src *Source, data []byte) (diag.Diagnostic, bool) {
	top := Pos{Source: src, Line: 1, Col: 1}
	switch {
	case len(data) > MaxSize:
		return At(top, "", fmt.Sprintf("the file has more than the %d bytes that are read at most", MaxSize), ""), true
	case len(bytes.TrimSpace(data)) == 0:
		return At(top, "", "the file is empty", ""), true
	case bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")):
		return At(top, "", "the file is UTF-16", "save it as UTF-8"), true
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return At(top, "", "the file starts with a byte order mark", "save it as UTF-8 without one"), true
	}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) {
			return At(Pos{Source: src, Line: i + 1}, "", "the line is not UTF-8", "save the file as UTF-8"), true
		}
	}
	return diag.Diagnostic{}, false
}

// keys finds the repeated keys of one object.
type keys struct {
	found *diag.List
	path  string
	first map[string]Pos
}

func newKeys(found *diag.List, path string) keys {
	return keys{found: found, path: path, first: make(map[string]Pos)}
}

// add tells whether the key is new, and reports it where it is not.
func (k keys) add(key string, at Pos) bool {
	if before, twice := k.first[key]; twice {
		k.found.Add(At(at, Below(k.path, key), fmt.Sprintf("duplicate key %q", key), fmt.Sprintf("first at line %d", before.Line)))
		return false
	}
	k.first[key] = at
	return true
}
