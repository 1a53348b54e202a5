package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"phoenix/tasks/pve"
)

// device is one devN entry: a node of the host that the container is to have. As in
// Proxmox VE, the container's node is one of its own, with the host's numbers and the
// entry's owner and mode, made before each start and bound to its place; the control
// group permits its numbers.
type device struct {
	path     string
	mode     uint32
	uid, gid int
	readOnly bool
}

// devices reads the devN entries of a configuration. The defaults are Proxmox's: root,
// 0660.
func devices(options map[string]string) ([]device, error) {
	var out []device
	for _, key := range pve.IndexedKeys(options, "dev") {
		p, err := pve.ParsePropertyString(options[key], "path")
		if err != nil {
			return nil, err
		}
		value := func(name, otherwise string) string { v, _ := p.Get(name); return cmp.Or(v, otherwise) }
		d := device{path: value("path", ""), readOnly: value("deny-write", "0") == "1"}
		mode, errMode := strconv.ParseUint(value("mode", "0660"), 8, 12)
		d.mode = uint32(mode)
		var errUID, errGID error
		d.uid, errUID = strconv.Atoi(value("uid", "0"))
		d.gid, errGID = strconv.Atoi(value("gid", "0"))
		if err := cmp.Or(errMode, errUID, errGID); err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		out = append(out, d)
	}
	return out, nil
}

// node is what a node of the host is: its type, as the control group calls it, and its
// numbers.
type node struct {
	kind         string
	format       uint32
	rdev         uint64
	major, minor uint64
}

// lookAt finds out what a node of the host is.
func lookAt(path string) (node, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return node{}, fmt.Errorf("find device %s: %w", path, err)
	}
	n := node{kind: "c", format: st.Mode & syscall.S_IFMT, rdev: st.Rdev, major: st.Rdev >> 8 & 0xfff, minor: st.Rdev&0xff | st.Rdev>>12&0xfff00}
	switch n.format {
	case syscall.S_IFCHR:
	case syscall.S_IFBLK:
		n.kind = "b"
	default:
		return node{}, fmt.Errorf("%s is not a device", path)
	}
	return n, nil
}

// passthrough is where the nodes of a container lie on the host.
func passthrough(id int, path string) string { return filepath.Join(dir(id), "passthrough", path) }

// makeNodes makes the nodes of a container anew.
func makeNodes(id int, options map[string]string) error {
	if err := os.RemoveAll(passthrough(id, "")); err != nil {
		return err
	}
	all, err := devices(options)
	if err != nil {
		return err
	}
	shifted := 0
	if options["unprivileged"] == "1" {
		shifted = first
	}
	for _, d := range all {
		n, err := lookAt(d.path)
		if err != nil {
			return err
		}
		at := passthrough(id, d.path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := syscall.Mknod(at, n.format|d.mode, int(n.rdev)); err != nil {
			return fmt.Errorf("make %s: %w", at, err)
		}
		if err := os.Chown(at, shifted+d.uid, shifted+d.gid); err != nil {
			return err
		}
		if err := syscall.Chmod(at, d.mode); err != nil { // whatever the umask took
			return fmt.Errorf("set mode of %s: %w", at, err)
		}
	}
	return nil
}

// everybodys are the devices that common.conf of LXC permits: null, zero, full, random,
// urandom, tty, console, ptmx, the terminals. For an unprivileged container userns.conf
// takes that list back, which permits all; but as soon as one line permits a device,
// LXC forbids what no line permits (bpf_list_add_device), /dev/null as well. So they
// are permitted here once more.
const everybodys = "1:3 1:5 1:7 1:8 1:9 5:0 5:1 5:2 136:*"

// permit writes the lines of the devices: what the control group lets the container do
// with each, and where it is bound, which in Proxmox VE a hook does. They come before the
// line of the root file system: what is behind that line are raw options.
func permit(line func(key, format string, args ...any), id int, options map[string]string, look func(string) (node, error)) error {
	all, err := devices(options)
	if err != nil {
		return err
	}
	if options["unprivileged"] == "1" && len(all) > 0 {
		for _, numbers := range strings.Fields(everybodys) {
			line("lxc.cgroup2.devices.allow", "c %s rw", numbers)
		}
	}
	for _, d := range all {
		n, err := look(d.path)
		if err != nil {
			return err
		}
		may := "rw"
		if d.readOnly {
			may = "r"
		}
		line("lxc.cgroup2.devices.allow", "%s %d:%d %s", n.kind, n.major, n.minor, may)
		line("lxc.mount.entry", "%s %s none bind,create=file 0 0", passthrough(id, d.path), strings.TrimPrefix(d.path, "/"))
	}
	return nil
}
