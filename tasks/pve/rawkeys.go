package pve

import (
	"slices"
	"strings"
)

// RawOptionAllowed tells whether pve-container reads a raw option; what it does not
// know it drops at the next write of the file, with a warning. lxc.rootfs.path and
// lxc.rootfs.options are refused because Proxmox sets them itself.
func RawOptionAllowed(key string) bool {
	name, ok := strings.CutPrefix(key, "lxc.")
	if !ok {
		return false
	}
	if slices.ContainsFunc(rawPrefixes(), func(p string) bool { return strings.HasPrefix(name, p) && name != p }) {
		return true
	}
	return slices.Contains(rawKeys(), name)
}

func rawPrefixes() []string {
	return []string{
		"apparmor.", "cgroup.", "cgroup2.", "console.", "hook.", "log.", "net.", "prlimit.", "seccomp.",
		"signal.", "start.", "tty.", "sysctl.fs.mqueue", "sysctl.kernel.msg", "sysctl.kernel.shm",
	}
}

func rawKeys() []string {
	return []string{
		"arch", "autodev", "cap.drop", "cap.keep", "environment", "group", "idmap", "include", "init.cmd", "kmsg",
		"mount.auto", "mount.entry", "mount.fstab", "pty.max", "rootfs.mount", "selinux.context",
		"sysctl.kernel.sem", "uts.name",
	}
}
