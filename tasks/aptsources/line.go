package aptsources

import (
	"strings"
)

// word is a part of a line with its place.
type word struct {
	text       string
	start, end int
}

// words splits a line as apt does: blanks inside [] and "" split nothing, and "#"
// outside [] ends the line.
func words(line string) []word {
	var out []word
	start, inside := -1, byte(0)
	closing := map[byte]byte{'[': ']', '"': '"'}
	for i := 0; i <= len(line); i++ {
		var c byte = ' '
		if i < len(line) {
			c = line[i]
		}
		blank := c == ' ' || c == '\t' || c == '\n' || c == '\r'
		if inside != 0 && i < len(line) {
			if c == inside {
				inside = 0
			}
			continue
		}
		if c == '#' || blank {
			if start >= 0 {
				out = append(out, word{line[start:i], start, i})
			}
			start = -1
			if c == '#' {
				return out
			}
			continue
		}
		if start < 0 {
			start = i
		}
		inside = closing[c]
	}
	return out
}

// parseLine reads "deb [OPTIONS] URI SUITE COMPONENT…", also behind "#".
func parseLine(line string) (Entry, bool) {
	text := strings.TrimLeft(line, " \t")
	e := Entry{Enabled: !strings.HasPrefix(text, "#")}
	w := words(strings.TrimLeft(text, "# \t"))
	if len(w) < 3 || w[0].text != "deb" && w[0].text != "deb-src" {
		return e, false
	}
	e.Types = []string{w[0].text}
	w = w[1:]
	if strings.HasPrefix(w[0].text, "[") {
		e.options(strings.Trim(w[0].text, "[]"))
		w = w[1:]
	}
	if len(w) < 2 || !strings.Contains(w[0].text, ":") {
		return e, false
	}
	e.URIs, e.Suites = []string{w[0].text}, []string{w[1].text}
	for _, c := range w[2:] {
		e.Components = append(e.Components, c.text)
	}
	exact := strings.HasSuffix(w[1].text, "/")
	return e, exact == (len(e.Components) == 0)
}

func (e *Entry) options(text string) {
	for _, o := range strings.Fields(text) {
		switch key, value, _ := strings.Cut(o, "="); key {
		case "signed-by":
			e.SignedBy = value
		case "arch":
			e.Architectures = strings.Split(value, ",")
		}
	}
}

// dropWords takes components out of a line and keeps the rest of it.
func dropWords(line string, unwanted func(string) bool) string {
	w := words(line)
	first := 3 // after the type, the address and the suite
	if len(w) > 1 && strings.HasPrefix(w[1].text, "[") {
		first = 4
	}
	for i := len(w) - 1; i >= first; i-- {
		if unwanted(w[i].text) {
			line = line[:w[i-1].end] + line[w[i].end:]
		}
	}
	return line
}
