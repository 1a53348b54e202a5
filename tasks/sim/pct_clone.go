package sim

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"
)

func cloneOptions() []option {
	host := textOption("hostname")
	host.format = formatDNSName()
	return []option{host, textOption("description"), textOption("storage"), textOption("snapname"), textOption("pool"), textOption("target"), flagOption("full"), numberOption("bwlimit")}
}

// clone is one container in the making from another.
type clone struct {
	*pctCall
	newID int
	cfg   *config
	full  bool
	// made are the volumes so far, freed again when something fails.
	made []string
}

func pctClone(p *pctCall) error {
	newID, err := strconv.Atoi(p.args["newid"])
	if err != nil {
		return err
	}
	c := &clone{pctCall: p, newID: newID}
	if err := p.checkTarget(); err != nil {
		return err
	}
	cfg, err := p.load(p.id)
	if err != nil {
		return err
	}
	if err := checkLock(cfg); err != nil {
		return err
	}
	if g := p.m.guest(newID); g.Node != "" {
		return die(255, "CT %d already exists on node '%s'", newID, g.Node)
	}
	source, err := c.source(cfg)
	if err != nil {
		return err
	}
	c.begin(source)
	if err := p.mark(p.id, "disk"); err != nil {
		return err
	}
	if err := p.save(newID, c.cfg); err != nil {
		return err
	}
	p.worker = true
	if err := c.copyAll(); err != nil {
		if p.killed {
			return err
		}
		return die(255, "clone failed: %v", errors.Join(err, p.mark(p.id, ""), c.undo()))
	}
	delete(c.cfg.keys, "lock")
	return errors.Join(p.mark(p.id, ""), p.save(newID, c.cfg))
}

// checkTarget refuses a storage that cannot take the clone.
func (p *pctCall) checkTarget() error {
	id := p.args["storage"]
	if id == "" {
		return nil
	}
	s, ok := p.m.storage(id)
	switch {
	case !ok:
		return die(255, "storage '%s' does not exist", id)
	case s.disabled:
		return die(255, "storage '%s' is disabled", id)
	}
	return nil
}

// mark sets or takes away the lock that Proxmox notes in a configuration.
func (p *pctCall) mark(id int, lock string) error {
	cfg, err := p.load(id)
	if err != nil {
		return err
	}
	cfg.set("lock", lock)
	return p.save(id, cfg)
}

// source picks what is copied, the container or one of its snapshots, and whether its
// volumes can be.
func (c *clone) source(cfg *config) (section, error) {
	c.full = c.on("full") || !cfg.on("template") && c.args["full"] == ""
	from := cfg.section
	if name := c.args["snapname"]; name != "" {
		s, ok := cfg.snapshots[name]
		if !ok {
			return section{}, die(2, "snapshot '%s' does not exist", name)
		}
		from = s
	}
	if c.args["storage"] != "" && !c.full {
		return section{}, die(255, "parameter 'storage' not allowed for linked clones")
	}
	for _, key := range append(from.numbered("mp"), "rootfs") { // in Perl's order
		mount, fault := mountSchema().split(from.keys[key])
		switch volid := mount["volume"]; {
		case fault != "":
			return section{}, die(255, "%s", fault)
		case !isVolume(volid):
			return section{}, die(255, "unable to clone mountpoint '%s' (type %s)", key, mountType(volid))
		case !c.full && !c.m.canLink(volid, c.args["snapname"]):
			return section{}, die(2, "Linked clone feature for '%s' is not available", volid)
		case c.full && c.m.running(c.id) && c.args["snapname"] == "":
			if c.m.Release >= "9" {
				return section{}, die(2, "Full clone of a running container is only possible from a snapshot")
			}
			return section{}, die(2, "Cannot do full clones on a running container without snapshots")
		}
	}
	return from, nil
}

func mountType(source string) string {
	if strings.HasPrefix(source, "/dev/") {
		return "device"
	}
	return "bind"
}

// canLink tells whether the storage can make a clone that shares the volume
// (volume_has_feature of its plugin, pve-storage 8.3.8).
func (m *Machine) canLink(volid, snapshot string) bool {
	id, name, _ := splitVolumeID(volid)
	s, _ := m.storage(id)
	base := strings.HasPrefix(path.Base(name), "base")
	switch s.typ {
	case "lvmthin", "rbd":
		return snapshot != "" || base
	case "zfspool":
		return snapshot == "" && base
	case "btrfs":
		return strings.HasSuffix(name, ".raw") || snapshot == "" && base
	}
	return false
}

// begin makes the clone's configuration: all of the parent's but what is about the
// parent itself, and addresses of its own.
func (c *clone) begin(source section) {
	c.cfg = newConfig()
	c.cfg.section = source.clone()
	keys := c.cfg.keys
	for _, key := range append(c.cfg.numbered("unused"), "template", "parent", "snaptime") {
		delete(keys, key)
	}
	keys["lock"] = "create"
	for _, key := range c.cfg.numbered("net") {
		if nic, fault := netSchema().split(keys[key]); fault == "" {
			nic["hwaddr"] = c.m.mac()
			keys[key] = netSchema().print(nic)
		}
	}
	for _, key := range []string{"hostname", "description"} {
		if v := c.args[key]; v != "" {
			keys[key] = c.m.normalValue(key, v)
		}
	}
}

// copyAll makes the volumes and lays the guest's files.
func (c *clone) copyAll() error {
	if c.m.Release >= "9" {
		c.printf("creating a clone of container %d with ID %d\n", c.id, c.newID)
	}
	for _, key := range append([]string{"rootfs"}, c.cfg.numbered("mp")...) {
		allocate := c.copyVolume
		if !c.full {
			allocate = c.linkVolume
		}
		text, volid, err := allocate(key, c.cfg.keys[key], c.newID)
		if volid != "" {
			c.made = append(c.made, volid)
		}
		if err != nil {
			return err
		}
		c.cfg.keys[key] = text
		if err := c.save(c.newID, c.cfg); err != nil {
			return err
		}
		if c.hit("allocated") {
			return errors.New("killed")
		}
	}
	from := guestRoot(c.id)
	if name := c.args["snapname"]; name != "" {
		from = snapshotDir(c.id, name)
	}
	if err := c.m.copyGuest(from, guestRoot(c.newID)); err != nil {
		return err
	}
	return c.m.cloneRules(c.id, c.newID)
}

// undo frees what was made and takes the configuration away.
func (c *clone) undo() error {
	var errs []error
	for _, volid := range c.made {
		_, err := c.m.free(volid)
		errs = append(errs, err)
	}
	errs = append(errs, os.RemoveAll(c.m.path(guestDir(c.newID))), os.Remove(c.m.path(c.m.confPath(c.newID))), c.m.removeRules(c.newID))
	return errors.Join(append(errs, c.m.exclusive(func() error { return c.m.writeVMList() }))...)
}
