package diag

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func render(t *testing.T, l List, s Style) string {
	t.Helper()
	var b strings.Builder
	if err := l.Render(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRenderSaysPlacePathSummaryAndHint(t *testing.T) {
	l := List{{File: "a.json", Line: 41, Col: 17, Path: "lxc_configs.950.memory_mb", Summary: "40 is below the minimum of 64",
		Hint: "did you mean 40960?", Source: `		"memory_mb":  40,`}}
	want := "a.json:41:17: lxc_configs.950.memory_mb: 40 is below the minimum of 64 (did you mean 40960?)\n" +
		"   41 |   \"memory_mb\":  40,\n" +
		"      |                 ^\n"
	if got := render(t, l, Style{Caret: true}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRenderLetsNoControlCharacterThrough(t *testing.T) {
	l := List{{File: "a\x1b[2J.json", Line: 1, Col: 3, Path: "x\r", Summary: "bad\x07", Hint: "h\u202e", Source: "\x1b]0;title\x07\u009b31m\xffabc"}}
	got := render(t, l, Style{Caret: true})
	for _, r := range got {
		if r != '\n' && r != '\uFFFD' && (r < ' ' || r >= 0x7f) {
			t.Errorf("rendered %q holds %U", got, r)
		}
	}
	if !strings.Contains(got, `\x1b[2J`) {
		t.Errorf("rendered %q hides that there was an escape", got)
	}
}

func TestRenderKeepsTheCaretInSightOnALongLine(t *testing.T) {
	long := strings.Repeat("a", 500) + "X" + strings.Repeat("b", 500)
	lines := strings.Split(render(t, List{{File: "f", Line: 1, Col: 501, Summary: "s", Source: long}}, Style{Caret: true}), "\n")
	if len(lines[1]) > sourceWidth+10 {
		t.Errorf("excerpt is %d wide", len(lines[1]))
	}
	if at := strings.IndexByte(lines[2], '^'); at < 0 || lines[1][at] != 'X' {
		t.Errorf("caret misses X:\n%s\n%s", lines[1], lines[2])
	}
}

func TestRenderSurvivesAColumnBeyondTheLine(t *testing.T) {
	if got := render(t, List{{File: "f", Line: 1, Col: 99, Summary: "s", Source: "ab"}}, Style{Caret: true}); !strings.Contains(got, "|   ^") {
		t.Errorf("got %q", got)
	}
}

func TestRenderColoursOnlyWhenAsked(t *testing.T) {
	l := List{{Summary: "e"}, {Severity: Warning, Summary: "w"}}
	if got := render(t, l, Style{}); got != "e\nwarning: w\n" {
		t.Errorf("plain: %q", got)
	}
	if got := render(t, l, Style{Color: true}); got != "\x1b[31me\x1b[0m\n\x1b[33mwarning: w\x1b[0m\n" {
		t.Errorf("coloured: %q", got)
	}
}

func TestSortOrdersByPlaceAndDropsRepetitions(t *testing.T) {
	l := List{{File: "b", Line: 1, Summary: "4"}, {File: "a", Line: 10, Summary: "3"}, {File: "a", Line: 2, Col: 9, Summary: "2"},
		{File: "a", Line: 2, Col: 1, Summary: "1"}, {File: "a", Line: 10, Summary: "3"}}
	l.Sort()
	var got string
	for _, d := range l {
		got += d.Summary
	}
	if got != "1234" {
		t.Errorf("order %s, want 1234", got)
	}
}

func TestWarningsStopNothing(t *testing.T) {
	l := List{{Severity: Warning, Summary: "w"}}
	if l.HasErrors() {
		t.Error("a warning counts as an error")
	}
	l.Add(Diagnostic{Severity: Error, Summary: "e"}, Diagnostic{Severity: Error, Summary: "f"})
	if !l.HasErrors() || len(l.Errors()) != 2 || len(l.Warnings()) != 1 || l.Counts() != "2 errors, 1 warning" {
		t.Errorf("errors %v, warnings %v, counts %q", l.Errors(), l.Warnings(), l.Counts())
	}
}

func TestJSONOfAnEmptyListIsAnArray(t *testing.T) {
	if b, err := json.Marshal(List(nil)); err != nil || string(b) != "[]" {
		t.Errorf("%s, %v", b, err)
	}
	b, err := json.Marshal(List{{Severity: Error, File: "f", Line: 2, Col: 3, Path: "p", Summary: "s", Hint: "h"}})
	if want := `[{"severity":"error","file":"f","line":2,"col":3,"path":"p","summary":"s","hint":"h"}]`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

func TestSuggestFindsTheNearWordAndNoFarOne(t *testing.T) {
	keys := []string{"memory_mb", "swap_mb", "cores", "name", "ip", "ip6", "clone_from_ctid", "clone_from_snapshot", "clone_mode"}
	for word, want := range map[string]string{
		"memroy_mb": "memory_mb", "memory": "memory_mb", "Cores": "cores", "core": "cores", "nmae": "name", "ip4": "ip",
		"clone_from": "clone_from_ctid", "clone_mod": "clone_mode",
		"frobnicate": "", "x": "", strings.Repeat("memory_mb", 1000): "",
	} {
		if got := Suggest(word, keys); got != want {
			t.Errorf("Suggest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

func TestAddLeavesOutTheMiddleOfLongTexts(t *testing.T) {
	var l List
	long := "begin" + strings.Repeat("é", 200_000) + "end"
	l.Add(Diagnostic{Path: long, Summary: long, Hint: long}, Diagnostic{Path: "p", Summary: strings.Repeat("é", maxSummary), Hint: "h"})
	for text, longest := range map[string]int{l[0].Path: maxPath, l[0].Summary: maxSummary, l[0].Hint: maxHint} {
		if n := utf8.RuneCountInString(text); n != longest || !strings.HasPrefix(text, "begin") || !strings.HasSuffix(text, "end") || !strings.Contains(text, "…") {
			t.Errorf("%d characters instead of %d: %s", n, longest, text)
		}
	}
	if got := l[1]; got.Path != "p" || got.Summary != strings.Repeat("é", maxSummary) || got.Hint != "h" {
		t.Errorf("what is short is changed: %+v", got)
	}
}
