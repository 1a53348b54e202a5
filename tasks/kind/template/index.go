package template

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"

	"phoenix/tasks"
)

// indexDir has one file per source of templates, written by `pveam update` after
// it verified the signature.
const indexDir = "/var/lib/pve-manager/apl-info"

// entry is one template of the index.
type entry struct {
	// File is the name to ask pveam for, and the name on the storage.
	File    string
	Series  string
	Version string
	Arch    string
	SHA512  string
	MD5     string
}

type index []entry

// readIndex reads every source. Without any file the index is empty.
func readIndex(h tasks.Host) (index, error) {
	names, err := list(h, indexDir)
	if err != nil {
		return nil, err
	}
	var out index
	for _, n := range names {
		data, err := h.ReadFile(path.Join(indexDir, n))
		if err != nil {
			return nil, fmt.Errorf("read index of templates: %w", err)
		}
		out = append(out, parseIndex(data)...)
	}
	return out, nil
}

// list is ReadDir where a missing directory has no names.
func list(h tasks.Host, dir string) ([]string, error) {
	names, err := h.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}

// parseIndex reads paragraphs of "Key: value" lines; a line that begins with a
// blank continues the one before (pve-manager, PVE::APLInfo read_aplinfo). A
// paragraph without a Location is not a template.
func parseIndex(data []byte) index {
	var out index
	for paragraph := range bytes.SplitSeq(data, []byte("\n\n")) {
		f := fields(string(paragraph))
		file := path.Base(f["location"])
		if f["location"] == "" || !exact(file) || f["type"] == "vm" {
			continue
		}
		series, _, _ := strings.Cut(file, "_")
		out = append(out, entry{
			File: file, Series: series, Version: versionOf(file), Arch: f["architecture"],
			SHA512: strings.ToLower(f["sha512sum"]), MD5: strings.ToLower(f["md5sum"]),
		})
	}
	return out
}

func fields(paragraph string) map[string]string {
	out := make(map[string]string)
	for line := range strings.Lines(paragraph) {
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		if key, value, ok := strings.Cut(line, ":"); ok {
			out[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	return out
}

// find returns the entry of an exact file name.
func (x index) find(file string) (entry, bool) {
	i := slices.IndexFunc(x, func(e entry) bool { return e.File == file })
	if i < 0 {
		return entry{}, false
	}
	return x[i], true
}

// newest returns the newest of a series, of this machine's architecture where the
// index has it.
func (x index) newest(series string) (entry, bool) {
	var best entry
	found := false
	for _, e := range x {
		if e.Series != series {
			continue
		}
		native, bestNative := e.Arch == runtime.GOARCH, best.Arch == runtime.GOARCH
		if !found || native && !bestNative || native == bestNative && compareVersions(e.Version, best.Version) > 0 {
			best, found = e, true
		}
	}
	return best, found
}

// near lists what the operator may have meant: what begins like the name.
func (x index) near(name string) []string {
	stem, _, _ := strings.Cut(name, "-")
	var out []string
	for _, e := range x {
		if strings.HasPrefix(e.Series, stem) {
			out = append(out, e.Series)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), 8)]
}

// compareVersions orders versions as dpkg does, without epochs: runs of digits by
// value, other runs by character, letters before all else, "~" before the end.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = run(a, false)
		y, b = run(b, false)
		if c := compareText(x, y); c != 0 {
			return c
		}
		x, a = run(a, true)
		y, b = run(b, true)
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// run splits off the longest beginning of digits, or of anything else.
func run(s string, digits bool) (head, tail string) {
	i := strings.IndexFunc(s, func(r rune) bool { return (r >= '0' && r <= '9') != digits })
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func compareText(a, b string) int {
	for i := range max(len(a), len(b)) {
		if c := weight(a, i) - weight(b, i); c != 0 {
			return c
		}
	}
	return 0
}

func weight(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case s[i] >= 'A' && s[i] <= 'Z', s[i] >= 'a' && s[i] <= 'z':
		return int(s[i])
	}
	return int(s[i]) + 256
}
