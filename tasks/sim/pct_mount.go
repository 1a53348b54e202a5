package sim

import (
	"fmt"
	"strconv"
	"strings"
)

func pctMount(p *pctCall) error {
	return p.change(255, func(cfg *config) error {
		cfg.keys["lock"] = "mounted"
		p.printf("mounted CT %d in '%s'\n", p.id, guestRoot(p.id))
		return nil
	})
}

func pctUnmount(p *pctCall) error {
	return p.locked(255, func() error {
		cfg, err := p.load(p.id)
		if err != nil {
			return err
		}
		if cfg.keys["lock"] != "mounted" {
			if err := checkLock(cfg); err != nil {
				return err
			}
			return die(255, "no lock found trying to remove 'mounted' lock")
		}
		delete(cfg.keys, "lock")
		return p.save(p.id, cfg)
	})
}

// pctDF lists the volumes with their sizes; how full they are is made up.
func pctDF(p *pctCall) error {
	cfg, err := p.load(p.id)
	if err != nil {
		return err
	}
	rows := [][]string{{"MP", "Volume", "Size", "Used", "Avail", "Use%", "Path"}}
	for _, key := range append([]string{"rootfs"}, cfg.numbered("mp")...) {
		mount, fault := mountSchema().split(cfg.keys[key])
		size, ok := parseSize(mount["size"])
		if fault != "" || !ok || !isVolume(mount["volume"]) {
			continue
		}
		used, where := 28.0*kibi, mount["mp"]
		if key == "rootfs" {
			used, where = 211<<20, "/"
		}
		usable := float64(ext4Usable(size))
		free := usable - used - float64(size)/20 - 16<<20 // a twentieth is root's, 16 MiB are ext4's own
		rows = append(rows, []string{key, mount["volume"], humanSize(usable), humanSize(used), humanSize(max(0, free)), strconv.FormatFloat(100*used/usable, 'f', 1, 64), where})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		p.printf("%-*s %-*s %*s %*s %*s %*s %s\n", widths[0], row[0], widths[1], row[1], widths[2], row[2], widths[3], row[3], widths[4], row[4], widths[5], row[5], row[6])
	}
	return nil
}

// ext4Usable is the size of a file system that mke2fs 1.47.0 makes on a volume, less
// its inodes, journal, bitmaps and the room to grow its descriptors.
func ext4Usable(size int64) int64 {
	const blockSize, perGroup = 4096, 32768
	blocks := size / blockSize
	groups := (blocks + perGroup - 1) / perGroup
	journal := int64(262144)
	for _, step := range [][2]int64{{32768, 1024}, {262144, 4096}, {524288, 8192}, {4194304, 16384}, {8388608, 32768}, {16777216, 65536}, {33554432, 131072}} {
		if blocks < step[0] {
			journal = step[1]
			break
		}
	}
	growth := min(1024, 255*size/(2*gibi))
	copies := int64(len(superblockBackups(blocks)) + 1)
	return size - size/64 - blockSize*(journal+growth*copies+2*groups)
}

// humanSize prints a size with one decimal.
func humanSize(n float64) string {
	unit := ""
	for _, next := range []string{"K", "M", "G", "T"} {
		if n < kibi {
			break
		}
		n, unit = n/kibi, next
	}
	return fmt.Sprintf("%.1f%s", n, unit)
}

func pctFsck(p *pctCall) error {
	cfg, err := p.load(p.id)
	if err != nil {
		return err
	}
	if p.m.running(p.id) {
		return die(255, "cannot run fsck when container is running")
	}
	key := p.args["device"]
	if key == "" {
		key = "rootfs"
	}
	mount, _ := mountSchema().split(cfg.keys[key])
	where, err := p.m.volumePath(mount["volume"])
	if err != nil {
		return die(255, "%v", err)
	}
	p.printf("fsck from util-linux 2.38.1\n%s: clean, 10695/131072 files, 80173/524288 blocks\n", where)
	return nil
}

func pctFstrim(p *pctCall) error {
	if !p.m.running(p.id) {
		return die(255, "container '%d' not running!", p.id)
	}
	p.printf("%s/: 1.7 GiB (1835008000 bytes) trimmed\n", guestRoot(p.id))
	return nil
}

// pctCPUSets shows which processors the running containers have been given.
func pctCPUSets(p *pctCall) error {
	var rows strings.Builder
	for _, id := range p.m.containers() {
		cfg, err := p.load(id)
		if err != nil || !p.m.running(id) {
			continue
		}
		cores, err := strconv.Atoi(cfg.keys["cores"])
		if err != nil {
			continue
		}
		fmt.Fprintf(&rows, "%d:", id)
		for n := range cores {
			fmt.Fprintf(&rows, " %2d", n)
		}
		rows.WriteString("\n")
	}
	if rows.Len() == 0 {
		p.printf("no running containers\n")
		return nil
	}
	p.printf("-------\n%s-------\n", rows.String())
	return nil
}

// pctRescan writes down the sizes that volumes have, and adds those that no key names as
// unusedN.
func pctRescan(p *pctCall) error {
	p.printf("rescan volumes...\n")
	for _, id := range p.m.containers() {
		if only := p.number("vmid", id); only != id {
			continue
		}
		p.id = id
		if err := p.change(255, func(cfg *config) error { return p.rescan(cfg) }); err != nil {
			return err
		}
	}
	return nil
}

func (p *pctCall) rescan(cfg *config) error {
	if err := checkLock(cfg); err != nil {
		return err
	}
	for _, key := range append([]string{"rootfs"}, cfg.numbered("mp")...) {
		if err := p.measure(cfg, key); err != nil {
			return err
		}
	}
	u := &update{pctCall: p, cfg: cfg}
	for _, s := range p.m.storages() {
		for _, volid := range p.m.volumesOf(s, p.id) {
			if strings.Contains(string(cfg.bytes()), volid) {
				continue
			}
			p.printf("CT %d: add unreferenced volume '%s' as 'unused0' to config\n", p.id, volid)
			u.retire(cfg, volid)
		}
	}
	return nil
}

// measure writes down the size that a volume has; a directory of the host gets 0
// (update_disksize in PVE::LXC).
func (p *pctCall) measure(cfg *config, key string) error {
	schema := mountSchema()
	if key == "rootfs" {
		schema = rootfsSchema()
	}
	mount, fault := schema.split(cfg.keys[key])
	if fault != "" {
		return die(255, "%s", fault)
	}
	var size int64
	if isVolume(mount["volume"]) {
		var err error
		if size, err = p.m.volumeSize(mount["volume"]); err != nil {
			return die(255, "%v", err)
		}
	}
	if had, ok := parseSize(mount["size"]); ok && had == size {
		return nil
	}
	mount["size"] = printSize(size)
	cfg.keys[key] = schema.print(mount)
	p.printf("CT %d: updated volume size of '%s' in config.\n", p.id, mount["volume"])
	return nil
}
