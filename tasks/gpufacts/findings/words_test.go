package findings

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/gpufacts"
)

// spoken are the words of findings with their severities, and which of them are of a card
// itself, so that `phoenix gpus` has them in its column STATE.
type spoken struct {
	severity map[string]gpufacts.Severity
	states   map[string]bool
}

var counting = regexp.MustCompile(`^[0-9]+ ECC errors?$`)

func (s spoken) hear(t *testing.T, all, ofCards []gpufacts.Finding) {
	t.Helper()
	word := func(f gpufacts.Finding) string { return counting.ReplaceAllString(f.Word, "N ECC errors") }
	for _, f := range all {
		s.severity[word(f)] = f.Severity
		if f.Severity != gpufacts.SeverityNote && f.Mend == "" {
			t.Errorf("nobody is told what to do: %+v", f)
		}
	}
	for _, f := range ofCards {
		if f.Severity != gpufacts.SeverityNote {
			s.states[word(f)] = true
		}
	}
}

// documented are the words of the table in docs/families.md.
func documented(t *testing.T) map[string]gpufacts.Severity {
	t.Helper()
	_, table, is := strings.Cut(page(t, "families.md"), "\n| finding | severity | it means | what to do |\n|---|---|---|---|\n")
	if !is {
		t.Fatal("docs/families.md has no table of findings")
	}
	out := map[string]gpufacts.Severity{}
	for row := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(row, "| \n"), " | ")
		if !strings.HasPrefix(row, "|") {
			break
		}
		if len(cells) != 4 || cells[3] == "-" && cells[1] != string(gpufacts.SeverityNote) || slices.Contains(cells, "") {
			t.Errorf("a row without all of its parts: %s", row)
			continue
		}
		out[strings.Trim(cells[0], "`")] = gpufacts.Severity(cells[1])
	}
	return out
}

func page(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// held holds the documents to what was heard, and to the words that stand in the code.
func (s spoken) held(t *testing.T) {
	t.Helper()
	table := documented(t)
	for w, severity := range s.severity {
		if table[w] != severity {
			t.Errorf("%q is %s, and in docs/families.md %q", w, severity, table[w])
		}
	}
	written := map[string]bool{}
	literal := regexp.MustCompile(`add\((?:at, )?(?:gpufacts\.Severity\w+, )?"([A-Za-z -]+)",|Word: "([a-z -]+)"`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(data), -1) {
			if w := m[1] + m[2]; !strings.HasSuffix(f, "_test.go") {
				written[w] = true
				if table[w] == "" {
					t.Errorf("%s has the word %q, and docs/families.md has it not", f, w)
				}
			}
		}
	}
	for w := range table {
		if s.severity[w] == "" && !written[w] {
			t.Errorf("docs/families.md has the finding %q, and no code has it", w)
		}
	}
	_, text, _ := strings.Cut(page(t, "command-line.md"), "\nThe state is ")
	text, _, _ = strings.Cut(text, "\n\n")
	said := []string{"ok", "ok, MIG", "?", "driver vfio-pci", gpufacts.KindDriverNotLoaded}
	said = append(said, slices.Collect(maps.Keys(s.states))...)
	var listed []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		listed = append(listed, m[1])
	}
	slices.Sort(said)
	slices.Sort(listed)
	if !slices.Equal(said, listed) {
		t.Errorf("docs/command-line.md lists the states\n%q, and they are\n%q", listed, said)
	}
}
