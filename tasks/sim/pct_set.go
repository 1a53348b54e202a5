package sim

import (
	"slices"
	"strings"
)

// update is one `pct set` at work.
type update struct {
	*pctCall
	cfg     *config
	deletes []string
	// freed are the volumes to remove once the configuration is written.
	freed []string
	// made are the volumes to remove again when the call fails.
	made []string
}

func pctSet(p *pctCall) error {
	u := &update{pctCall: p, deletes: splitList(p.args["delete"])}
	if len(slices.DeleteFunc(p.given(), func(n string) bool { return n == "digest" })) == 0 {
		return die(2, "no options specified")
	}
	if err := u.prepare(); err != nil {
		return err
	}
	return p.locked(4, func() error {
		cfg, err := p.load(p.id)
		if err != nil {
			return err
		}
		u.cfg = cfg
		if err := checkLock(cfg); err != nil {
			return err
		}
		if digest := p.args["digest"]; digest != "" && digest != cfg.digest {
			return die(255, "detected modified configuration - file changed by other user? Try again.")
		}
		return u.apply()
	})
}

// prepare refuses what can be refused without the configuration.
func (u *update) prepare() error {
	for _, name := range u.deletes {
		if _, ok := configKey(name); !ok {
			return badParameter(255, "delete", "unknown option '"+name+"'")
		}
		switch {
		case name == "memory" || name == "rootfs":
			return die(255, "unable to delete required option '%s'", name)
		case name == "unprivileged":
			return die(255, "unable to delete read-only option: '%s'", name)
		case u.args[name] != "":
			return badParameter(2, "delete", "you can't use '-"+name+"' and -delete "+name+"' at the same time")
		}
	}
	if _, ok := u.args["unprivileged"]; ok {
		return die(255, "unable to modify read-only option: 'unprivileged'")
	}
	if script := u.args["hookscript"]; script != "" {
		if where, err := u.m.volumePath(script); err != nil || !u.m.exists(where) {
			return die(2, "script '%s' does not exist", script)
		}
	}
	if err := u.checkDevices(); err != nil {
		return err
	}
	for _, name := range u.options() {
		if !strings.HasPrefix(name, "mp") {
			continue
		}
		mount, fault := mountSchema().split(u.args[name])
		if fault != "" {
			return die(255, "%s", fault)
		}
		if err := u.checkStorage(mount["volume"]); err != nil {
			return err
		}
	}
	return nil
}

// options lists the container's options that were given, mount points last: they
// depend on the others.
func (u *update) options() []string {
	return slices.DeleteFunc(u.given(), func(n string) bool { return slices.Contains([]string{"delete", "revert", "digest"}, n) })
}

// apply puts the changes into the pending section and then makes those that can be
// made now: all when the container is stopped.
func (u *update) apply() error {
	for _, name := range splitList(u.args["revert"]) {
		delete(u.cfg.pending.keys, name)
		u.cfg.dropDelete(name)
	}
	poisoned := u.poisoned()
	for _, name := range u.deletes {
		_, live := u.cfg.keys[name]
		_, pending := u.cfg.pending.keys[name]
		if !live && !pending {
			u.errorf("cannot delete '%s' - not set in current configuration!\n", name)
			continue
		}
		if err := u.protected(name); err != nil {
			return err
		}
		delete(u.cfg.pending.keys, name)
		u.cfg.pending.set("delete", strings.Join(append(slices.DeleteFunc(u.cfg.deletes(), func(k string) bool { return k == name }), name), ","))
	}
	for _, name := range u.options() {
		u.cfg.dropDelete(name)
		u.cfg.pending.keys[name] = u.pendingValue(name)
	}
	u.cfg.tidyPending()
	if err := u.makeChanges(poisoned); err != nil {
		return err
	}
	return u.write()
}

// pendingValue is what the pending section holds: net and mount points as typed.
func (u *update) pendingValue(name string) string {
	if strings.HasPrefix(name, "net") {
		return u.args[name]
	}
	return u.m.normalValue(name, u.args[name])
}

// protected refuses to take a disk away from a protected container.
func (u *update) protected(name string) error {
	if (strings.HasPrefix(name, "mp") || strings.HasPrefix(name, "unused")) && u.cfg.on("protection") {
		return die(255, "can't remove CT %d drive '%s' - protection mode enabled", u.id, name)
	}
	return nil
}

// tidyPending drops changes that change nothing.
func (c *config) tidyPending() {
	for key, value := range c.pending.keys {
		if key != "delete" && value == c.keys[key] && value != "" {
			delete(c.pending.keys, key)
		}
	}
	for _, key := range c.deletes() {
		if _, ok := c.keys[key]; !ok {
			c.dropDelete(key)
		}
	}
}

func (u *update) makeChanges(poisoned string) error {
	undo := func(err error) error {
		for _, volid := range u.made {
			if _, freeErr := u.m.free(volid); freeErr != nil {
				u.errorf("%v\n", freeErr)
			}
		}
		return err
	}
	if u.m.running(u.id) {
		if err := u.hotplug(poisoned); err != nil {
			return undo(err)
		}
		return nil
	}
	for _, name := range u.options() {
		if strings.HasPrefix(name, "net") {
			if err := u.m.checkBridge(u.args[name]); err != nil {
				return err
			}
		}
	}
	if err := u.applyPending(u.cfg, nil); err != nil {
		return undo(err)
	}
	return nil
}

// write saves the configuration and removes what it no longer needs.
func (u *update) write() error {
	if err := u.save(u.id, u.cfg); err != nil {
		return err
	}
	for _, volid := range u.freed {
		if _, err := u.m.free(volid); err != nil {
			u.errorf("%v\n", err)
		}
	}
	cfg, err := u.load(u.id) // as Proxmox does, with the warnings of the new file
	if err != nil {
		return err
	}
	if err := writeLXCConfig(u.m, u.id, cfg); err != nil {
		return err
	}
	if memory := cfg.keys["memory"]; memory != "" && !matchInteger(memory) {
		u.errorf(notNumeric, memory, 769)
	}
	return nil
}

// checkBridge refuses an interface on a bridge that the machine does not have.
func (m *Machine) checkBridge(net string) error {
	nic, fault := netSchema().split(net)
	if fault == "" && nic["bridge"] != "" && !m.exists("/sys/class/net/"+nic["bridge"]) {
		return die(2, "bridge '%s' does not exist", nic["bridge"])
	}
	return nil
}
