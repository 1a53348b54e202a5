package aptsources

import (
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
)

// Stanza is an entry to be written.
type Stanza struct {
	Types, URIs, Suites, Components, Architectures []string
	// SignedBy is the path of a keyring or an armoured key.
	SignedBy string
	// Disabled stanzas are written and not used.
	Disabled bool
}

// String is the stanza's text, fields in the order in which Proxmox writes them.
func (s Stanza) String() string {
	var b strings.Builder
	for _, f := range []struct {
		name   string
		values []string
	}{
		{"Types", s.Types}, {"URIs", s.URIs}, {"Suites", s.Suites}, {"Components", s.Components}, {"Architectures", s.Architectures},
	} {
		if len(f.values) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", f.name, strings.Join(f.values, " "))
		}
	}
	if s.SignedBy != "" {
		b.WriteString(field("Signed-By", s.SignedBy))
	}
	if s.Disabled {
		b.WriteString("Enabled: no\n")
	}
	return b.String()
}

// field is the text of a field. A value of several lines, which only a key is, begins
// below its name; an empty line is written as a dot.
func field(name, value string) string {
	lines := strings.Split(strings.TrimSpace(value), "\n")
	if len(lines) == 1 {
		return name + ": " + lines[0] + "\n"
	}
	var b strings.Builder
	b.WriteString(name + ":\n")
	for _, l := range lines {
		if l = strings.TrimSpace(l); l == "" {
			l = "."
		}
		b.WriteString(" " + l + "\n")
	}
	return b.String()
}

// Append adds a stanza at the end of a file of stanzas.
func (f *File) Append(s Stanza) {
	if n := len(f.lines); n > 0 {
		if !strings.HasSuffix(f.lines[n-1], "\n") {
			f.lines[n-1] += "\n"
		}
		if strings.TrimSpace(f.lines[n-1]) != "" {
			f.lines = append(f.lines, "\n")
		}
	}
	f.lines = append(f.lines, tasks.Lines(s.String())...)
	f.find()
}

// found is a field of a stanza: its lines, comments among them included.
type found struct {
	name, value string
	start, end  int
}

// findStanzas reads the paragraphs; one without Types, URIs and Suites is no entry.
func (f *File) findStanzas() {
	for i := 0; i < len(f.lines); i++ {
		if strings.TrimSpace(f.lines[i]) == "" {
			continue
		}
		end := i
		for end < len(f.lines) && strings.TrimSpace(f.lines[end]) != "" {
			end++
		}
		e := Entry{Enabled: true, Line: i + 1, end: end}
		for _, one := range f.fields(i, end) {
			e.take(one.name, one.value)
		}
		if len(e.Types) > 0 && len(e.URIs) > 0 && len(e.Suites) > 0 {
			f.Entries = append(f.Entries, e)
		}
		i = end
	}
}

// fields splits a stanza. Of a field that is there twice apt takes the last.
func (f *File) fields(start, end int) []found {
	var out []found
	for i := start; i < end; i++ {
		line := f.lines[i]
		if line[0] == '#' {
			continue
		}
		text := strings.TrimSpace(line)
		if n := len(out); line[0] == ' ' || line[0] == '\t' {
			if n > 0 {
				out[n-1].value += "\n" + text
				out[n-1].end = i + 1
			}
			continue
		}
		name, value, ok := strings.Cut(text, ":")
		if ok {
			out = append(out, found{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value), i, i + 1})
		}
	}
	return out
}

func (e *Entry) take(name, value string) {
	switch name {
	case "types":
		e.Types = strings.Fields(value)
	case "uris":
		e.URIs = strings.Fields(value)
	case "suites":
		e.Suites = strings.Fields(value)
	case "components":
		e.Components = strings.Fields(value)
	case "architectures":
		e.Architectures = strings.Fields(value)
	case "signed-by":
		e.SignedBy = Key(value)
	case "enabled":
		e.Enabled = !slices.Contains([]string{"no", "false", "without", "off", "disable", "0"}, strings.ToLower(value))
	}
}

// Key is a key, or the path of one, in one form: lines without blanks around them, a
// dot for an empty one taken back.
func Key(value string) string {
	lines := strings.Split(strings.TrimSpace(value), "\n")
	for i, l := range lines {
		if lines[i] = strings.TrimSpace(l); lines[i] == "." {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// Set gives a field of a stanza a value and keeps its other lines.
func (f *File) Set(i int, name, value string) {
	e := f.Entries[i]
	fresh := tasks.Lines(field(name, value))
	at := -1
	fields := f.fields(e.Line-1, e.end)
	for k := len(fields) - 1; k >= 0; k-- {
		if one := fields[k]; one.name == strings.ToLower(name) {
			f.lines = slices.Delete(f.lines, one.start, one.end)
			e.end -= one.end - one.start
			at = one.start
		}
	}
	if at < 0 {
		at = e.end
		if !strings.HasSuffix(f.lines[at-1], "\n") {
			f.lines[at-1] += "\n"
		}
	}
	f.lines = slices.Insert(f.lines, at, fresh...)
	f.find()
}
