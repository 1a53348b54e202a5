package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// helpFlag is one flag as --help shows it.
type helpFlag struct{ short, long, value, variable, text string }

var (
	helpFlagLine = regexp.MustCompile(`^ {2,6}(?:(-[a-zA-Z]), )?(--[a-z][a-z-]*)(?:=(\S+))?(?:\s+(.*))?$`)
	helpVariable = regexp.MustCompile(` \(\$(PHOENIX_[A-Z_]+)\)\.$`)
)

// TestCommandLinePageIsThatOfTheHelp holds the tables of docs/command-line.md to what
// --help says of every command, both ways: a row for each command and each flag, and
// none besides. The tables are made of the help, so the failure shows what to paste.
func TestCommandLinePageIsThatOfTheHelp(t *testing.T) {
	help := helpTexts(t)
	every := flagsOf(t, help[0])
	commands := "| command | |\n|---|---|\n"
	var others []helpFlag
	takers := map[helpFlag][]string{}
	for _, h := range help[1:] {
		usage, rest, _ := strings.Cut(strings.TrimPrefix(h.text, "Usage: "), "\n")
		about, _, _ := strings.Cut(rest, "\nFlags:")
		about, _, _ = strings.Cut(about, "\nArguments:")
		commands += fmt.Sprintf("| `%s` | %s |\n", strings.TrimSuffix(usage, " [flags]"), strings.Join(strings.Fields(about), " "))
		for _, f := range flagsOf(t, h) {
			if slices.Contains(every, f) {
				continue
			}
			if takers[f] == nil {
				others = append(others, f)
			}
			takers[f] = append(takers[f], h.command)
		}
	}
	of := "| flag | value | variable | meaning |\n|---|---|---|---|\n"
	for _, f := range every {
		of += f.row("")
	}
	more := "| flag | value | variable | of | meaning |\n|---|---|---|---|---|\n"
	reaching := ""
	for f, commands := range takers {
		if f.long == "--forks" {
			reaching = strings.Join(commands, ", ")
		}
	}
	for _, f := range others {
		more += f.row(strings.Replace(strings.Join(takers[f], ", "), reaching, "all that reach hosts", 1))
	}
	if len(every) < 6 || len(others) < 15 {
		t.Fatalf("%d and %d flags were found: the search is broken", len(every), len(others))
	}
	data, err := os.ReadFile(filepath.Join(repositoryRoot, "docs", "command-line.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"commands": commands, "flags of all": of, "other flags": more} {
		_, table, found := strings.Cut(string(data), "<!-- help: "+name+" -->\n")
		table, _, _ = strings.Cut(table, "\n\n")
		if !found || strings.TrimSpace(table) != strings.TrimSpace(want) {
			t.Errorf("docs/command-line.md: the table %q is to be\n%s\nand is\n%s", name, want, table)
		}
	}
}

// flagsOf reads the flags of a help text, whose lines are wrapped.
func flagsOf(t *testing.T, h helpText) []helpFlag {
	t.Helper()
	_, list, found := strings.Cut(h.text, "\nFlags:\n")
	if !found {
		t.Fatalf("the help of %q has no flags", h.command)
	}
	list, _, _ = strings.Cut(list, "\nRun \"")
	var out []helpFlag
	for line := range strings.Lines(list) {
		line = strings.TrimRight(line, "\n")
		if m := helpFlagLine.FindStringSubmatch(line); m != nil {
			out = append(out, helpFlag{short: m[1], long: m[2], value: strings.Trim(m[3], `"`), text: m[4]})
		} else if line != "" && len(out) > 0 {
			last := &out[len(out)-1]
			last.text = strings.TrimSpace(last.text + " " + strings.TrimSpace(line))
		}
	}
	for i, f := range out {
		if m := helpVariable.FindStringSubmatch(f.text); m != nil {
			out[i].variable, out[i].text = m[1], strings.TrimSuffix(f.text, m[0])+"."
		} else if f.long != "--help" {
			t.Errorf("%q: %s has no variable in its help: %s", h.command, f.long, f.text)
		}
	}
	return out
}

func (f helpFlag) row(of string) string {
	cells := []string{"`" + f.long + "`", "", "", f.text}
	if f.short != "" {
		cells[0] += ", `" + f.short + "`"
	}
	if f.value != "" {
		cells[1] = "`" + f.value + "`"
	}
	if f.variable != "" {
		cells[2] = "`" + f.variable + "`"
	}
	if of != "" {
		cells = slices.Insert(cells, 3, of)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// TestVersionIsAlsoAskedForByAFlag holds what --help does not say.
func TestVersionIsAlsoAskedForByAFlag(t *testing.T) {
	flag := finish(t, documentCommand(t.Context(), t.TempDir(), "phoenix", "--version")).want(t, 0)
	command := finish(t, documentCommand(t.Context(), t.TempDir(), "phoenix", "version")).want(t, 0)
	if flag.stdout != command.stdout || !strings.HasPrefix(flag.stdout, "phoenix ") {
		t.Errorf("phoenix --version prints %q, phoenix version %q", flag.stdout, command.stdout)
	}
}
