package sim

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

func pctSnapshot(p *pctCall) error {
	name := p.args["snapname"]
	if name == "current" || name == "vzdump" || name == "pending" {
		return die(2, "unable to use snapshot name '%s' (reserved name)", name)
	}
	if _, err := p.load(p.id); err != nil {
		return asWorker(err)
	}
	return p.change(255, func(cfg *config) error {
		switch _, taken := cfg.snapshots[name]; {
		case cfg.on("template"):
			return die(255, "you can't take a snapshot if it's a template")
		case taken:
			return die(255, "snapshot name '%s' already used", name)
		case !p.canSnapshot(cfg):
			return die(255, "snapshot feature is not available")
		}
		s := cfg.section.clone()
		for _, key := range append(cfg.numbered("unused"), "lock", "description") {
			delete(s.keys, key)
		}
		if text := p.args["description"]; text != "" {
			s.keys["description"] = p.m.normalValue("description", text)
		}
		s.keys["snaptime"] = strconv.FormatInt(p.m.Now().Unix(), 10)
		cfg.snapshots[name] = s
		if p.hit("prepared") { // the volumes come next, under a lock
			s.keys["snapstate"], cfg.keys["lock"] = "prepare", "snapshot"
			if err := p.save(p.id, cfg); err != nil {
				return err
			}
			return die(137, "")
		}
		cfg.keys["parent"] = name
		return p.m.copyGuest(guestRoot(p.id), snapshotDir(p.id, name))
	})
}

// canSnapshot tells whether the storages of all volumes can take snapshots.
func (p *pctCall) canSnapshot(cfg *config) bool {
	for _, key := range append([]string{"rootfs"}, cfg.numbered("mp")...) {
		mount, fault := mountSchema().split(cfg.keys[key])
		if fault != "" || !isVolume(mount["volume"]) {
			return false
		}
		id, _, _ := splitVolumeID(mount["volume"])
		s, ok := p.m.storage(id)
		if !ok || !slices.Contains([]string{"btrfs", "lvmthin", "zfspool", "rbd"}, s.typ) {
			return false
		}
	}
	return true
}

// snapshotOf finds the snapshot that the call names.
func (p *pctCall) snapshotOf(cfg *config) (section, error) {
	s, ok := cfg.snapshots[p.args["snapname"]]
	if !ok {
		return section{}, die(255, "snapshot '%s' does not exist", p.args["snapname"])
	}
	return s, nil
}

func pctDelSnapshot(p *pctCall) error {
	name := p.args["snapname"]
	return p.change(255, func(cfg *config) error {
		gone, err := p.snapshotOf(cfg)
		if err != nil {
			return err
		}
		delete(cfg.snapshots, name)
		inherit := func(s section) {
			if s.keys["parent"] == name {
				s.set("parent", gone.keys["parent"])
			}
		}
		inherit(cfg.section)
		for _, s := range cfg.snapshots {
			inherit(s)
		}
		return os.RemoveAll(p.m.path(snapshotDir(p.id, name)))
	})
}

func pctRollback(p *pctCall) error {
	name := p.args["snapname"]
	p.worker = true
	err := p.change(255, func(cfg *config) error {
		s, err := p.snapshotOf(cfg)
		if err != nil {
			return err
		}
		if newer := p.newer(cfg, s); newer != "" {
			return die(255, "can't rollback, '%s' is not most recent snapshot on '%s'", name, newer)
		}
		if state := s.keys["snapstate"]; state != "" {
			return die(255, "unable to rollback to incomplete snapshot (snapstate = %s)", state)
		}
		if p.m.running(p.id) {
			if err := p.m.setRunning(p.id, false); err != nil {
				return err
			}
		}
		if p.hit("stopped") {
			cfg.keys["lock"] = "rollback"
			if err := p.save(p.id, cfg); err != nil {
				return err
			}
			return die(137, "")
		}
		before := cfg.section
		kept := map[string]string{}
		for _, key := range append(cfg.numbered("unused"), "description") {
			if v, ok := cfg.keys[key]; ok {
				kept[key] = v
			}
		}
		cfg.section, cfg.pending = s.clone(), newSection()
		for _, key := range []string{"snaptime", "description"} {
			delete(cfg.keys, key)
		}
		for key, value := range kept {
			cfg.keys[key] = value
		}
		for _, key := range before.numbered("mp") {
			new(update).retire(cfg, before.keys[key]) // what was allocated since
		}
		cfg.keys["parent"] = name
		if err := p.shrink(s); err != nil {
			return err
		}
		if err := os.RemoveAll(p.m.path(guestRoot(p.id))); err != nil {
			return err
		}
		return p.m.copyGuest(snapshotDir(p.id, name), guestRoot(p.id))
	})
	if err == nil && p.on("start") {
		return startContainer(p)
	}
	return err
}

// shrink gives volumes the size back that they had. A data set of ZFS keeps its refquota:
// zfs rollback brings back data, no properties.
func (p *pctCall) shrink(s section) error {
	for _, key := range append([]string{"rootfs"}, s.numbered("mp")...) {
		mount, fault := mountSchema().split(s.keys[key])
		size, ok := parseSize(mount["size"])
		id, _, _ := splitVolumeID(mount["volume"])
		st, known := p.m.storage(id)
		if fault != "" || !ok || !known || st.typ == "zfspool" {
			continue
		}
		where, err := p.m.volumePath(mount["volume"])
		if err != nil {
			return die(255, "%v", err)
		}
		if at, err := os.Stat(p.m.path(where)); err != nil || at.IsDir() {
			continue
		}
		if err := os.Truncate(p.m.path(where), st.taken(size)); err != nil {
			return die(255, "%v", err)
		}
	}
	return nil
}

// newer is a volume on ZFS that has a newer snapshot than this one, for which ZFS does
// not go back (ZFSPoolPlugin).
func (p *pctCall) newer(cfg *config, s section) string {
	at, _ := strconv.Atoi(s.keys["snaptime"])
	for _, key := range append([]string{"rootfs"}, s.numbered("mp")...) {
		volume, _, _ := strings.Cut(s.keys[key], ",")
		id, _, _ := splitVolumeID(volume)
		if p.m.storageType(id) != "zfspool" {
			continue
		}
		for name := range cfg.snapshots {
			if cfg.snaptime(name) > at {
				return volume
			}
		}
	}
	return ""
}

func pctListSnapshot(p *pctCall) error {
	cfg, err := p.load(p.id)
	if err != nil {
		return err
	}
	children := map[string][]string{}
	add := func(name, parent string) {
		if _, ok := cfg.snapshots[parent]; !ok {
			parent = ""
		}
		children[parent] = append(children[parent], name)
	}
	for _, name := range sortedKeys(cfg.snapshots) {
		add(name, cfg.snapshots[name].keys["parent"])
	}
	add("current", cfg.keys["parent"])
	slices.SortStableFunc(children[""], func(a, b string) int { return cfg.snaptime(a) - cfg.snaptime(b) })
	p.branch(cfg, children, "", 0)
	return nil
}

// snaptime orders snapshots; the present is later than all.
func (c *config) snaptime(name string) int {
	n, err := strconv.Atoi(c.snapshots[name].keys["snaptime"])
	if err != nil {
		return 1 << 40
	}
	return n
}

// branch prints the snapshots that come from parent, and theirs.
func (p *pctCall) branch(cfg *config, children map[string][]string, parent string, depth int) {
	for _, name := range children[parent] {
		prefix := strings.Repeat(" ", depth) + "`-> "
		taken, text := "", "You are here!"
		if s, ok := cfg.snapshots[name]; ok {
			taken = time.Unix(int64(cfg.snaptime(name)), 0).UTC().Format(time.DateTime)
			text, _, _ = strings.Cut(s.keys["description"], "\n")
			if text == "" {
				text = "no-description"
			}
		}
		p.printf("%s%-*s %-23s %s\n", prefix, max(0, 31-len(prefix)), name, taken, text)
		if name != "current" {
			p.branch(cfg, children, name, depth+1)
		}
	}
}
