package sim

import (
	"slices"
	"strconv"
	"strings"
)

// applyPending moves the pending changes into the live section; only, when set,
// picks them. What a container that stops, starts or is stopped goes through.
func (u *update) applyPending(cfg *config, only func(key string) bool) error {
	for _, key := range cfg.deletes() {
		if only == nil || only(key) {
			u.remove(cfg, key)
			cfg.dropDelete(key)
		}
	}
	for _, key := range sortedKeys(cfg.pending.keys) {
		if key == "delete" || only != nil && !only(key) {
			continue
		}
		if err := u.adopt(cfg, key, cfg.pending.keys[key]); err != nil {
			return err
		}
		delete(cfg.pending.keys, key)
	}
	return nil
}

// remove takes a key out of the live section. A volume becomes unusedN; deleting an
// unusedN deletes the data.
func (u *update) remove(cfg *config, key string) {
	value := cfg.keys[key]
	delete(cfg.keys, key)
	switch {
	case strings.HasPrefix(key, "mp"):
		u.retire(cfg, value)
	case strings.HasPrefix(key, "unused"):
		u.freed = append(u.freed, value)
	}
}

// retire keeps the volume of a mount point as unusedN, unless another key uses it.
func (u *update) retire(cfg *config, mount string) {
	m, fault := mountSchema().split(mount)
	if fault != "" || !isVolume(m["volume"]) {
		return
	}
	for _, value := range cfg.keys {
		if volume, _, _ := strings.Cut(value, ","); volume == m["volume"] {
			return
		}
	}
	for n := range 256 {
		key := "unused" + strconv.Itoa(n)
		if _, taken := cfg.keys[key]; !taken {
			cfg.keys[key] = m["volume"]
			return
		}
	}
}

// adopt puts one value into the live section.
func (u *update) adopt(cfg *config, key, value string) error {
	switch {
	case key == "features":
		cfg.keys[key] = value // an empty value stays as an empty line
	case strings.HasPrefix(key, "mp"):
		return u.adoptMount(cfg, key, value)
	default:
		cfg.set(key, u.m.normalValue(key, value))
	}
	return nil
}

// adoptMount makes the volume when the value asks for a new one, and retires the
// volume that the key had.
func (u *update) adoptMount(cfg *config, key, value string) error {
	mount, fault := mountSchema().split(value)
	if fault != "" {
		return die(255, "%s", fault)
	}
	if id, size, ok := newVolume(mount["volume"]); ok {
		s, found := u.m.storage(id)
		if !found {
			return die(255, "storage '%s' does not exist", id)
		}
		volid, err := u.allocate(s, u.id, size)
		if err != nil {
			return die(255, "%v", err)
		}
		u.made = append(u.made, volid)
		mount["volume"], mount["size"] = volid, printSize(size)
	} else if isVolume(mount["volume"]) { // what is there is measured
		size, err := u.m.volumeSize(mount["volume"])
		if err != nil {
			return die(255, "%v", err)
		}
		mount["size"] = printSize(size)
	}
	old := cfg.keys[key]
	cfg.keys[key] = mountSchema().print(mount)
	if old != "" {
		u.retire(cfg, old)
	}
	// A volume that is in use again is no longer unused.
	for _, unused := range cfg.numbered("unused") {
		if cfg.keys[unused] == mount["volume"] {
			delete(cfg.keys, unused)
		}
	}
	return nil
}

// liveKeys are the options that change a running container at once.
func liveKeys() []string {
	return []string{
		"description", "onboot", "startup", "protection", "hostname", "hookscript", "cores", "tags", "lock",
		"memory", "swap", "cpulimit", "cpuunits",
	}
}

// hotplug makes the changes that a running container can take and leaves the others
// pending. When one fails nothing is written, but for what update_net of
// pve-container 5.3.5 wrote on its way.
func (u *update) hotplug(poisoned string) error {
	touched := append(slices.Clone(u.options()), u.deletes...)
	for _, key := range touched {
		if key == poisoned {
			return u.hotplugFault(key, u.m.checkBridge(u.stored(key)))
		}
	}
	for _, key := range u.options() {
		if !strings.HasPrefix(key, "net") {
			continue
		}
		if err := u.m.checkBridge(u.args[key]); err != nil {
			return u.poison(key, err)
		}
		u.announceAddress(key)
	}
	for _, key := range u.options() {
		if u.newMount(key) && strings.HasPrefix(u.m.text("/sys/module/apparmor/parameters/enabled"), "N") {
			if err := u.adoptMount(u.cfg, key, u.args[key]); err != nil {
				return err
			}
			return badParameter(2, key, "unable to hotplug "+key+": failed to change apparmor profile: Invalid argument\n")
		}
	}
	return u.applyPending(u.cfg, u.live(touched))
}

// live picks the changes that a running container takes at once.
func (u *update) live(touched []string) func(key string) bool {
	return func(key string) bool {
		deleted := slices.Contains(u.cfg.deletes(), key)
		switch base := strings.TrimRight(key, "0123456789"); {
		case base == "net":
			// Proxmox only unplugs net0 to net9 live; what failed before stays.
			return slices.Contains(touched, key) && (!deleted || number(key) <= 9)
		case base == "mp":
			return !deleted && u.newMount(key)
		case base == "unused":
			return deleted
		case base == "dev":
			_, known := u.cfg.keys[key]
			return u.m.Release >= "9" && !deleted && !known
		}
		return slices.Contains(liveKeys(), key)
	}
}

// newMount tells whether the key is a mount point that the container does not have.
func (u *update) newMount(key string) bool {
	_, known := u.cfg.keys[key]
	return strings.HasPrefix(key, "mp") && !known
}

// poisoned finds an interface whose earlier hot change failed: each later change of
// it fails as well, until it is reverted.
func (u *update) poisoned() string {
	for key, value := range u.cfg.pending.keys {
		if strings.HasPrefix(key, "net") && u.m.checkBridge(value) != nil {
			return key
		}
	}
	return ""
}

// stored is the pending value that the file has.
func (u *update) stored(key string) string {
	cfg, err := u.load(u.id)
	if err != nil {
		return ""
	}
	return cfg.pending.keys[key]
}

// poison writes what a failed change of an existing interface leaves behind: the
// interface is gone, the bad value is pending.
func (u *update) poison(key string, cause error) error {
	cfg, err := u.load(u.id)
	if err != nil {
		return err
	}
	if _, existed := cfg.keys[key]; existed {
		delete(cfg.keys, key)
		cfg.pending.keys[key] = u.args[key]
		if err := u.save(u.id, cfg); err != nil {
			return err
		}
	}
	return u.hotplugFault(key, cause)
}

func (u *update) hotplugFault(key string, cause error) error {
	return badParameter(2, key, "unable to hotplug "+key+": "+cause.Error()+"\n")
}

// announceAddress prints what changing a fixed address of a running container prints.
func (u *update) announceAddress(key string) {
	before, fault1 := netSchema().split(u.cfg.keys[key])
	after, fault2 := netSchema().split(u.args[key])
	fixed := strings.Contains(before["ip"], "/") && strings.Contains(after["ip"], "/")
	if fault1 == "" && fault2 == "" && fixed && before["ip"] != after["ip"] {
		for _, v := range []string{"1", "0"} {
			u.printf("net.ipv4.conf.%s.promote_secondaries = %s\n", after["name"], v)
		}
	}
}
