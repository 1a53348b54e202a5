package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// document is one Markdown file.
type document struct {
	path   string // relative to the repository
	blocks []block
	prose  string // what stands outside of blocks
}

// block is a fenced block.
type block struct {
	info    string // what follows the fence: "jsonc phoenix_lxc_configs.json"
	heading string // the heading that it stands under
	line    int    // of its first line
	text    string
}

func (d document) at(b block) string { return fmt.Sprintf("%s:%d", d.path, b.line) }

// readDocuments reads every Markdown file of the repository that people are to read.
func readDocuments(t *testing.T) []document {
	t.Helper()
	var all []document
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md", "agentlet/dist/bin/*.md"} {
		paths, err := filepath.Glob(filepath.Join(repositoryRoot, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(repositoryRoot, path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, parseDocument(filepath.ToSlash(name), string(data)))
		}
	}
	if len(all) < 12 {
		t.Fatalf("found %d documents: the search is broken", len(all))
	}
	return all
}

func parseDocument(path, text string) document {
	d := document{path: path}
	var open *block
	heading := ""
	var prose strings.Builder
	for i, line := range strings.Split(text, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{info: info, heading: heading, line: i + 2}
		case fence:
			d.blocks = append(d.blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		default:
			if strings.HasPrefix(line, "#") {
				heading = line
			}
			prose.WriteString(line + "\n")
		}
	}
	d.prose = prose.String()
	return d
}

// Files that a block of configuration can stand for, and what is there without one.
func stubs() map[string]string {
	return map[string]string{
		"hosts.yaml":                     "version: 1\nhosts:\n  pve1: {hypervisor: phoenix_hypervisor_config.json, lxc: phoenix_lxc_configs.json}\n",
		"phoenix_hypervisor_config.json": `{"version": 1}`,
		"phoenix_lxc_configs.json":       `{"version": 1}`,
		"features/scrub/feature.json":    `{"description": "x", "check": "check.sh", "apply": "apply.sh"}`,
		"features/scrub/check.sh":        "true",
		"features/scrub/apply.sh":        "true",
		"features/cron_job/feature.json": `{"description": "x", "check": "check", "apply": "apply"}`,
		"features/cron_job/check":        "true",
		"features/cron_job/apply":        "true",
	}
}

// TestConfigurationInDocumentsValidates takes the blocks that stand under one
// heading as one set of files.
func TestConfigurationInDocumentsValidates(t *testing.T) {
	for _, d := range readDocuments(t) {
		sets := map[string]map[string]string{}
		for _, b := range d.blocks {
			language, file, _ := strings.Cut(b.info, " ")
			if language != "yaml" && language != "json" && language != "jsonc" {
				continue
			}
			if _, known := stubs()[file]; !known {
				t.Errorf("%s: the block is marked %q, which names no file to validate it as", d.at(b), b.info)
				continue
			}
			if sets[b.heading] == nil {
				sets[b.heading] = stubs()
			}
			sets[b.heading][file] = b.text
		}
		for heading, set := range sets {
			t.Run(d.path+" "+heading, func(t *testing.T) { validates(t, set) })
		}
	}
}

func validates(t *testing.T, files map[string]string) {
	dir := t.TempDir()
	for name, text := range files {
		writeIn(t, dir, name, text)
	}
	// Entries that an inventory places, and an LXC file that is only a stub.
	if files["phoenix_lxc_configs.json"] == stubs()["phoenix_lxc_configs.json"] {
		writePlaced(t, dir, files["hosts.yaml"])
	}
	finish(t, documentCommand(t.Context(), dir, "phoenix", "validate")).want(t, 0)
}

func writeIn(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// writePlaced gives an LXC file the entries that `containers: [900-903, 950]` names.
func writePlaced(t *testing.T, dir, hosts string) {
	var entries []string
	for _, list := range regexp.MustCompile(`containers: \[([0-9, -]+)\]`).FindAllStringSubmatch(hosts, -1) {
		for part := range strings.SplitSeq(list[1], ",") {
			var from, to int
			if n, _ := fmt.Sscanf(strings.TrimSpace(part), "%d-%d", &from, &to); n == 1 {
				to = from
			}
			for id := from; id <= to; id++ {
				entries = append(entries, fmt.Sprintf(`"%d": {"name": "c%d", "template": "t", "storage_pool": "local-lvm"}`, id, id))
			}
		}
	}
	text := fmt.Sprintf(`{"version": 1, "lxc_configs": {%s}}`, strings.Join(entries, ", "))
	if err := os.WriteFile(filepath.Join(dir, "phoenix_lxc_configs.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// documentCommand prepares a command with a home of its own and phoenix on PATH.
func documentCommand(ctx context.Context, dir string, argv ...string) *exec.Cmd {
	if argv[0] == "phoenix" {
		argv[0] = binaries.phoenix
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{
		"HOME=" + dir, "XDG_STATE_HOME=" + filepath.Join(dir, "state"), "LC_ALL=C.UTF-8",
		"PATH=" + filepath.Dir(binaries.phoenix) + string(filepath.ListSeparator) + os.Getenv("PATH"),
	}
	return cmd
}

func TestExamplesValidate(t *testing.T) {
	inventories, err := filepath.Glob(filepath.Join(repositoryRoot, "examples", "*", "hosts.yaml"))
	if err != nil || len(inventories) < 2 {
		t.Fatalf("found %d examples: %v", len(inventories), err)
	}
	for _, inventory := range inventories {
		path, err := filepath.Abs(inventory)
		if err != nil {
			t.Fatal(err)
		}
		finish(t, documentCommand(t.Context(), t.TempDir(), "phoenix", "validate", "-i", path)).want(t, 0)
	}
}

// TestTheDemoShowsWhatItSays runs what `make demo` runs.
func TestTheDemoShowsWhatItSays(t *testing.T) {
	script, err := filepath.Abs(filepath.Join(repositoryRoot, "examples", "demo.sh"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	home := t.TempDir()
	o := finish(t, documentCommand(ctx, home, script, binaries.phoenix)).want(t, 0)
	o.says(t, "3 hosts: 3 drifted", "3 hosts: 3 changed", "3 hosts: 3 ok", "demo: all as expected")
	if strings.Count(o.stdout, "3 hosts: 3 changed") != 2 {
		t.Errorf("the report of the run was not shown a second time\n%s", o.stdout)
	}
	for name, body := range map[string]string{
		"nothing works":         "exit 0",
		"everything is in sync": `if [ "$1" = lab ]; then exec ` + binaries.phoenix + ` "$@"; fi`,
	} {
		fake := filepath.Join(t.TempDir(), "phoenix")
		if err := os.WriteFile(fake, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if broken := finish(t, documentCommand(ctx, home, script, fake)); broken.code == 0 {
			t.Errorf("%s, and the demo ends with 0\n%s", name, broken.stdout)
		}
	}
}

// TestCommandsInDocumentsBehaveAsShown carries out the blocks marked "console run"
// of each document, one after the other, in one lab. The first may say what lab,
// "console run --gpus 2"; the files of the blocks before it are then those of the lab.
func TestCommandsInDocumentsBehaveAsShown(t *testing.T) {
	ran := 0
	for _, d := range readDocuments(t) {
		var shown []shownCommand
		var options []string
		files := map[string]string{}
		for _, b := range d.blocks {
			if _, file, is := strings.Cut(b.info, "jsonc "); is && len(shown) == 0 {
				files[file] = b.text
			}
			if words := strings.Fields(b.info); b.info == "console run" || len(shown) == 0 && len(words) > 2 && words[0] == "console" && words[1] == "run" {
				shown, options = append(shown, parseConsole(t, d, b)...), append(options, words[2:]...)
			} else if strings.HasPrefix(b.info, "console") {
				t.Errorf("%s: a console block is to be marked \"console run\", not %q", d.at(b), b.info)
			}
		}
		if len(shown) > 0 {
			ran += len(shown)
			t.Run(d.path, func(t *testing.T) { behaveAsShown(t, shown, options, files) })
		}
	}
	if ran < 10 {
		t.Errorf("%d commands were carried out: the search is broken", ran)
	}
}

// shownCommand is a command of a document and what it is said to print.
type shownCommand struct {
	at, command string
	output      []string
}

func parseConsole(t *testing.T, d document, b block) []shownCommand {
	t.Helper()
	var out []shownCommand
	for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		command, is := strings.CutPrefix(line, "$ ")
		switch {
		case is:
			out = append(out, shownCommand{at: fmt.Sprintf("%s:%d", d.path, b.line+i), command: command})
		case len(out) == 0:
			t.Fatalf("%s: output without a command", d.at(b))
		default:
			out[len(out)-1].output = append(out[len(out)-1].output, line)
		}
	}
	return out
}

// behaveAsShown runs all commands in one shell in a lab, both streams together, and
// compares what each printed. The files are there before the lab where it has options.
func behaveAsShown(t *testing.T, shown []shownCommand, options []string, files map[string]string) {
	const mark = "\x1d"
	var script strings.Builder
	script.WriteString("exec 2>&1\nrc=0\n")
	for _, s := range shown {
		fmt.Fprintf(&script, "printf '%s'\n(exit $rc)\n%s\nrc=$?\n", mark, s.command)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if len(options) > 0 {
			writeIn(t, filepath.Join(dir, "lab"), name, text)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	argv := slices.Concat([]string{"phoenix", "lab", "--dir", "lab"}, options, []string{"--", "bash", "../script"})
	o := finish(t, documentCommand(ctx, dir, argv...))
	parts := strings.Split(o.stdout, mark)
	if len(parts) != len(shown)+1 {
		t.Fatalf("%d of %d commands were carried out\nstdout:\n%s\nstderr:\n%s", len(parts)-1, len(shown), o.stdout, o.stderr)
	}
	for i, s := range shown {
		got := strings.Split(steady(strings.TrimRight(parts[i+1], "\n")), "\n")
		want := strings.Split(steady(strings.TrimRight(strings.Join(s.output, "\n"), "\n")), "\n")
		if !matches(want, got) {
			t.Errorf("%s: %s prints\n%s\nthe document says\n%s", s.at, s.command, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// steady masks what differs from run to run, and blanks at the ends of lines.
func steady(s string) string {
	s = regexp.MustCompile(`\d+(\.\d+)? m?s\b`).ReplaceAllString(s, "TIME")
	s = regexp.MustCompile(`\d{8}-\d{6}-[0-9a-f]{6}`).ReplaceAllString(s, "RUN")
	s = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d`).ReplaceAllString(s, "CLOCK")
	return regexp.MustCompile(`(?m) +$`).ReplaceAllString(s, "")
}

// matches compares lines; a line "…" stands for any lines, "…" in a line for any
// text.
func matches(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "…" {
		for n := range len(got) + 1 {
			if matches(want[1:], got[n:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && lineMatches(want[0], got[0]) && matches(want[1:], got[1:])
}

func lineMatches(want, got string) bool {
	parts := strings.Split(want, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(got)
}

func TestMatchesToldApart(t *testing.T) {
	for _, c := range []struct {
		want, got string
		is        bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a\nb", false},
		{"a\n…", "a\nb\nc", true},
		{"…\nc", "a\nb\nc", true},
		{"…\nb", "a\nb\nc", false},
		{"a … c", "a b c", true},
		{"a … c", "a b d", false},
		{"…", "", true},
		{"ok 3.1 s", "ok 12 ms", true},
	} {
		if matches(strings.Split(steady(c.want), "\n"), strings.Split(steady(c.got), "\n")) != c.is {
			t.Errorf("%q against %q: want %t", c.want, c.got, c.is)
		}
	}
	if steady("at 20261123-053935-405d78") != "at RUN" {
		t.Error("the ID of a run is not masked")
	}
}
