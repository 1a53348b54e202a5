package tasks_test

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
)

func TestLinesAreThoseOfTheStandardLibrary(t *testing.T) {
	for name, text := range map[string]string{
		"no text": "", "one line without an end": "a", "one line": "a\n", "an empty line": "\n", "empty lines at the end": "a\n\n\n",
		"the last line has no end": "a\nb", "lines of Windows": "a\r\nb\r\n",
	} {
		if got, want := tasks.Lines(text), slices.Collect(strings.Lines(text)); !slices.Equal(got, want) {
			t.Errorf("%s: %q is split into %q, want %q", name, text, got, want)
		}
	}
}
