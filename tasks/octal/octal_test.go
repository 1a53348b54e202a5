package octal_test

import (
	"testing"

	"phoenix/tasks/octal"
)

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`/srv/two\040words`: "/srv/two words", `\011\134x`: "\t\\x", `end\040`: "end ", `a\04`: `a\04`, `a\08x`: `a\08x`, `\400`: `\400`, `\`: `\`, "": "",
	} {
		if got := octal.Unescape(in); got != want {
			t.Errorf("%q is read as %q, want %q", in, got, want)
		}
	}
}
