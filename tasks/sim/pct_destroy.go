package sim

import (
	"fmt"
	"os"
	"slices"
)

func pctDestroy(p *pctCall) error {
	cfg, err := p.load(p.id)
	if err != nil {
		return err
	}
	running := p.m.running(p.id)
	switch {
	case cfg.on("protection"):
		return die(255, "can't remove CT %d - protection mode enabled", p.id)
	case cfg.keys["lock"] != "" && !(p.on("force") && cfg.keys["lock"] == "destroyed"):
		return checkLock(cfg)
	case running && !p.on("force"):
		return die(255, "unable to destroy CT %d - container is running", p.id)
	}
	p.worker = true
	return p.locked(255, func() error {
		if cfg, err = p.load(p.id); err != nil {
			return asWorker(err)
		}
		if running {
			p.printf("forced to stop CT %d before destroying!\n", p.id)
			if err := p.m.setRunning(p.id, false); err != nil {
				return err
			}
		}
		return p.wipe(cfg)
	})
}

// wipe removes the volumes, the guest's folder and, last, the configuration.
func (p *pctCall) wipe(cfg *config) error {
	for _, volid := range p.owned(cfg) {
		missing, err := p.m.free(volid)
		if err != nil {
			return asWorker(err)
		}
		if missing != "" {
			p.printf("disk image '%s' does not exist\n", missing)
		}
	}
	if err := p.m.removeRules(p.id); err != nil {
		return asWorker(err)
	}
	if p.on("purge") {
		p.printf("purging CT %d from related configurations..\n", p.id)
	}
	if p.hit("written") {
		return die(137, "")
	}
	if err := os.RemoveAll(p.m.path(guestDir(p.id))); err != nil {
		return asWorker(err)
	}
	if err := os.Remove(p.m.path(p.m.confPath(p.id))); err != nil {
		return asWorker(err)
	}
	return p.m.exclusive(func() error { return p.m.writeVMList() })
}

// owned lists the volumes that go with the container: those of all sections that
// bear its number, and the unreferenced ones when asked for.
func (p *pctCall) owned(cfg *config) []string {
	var volids []string
	sections := []section{cfg.section, cfg.pending}
	for _, name := range sortedKeys(cfg.snapshots) {
		sections = append(sections, cfg.snapshots[name])
	}
	for _, s := range sections {
		for _, key := range slices.Concat([]string{"rootfs"}, s.numbered("mp"), s.numbered("unused")) {
			mount, fault := mountSchema().split(s.keys[key])
			volid := mount["volume"]
			if fault != "" || volid == "" || !isVolume(volid) || slices.Contains(volids, volid) {
				continue
			}
			if _, _, pendingAllocation := newVolume(volid); volumeOwner(volid) == p.id || pendingAllocation && key == "rootfs" {
				volids = append(volids, volid)
			}
		}
	}
	if p.on("destroy-unreferenced-disks") {
		for _, s := range p.m.storages() {
			volids = append(volids, p.m.volumesOf(s, p.id)...)
		}
	}
	slices.Sort(volids)
	return slices.Compact(volids)
}

// snapshotDir keeps the files of a guest as they were when a snapshot was taken.
func snapshotDir(id int, name string) string {
	return fmt.Sprintf("%s/snapshots/%s", guestDir(id), name)
}
