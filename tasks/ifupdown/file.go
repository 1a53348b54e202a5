package ifupdown

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
)

// File is one interfaces file.
type File struct {
	// Path it was read from.
	Path string
	// preamble is what comes before the first keyword.
	preamble []line
	stanzas  []*Stanza
}

// line is a logical line: one that ends in a backslash goes on in the next.
type line struct {
	raw string // as found, with its line break
	// words are the first word and the rest; none for a blank line and a comment.
	key, value string
}

// blanks is what ifupdown2 strips from lines.
const blanks = " \t\r\n"

// Parse reads a file. It cannot fail: what is not understood is kept.
func Parse(path string, data []byte) *File {
	f := &File{Path: path}
	for _, l := range logical(string(data)) {
		switch {
		case keyword(l.key):
			f.stanzas = append(f.stanzas, &Stanza{head: l})
		case len(f.stanzas) == 0:
			f.preamble = append(f.preamble, l)
		default:
			s := f.stanzas[len(f.stanzas)-1]
			s.body = append(s.body, l)
		}
	}
	return f
}

// logical splits text into lines, with those that a backslash joins in one.
func logical(text string) []line {
	var out []line
	var open strings.Builder
	physical := strings.SplitAfter(text, "\n")
	if physical[len(physical)-1] == "" {
		physical = physical[:len(physical)-1]
	}
	for i, p := range physical {
		open.WriteString(p)
		whole := open.String()
		// ifupdown2 strips the blanks on both sides of a backslash, and line breaks
		// are blanks to it.
		goesOn := strings.HasSuffix(strings.TrimRight(whole, blanks), `\`)
		taken := i+1 < len(physical) && strings.HasPrefix(strings.TrimLeft(physical[i+1], blanks), `\`)
		if (goesOn || taken) && i+1 < len(physical) {
			continue
		}
		out = append(out, newLine(whole))
		open.Reset()
	}
	return out
}

func newLine(raw string) line {
	var parts []string
	for _, p := range strings.Split(raw, `\`) {
		parts = append(parts, strings.Trim(p, blanks))
	}
	text := strings.Trim(strings.Join(parts, " "), blanks)
	l := line{raw: raw}
	if text == "" || text[0] == '#' {
		return l
	}
	i := strings.IndexAny(text, blanks)
	if i < 0 {
		l.key = text
		return l
	}
	l.key, l.value = text[:i], strings.Trim(text[i:], blanks)
	return l
}

// comment is the text of a comment line.
func (l line) comment() (string, bool) {
	text, ok := strings.CutPrefix(strings.TrimLeft(l.raw, blanks), "#")
	return strings.TrimRight(text, blanks), ok && l.key == ""
}

// keyword tells whether a word ends the stanza before it. Those of interfaces(5)
// that ifupdown2 lacks are among them: their lines are options of nobody.
func keyword(word string) bool {
	known := []string{"iface", "auto", "source", "source-directory", "vlan", "mapping", "rename", "template", "no-auto-down", "no-scripts"}
	return slices.Contains(known, word) || strings.HasPrefix(word, "allow-")
}

// Bytes is the file as it is to be written.
func (f *File) Bytes() []byte {
	var b bytes.Buffer
	for _, l := range f.preamble {
		b.WriteString(l.raw)
	}
	for _, s := range f.stanzas {
		for _, l := range s.lines() {
			b.WriteString(l.raw)
		}
	}
	return b.Bytes()
}

// Stanzas lists the stanzas in order.
func (f *File) Stanzas() []*Stanza { return f.stanzas }

// uneditable says why a line put into the file could be read as something else.
func (f *File) uneditable() error {
	text := string(f.Bytes())
	n := 1
	for _, l := range tasks.Lines(text) {
		if l = strings.TrimLeft(l, blanks); strings.HasPrefix(l, "%") || strings.HasPrefix(l, "<%") {
			return fmt.Errorf("line %d is a template, which only ifupdown2 can expand (write the stanzas out)", n)
		}
		n++
	}
	if text = strings.Trim(text, blanks); strings.HasPrefix(text, `\`) || strings.HasSuffix(text, `\`) {
		return errors.New("it begins or ends with a backslash, which joins a line with nothing (take it out)")
	}
	return nil
}

// InsertBefore puts new stanzas before one of the file.
func (f *File) InsertBefore(at *Stanza, added ...*Stanza) {
	i := slices.Index(f.stanzas, at)
	f.stanzas = slices.Concat(f.stanzas[:i], added, f.stanzas[i:])
}

// InsertAfter puts new stanzas behind one of the file, and a blank line between.
func (f *File) InsertAfter(at *Stanza, added ...*Stanza) {
	f.insert(slices.Index(f.stanzas, at)+1, added)
}

// Append puts new stanzas at the end, before the source lines that Proxmox keeps
// there, and a blank line on either side.
func (f *File) Append(added ...*Stanza) {
	i := len(f.stanzas)
	for i > 0 && strings.HasPrefix(f.stanzas[i-1].head.key, "source") {
		i--
	}
	f.insert(i, added)
}

// insert puts stanzas before stanza i, with blank lines around them, and between
// them behind each that has options.
func (f *File) insert(i int, added []*Stanza) {
	f.detach(i)
	for n, s := range added {
		last := n == len(added)-1
		if last && i < len(f.stanzas) || !last && len(s.body) > 0 {
			s.body = append(s.body, line{raw: "\n"})
		}
	}
	f.stanzas = slices.Concat(f.stanzas[:i], added, f.stanzas[i:])
}

// detach makes the text before stanza i end in a blank line.
func (f *File) detach(i int) {
	lines := &f.preamble
	if i > 0 {
		f.stanzas[i-1].endLine()
		lines = &f.stanzas[i-1].body
	} else if n := len(f.preamble); n > 0 {
		f.preamble[n-1] = ended(f.preamble[n-1])
	}
	if i == 0 && len(f.preamble) == 0 {
		return
	}
	if n := len(*lines); n == 0 || strings.Trim((*lines)[n-1].raw, blanks) != "" {
		*lines = append(*lines, line{raw: "\n"})
	}
}

// ended is a line with a line break, which the last of a file may lack.
func ended(l line) line {
	if !strings.HasSuffix(l.raw, "\n") {
		l.raw += "\n"
	}
	return l
}

// Remove takes a stanza's own line out of the file; what follows it stays.
func (f *File) Remove(s *Stanza) {
	i := slices.Index(f.stanzas, s)
	if i > 0 {
		before := f.stanzas[i-1]
		before.body = append(before.body, s.body...)
	} else {
		f.preamble = append(f.preamble, s.body...)
	}
	f.stanzas = slices.Delete(f.stanzas, i, i+1)
}
