package sim

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// dpkgEntry is one paragraph of dpkg's status file.
type dpkgEntry struct{ name, status, version, arch, depends string }

func (e dpkgEntry) installed() bool { return strings.HasSuffix(e.status, " installed") }
func (e dpkgEntry) held() bool      { return strings.HasPrefix(e.status, "hold ") }

func formatStatus(list []dpkgEntry) string {
	var b strings.Builder
	slices.SortFunc(list, func(x, y dpkgEntry) int { return strings.Compare(x.name, y.name) })
	for _, e := range list {
		fmt.Fprintf(&b, "Package: %s\nStatus: %s\nPriority: optional\nSection: admin\nInstalled-Size: 1024\nMaintainer: Nobody <nobody@example.org>\nArchitecture: %s\nVersion: %s\n",
			e.name, e.status, e.arch, e.version)
		if e.depends != "" {
			b.WriteString("Depends: " + e.depends + "\n")
		}
		b.WriteString("Description: " + e.name + " (simulated)\n One package of a simulated archive.\n\n")
	}
	return b.String()
}

// dpkgEntries reads dpkg's status.
func (m *Machine) dpkgEntries() []dpkgEntry {
	var list []dpkgEntry
	for _, p := range paragraphs(m.text(statusFile)) {
		if p["Package"] != "" {
			list = append(list, dpkgEntry{p["Package"], p["Status"], p["Version"], p["Architecture"], p["Depends"]})
		}
	}
	return list
}

func (m *Machine) saveDpkg(list []dpkgEntry) error {
	return m.write(statusFile, []byte(formatStatus(list)), 0o644)
}

func dpkgIndex(list []dpkgEntry, name string) int {
	return slices.IndexFunc(list, func(e dpkgEntry) bool { return e.name == name })
}

// dpkg knows --configure -a, --print-architecture, -s and -l.
func dpkg(c *call) int {
	switch {
	case slices.Contains(c.argv, "--print-architecture"):
		c.printf("amd64\n")
		return 0
	case slices.Contains(c.argv, "--configure"):
		return c.configureAll()
	case len(c.argv) > 2 && (c.argv[1] == "-s" || c.argv[1] == "--status"):
		return c.dpkgStatus(c.argv[2:])
	case len(c.argv) > 1 && (c.argv[1] == "-l" || c.argv[1] == "--list"):
		d := *c
		d.argv = append([]string{"dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version} ${Architecture}\n"}, c.argv[2:]...)
		return dpkgQuery(&d)
	}
	c.errorf("dpkg: error: need an action option\n")
	return 2
}

// configureAll finishes what an interrupted installation left unpacked.
func (c *call) configureAll() int {
	if code := c.dpkgLocked(0); code != 0 {
		c.errorf("dpkg: error: dpkg frontend lock was locked by another process with pid 4242\n")
		return 2
	}
	return c.died(c.m.exclusive(func() error {
		list := c.m.dpkgEntries()
		for i, e := range list {
			if strings.HasSuffix(e.status, " unpacked") || strings.HasSuffix(e.status, " half-configured") {
				c.printf("Setting up %s (%s) ...\n", e.name, e.version)
				list[i].status = "install ok installed"
				if err := errors.Join(c.startPackage(e.name), c.settled(e)); err != nil {
					return err
				}
			}
		}
		return c.m.saveDpkg(list)
	}), 1)
}

func (c *call) dpkgStatus(names []string) int {
	list := c.m.dpkgEntries()
	for _, name := range names {
		i := dpkgIndex(list, name)
		if i < 0 {
			c.errorf("dpkg-query: package '%s' is not installed and no information is available\n", name)
			return 1
		}
		c.printf("%s\n", strings.TrimSuffix(formatStatus(list[i:i+1]), "\n"))
	}
	return 0
}

// dpkgQuery serves -W, with -f FORMAT.
func dpkgQuery(c *call) int {
	format := "${Package}\t${Version}\n"
	var patterns []string
	for i := 1; i < len(c.argv); i++ {
		word := c.argv[i]
		switch {
		case (word == "-f" || word == "--showformat") && i+1 < len(c.argv):
			i++
			format = c.argv[i]
		case strings.HasPrefix(word, "-f="), strings.HasPrefix(word, "--showformat="):
			_, format, _ = strings.Cut(word, "=")
		case strings.HasPrefix(word, "-f") && len(word) > 2:
			format = word[2:]
		case !strings.HasPrefix(word, "-"):
			patterns = append(patterns, word)
		}
	}
	code := 0
	list := c.m.dpkgEntries()
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	for _, pattern := range patterns {
		found := false
		for _, e := range list {
			if ok, err := filepath.Match(pattern, e.name); ok && err == nil {
				found = true
				c.printf("%s", e.expand(format))
			}
		}
		if !found {
			c.errorf("dpkg-query: no packages found matching %s\n", pattern)
			code = 1
		}
	}
	return code
}

// expand fills in a dpkg-query format.
func (e dpkgEntry) expand(format string) string {
	words := strings.Fields(e.status)
	abbrev := ""
	if len(words) == 3 {
		second := map[string]string{"installed": "i", "unpacked": "U", "half-configured": "F", "half-installed": "H", "config-files": "c", "not-installed": "n"}
		abbrev = words[0][:1] + second[words[2]] + " "
	}
	return strings.NewReplacer(
		"${Package}", e.name, "${binary:Package}", e.name, "${Version}", e.version, "${Architecture}", e.arch,
		"${Status}", e.status, "${db:Status-Abbrev}", abbrev, "${db:Status-Status}", words[len(words)-1],
		`\n`, "\n", `\t`, "\t",
	).Replace(format)
}

// glob lists the machine's paths that match a pattern, sorted.
func (m *Machine) glob(pattern string) []string {
	list, err := filepath.Glob(m.path(pattern))
	if err != nil {
		return nil
	}
	for i := range list {
		list[i] = strings.TrimPrefix(list[i], m.Root)
	}
	return list
}
