package sim

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func cloneOptions() []option {
	host := textOption("hostname")
	host.format = formatDNSName()
	return []option{host, textOption("description"), textOption("storage"), textOption("snapname"), textOption("pool"), textOption("target"), flagOption("full"), numberOption("bwlimit")}
}

func pctClone(p *pctCall) error {
	newID, err := strconv.Atoi(p.args["newid"])
	if err != nil {
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
	if id := p.args["storage"]; id != "" {
		if _, ok := p.m.storage(id); !ok {
			return die(255, "storage '%s' does not exist", id)
		}
	}
	source, err := p.cloneSource(cfg)
	if err != nil {
		return err
	}
	return p.copyContainer(source, newID)
}

// cloneSource picks what is copied: the container or one of its snapshots.
func (p *pctCall) cloneSource(cfg *config) (section, error) {
	name := p.args["snapname"]
	if name != "" {
		s, ok := cfg.snapshots[name]
		if !ok {
			return section{}, die(2, "snapshot '%s' does not exist", name)
		}
		return s, nil
	}
	full := p.on("full") || !cfg.on("template") && p.args["full"] == ""
	if !full {
		root, _ := mountSchema().split(cfg.keys["rootfs"])
		return section{}, die(2, "Linked clone feature for '%s' is not available", root["volume"])
	}
	if p.m.running(p.id) {
		if p.m.Release >= "9" {
			return section{}, die(2, "Full clone of a running container is only possible from a snapshot")
		}
		return section{}, die(2, "Cannot do full clones on a running container without snapshots")
	}
	return cfg.section, nil
}

func (p *pctCall) copyContainer(source section, newID int) error {
	made := newConfig()
	made.section = source.clone()
	for _, key := range []string{"template", "parent", "snaptime", "lock", "protection"} {
		delete(made.keys, key)
	}
	for _, key := range made.numbered("unused") {
		delete(made.keys, key)
	}
	for _, key := range append([]string{"rootfs"}, made.numbered("mp")...) {
		text, err := p.copyVolume(key, made.keys[key], newID)
		if err != nil {
			return die(255, "clone failed: %v", err)
		}
		made.keys[key] = text
	}
	for _, key := range made.numbered("net") {
		nic, fault := netSchema().split(made.keys[key])
		if fault == "" {
			nic["hwaddr"] = p.m.mac()
			made.keys[key] = netSchema().print(nic)
		}
	}
	for _, key := range []string{"hostname", "description"} {
		if v := p.args[key]; v != "" {
			made.keys[key] = p.m.normalValue(key, v)
		}
	}
	if err := copyTree(p.m.path(guestRoot(p.id)), p.m.path(guestRoot(newID))); err != nil {
		return err
	}
	return p.save(newID, made)
}

// copyVolume makes a volume of the same size for another container.
func (p *pctCall) copyVolume(key, text string, newID int) (string, error) {
	mount, fault := mountSchema().split(text)
	if fault != "" {
		return "", fmt.Errorf("%s", fault)
	}
	if !isVolume(mount["volume"]) {
		return "", fmt.Errorf("unable to clone mountpoint '%s' (type bind)", key)
	}
	size, err := p.m.volumeSize(mount["volume"])
	if err != nil {
		return "", err
	}
	if p.m.Release >= "9" && key == "rootfs" {
		p.printf("creating a clone of container %d with ID %d\n", p.id, newID)
	}
	if p.verb.name == "clone" {
		p.printf("create full clone of mountpoint %s (%s)\n", key, mount["volume"])
	}
	id, _, _ := splitVolumeID(mount["volume"])
	if to := p.args["storage"]; to != "" {
		id = to
	}
	s, ok := p.m.storage(id)
	if !ok {
		return "", fmt.Errorf("storage '%s' does not exist", id)
	}
	volid, err := p.allocate(s, newID, size)
	if err != nil {
		return "", err
	}
	p.printf("%s", rsyncText)
	mount["volume"] = volid
	schema := mountSchema()
	if key == "rootfs" {
		schema = rootfsSchema()
	}
	return schema.print(mount), nil
}

// rsyncText is what rsync says of the copy of a Debian 12 guest.
const rsyncText = `
Number of files: 10,717 (reg: 8,226, dir: 1,082, link: 1,409)
Number of created files: 10,715 (reg: 8,226, dir: 1,080, link: 1,409)
Number of deleted files: 0
Number of regular files transferred: 8,224
Total file size: 208,403,225 bytes
Total transferred file size: 204,562,888 bytes
Literal data: 204,562,888 bytes
Matched data: 0 bytes
File list size: 327,673
File list generation time: 0.001 seconds
File list transfer time: 0.000 seconds
Total bytes sent: 205,264,205
Total bytes received: 166,394

sent 205,264,205 bytes  received 166,394 bytes  45,651,244.22 bytes/sec
total size is 208,403,225  speedup is 1.01
`

// copyTree copies a folder with its files and links; a missing one is empty.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(file)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, info.Mode().Perm())
	})
}

func pctTemplate(p *pctCall) error {
	return p.change(255, func(cfg *config) error {
		switch {
		case cfg.on("template"):
			return die(255, "you can't convert a template to a template")
		case len(cfg.snapshots) > 0:
			return die(255, "unable to create template, because CT contains snapshots")
		case p.m.running(p.id):
			return die(255, "you can't convert a CT to template if the CT is running")
		}
		for _, key := range append([]string{"rootfs"}, cfg.numbered("mp")...) {
			text, err := p.rename(key, cfg.keys[key])
			if err != nil {
				return die(0, "%v", err) // the task failed, which pct template does not tell
			}
			cfg.keys[key] = text
		}
		cfg.keys["template"] = "1"
		return nil
	})
}

// rename makes a base volume of a mount point's volume.
func (p *pctCall) rename(key, text string) (string, error) {
	mount, fault := mountSchema().split(text)
	if fault != "" || !isVolume(mount["volume"]) {
		return text, nil
	}
	where, err := p.m.volumePath(mount["volume"])
	if err != nil {
		return "", err
	}
	base := strings.Replace(strings.Replace(path.Base(where), "subvol-", "basevol-", 1), "vm-", "base-", 1)
	if err := os.Rename(p.m.path(where), p.m.path(path.Join(path.Dir(where), base))); err != nil {
		return "", err
	}
	if err := os.Chmod(p.m.path(path.Join(path.Dir(where), base)), 0o444); err != nil {
		return "", err
	}
	mount["volume"] = strings.Replace(mount["volume"], path.Base(where), base, 1)
	schema := mountSchema()
	if key == "rootfs" {
		schema = rootfsSchema()
	}
	return schema.print(mount), nil
}

func pctMoveVolume(p *pctCall) error {
	key := p.args["volume"]
	cfg, err := p.load(p.id)
	if err != nil {
		return err
	}
	if err := checkLock(cfg); err != nil {
		return err
	}
	old, ok := cfg.keys[key]
	if !ok {
		return die(255, "format error\nvolume: property is missing and it is not optional\nmp: property is missing and it is not optional")
	}
	if p.m.running(p.id) {
		return die(255, "cannot move volumes of a running container")
	}
	return p.change(255, func(cfg *config) error {
		text, err := p.copyVolume(key, old, p.id)
		if err != nil {
			return die(255, "%v", err)
		}
		cfg.keys[key] = text
		u := &update{pctCall: p, cfg: cfg}
		u.retire(cfg, old)
		if p.on("delete") {
			i := slices.IndexFunc(cfg.numbered("unused"), func(k string) bool { return strings.HasPrefix(old, cfg.keys[k]) })
			if i >= 0 {
				unused := cfg.numbered("unused")[i]
				_, err = p.m.free(cfg.keys[unused])
				delete(cfg.keys, unused)
			}
		}
		return err
	})
}
