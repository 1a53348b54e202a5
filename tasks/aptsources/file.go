// Package aptsources reads and edits the files that name apt's package archives, in
// both of their formats: lines (sources.list, *.list) and stanzas (*.sources).
//
// An edit changes the lines of one entry and keeps all others byte for byte. The
// package writes to no machine and starts no program. Facts are from apt 2.6 and 3.0.
// Start reading at Read and File.
package aptsources

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
)

const (
	// MainFile is the oldest of the files.
	MainFile = "/etc/apt/sources.list"
	// Dir holds all others.
	Dir = "/etc/apt/sources.list.d"
)

// File is one of the files. Its entries are found anew after each edit; none goes by
// one, so that their indexes stay.
type File struct {
	Path    string
	Entries []Entry

	lines []string // each with its line break
}

// Entry is one line or one stanza.
type Entry struct {
	// Enabled is false for a stanza that says so and for a line behind "#".
	Enabled bool
	// Types are "deb" and "deb-src".
	Types, URIs, Suites, Components, Architectures []string
	// SignedBy is the path of a keyring or, in a stanza, an armoured key.
	SignedBy string
	// Line is where it begins, counted from 1.
	Line int

	end int // the line after its last, counted from 0
}

// Read returns all files that apt reads on a machine; none that is missing.
func Read(h tasks.Host) ([]*File, error) {
	var out []*File
	paths := []string{MainFile}
	names, err := h.ReadDir(Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list package sources: %w", err)
	}
	valid := regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*\.(list|sources)$`)
	for _, n := range names {
		if valid.MatchString(n) {
			paths = append(paths, path.Join(Dir, n))
		}
	}
	for _, p := range paths {
		data, there, err := tasks.ReadIfExists(h, p)
		if err != nil {
			return nil, err
		}
		if there {
			out = append(out, Parse(p, data))
		}
	}
	return out, nil
}

// Parse reads a file; its name tells the format.
func Parse(path string, data []byte) *File {
	f := &File{Path: path, lines: tasks.Lines(string(data))}
	f.find()
	return f
}

// Bytes is the file's content.
func (f *File) Bytes() []byte { return []byte(strings.Join(f.lines, "")) }

// Stanzas tells whether the file has stanzas.
func (f *File) Stanzas() bool { return strings.HasSuffix(f.Path, ".sources") }

func (f *File) find() {
	f.Entries = nil
	if f.Stanzas() {
		f.findStanzas()
		return
	}
	for i, line := range f.lines {
		if e, ok := parseLine(line); ok {
			e.Line, e.end = i+1, i+1
			f.Entries = append(f.Entries, e)
		}
	}
}

// At is where an entry is, for messages.
func (f *File) At(i int) string { return fmt.Sprintf("%s:%d", f.Path, f.Entries[i].Line) }

// Enable switches an entry on or off: a stanza by its field, a line by "#".
func (f *File) Enable(i int, on bool) {
	e := f.Entries[i]
	switch {
	case e.Enabled == on:
		return
	case f.Stanzas():
		f.Set(i, "Enabled", map[bool]string{true: "yes", false: "no"}[on])
		return
	case on:
		f.lines[e.Line-1] = strings.TrimLeft(f.lines[e.Line-1], "# \t")
	default:
		f.lines[e.Line-1] = "# " + f.lines[e.Line-1]
	}
	f.find()
}

// Drop takes components from an entry; one that would have none left is switched off
// as it is.
func (f *File) Drop(i int, unwanted func(component string) bool) {
	e := f.Entries[i]
	left := slices.DeleteFunc(slices.Clone(e.Components), unwanted)
	switch {
	case !e.Enabled || len(left) == len(e.Components):
	case len(left) == 0:
		f.Enable(i, false)
	case f.Stanzas():
		f.Set(i, "Components", strings.Join(left, " "))
	default:
		f.lines[e.Line-1] = dropWords(f.lines[e.Line-1], unwanted)
		f.find()
	}
}

// Has tells whether the entry names an archive, whether it is enabled or not.
func (e Entry) Has(typ, uri, suite, component string) bool {
	return slices.Contains(e.Types, typ) && slices.Contains(e.Suites, suite) &&
		(slices.Contains(e.Components, component) || component == "" && len(e.Components) == 0) &&
		slices.ContainsFunc(e.URIs, func(u string) bool { return SameURI(u, uri) })
}

// SameURI compares addresses as apt does, for which the last slash means nothing.
func SameURI(a, b string) bool { return strings.TrimRight(a, "/") == strings.TrimRight(b, "/") }

// ListName is what the names of the files begin with that apt-get update fetches for
// a suite: apt's own way to make a name of an address.
func ListName(uri, suite string) string {
	_, rest, found := strings.Cut(uri, "://")
	if !found {
		_, rest, _ = strings.Cut(uri, ":")
	}
	if !strings.HasSuffix(rest, "/") {
		rest += "/"
	}
	switch {
	case suite == "/":
	case strings.HasSuffix(suite, "/"):
		rest += suite
	default:
		rest += "dists/" + suite + "/"
	}
	var b strings.Builder
	for _, c := range []byte(rest) {
		switch {
		case c == '/':
			b.WriteByte('_')
		case strings.IndexByte(`\|{}[]<>"^~_=!@#$%&*`, c) >= 0 || c <= 0x20 || c >= 0x7f:
			fmt.Fprintf(&b, "%%%02x", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
