package dns

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
)

// wanted is one property of the spec and the keywords of its lines.
type wanted struct {
	name string
	// keys are written with the first; of search and domain, the last line counts.
	keys   []string
	values []string
	// each puts every value on a line of its own.
	each bool
}

func (t *task) wanted() []wanted {
	var out []wanted
	for _, w := range []wanted{
		{"nameservers", []string{"nameserver"}, addresses(t.spec.Nameservers), true},
		{"search", []string{"search", "domain"}, t.spec.Search, false},
		{"domain", []string{"domain", "search"}, nonEmpty(t.spec.Domain), false},
	} {
		if len(w.values) > 0 {
			out = append(out, w)
		}
	}
	return out
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// address is an address as netip writes it, so that spellings compare equal.
func address(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String()
	}
	return s
}

func addresses(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, address(s))
	}
	return out
}

// setting splits a line into its keyword, which must be in the first column, and its
// values.
func setting(line string) (key string, values []string) {
	if strings.IndexAny(line, " \t#;") == 0 {
		return "", nil
	}
	words := strings.Fields(line)
	if len(words) < 2 {
		return "", nil
	}
	return words[0], words[1:]
}

// found are the values in effect.
func found(data []byte, keys []string) []string {
	var out []string
	for _, line := range tasks.Lines(string(data)) {
		key, values := setting(line)
		switch {
		case !slices.Contains(keys, key):
		case key == "nameserver":
			out = append(out, address(values[0]))
		case key == keys[0]:
			out = values
		default:
			out = append([]string{key}, values...) // the other keyword, which counts
		}
	}
	return out
}

// replace writes the values where the first line of their keywords was, or at the
// end, and takes the other lines of these keywords out.
func replace(data []byte, w wanted) []byte {
	lines := strings.SplitAfter(string(data), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	} else {
		lines[len(lines)-1] += "\n"
	}
	ours := func(line string) bool {
		key, _ := setting(line)
		return slices.Contains(w.keys, key)
	}
	at := slices.IndexFunc(lines, ours)
	if at < 0 {
		at = len(lines)
	}
	rest := slices.DeleteFunc(slices.Clone(lines), ours)
	return []byte(strings.Join(slices.Insert(rest, at, w.lines()...), ""))
}

// lines are the lines of a setting. Validate has refused what would not stay on one.
func (w wanted) lines() []string {
	if !w.each {
		return []string{w.keys[0] + " " + strings.Join(w.values, " ") + "\n"}
	}
	var out []string
	for _, v := range w.values {
		out = append(out, w.keys[0]+" "+v+"\n")
	}
	return out
}

// generated is what programs write into the file that they make.
var generated = regexp.MustCompile(`(?im)^#.*\b(?:generated|managed) by (?:man:)?([A-Za-z0-9_.-]+)`)

// maker is the program that says in a comment that it made the file, or "".
func maker(data []byte) string {
	m := generated.FindSubmatch(data)
	if m == nil {
		return ""
	}
	return string(m[1])
}
