package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// aptPlan is what one apt-get is going to do.
type aptPlan struct{ install, upgrade, remove []dpkgEntry }

// change installs, upgrades or removes; it runs inside exclusive.
func (a *aptCall) change() error {
	list := a.m.dpkgEntries()
	if a.unknownRelease() {
		return said("The value '" + a.release + "' is invalid for APT::Default-Release as such a release is not available in the sources")
	}
	if broken(list) && !a.simulate {
		return said("dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.")
	}
	a.printf("Reading package lists...\nBuilding dependency tree...\nReading state information...\n")
	plan, err := a.plan(list)
	if err != nil {
		return err
	}
	a.summary(plan, list)
	if a.simulate {
		a.simulated(plan, list)
		return nil
	}
	return a.perform(plan, list)
}

func broken(list []dpkgEntry) bool {
	return slices.ContainsFunc(list, func(e dpkgEntry) bool {
		return slices.ContainsFunc([]string{" unpacked", " half-configured", " half-installed", " triggers-pending"}, func(s string) bool { return strings.HasSuffix(e.status, s) })
	})
}

func (a *aptCall) plan(list []dpkgEntry) (aptPlan, error) {
	var plan aptPlan
	offered := a.m.available()
	switch a.verb {
	case "upgrade", "dist-upgrade", "full-upgrade":
		for _, e := range list {
			if o, ok := offered[e.name]; ok && e.installed() && !e.held() && o.version != e.version {
				plan.upgrade = append(plan.upgrade, o)
			}
		}
	case "remove", "purge":
		for _, name := range a.names {
			i := dpkgIndex(list, name)
			switch _, known := offered[name]; {
			case i < 0 && !known:
				return plan, said("Unable to locate package " + name)
			case i < 0 || !list[i].installed():
				a.printf("Package '%s' is not installed, so not removed\n", name)
			default:
				plan.remove = append(plan.remove, list[i])
			}
		}
		plan.remove = withDependents(plan.remove, list)
	case "install":
		for _, name := range a.names {
			if err := a.want(&plan, name, list, offered); err != nil {
				return plan, err
			}
		}
	}
	return plan, nil
}

// withDependents adds the installed packages that need one of those removed.
func withDependents(remove, list []dpkgEntry) []dpkgEntry {
	for i := 0; i < len(remove); i++ {
		for _, e := range list {
			if e.installed() && slices.Contains(splitList(e.depends), remove[i].name) && dpkgIndex(remove, e.name) < 0 {
				remove = append(remove, e)
			}
		}
	}
	return remove
}

// want plans NAME, NAME=VERSION or, with a trailing minus, a removal.
func (a *aptCall) want(plan *aptPlan, word string, list []dpkgEntry, offered map[string]dpkgEntry) error {
	name, version, pinned := strings.Cut(word, "=")
	i := dpkgIndex(list, name)
	present := i >= 0 && list[i].installed()
	o, known := offered[name]
	switch {
	case !known && !present:
		return said("Unable to locate package " + name)
	case pinned && (!known || o.version != version) && (!present || list[i].version != version):
		return said(fmt.Sprintf("Version '%s' for '%s' was not found", version, name))
	case present && a.reinstall && known && o.version == list[i].version:
		plan.upgrade = append(plan.upgrade, o)
		return nil
	case present && (!known || o.version == list[i].version || a.noUpgrade || list[i].held() || pinned && version == list[i].version):
		a.printf("%s is already the newest version (%s).\n", name, list[i].version)
		return nil
	case present:
		plan.upgrade = append(plan.upgrade, o)
		return nil
	case dpkgIndex(plan.install, name) >= 0:
		return nil
	}
	for _, d := range splitList(o.depends) {
		if j := dpkgIndex(list, d); j < 0 || !list[j].installed() {
			if err := a.want(plan, d, list, offered); err != nil {
				return err
			}
		}
	}
	plan.install = append(plan.install, o)
	return nil
}

func (a *aptCall) summary(plan aptPlan, list []dpkgEntry) {
	for _, part := range []struct {
		title string
		list  []dpkgEntry
	}{
		{"The following packages will be REMOVED:", plan.remove},
		{"The following NEW packages will be installed:", plan.install},
		{"The following packages will be upgraded:", plan.upgrade},
	} {
		if len(part.list) > 0 {
			a.printf("%s\n  %s\n", part.title, strings.Join(names(part.list), " "))
		}
	}
	waiting := 0
	offered := a.m.available()
	for _, e := range list {
		if o, ok := offered[e.name]; ok && e.installed() && o.version != e.version && dpkgIndex(plan.upgrade, e.name) < 0 {
			waiting++
		}
	}
	a.printf("%d upgraded, %d newly installed, %d to remove and %d not upgraded.\n", len(plan.upgrade), len(plan.install), len(plan.remove), waiting)
}

func names(list []dpkgEntry) []string {
	var out []string
	for _, e := range list {
		out = append(out, e.name)
	}
	slices.Sort(out)
	return out
}

// simulated prints what -s prints: Remv, Inst and Conf lines.
func (a *aptCall) simulated(plan aptPlan, list []dpkgEntry) {
	for _, e := range plan.remove {
		a.printf("Remv %s [%s]\n", e.name, e.version)
	}
	from := a.m.origins()
	for _, e := range plan.upgrade {
		a.printf("Inst %s [%s] (%s %s [amd64])\n", e.name, list[dpkgIndex(list, e.name)].version, e.version, from[e.name])
	}
	for _, e := range plan.install {
		a.printf("Inst %s (%s %s [amd64])\n", e.name, e.version, from[e.name])
	}
	for _, e := range append(plan.upgrade, plan.install...) {
		a.printf("Conf %s (%s %s [amd64])\n", e.name, e.version, from[e.name])
	}
}

func (a *aptCall) perform(plan aptPlan, list []dpkgEntry) error {
	if n := len(plan.install) + len(plan.upgrade); n > 0 {
		if _, hit := a.struck("", FaultDownload); hit {
			a.printf("Err:1 http://deb.debian.org/debian %s\n  Temporary failure resolving 'deb.debian.org'\n", a.m.versions().codename)
			return said("Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?")
		}
	}
	list, err := a.removeAll(plan.remove, list)
	if err != nil {
		return err
	}
	fresh := append(slices.Clone(plan.upgrade), plan.install...)
	for _, e := range fresh {
		a.printf("Unpacking %s (%s) ...\n", e.name, e.version)
		e.status = "install ok unpacked"
		if i := dpkgIndex(list, e.name); i >= 0 {
			list[i] = e
		} else {
			list = append(list, e)
		}
	}
	if err := a.m.saveDpkg(list); err != nil || len(fresh) == 0 {
		return err
	}
	if _, hit := a.fault("unpacked"); hit {
		return errKilled
	}
	for _, e := range fresh {
		a.printf("Setting up %s (%s) ...\n", e.name, e.version)
		list[dpkgIndex(list, e.name)].status = "install ok installed"
		if err := errors.Join(a.startPackage(e.name), a.settled(e)); err != nil {
			return err
		}
	}
	return a.m.saveDpkg(list)
}

// removeAll takes packages from the list and stops their units.
func (a *aptCall) removeAll(remove, list []dpkgEntry) ([]dpkgEntry, error) {
	for _, e := range remove {
		if e.name == "proxmox-ve" && !a.m.exists("/please-remove-proxmox-ve") {
			return list, said("Sub-process /usr/share/proxmox-ve/pve-apt-hook returned an error code (1)")
		}
		a.printf("Removing %s (%s) ...\n", e.name, e.version)
		i := dpkgIndex(list, e.name)
		list[i].status = "deinstall ok config-files"
		if a.verb == "purge" {
			list = slices.Delete(list, i, i+1)
		}
		if unit := a.m.packageUnit(e.name); unit != "" {
			if err := a.m.setActive(unit, false); err != nil {
				return list, err
			}
		}
	}
	return list, nil
}

// packageUnit is the unit that a package brings, or "".
func (m *Machine) packageUnit(name string) string {
	list := slices.Concat(debianArchive(), proxmoxArchive(m.versions()), nvidiaArchive())
	if m.distro.id != "" {
		list = slices.Concat(guestArchive(m.distro), dockerArchive(m.distro), toolkitArchive(), nvidiaArchive())
	}
	for _, a := range list {
		if a.name == name {
			return a.unit
		}
	}
	return ""
}

// startPackage lays, enables and starts the unit of a package, as Debian's
// maintainer scripts do.
func (c *call) startPackage(name string) error {
	brings := map[string]func() error{"sudo": c.m.laySudo, "nfs-kernel-server": c.m.layNFS, "samba": c.m.laySamba, "zsh": c.m.layZsh, "python3": c.m.layPython}
	if lay := brings[name]; lay != nil {
		if err := lay(); err != nil {
			return err
		}
	}
	unit := c.m.packageUnit(name)
	if unit == "" || c.m.fragment(unit) != "" {
		return nil
	}
	return c.m.layUnit(unit, "multi-user.target", !c.m.masked(unit))
}

// aptMark serves hold, unhold, showhold, auto and manual.
func aptMark(c *call) int {
	if len(c.argv) < 2 {
		c.errorf("E: Invalid operation\n")
		return 100
	}
	verb, words := c.argv[1], c.argv[2:]
	list := c.m.dpkgEntries()
	if verb == "showhold" {
		for _, e := range list {
			if e.held() {
				c.printf("%s\n", e.name)
			}
		}
		return 0
	}
	marks := map[string]string{"hold": "set on hold", "unhold": "released from hold", "manual": "set to manually installed", "auto": "set to automatically installed"}
	mark, ok := marks[verb]
	if !ok {
		c.errorf("E: Invalid operation %s\n", verb)
		return 100
	}
	return (&aptCall{call: c}).killable(c.m.exclusive(func() error { return c.mark(verb, mark, words) }))
}

// mark changes what is wanted of packages and says so.
func (c *call) mark(verb, told string, names []string) error {
	list := c.m.dpkgEntries()
	for _, name := range names {
		i := dpkgIndex(list, name)
		if i < 0 {
			c.errorf("E: Unable to locate package %s\n", name)
			return said("No packages found")
		}
		was := list[i].status
		_, rest, _ := strings.Cut(was, " ")
		switch verb {
		case "hold":
			list[i].status = "hold " + rest
		case "unhold":
			list[i].status = "install " + rest
		}
		already := ""
		if was == list[i].status && strings.HasSuffix(verb, "hold") {
			already = "was already "
		}
		c.printf("%s %s%s.\n", name, already, told)
	}
	return c.m.saveDpkg(list)
}
