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
	"phoenix/tasks/dpkg"
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
	for _, paragraph := range bytes.Split(data, []byte("\n\n")) {
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
	for _, line := range tasks.Lines(paragraph) {
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
		if !found || native && !bestNative || native == bestNative && dpkg.CompareVersions(e.Version, best.Version) > 0 {
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
