package term

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
)

func TestALongOrMultiLineValueStandsBelowItsPath(t *testing.T) {
	long := strings.Repeat("u 0 100000 1000; ", 5)
	for name, c := range map[string]struct {
		change tasks.Change
		want   string
	}{
		"short ones stay on the line": {tasks.Change{Path: "cores", From: "1", To: "2", Effect: tasks.EffectLive}, "~ cores  1 -> 2  (live)"},
		"long ones stand below":       {tasks.Change{Path: "idmap", From: long, To: long + "x", Effect: tasks.EffectRestart}, "~ idmap  (restart)\n    - " + strings.TrimSpace(long) + "\n    + " + long + "x"},
		"further lines are indented":  {tasks.Change{Path: "description", To: "Web.\nAsk ops.\n", Note: "n"}, "+ description\n    + Web.\n      Ask ops.\n    n"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, l := range (Style{}).Change(c.change, 0) {
				got = append(got, strings.TrimRight(l, " "))
			}
			if strings.Join(got, "\n") != c.want {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), c.want)
			}
		})
	}
}

func TestWrapBreaksAtBlanks(t *testing.T) {
	for _, c := range []struct {
		line    string
		columns int
		want    []string
	}{
		{"  as it is", 0, []string{"  as it is"}},
		{"  as it is", 10, []string{"  as it is"}},
		{"  one two three", 9, []string{"  one two", "      three"}},
		{"  a aVeryLongWord b", 8, []string{"  a", "      aVeryLongWord", "      b"}},
		{"\x1b[31mred text\x1b[0m end", 12, []string{"\x1b[31mred text\x1b[0m end"}},
		{"\x1b[31mred text\x1b[0m end", 9, []string{"\x1b[31mred text\x1b[0m", "    end"}},
	} {
		if got := Wrap(c.line, c.columns); !slices.Equal(got, c.want) {
			t.Errorf("%q at %d: %q, want %q", c.line, c.columns, got, c.want)
		}
	}
}
