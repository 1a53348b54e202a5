package sim

import (
	"path/filepath"
	"slices"
	"strings"
)

// indexTargets lists the enabled archives, or those of other files where the options
// name some, and refuses what apt 2.6 refuses.
func (a *aptCall) indexTargets() int {
	files := append([]string{"/etc/apt/sources.list"}, a.m.glob("/etc/apt/sources.list.d/*")...)
	if a.list != "" {
		files = append([]string{a.list}, a.m.glob(a.parts+"/*")...)
	}
	keys := make(map[string]string)
	for _, file := range files {
		problem := ""
		switch filepath.Ext(file) {
		case ".sources":
			problem = badStanzas(file, a.m.text(file), keys)
		case ".list":
			problem = badLines(file, a.m.text(file))
		}
		if problem != "" {
			a.errorf("E: %s\nE: The list of sources could not be read.\n", problem)
			return 100
		}
	}
	if a.list == "" {
		for _, s := range a.m.sources() {
			for _, component := range s.components {
				a.printf("%s %s %s\n", s.uri, s.suite, component)
			}
		}
	}
	return 0
}

// badStanzas says what is wrong with a file of stanzas; keys has the key of each suite
// so far, of which there can be only one.
func badStanzas(file, text string, keys map[string]string) string {
	n := 0
	for _, p := range paragraphs(text) {
		if p["Types"] == "" {
			continue
		}
		n++
		for _, f := range [][2]string{{"URIs", "URI"}, {"Suites", "Suite"}, {"Components", "Component"}} {
			if p[f[0]] == "" && (f[0] != "Components" || !strings.HasSuffix(p["Suites"], "/")) {
				return "Malformed entry " + string(rune('0'+n)) + " in sources file " + file + " (" + f[1] + ")"
			}
		}
		if on, known := boolean(p["Enabled"]); known && on == "0" {
			continue
		}
		for _, suite := range strings.Fields(p["Suites"]) {
			id := strings.TrimSuffix(p["URIs"], "/") + "/ " + suite
			if other, seen := keys[id]; seen && other != p["Signed-By"] {
				return "Conflicting values set for option Signed-By regarding source " + id + ": " + other + " != " + p["Signed-By"]
			}
			keys[id] = p["Signed-By"]
		}
	}
	return ""
}

func badLines(file, text string) string {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 && f[0] != "deb" && f[0] != "deb-src" {
			return "Type '" + f[0] + "' is not known on line " + string(rune('0'+n)) + " in source list " + file
		}
	}
	return ""
}

// unknownRelease tells whether -t names a suite that no source has.
func (a *aptCall) unknownRelease() bool {
	return a.release != "" && !slices.ContainsFunc(a.m.sources(), func(s source) bool { return s.suite == a.release })
}

// origins says of each package that can be had where it comes from, as a simulation
// prints it.
func (m *Machine) origins() map[string]string {
	out := make(map[string]string)
	v := m.versions()
	for _, s := range m.sources() {
		from := "Debian:" + v.debian + "/stable"
		switch {
		case strings.Contains(s.uri, "proxmox.com"):
			from = "Proxmox Debian Repository:stable"
		case strings.HasSuffix(s.suite, "-security"):
			from = "Debian-Security:" + v.debian + "/stable-security"
		}
		for _, p := range s.offers(v) {
			if out[p.name] != "" {
				out[p.name] += ", "
			}
			out[p.name] += from
		}
	}
	return out
}
