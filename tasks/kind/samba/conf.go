package samba

import (
	"fmt"
	"strings"

	"phoenix/tasks"
)

// The files of Samba.
const (
	mainFile = "/etc/samba/smb.conf"
	ownFile  = "/etc/samba/phoenix.conf"
	passdb   = "/var/lib/samba/private/passdb.tdb"
)

// param is one parameter of a section.
type param struct{ name, value string }

// conf is a section of smb.conf with its line.
type conf struct {
	name   string
	line   int
	params []param
}

// parse reads smb.conf(5): sections, "name = value", comments of whole lines, lines
// that go on after a backslash. What stands above the first section is global.
func parse(text string) []conf {
	out := []conf{{name: "global"}}
	pending, first, n := "", 0, 0
	for _, raw := range tasks.Lines(text) {
		n++
		if pending == "" {
			first = n
		}
		line := strings.TrimSpace(pending + strings.TrimRight(raw, "\r\n"))
		if before, more := strings.CutSuffix(line, "\\"); more && !comment(line) {
			pending = before
			continue
		}
		pending = ""
		name, value, isParam := strings.Cut(line, "=")
		switch {
		case line == "" || comment(line):
		case line[0] == '[':
			section, _, _ := strings.Cut(line[1:], "]")
			out = append(out, conf{name: section, line: first})
		case isParam:
			last := &out[len(out)-1]
			last.params = append(last.params, param{canonicalName(name), strings.TrimSpace(value)})
		}
	}
	return out
}

func comment(line string) bool {
	return strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";")
}

// canonicalName is the name of a parameter as smb.conf(5) lists it: Samba takes no
// notice of case and of blanks, and has several names for some.
func canonicalName(s string) string {
	s = strings.Join(strings.Fields(strings.ToLower(s)), " ")
	for name, others := range synonyms() {
		for _, o := range append(others, name) {
			if strings.ReplaceAll(o, " ", "") == strings.ReplaceAll(s, " ", "") {
				return name
			}
		}
	}
	return s
}

// synonyms are the other names of the parameters that have a key of their own. The
// opposites of "read only" are among them, so that nobody sets both.
func synonyms() map[string][]string {
	return map[string][]string{
		"path": {"directory"}, "comment": nil, "read only": {"writeable", "writable", "write ok"}, "guest ok": {"public"},
		"browseable": {"browsable"}, "valid users": nil, "write list": nil, "force user": nil, "force group": {"group"},
		"create mask": {"create mode"}, "directory mask": {"directory mode"}, "include": nil, "copy": nil, "config file": nil,
	}
}

// get is the last value of a parameter.
func (c conf) get(name string) (string, bool) {
	for i := len(c.params) - 1; i >= 0; i-- {
		if c.params[i].name == name {
			return c.params[i].value, true
		}
	}
	return "", false
}

// section finds a section by name, without case; several of one name are one.
func section(all []conf, name string) (conf, bool) {
	var out conf
	found := false
	for _, c := range all {
		if strings.EqualFold(c.name, name) {
			if !found {
				out.name, out.line = c.name, c.line
			}
			out.params = append(out.params, c.params...)
			found = true
		}
	}
	return out, found
}

// setting is one parameter of a share: its key in the spec and how Samba has it.
type setting struct{ key, name, value string }

// settings are the parameters of a share in a stable order.
func (s *Share) settings() []setting {
	var out []setting
	add := func(key, name, value string) {
		if value != "" {
			out = append(out, setting{key, name, value})
		}
	}
	yes := func(key, name string, b *bool) {
		if b != nil {
			add(key, name, map[bool]string{true: "yes", false: "no"}[*b])
		}
	}
	add("path", "path", s.Path)
	add("comment", "comment", s.Comment)
	yes("read_only", "read only", s.ReadOnly)
	yes("guest_ok", "guest ok", s.GuestOK)
	yes("browseable", "browseable", s.Browseable)
	add("valid_users", "valid users", strings.Join(s.ValidUsers, ", "))
	add("write_list", "write list", strings.Join(s.WriteList, ", "))
	add("force_user", "force user", s.ForceUser)
	add("force_group", "force group", s.ForceGroup)
	add("create_mask", "create mask", s.CreateMask)
	add("directory_mask", "directory mask", s.DirectoryMask)
	for _, name := range tasks.Keys(s.Options) {
		add("options."+name, canonicalName(name), s.Options[name])
	}
	return out
}

// key is the key of the spec for a parameter that it does not have.
func key(name string) string {
	switch name {
	case "path", "comment", "browseable":
		return name
	case "read only", "guest ok", "valid users", "write list", "force user", "force group", "create mask", "directory mask":
		return strings.ReplaceAll(name, " ", "_")
	}
	return "options." + name
}

// text is our file.
func (s *Spec) text() string {
	var b strings.Builder
	b.WriteString("# Written by phoenix from its configuration; what is added here is lost.\n")
	if s.Workgroup != "" {
		fmt.Fprintf(&b, "[global]\n\tworkgroup = %s\n", s.Workgroup)
	}
	for _, name := range tasks.Keys(s.Shares) {
		fmt.Fprintf(&b, "\n[%s]\n", name)
		share := s.Shares[name]
		for _, p := range share.settings() {
			fmt.Fprintf(&b, "\t%s = %s\n", p.name, p.value)
		}
	}
	return b.String()
}

// includeLine has smb.conf read our file. What follows an included file belongs to
// the last section in it, so the line must be the last one.
const includeLine = "include = " + ownFile

// isInclude tells whether a line reads our file.
func isInclude(line string) bool {
	name, value, _ := strings.Cut(line, "=")
	return strings.TrimSpace(strings.ToLower(name)) == "include" && strings.TrimSpace(value) == ownFile
}

// placement is where smb.conf reads our file.
func placement(text string) string {
	where := "missing"
	for _, line := range tasks.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case isInclude(line):
			where = "last line"
		case line != "" && !comment(line) && where == "last line":
			where = "not the last line"
		}
	}
	return where
}

// withInclude is smb.conf with the line at its end, and nowhere else.
func withInclude(text string) string {
	var b strings.Builder
	for _, line := range tasks.Lines(text) {
		if !isInclude(strings.TrimSpace(line)) {
			b.WriteString(line)
		}
	}
	if s := b.String(); s != "" && !strings.HasSuffix(s, "\n") {
		b.WriteString("\n")
	}
	return b.String() + includeLine + "\n"
}
