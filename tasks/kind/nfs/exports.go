package nfs

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/octal"
)

// The files of nfs-utils: what is to be exported, and what is.
const (
	ownFile     = "/etc/exports.d/phoenix.exports"
	exportsFile = "/etc/exports"
	dropIns     = "/etc/exports.d"
	activeFile  = "/var/lib/nfs/etab"
)

// entry is one client of one directory.
type entry struct{ path, client string }

// placed is an entry with its flags and its line.
type placed struct {
	entry
	flags []string
	line  int
}

// parse reads exports(5) and /var/lib/nfs/etab, which has the same grammar: a path,
// then clients with flags in parentheses. Lines go on after a backslash, # begins a
// comment, "-flags" are defaults for those after it. Flags that stand alone are for
// everybody, which is what the blank of "10.0.0.0/24 (rw)" leads to.
func parse(text string) []placed {
	var out []placed
	first, pending := 0, ""
	n := 0
	for _, raw := range tasks.Lines(text) {
		n++
		if pending == "" {
			first = n
		}
		raw = strings.TrimRight(raw, "\r\n")
		if before, more := strings.CutSuffix(raw, "\\"); more {
			pending += before + " "
			continue
		}
		out, pending = append(out, parseLine(pending+raw, first)...), ""
	}
	return append(out, parseLine(pending, first)...)
}

func parseLine(line string, n int) []placed {
	words := split(line)
	if len(words) == 0 {
		return nil
	}
	var out []placed
	var defaults []string
	path := path.Clean(octal.Unescape(words[0]))
	for _, w := range words[1:] {
		if list, ok := strings.CutPrefix(w, "-"); ok {
			defaults = strings.Split(list, ",")
			continue
		}
		client, list, _ := strings.Cut(w, "(")
		list = strings.TrimSuffix(list, ")")
		if client == "" {
			client = "*"
		}
		all := slices.Clone(defaults)
		for _, f := range strings.Split(list, ",") {
			if f = strings.TrimSpace(f); f != "" {
				all = append(all, f)
			}
		}
		out = append(out, placed{entry{path, canonicalClient(octal.Unescape(client))}, all, n})
	}
	if len(words) == 1 {
		out = append(out, placed{entry{path, "*"}, nil, n})
	}
	return out
}

// split cuts a line at blanks outside of quotes, and drops its comment.
func split(line string) []string {
	var out []string
	var word strings.Builder
	quoted, open := false, false
	end := func() {
		if open {
			out = append(out, word.String())
		}
		word.Reset()
		open = false
	}
	for i := range len(line) {
		switch r := line[i]; {
		case r == '"':
			quoted, open = !quoted, true
		case !quoted && r == '#':
			end()
			return out
		case !quoted && (r == ' ' || r == '\t'):
			end()
		default:
			open = true
			word.WriteByte(r)
		}
	}
	end()
	return out
}

// escape writes what would end a word as exportfs itself does.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '#' || c == '"' || c == '\\' || c == 0x7f {
			fmt.Fprintf(&b, "\\%03o", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// canonicalClient writes a client in one way: 10.0.0.0/255.255.255.0 is 10.0.0.0/24,
// <world> is *, IPv6 is short and in lower case.
func canonicalClient(s string) string {
	if s == "<world>" {
		return "*"
	}
	address, mask, ok := strings.Cut(s, "/")
	if m, err := netip.ParseAddr(mask); ok && err == nil {
		bits := 0
		for _, b := range m.AsSlice() {
			for ; b&0x80 != 0; b <<= 1 {
				bits++
			}
		}
		s = address + "/" + strconv.Itoa(bits)
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		if p.IsSingleIP() {
			return p.Addr().String()
		}
		return p.Masked().String()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String()
	}
	return strings.ToLower(s)
}

// active are the flags in etab without what it says twice: behind sec= it repeats
// those that can differ by flavour.
func active(list []string) []string {
	i := slices.IndexFunc(list, func(f string) bool { return strings.HasPrefix(f, "sec=") })
	if i < 0 {
		return list
	}
	return list[:i+1]
}

// text is our file: sorted, one line for each directory.
func (s *Spec) text() string {
	var b strings.Builder
	b.WriteString("# Written by phoenix from its configuration; what is added here is lost.\n")
	for _, path := range tasks.Keys(s.Exports) {
		b.WriteString(escape(path))
		clients := s.Exports[path].Clients
		for _, c := range tasks.Keys(clients) {
			f, err := parseFlags(clients[c])
			if err != nil {
				continue // Validate has refused it
			}
			b.WriteString(" " + canonicalClient(c) + "(" + f.list() + ")")
		}
		b.WriteString("\n")
	}
	return b.String()
}
