package sim

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// pythonVersion is that of the simulated Python, Debian 12's.
const pythonVersion = "3.11"

// layPython lays what Debian's package python3 brings.
func (m *Machine) layPython() error {
	if err := m.write("/usr/bin/python"+pythonVersion, []byte("\x7fELF simulated\n"), 0o755); err != nil || m.exists("/usr/bin/python3") {
		return err
	}
	return m.link("/usr/bin/python3", "python"+pythonVersion)
}

// pythonProgram knows `-m venv [--clear] DIR` and, in such a folder, `-m pip install …`.
func pythonProgram(c *call) int {
	switch {
	case len(c.argv) > 3 && c.argv[1] == "-m" && c.argv[2] == "venv":
		return c.venv(c.argv[3:])
	case len(c.argv) > 4 && c.argv[1] == "-m" && c.argv[2] == "pip" && c.argv[3] == "install":
		if !c.m.exists(path.Dir(c.folder) + "/pyvenv.cfg") {
			c.errorf("error: externally-managed-environment\n")
			return 1
		}
		return c.pipInstall(path.Dir(c.folder), c.argv[4:])
	}
	return c.complain(2, "can't open file, which is not simulated")
}

func sitePackages(venv string) string {
	return venv + "/lib/python" + pythonVersion + "/site-packages/"
}

// venv makes a virtual environment. Without the package that has pip's wheel it is made
// as far as that.
func (c *call) venv(words []string) int {
	dir := c.abs(words[len(words)-1])
	return c.died(c.m.exclusive(func() error {
		if words[0] == "--clear" {
			if err := os.RemoveAll(c.m.path(dir)); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(c.m.path(sitePackages(dir)), 0o755); err != nil {
			return err
		}
		if err := os.MkdirAll(c.m.path(dir+"/bin"), 0o755); err != nil {
			return err
		}
		if err := c.m.write(dir+"/pyvenv.cfg", []byte("home = /usr/bin\ninclude-system-site-packages = false\nversion = "+pythonVersion+".2\nexecutable = /usr/bin/python"+pythonVersion+"\n"), 0o644); err != nil {
			return err
		}
		for name, target := range map[string]string{"python3": "/usr/bin/python3", "python": "python3", "python" + pythonVersion: "python3"} {
			if c.m.exists(dir + "/bin/" + name) {
				continue
			}
			if err := c.m.link(dir+"/bin/"+name, target); err != nil {
				return err
			}
		}
		if !c.m.packaged([]string{"python3-venv"}) {
			return said("The virtual environment was not created successfully because ensurepip is not available.")
		}
		return c.m.layDist(dir, "pip", "23.0.1")
	}), 1)
}

// layDist lays one installed project, and a program of its name.
func (m *Machine) layDist(venv, name, version string) error {
	if err := m.removeDist(venv, name); err != nil {
		return err
	}
	info := sitePackages(venv) + strings.ReplaceAll(name, "-", "_") + "-" + version + ".dist-info/"
	for file, text := range map[string]string{"METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n", "RECORD": "", "INSTALLER": "pip\n"} {
		if err := m.write(info+file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return m.write(venv+"/bin/"+name, []byte("#!"+venv+"/bin/python3\n"), 0o755)
}

// removeDist takes a project away, whatever its version.
func (m *Machine) removeDist(venv, name string) error {
	entries, err := os.ReadDir(m.path(sitePackages(venv)))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), strings.ReplaceAll(name, "-", "_")+"-") && strings.HasSuffix(e.Name(), ".dist-info") {
			if err := os.RemoveAll(m.path(sitePackages(venv) + e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// pipInstall installs what is named on the command line and in files. The simulated index
// has every version that is asked for, and 1.0.0 of what is asked for without one; only a
// project called nosuch is not there.
func (c *call) pipInstall(venv string, words []string) int {
	var wanted []string
	again := slices.Contains(words, "--ignore-installed")
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case w == "--requirement" || w == "-r":
			i++
			for line := range strings.Lines(c.m.text(c.abs(words[i]))) {
				line, _, _ = strings.Cut(line, "#")
				if line = strings.TrimSpace(line); line != "" && line[0] != '-' {
					wanted = append(wanted, line)
				}
			}
		case w == "--progress-bar" || w == "--index-url" || w == "--extra-index-url":
			i++
		case !strings.HasPrefix(w, "-"):
			wanted = append(wanted, w)
		}
	}
	if _, offline := c.struck("", FaultDownload); offline {
		c.errorf("WARNING: Retrying (Retry(total=4, connect=None, read=None, redirect=None, status=None)) after connection broken\nERROR: No matching distribution found for %s\n", strings.Join(wanted, " "))
		return 1
	}
	return c.died(c.m.exclusive(func() error {
		for _, w := range wanted {
			if err := c.pipOne(venv, w, again); err != nil {
				return err
			}
		}
		return nil
	}), 1)
}

func (c *call) pipOne(venv, wanted string, again bool) error {
	f := regexp.MustCompile(`^([A-Za-z0-9._-]+?)(\[[^]]*\])?\s*(==\s*([^\s;,]+)|[<>~!].*)?(\s*;.*)?$`).FindStringSubmatch(wanted)
	if f == nil || f[1] == "nosuch" {
		return said("Could not find a version that satisfies the requirement " + wanted + " (from versions: none)")
	}
	name, version := strings.ToLower(f[1]), f[4]
	if version == "" {
		entries, _ := os.ReadDir(c.m.path(sitePackages(venv)))
		if !again && slices.ContainsFunc(entries, func(e os.DirEntry) bool {
			return strings.HasPrefix(e.Name(), strings.ReplaceAll(name, "-", "_")+"-")
		}) {
			c.printf("Requirement already satisfied: %s in %s\n", name, sitePackages(venv))
			return nil
		}
		version = "1.0.0"
	}
	c.printf("Collecting %s\nInstalling collected packages: %s\nSuccessfully installed %s-%s\n", wanted, name, name, version)
	return c.m.layDist(venv, name, version)
}
