package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"phoenix/tasks/pve"
)

// shared has the configurations that come with LXC, which Proxmox builds on as well.
const shared = "/usr/share/lxc/config/"

// translate says in LXC's words what a container is like, as update_lxc_config of
// pve-container 5.3.5 does; look tells what a device node is. A kernel without AppArmor
// has no profile to give it.
func translate(id int, options map[string]string, raw []pve.RawOption, look func(string) (node, error)) (string, error) {
	var b strings.Builder
	line := func(key, format string, args ...any) { fmt.Fprintf(&b, key+" = "+format+"\n", args...) }
	line("lxc.include", shared+"common.conf")
	features, err := pve.ParsePropertyString(options["features"], "")
	if err != nil {
		return "", err
	}
	on := func(name string) bool { value, _ := features.Get(name); return value == "1" }
	if options["unprivileged"] == "1" {
		line("lxc.include", shared+"userns.conf")
		line("lxc.idmap", "u 0 %d %d", first, count)
		line("lxc.idmap", "g 0 %d %d", first, count)
	}
	if on("nesting") {
		line("lxc.include", shared+"nesting.conf")
	}
	if on("fuse") {
		line("lxc.mount.entry", "/dev/fuse dev/fuse none bind,create=file 0 0")
	}
	if err := permit(line, id, options, look); err != nil {
		return "", err
	}
	line("lxc.apparmor.profile", "unchanged")
	line("lxc.arch", "%s", options["arch"])
	line("lxc.uts.name", "%s", options["hostname"])
	line("lxc.environment", "TERM=linux")
	line("lxc.rootfs.path", "dir:%s/rootfs", dir(id))
	line("lxc.cgroup.relative", "0")
	line("lxc.cgroup.dir.monitor", "lxc.monitor/%d", id)
	line("lxc.cgroup.dir.container", "lxc/%d", id)
	line("lxc.cgroup.dir.container.inner", "ns")
	if err := interfaces(line, id, options); err != nil {
		return "", err
	}
	if err := mounts(line, id, options); err != nil {
		return "", err
	}
	for _, o := range raw {
		line(o.Key, "%s", o.Value)
	}
	return b.String(), nil
}

// interfaces writes the network. The container gives itself its addresses.
func interfaces(line func(key, format string, args ...any), id int, options map[string]string) error {
	keys := pve.IndexedKeys(options, "net")
	if len(keys) == 0 {
		line("lxc.net.0.type", "empty")
	}
	for _, key := range keys {
		p, err := pve.ParsePropertyString(options[key], "")
		if err != nil {
			return err
		}
		n := strings.TrimPrefix(key, "net")
		line("lxc.net."+n+".type", "veth")
		line("lxc.net."+n+".veth.pair", "veth%di%s", id, n)
		line("lxc.net."+n+".flags", "up")
		for _, own := range [][2]string{{"bridge", "link"}, {"hwaddr", "hwaddr"}, {"name", "name"}, {"mtu", "mtu"}} {
			if value, ok := p.Get(own[0]); ok {
				line("lxc.net."+n+"."+own[1], "%s", value)
			}
		}
	}
	return nil
}

// mounts writes mount points.
func mounts(line func(key, format string, args ...any), id int, options map[string]string) error {
	for _, key := range pve.IndexedKeys(options, "mp") {
		p, err := pve.ParsePropertyString(options[key], "volume")
		if err != nil {
			return err
		}
		source, _ := p.Get("volume")
		target, _ := p.Get("mp")
		if !filepath.IsAbs(source) {
			source = filepath.Join(dir(id), key)
		}
		how := "bind,create=dir"
		if ro, _ := p.Get("ro"); ro == "1" {
			how += ",ro"
		}
		line("lxc.mount.entry", "%s %s none %s 0 0", source, strings.TrimPrefix(target, "/"), how)
	}
	return nil
}
