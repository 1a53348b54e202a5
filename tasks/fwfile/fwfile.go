// Package fwfile reads and changes the files of Proxmox's firewall: cluster.fw,
// host.fw and those of guests.
//
// A File keeps every line as it was read, also those that nobody understands, so
// that a change of one option or set leaves all the rest byte for byte. Values are
// given parsed, because Proxmox's own writers reorder options and drop lines that
// are only a comment. The package knows the grammar (pve-firewall 5.1) and no
// meaning: which lines are whose is the business of its callers, and it never
// touches a machine. Start reading at Parse; rule.go has the grammar of rules,
// address.go that of addresses.
package fwfile

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
)

// Kind is what a section holds.
type Kind string

// The kinds of sections, in the order in which Proxmox writes them.
const (
	Options Kind = "OPTIONS"
	Aliases Kind = "ALIASES"
	IPSets  Kind = "IPSET"
	Rules   Kind = "RULES"
	Groups  Kind = "group"
)

func order() []Kind { return []Kind{"", Options, Aliases, IPSets, Rules, Groups} }

// section is a header and the lines below it; the first of a file has no header.
type section struct {
	kind   Kind
	name   string // of a set or group, in lower case
	header string
	lines  []string
}

// File is one file of the firewall. The zero value is an empty one.
type File struct {
	sections []*section
}

var (
	plainHeader = regexp.MustCompile(`(?i)^\[(options|aliases|rules)\]$`)
	namedHeader = regexp.MustCompile(`(?i)^\[(ipset|group)\s+([^\s\]]+)\]\s*(?:#.*)?$`)
)

// Parse reads a file; it never fails. A header that Proxmox does not know is a line
// of the section above it, as it is to Proxmox.
func Parse(data []byte) *File {
	f := &File{sections: []*section{{}}}
	for _, line := range tasks.Lines(string(data)) {
		if kind, name, ok := header(strings.TrimRight(line, "\r\n")); ok {
			f.sections = append(f.sections, &section{kind: kind, name: name, header: line})
			continue
		}
		last := f.sections[len(f.sections)-1]
		last.lines = append(last.lines, line)
	}
	return f
}

func header(line string) (kind Kind, name string, ok bool) {
	word := ""
	if m := plainHeader.FindStringSubmatch(line); m != nil {
		word = m[1]
	} else if m := namedHeader.FindStringSubmatch(line); m != nil {
		word, name = m[1], strings.ToLower(m[2])
	}
	i := slices.IndexFunc(order(), func(k Kind) bool { return strings.EqualFold(string(k), word) })
	return order()[i], name, word != ""
}

// Bytes is the text of the file.
func (f *File) Bytes() []byte {
	var b bytes.Buffer
	for _, s := range f.sections {
		b.WriteString(s.header)
		for _, l := range s.lines {
			b.WriteString(l)
		}
	}
	return b.Bytes()
}

// all returns the sections of a kind and, for sets and groups, of a name.
func (f *File) all(k Kind, name string) []*section {
	var out []*section
	for _, s := range f.sections {
		if s.kind == k && s.name == strings.ToLower(name) {
			out = append(out, s)
		}
	}
	return out
}

// need returns the first section of that kind and name; a new one is put where
// Proxmox would write it.
func (f *File) need(k Kind, name string) *section {
	if s := f.all(k, name); len(s) > 0 {
		return s[0]
	}
	if len(f.sections) == 0 {
		f.sections = []*section{{}}
	}
	s := &section{kind: k, name: strings.ToLower(name), header: "[" + string(k) + "]\n"}
	if name != "" {
		s.header = "[" + string(k) + " " + name + "]\n"
	}
	at := 0
	for i, other := range f.sections {
		if slices.Index(order(), other.kind) <= slices.Index(order(), k) {
			at = i + 1
		}
	}
	f.sections[at-1].end()
	if at < len(f.sections) {
		s.lines = []string{"\n"}
	}
	f.sections = append(f.sections[:at], append([]*section{s}, f.sections[at:]...)...)
	return s
}

// end closes the last line of a section and leaves an empty line below it.
func (s *section) end() {
	last := &s.header
	if n := len(s.lines); n > 0 {
		last = &s.lines[n-1]
	}
	if *last == "" {
		return // the section above all headers has nothing in it
	}
	if !strings.HasSuffix(*last, "\n") {
		*last += "\n"
	}
	if strings.TrimSpace(*last) != "" {
		s.lines = append(s.lines, "\n")
	}
}

// content tells whether Proxmox looks at the line.
func content(line string) bool {
	return !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != ""
}

// replace takes away the lines that Proxmox looks at and drop names, and puts others
// there: where the first of them was, with top before every line that Proxmox looks
// at, else at the end. What is no content stays.
func (s *section) replace(drop func(line string) bool, lines []string, top bool) {
	var out []string
	for i := range lines {
		lines[i] += "\n"
	}
	placed := len(lines) == 0
	for _, l := range s.lines {
		dropped := content(l) && drop(strings.TrimRight(l, "\r\n"))
		if !placed && (dropped || top && content(l)) {
			out, placed = append(out, lines...), true
		}
		if !dropped {
			out = append(out, l)
		}
	}
	if !placed {
		out = beforeBlanks(out, lines)
	}
	s.lines = out
	if !strings.HasSuffix(s.header, "\n") && len(s.lines) > 0 {
		s.header += "\n"
	}
}

// beforeBlanks appends lines to others, but before the empty lines at their end.
func beforeBlanks(out, lines []string) []string {
	end := len(out)
	for end > 0 && strings.TrimSpace(out[end-1]) == "" {
		end--
	}
	if end > 0 && !strings.HasSuffix(out[end-1], "\n") {
		out[end-1] += "\n"
	}
	return slices.Insert(out, end, lines...)
}

// contents are the lines of sections that Proxmox looks at, without line breaks.
func contents(sections []*section) []string {
	var out []string
	for _, s := range sections {
		for _, l := range s.lines {
			if content(l) {
				out = append(out, strings.TrimRight(l, "\r\n"))
			}
		}
	}
	return out
}
