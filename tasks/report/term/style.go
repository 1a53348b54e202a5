package term

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ColorMode is the value of --color.
type ColorMode string

// The values of --color; the zero value means auto.
const (
	ColorAuto   ColorMode = "auto"
	ColorAlways ColorMode = "always"
	ColorNever  ColorMode = "never"
)

// Input is what Decide looks at.
type Input struct {
	// Color is the value of --color.
	Color ColorMode
	// Getenv reads the environment.
	Getenv func(string) string
	// Terminal tells whether the stream that is written to is one.
	Terminal bool
}

// Style says how text may be put on a stream. The zero value is plain ASCII.
type Style struct {
	// Color allows SGR escape sequences.
	Color bool
	// Unicode allows glyphs beyond ASCII.
	Unicode bool
	// Live allows moving the cursor: the stream is a terminal that can.
	Live bool
}

// Decide is the style for a stream. Colour, first match decides: --color always or
// never; NO_COLOR not empty (no-color.org) means none; CLICOLOR_FORCE or FORCE_COLOR
// neither empty nor "0" or "false" means colour (bixense.com/clicolors,
// force-color.org); CLICOLOR=0, TERM=dumb or no terminal means none. Glyphs beyond
// ASCII need a UTF-8 locale: LC_ALL, LC_CTYPE, LANG, of which the first that is set
// decides (POSIX, environment variables).
func Decide(in Input) Style {
	capable := in.Terminal && in.Getenv("TERM") != "dumb"
	return Style{Color: color(in, capable), Unicode: utf8Locale(in.Getenv), Live: capable}
}

func color(in Input, capable bool) bool {
	switch {
	case in.Color == ColorAlways:
		return true
	case in.Color == ColorNever, in.Getenv("NO_COLOR") != "":
		return false
	case truthy(in.Getenv("CLICOLOR_FORCE")), truthy(in.Getenv("FORCE_COLOR")):
		return true
	}
	return capable && in.Getenv("CLICOLOR") != "0"
}

func truthy(s string) bool { return s != "" && s != "0" && s != "false" }

func utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// Role is what a piece of text stands for; its colour follows from it.
type Role int

// The roles.
const (
	Plain Role = iota
	Strong
	Faint
	Good
	Change
	Bad
	Added
	Removed
)

// Paint colours a text that holds no line break.
func (s Style) Paint(r Role, text string) string {
	codes := [...]string{Plain: "", Strong: "1", Faint: "2", Good: "32", Change: "33", Bad: "1;31", Added: "32", Removed: "31"}
	if !s.Color || text == "" || codes[r] == "" {
		return text
	}
	return "\x1b[" + codes[r] + "m" + text + "\x1b[0m"
}

// Dot separates the parts of a line.
func (s Style) Dot() string { return s.pick("·", "-") }

// Ellipsis stands for what was cut off.
func (s Style) Ellipsis() string { return s.pick("…", "...") }

func (s Style) pick(unicode, ascii string) string {
	if s.Unicode {
		return unicode
	}
	return ascii
}

// Clean makes one line of remote text harmless: terminal escape sequences, control
// characters (C1 too) and characters that change the direction of the text are
// removed; tabs, line breaks and carriage returns become blanks. Where the style is
// ASCII only, other characters are written as \u escapes.
func (s Style) Clean(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		if n := escape(text[i:]); n > 0 {
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		i += n
		s.writeRune(&b, r)
	}
	return b.String()
}

func (s Style) writeRune(b *strings.Builder, r rune) {
	switch {
	case r == '\t' || r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
		b.WriteByte(' ')
	case unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r):
	case r > '~' && !s.Unicode:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		b.WriteRune(r)
	}
}

// Lines splits remote text into clean lines, without a last empty one.
func (s Style) Lines(text string) []string {
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = s.Clean(strings.TrimSuffix(l, "\r"))
	}
	return lines
}

// escape returns the length of the terminal escape sequence that text begins with,
// or 0: CSI and string sequences as ECMA-48 (section 5.4, 8.3.89) has them. A string
// sequence without its end counts as its introducer only, so that it cannot swallow
// what follows.
func escape(text string) int {
	rest, ok := strings.CutPrefix(text, "\x1b")
	if !ok {
		return c1(text)
	}
	if rest == "" {
		return 1
	}
	switch rest[0] {
	case '[':
		return 2 + csi(rest[1:])
	case ']', 'P', 'X', '^', '_':
		return 2 + controlString(rest[1:])
	}
	if rest[0] >= 0x20 && rest[0] < 0x7f {
		return 2
	}
	return 1
}

// c1 is escape for the one-character introducers U+009B (CSI) and U+009D (OSC).
func c1(text string) int {
	if rest, ok := strings.CutPrefix(text, "\u009b"); ok {
		return 2 + csi(rest)
	}
	if rest, ok := strings.CutPrefix(text, "\u009d"); ok {
		return 2 + controlString(rest)
	}
	return 0
}

// csi is the length of a control sequence after its introducer.
func csi(s string) int {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] >= 0x40 && s[i] <= 0x7e:
			return i + 1
		case s[i] < 0x20 || s[i] > 0x3f:
			return i
		}
	}
	return len(s)
}

// controlString is the length of a control string up to and with its end.
func controlString(s string) int {
	for _, end := range []string{"\a", "\x1b\\", "\u009c"} {
		if i := strings.Index(s, end); i >= 0 && !strings.ContainsAny(s[:i], "\n\x1b") {
			return i + len(end)
		}
	}
	return 0
}
