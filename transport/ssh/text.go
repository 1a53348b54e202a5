package ssh

import (
	"strings"
	"unicode"
)

// clean makes text from elsewhere fit for one line of an error: control and
// formatting characters, which could move a terminal's cursor or reverse its
// writing, are dropped; line breaks and tabs become spaces.
func clean(s string) string {
	return strings.Join(strings.Fields(cleanLines(s)), " ")
}

// cleanLines is clean for text of several lines, which stay.
func cleanLines(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r', r == unicode.ReplacementChar, unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
}

// cleanError is an error whose text, which a host may have written, is made fit
// for a terminal; what it wraps is still found.
type cleanError struct{ error }

func (e cleanError) Error() string { return clean(e.error.Error()) }

// Unwrap returns the error as it came.
func (e cleanError) Unwrap() error { return e.error }

// shellQuote quotes s for a POSIX shell where it needs quoting, for hints that are
// pasted.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("@%+=:,./-_~", r))
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
