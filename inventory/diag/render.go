package diag

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sourceWidth is how much of a long source line is shown, in characters.
const sourceWidth = 120

// Style says how a list is rendered.
type Style struct {
	// Color marks the severity with terminal colours.
	Color bool
	// Caret adds the source line, and a caret under the fault.
	Caret bool
}

// Render writes each diagnostic as "FILE:LINE:COL: PATH: SUMMARY (HINT)", one a
// line, in the list's order. The error is that of w.
func (l List) Render(w io.Writer, s Style) error {
	var b strings.Builder
	for _, d := range l {
		b.WriteString(s.paint(d.Severity, d.Error()) + "\n")
		if s.Caret && d.Source != "" && d.Line > 0 {
			b.WriteString(s.excerpt(d))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Style) paint(sev Severity, text string) string {
	if !s.Color {
		return text
	}
	if sev == Warning {
		return "\x1b[33m" + text + "\x1b[0m"
	}
	return "\x1b[31m" + text + "\x1b[0m"
}

// excerpt is the source line and the caret. Both are cut out of a long line, so
// that the caret is always in sight.
func (s Style) excerpt(d Diagnostic) string {
	text := []rune(strings.TrimRight(d.Source, "\r\n"))
	at := min(max(d.Col-1, 0), len(text))
	start := 0
	if len(text) > sourceWidth {
		start = max(0, min(at-sourceWidth/2, len(text)-sourceWidth))
		text = text[start : start+sourceWidth]
	}
	gutter := fmt.Sprintf("%5d | ", d.Line)
	out := gutter + Clean(string(text)) + "\n"
	if d.Col > 0 {
		pad := utf8.RuneCountInString(Clean(string(text[:at-start])))
		out += strings.Repeat(" ", len(gutter)-2) + "| " + strings.Repeat(" ", pad) + s.paint(d.Severity, "^") + "\n"
	}
	return out
}

// Clean makes text safe for a terminal and for one line of it: a tab becomes a
// blank, and every other character that does not print is written as an escape.
func Clean(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r == '\t':
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		text = text[size:]
	}
	return b.String()
}
