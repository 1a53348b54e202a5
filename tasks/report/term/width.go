package term

import (
	"strings"
	"unicode"
)

// Width is the number of columns that a clean text takes, counting wide East Asian
// characters and emoji as two (Unicode Standard Annex 11) and combining marks as
// none. It is an estimate where a font decides.
func Width(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60,
		r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// Fit cuts a clean text to a number of columns, with an ellipsis where it was cut,
// and fills it up with blanks when pad is set.
func (s Style) Fit(text string, columns int, pad bool) string {
	if columns <= 0 {
		return ""
	}
	if w := Width(text); w > columns {
		text = s.cut(text, columns)
	}
	if w := Width(text); pad && w < columns {
		text += strings.Repeat(" ", columns-w)
	}
	return text
}

func (s Style) cut(text string, columns int) string {
	end := s.Ellipsis()
	if Width(end) > columns {
		end = ""
	}
	room := columns - Width(end)
	for i, r := range text {
		room -= runeWidth(r)
		if room < 0 {
			return text[:i] + end
		}
	}
	return text
}
