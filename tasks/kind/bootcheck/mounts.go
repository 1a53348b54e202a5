package bootcheck

import (
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dropin"
	"phoenix/tasks/guest"
	"phoenix/tasks/modprobe"
	"phoenix/tasks/octal"
	"phoenix/tasks/pve"
)

// mount is a file system, as /proc/mounts and /etc/fstab write it.
type mount struct {
	source, at, kind string
	options          []string
}

func (f mount) has(option string) bool { return slices.Contains(f.options, option) }

// parseMounts reads /proc/mounts or /etc/fstab. Swap space and comments are left out.
func parseMounts(text string) []mount {
	var out []mount
	for _, line := range tasks.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 || strings.HasPrefix(f[0], "#") || !strings.HasPrefix(f[1], "/") {
			continue
		}
		one := mount{source: octal.Unescape(f[0]), at: trimmed(octal.Unescape(f[1])), kind: f[2]}
		if len(f) > 3 {
			one.options = strings.Split(f[3], ",")
		}
		out = append(out, one)
	}
	return out
}

// trimmed is a path without a slash at its end.
func trimmed(p string) string {
	if t := strings.TrimRight(p, "/"); t != "" {
		return t
	}
	return "/"
}

// within tells whether a path is a directory or below it.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// mountOf is the file system that a path is on now.
func (m *machine) mountOf(p string) mount {
	on := mount{at: "/"}
	for _, f := range m.mounted {
		if within(p, f.at) && len(f.at) >= len(on.at) && f.kind != "autofs" {
			on = f
		}
	}
	return on
}

// covered names what is mounted between a path and the file system that it is on now,
// at boot only.
func (m *machine) covered(p string, on mount) string {
	for _, f := range m.fstab {
		if within(p, f.at) && len(f.at) > len(on.at) && !f.has("noauto") {
			return f.at
		}
	}
	return ""
}

// lost is why a path of a file system that is mounted now is not there after a boot, and
// how to mend it; empty when it is. unknown tells that it may be there all the same.
func (m *machine) lost(on mount, p string) (why, mend string, unknown bool) {
	if i := slices.IndexFunc(m.fstab, func(f mount) bool { return f.at == on.at }); i >= 0 && on.kind != "tmpfs" {
		f := m.fstab[i]
		if f.has("noauto") && !f.has("x-systemd.automount") {
			return "/etc/fstab has " + on.at + " with noauto, so no boot mounts it", "take noauto out of its line in /etc/fstab", false
		}
		return "", "", false
	}
	if unit := mountUnit(on.at); m.units.exists(unit) {
		if m.units.enabled[unit] || m.units.enabled[strings.TrimSuffix(unit, "mount")+"automount"] {
			return "", "", false
		}
		return "the unit " + unit + " is not enabled, so no boot mounts it", "systemctl enable '" + unit + "'", false
	}
	switch {
	case on.at == "/" || m.ownMount(on):
	case on.kind == "tmpfs" || on.kind == "ramfs":
		return m.inMemory(p)
	case on.kind == "zfs":
		why, mend = m.datasetLost(on)
	default:
		why = "nothing mounts " + on.at + " at boot: it is not in /etc/fstab, and no unit mounts it"
		mend = "add it to /etc/fstab"
	}
	return why, mend, false
}

// ownMount tells whether the system or Proxmox makes the mount by itself: the kernel's
// own file systems, /etc/pve, the mounts of lxcfs, storages over the network, and what
// is mounted when it is used.
func (m *machine) ownMount(on mount) bool {
	switch on.kind {
	case "proc", "sysfs", "devtmpfs", "devpts", "cgroup2", "securityfs", "fuse.lxcfs":
		return true
	}
	return on.at == "/etc/pve" ||
		slices.ContainsFunc(m.storages, func(s pve.Storage) bool {
			return s.Path() == on.at && !s.Bool("disable") && s.Type != "dir" && s.Type != "btrfs"
		}) ||
		slices.ContainsFunc(m.mounted, func(f mount) bool { return f.kind == "autofs" && within(on.at, f.at) && f.at != "/" })
}

// inMemory: a file system in memory is empty after a boot. Some directories in it are
// made long before guests start.
func (m *machine) inMemory(p string) (why, mend string, unknown bool) {
	for _, early := range []string{"/run/udev", "/run/systemd", "/run/lock", "/run/dbus", "/run/lvm"} {
		if within(p, early) {
			return "", "", false
		}
	}
	files, err := dropin.Read(m.host, ".conf", dropin.Folders("tmpfiles.d")...)
	if err == nil && slices.ContainsFunc(files, func(f dropin.File) bool { return makesPath(string(f.Data), p) }) {
		return "", "", false
	}
	why = "is in memory, and empty after a boot"
	if within(p, "/run") {
		return why + "; whether something makes it in time cannot be told", "have systemd-tmpfiles make it: a line \"d " + p + "\" in /etc/tmpfiles.d", true
	}
	return why, "keep it on a disk", false
}

// makesPath tells whether a file of tmpfiles.d makes a path or what is above it.
func makesPath(text, p string) bool {
	for _, line := range tasks.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 1 && strings.ContainsAny(f[0][:1], "dDfvcbLp") && f[1] == p {
			return true
		}
	}
	return false
}

// zpoolCache has what zfs-import-cache.service imports.
const zpoolCache = "/etc/zfs/zpool.cache"

// datasetLost: a file system of ZFS is mounted by zfs-mount.service, when its pool was
// imported.
func (m *machine) datasetLost(on mount) (why, mend string) {
	pool, _, _ := strings.Cut(on.source, "/")
	root := m.mountOf("/")
	if root.kind == "zfs" && within(root.source, pool) {
		pool = "" // the initial file system has imported it
	}
	if pool != "" && !m.imported(pool) {
		return "pool " + pool + " is not imported at boot: it is not in " + zpoolCache + ", no unit imports it, and it is no storage of Proxmox",
			fmt.Sprintf("systemctl enable zfs-import@%s.service", pool)
	}
	if m.units.exists("zfs-mount.service") && !m.units.enabled["zfs-mount.service"] {
		return "zfs-mount.service is not enabled, so no boot mounts " + on.source, "systemctl enable zfs-mount.service"
	}
	return "", ""
}

// imported tells whether a boot imports a pool: from the cache, by a unit of its own, by
// looking at all disks, which is done only where there is no cache, or by Proxmox as one
// of its storages.
func (m *machine) imported(pool string) bool {
	cache := m.text(zpoolCache)
	switch {
	case m.units.enabled["zfs-import-cache.service"] && strings.Contains(cache, pool):
		return true
	case m.units.enabled["zfs-import-scan.service"] && cache == "", m.units.enabled["zfs-import@"+pool+".service"]:
		return true
	}
	return slices.ContainsFunc(m.storages, func(s pve.Storage) bool {
		dataset, _ := s.Get("pool")
		return s.Type == "zfspool" && !s.Bool("disable") && within(dataset, pool)
	})
}

// features: a container that may mount file systems of the network needs their modules,
// which the kernel loads when they are first used, unless it is told not to.
func (m *machine) features(s *start) {
	p, err := pve.ParsePropertyString(s.options["features"], "")
	list, _ := p.Get("mount")
	if err != nil {
		return
	}
	for _, kind := range strings.Split(list, ";") {
		if kind != "" && !m.parts.Has(kind) && !m.modules[modprobe.Canonical(kind)] && m.options.Blacklisted(kind) {
			s.add(EffectDisturbs, "features", "it may mount "+kind+", whose module is blacklisted and not loaded at boot", "add "+kind+" to /etc/modules-load.d")
		}
	}
}

// profile looks whether the container's AppArmor profile is loaded at boot, too.
func (m *machine) profile(s *start, missing map[string]bool) {
	const option = "lxc.apparmor.profile"
	name := guest.Profile(s.raw)
	if name == "" || missing[option] {
		return
	}
	for _, dir := range []string{"/etc/apparmor.d", "/etc/apparmor.d/lxc"} {
		names, err := m.host.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, n := range names {
			if definesProfile(m.text(dir+"/"+n), name) {
				return
			}
		}
	}
	s.add(EffectStops, option, "no file of /etc/apparmor.d has the profile "+name+", so no boot loads it", "put the profile into a file there")
}

// definesProfile tells whether a file of AppArmor begins a profile of that name.
func definesProfile(text, name string) bool {
	for _, line := range tasks.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 1 && (f[0] == "profile" && f[1] == name || f[0] == name && strings.HasSuffix(strings.TrimSpace(line), "{")) {
			return true
		}
	}
	return false
}
