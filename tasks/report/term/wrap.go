package term

import (
	"strings"

	"phoenix/tasks"
)

// oneLine is how many columns a change has on one line; its values stand below it where
// they take more.
const oneLine = 76

// below writes the values of a change on lines of their own, where they are long or have
// several lines; nil where they fit behind its path.
func (s Style) below(c tasks.Change, onLine string) []string {
	several := strings.Contains(strings.TrimSpace(c.From), "\n") || strings.Contains(strings.TrimSpace(c.To), "\n")
	if !several && Width(s.Clean(c.Path))+Width(onLine) <= oneLine {
		return nil
	}
	var out []string
	for _, side := range []struct {
		mark, value string
		role        Role
	}{{"- ", c.From, Removed}, {"+ ", c.To, Added}} {
		for i, l := range s.Lines(side.value) {
			mark := side.mark
			if i > 0 {
				mark = "  "
			}
			out = append(out, "    "+s.Paint(side.role, mark+s.Fit(l, maxLine, false)))
		}
	}
	return out
}

// Wrap breaks a line, which may be painted, at blanks so that none is wider than that many
// columns where a word allows it. What follows is indented deeper than the line.
func Wrap(line string, columns int) []string {
	if columns <= 0 || Width(unpainted(line)) <= columns {
		return []string{line}
	}
	text := strings.TrimLeft(line, " ")
	indent := line[:len(line)-len(text)]
	var out []string
	now := indent
	for i, word := range strings.Split(text, " ") {
		switch {
		case i == 0:
			now += word
		case Width(unpainted(now))+1+Width(unpainted(word)) > columns:
			out = append(out, strings.TrimRight(now, " "))
			now = indent + "    " + word
		default:
			now += " " + word
		}
	}
	return append(out, now)
}

// unpainted is a line without what Paint adds.
func unpainted(line string) string {
	var b strings.Builder
	for {
		before, after, painted := strings.Cut(line, "\x1b[")
		b.WriteString(before)
		if !painted {
			return b.String()
		}
		_, line, _ = strings.Cut(after, "m")
	}
}
