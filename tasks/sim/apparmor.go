package sim

import (
	"os"
	"path"
	"slices"
	"strings"
)

// loadedProfiles is where the kernel lists the AppArmor profiles that are loaded.
const loadedProfiles = "/sys/kernel/security/apparmor/profiles"

// layAppArmor lays the profiles that LXC and Proxmox bring; a kernel without AppArmor has
// no such list.
func (m *Machine) layAppArmor(id identity) error {
	if id.Layout == LayoutRecorded {
		return nil
	}
	return m.ownProfiles()
}

// ownProfiles is the list without those of the host's files.
func (m *Machine) ownProfiles() error {
	var list strings.Builder
	for _, name := range []string{"lxc-container-default", "lxc-container-default-cgns", "lxc-container-default-with-mounting", "lxc-container-default-with-nesting", "/usr/bin/lxc-start"} {
		list.WriteString(name + " (enforce)\n")
	}
	return m.write(loadedProfiles, []byte(list.String()), 0o444)
}

// bootProfiles loads those of the host's files, as its service does at each boot, and
// no others.
func (m *Machine) bootProfiles() error {
	if !m.exists(loadedProfiles) {
		return nil
	}
	if err := m.ownProfiles(); err != nil {
		return err
	}
	for _, dir := range []string{"/etc/apparmor.d", "/etc/apparmor.d/lxc"} {
		files, err := os.ReadDir(m.path(dir))
		if err != nil {
			continue
		}
		for _, f := range files {
			if err := m.loadProfiles(path.Join(dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadProfiles adds the profiles of a file, "profile NAME … {", to those that are loaded.
func (m *Machine) loadProfiles(file string) error {
	list := m.text(loadedProfiles)
	for line := range strings.Lines(m.text(file)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "profile" || slices.Contains(strings.Split(list, "\n"), words[1]+" (enforce)") {
			continue
		}
		list += words[1] + " (enforce)\n"
	}
	return m.write(loadedProfiles, []byte(list), 0o444)
}

// apparmorParser loads profiles of files: -r and -a alone, and nothing is compiled.
func apparmorParser(c *call) int {
	for _, arg := range c.argv[1:] {
		switch {
		case arg == "-r" || arg == "-a":
		case strings.HasPrefix(arg, "-"):
			return c.complain(1, "unrecognized option '%s'", arg)
		case !c.m.exists(loadedProfiles):
			return c.complain(1, "Unable to replace \"%s\". AppArmor is not enabled", arg)
		case !c.m.exists(arg):
			c.errorf("File %s not found, skipping...\n", arg)
			return 1
		default:
			if err := c.m.loadProfiles(arg); err != nil {
				return c.died(err, 1)
			}
		}
	}
	return 0
}
