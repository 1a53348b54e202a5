package sim

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"

	"phoenix/tasks/modprobe"
)

// bootMachine is what a boot makes of the disk: nothing of /run and of the kernel's own
// tables is left, and what the configuration says is there again. It runs inside
// exclusive.
func (m *Machine) bootMachine() error {
	return errors.Join(m.bootRun(), m.bootKernel(), m.bootPools(), m.bootProfiles())
}

// bootRun empties /run, but for what udev, systemd and sshd lay there at once.
func (m *Machine) bootRun() error {
	entries, err := os.ReadDir(m.path("/run"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.Contains([]string{"udev", "systemd", "sshd"}, e.Name()) {
			continue
		}
		if err := os.RemoveAll(m.path("/run/" + e.Name())); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/run/lock/lxc", "/run/pve", "/run/network"} {
		if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
			return err
		}
	}
	failed := m.path("/.sim/failed")
	return errors.Join(os.RemoveAll(failed), os.RemoveAll(m.path(natRules)))
}

// bootPools gives ZFS its parameter and mounts what belongs into the tree.
func (m *Machine) bootPools() error {
	cfg, err := modprobe.Read(m.Host())
	if err != nil {
		return err
	}
	if set, ok := cfg.Option("zfs", "zfs_arc_max"); ok {
		_, value, _ := strings.Cut(set.Word, "=")
		if err := m.write("/sys/module/zfs/parameters/zfs_arc_max", []byte(value+"\n"), 0o644); err != nil {
			return err
		}
	}
	all := m.pools()
	for _, name := range sortedKeys(all) {
		p := all[name]
		for _, d := range sortedKeys(p.Datasets) {
			if p.Exported || p.Datasets[d].Mounted || !p.mountable(d) {
				continue
			}
			if err := m.setMounted(p, d, true); err != nil {
				return err
			}
		}
	}
	return m.savePools(all)
}

// bootUnits starts the units that are enabled and did not run, and leaves out those
// that are not.
func (m *Machine) bootUnits() error {
	for _, file := range m.glob(activeDir + "*") {
		if unit := path.Base(file); m.enablement(unit) == "disabled" {
			if err := m.setActive(unit, false); err != nil {
				return err
			}
		}
	}
	for _, link := range m.glob("/etc/systemd/system/*.target.wants/*") {
		unit := path.Base(link)
		if err := m.unitNodes(unit); err != nil {
			return err
		}
		if active, _ := m.activity(unit); active == "active" {
			continue
		}
		if err := m.setActive(unit, true); err != nil {
			return err
		}
	}
	return nil
}

// bootServices is what units do that have programs of their own: the network comes up
// as its files say, and the NFS server exports.
func (c *call) bootServices() error {
	for _, dir := range c.m.glob(sysNet + "*/bridge") {
		if err := os.RemoveAll(c.m.path(path.Dir(dir))); err != nil {
			return err
		}
	}
	c.sub("ifreload", "-a") // one that cannot come up is a line in the journal
	if c.m.enablement("nfs-server.service") == "enabled" {
		c.sub("exportfs", "-ra")
	}
	return nil
}
