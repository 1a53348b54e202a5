// Package dpkg reads what dpkg knows about installed packages from its own file,
// without starting a program, and orders versions as dpkg does.
//
// It never changes anything and knows no repositories. Start reading at Read.
package dpkg

import (
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
)

// StatusPath is dpkg's database.
const StatusPath = "/var/lib/dpkg/status"

// Package is one paragraph of the database.
type Package struct {
	Name, Version, Arch string
	// Want is "install", "hold", "deinstall", "purge" or "unknown".
	Want string
	// Flag is "ok" or "reinstreq".
	Flag string
	// State is "installed", "half-configured", "unpacked", "half-installed",
	// "triggers-pending", "triggers-awaited", "config-files" or "not-installed".
	State string
	// Provides are the names that the package stands for, without versions.
	Provides []string
}

// Status is every package that dpkg remembers, by name. A name has several entries
// where several architectures are known.
type Status map[string][]Package

// Read parses the machine's database. A machine without one is not a Debian.
func Read(h tasks.Host) (Status, error) {
	data, err := h.ReadFile(StatusPath)
	if err != nil {
		return nil, fmt.Errorf("read dpkg's database: %w", err)
	}
	return Parse(data)
}

// Parse reads the paragraphs of a status file. It walks the text once and looks at
// the few fields that matter, since the file has some megabytes.
func Parse(data []byte) (Status, error) {
	out := make(Status)
	var p Package
	text := string(data)
	for n := 1; text != ""; n++ {
		line := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = ""
		}
		if line == "" {
			out.add(p)
			p = Package{}
			continue
		}
		if err := p.field(line); err != nil {
			return nil, fmt.Errorf("read dpkg's database: line %d: %w", n, err)
		}
	}
	out.add(p)
	return out, nil
}

func (s Status) add(p Package) {
	if p.Name != "" {
		s[p.Name] = append(s[p.Name], p)
	}
}

func (p *Package) field(line string) error {
	switch {
	case line[0] == ' ' || line[0] == '\t': // continues a field
	case strings.HasPrefix(line, "Package:"):
		p.Name = strings.TrimSpace(line[8:])
	case strings.HasPrefix(line, "Status:"):
		f := strings.Fields(line[7:])
		if len(f) != 3 {
			return fmt.Errorf("package %q has status %q, want three words", p.Name, strings.TrimSpace(line[7:]))
		}
		p.Want, p.Flag, p.State = f[0], f[1], f[2]
	case strings.HasPrefix(line, "Version:"):
		p.Version = strings.TrimSpace(line[8:])
	case strings.HasPrefix(line, "Architecture:"):
		p.Arch = strings.TrimSpace(line[13:])
	case strings.HasPrefix(line, "Provides:"):
		for _, item := range strings.Split(line[9:], ",") {
			if f := strings.Fields(item); len(f) > 0 {
				p.Provides = append(p.Provides, f[0])
			}
		}
	}
	return nil
}

// Installed tells whether the package is completely installed, whatever is wanted
// of it: a held package is.
func (p Package) Installed() bool {
	return p.Flag == "ok" && (p.State == "installed" || p.State == "triggers-awaited" || p.State == "triggers-pending")
}

// Gone tells whether nothing but configuration files is left.
func (p Package) Gone() bool { return p.State == "not-installed" || p.State == "config-files" }

// Held tells whether the package is kept at its version.
func (p Package) Held() bool { return p.Want == "hold" }

// Find returns the entry for "NAME" or "NAME:ARCH": an installed one before others.
func (s Status) Find(name string) (Package, bool) {
	name, arch, _ := strings.Cut(name, ":")
	var best Package
	found := false
	for _, p := range s[name] {
		if arch != "" && arch != "any" && p.Arch != arch {
			continue
		}
		if !found || p.Installed() || best.Gone() {
			best, found = p, true
		}
		if p.Installed() {
			break
		}
	}
	return best, found
}

// Provider returns an installed package that stands for a virtual one.
func (s Status) Provider(name string) (Package, bool) {
	for _, entries := range s {
		for _, p := range entries {
			if p.Installed() && slices.Contains(p.Provides, name) {
				return p, true
			}
		}
	}
	return Package{}, false
}
