package sim

import (
	"fmt"
	"os"
	"path"
	"strings"
)

func pctResize(p *pctCall) error {
	key := p.args["disk"]
	return p.locked(255, func() error {
		cfg, err := p.load(p.id)
		if err != nil {
			return err
		}
		if err := checkLock(cfg); err != nil {
			return err
		}
		if digest := p.args["digest"]; digest != "" && digest != cfg.digest {
			return die(255, "detected modified configuration - file changed by other user? Try again.")
		}
		mount, fault := mountSchema().split(cfg.keys[key])
		switch {
		case fault != "" || mount["volume"] == "":
			return die(2, "disk '%s' does not exist", key)
		case !isVolume(mount["volume"]):
			return die(2, "unable to resize '%s', bind mount or device", key)
		}
		size, err := p.wantedSize(mount["volume"])
		if err != nil {
			return err
		}
		return p.grow(cfg, key, mount, size)
	})
}

// wantedSize is the new size in bytes.
func (p *pctCall) wantedSize(volid string) (int64, error) {
	now, err := p.m.volumeSize(volid)
	if err != nil {
		return 0, die(255, "%v", err)
	}
	text, more := strings.CutPrefix(p.args["size"], "+")
	size, _ := parseSize(text)
	if more {
		size += now
	}
	switch {
	case size < now:
		return 0, die(255, "unable to shrink disk size")
	case size == now:
		return 0, die(255, "disk is already at specified size")
	}
	return size, nil
}

// grow is the worker: from here on the exit status is 0 whatever happens, because
// `pct resize` does not ask how its task ended.
func (p *pctCall) grow(cfg *config, key string, mount map[string]string, size int64) error {
	volid := mount["volume"]
	where, err := p.m.volumePath(volid)
	if err != nil {
		return die(0, "%v", err)
	}
	storageID, _, _ := splitVolumeID(volid)
	s, _ := p.m.storage(storageID)
	if st, err := os.Stat(p.m.path(where)); err == nil && st.IsDir() && s.typ != "zfspool" {
		if s.typ == "btrfs" {
			return die(0, "cannot resize subvolume - btrfs quotas are currently not supported")
		}
		return die(0, "can't resize this image format")
	} else if err != nil {
		return die(0, "%v", err)
	}
	resize := func() error { return os.Truncate(p.m.path(where), s.taken(size)) }
	if s.typ == "zfspool" {
		resize = func() error { return p.m.setQuota(where, size) }
	}
	if err := resize(); err != nil {
		return die(0, "%v", err)
	}
	schema := mountSchema()
	if key == "rootfs" {
		schema = rootfsSchema()
	}
	mount["size"] = printSize(size)
	cfg.keys[key] = schema.print(mount)
	if err := p.save(p.id, cfg); err != nil {
		return err
	}
	p.printf("%s", resizeText(s, where, size, p.m.running(p.id)))
	return nil
}

// resizeText is what e2fsck and resize2fs 1.47.0 print.
func resizeText(s storage, where string, size int64, running bool) string {
	blocks := size / 4096
	head := "Image resized.\n"
	switch s.typ {
	case "zfspool":
		return ""
	case "btrfs":
		head = ""
	case "lvm", "lvmthin":
		head = fmt.Sprintf("  Size of logical volume %s/%s changed.\n  Logical volume %s/%s successfully resized.\n",
			path.Base(s.path), path.Base(where), path.Base(s.path), path.Base(where))
	}
	if running {
		return head + "resize2fs 1.47.0 (5-Feb-2023)\nFilesystem at /dev/loop1 is mounted on /tmp; on-line resizing required\n" +
			fmt.Sprintf("old_desc_blocks = 1, new_desc_blocks = 1\nThe filesystem on /dev/loop1 is now %d (4k) blocks long.\n\n", blocks)
	}
	return head + "e2fsck 1.47.0 (5-Feb-2023)\nPass 1: Checking inodes, blocks, and sizes\nPass 2: Checking directory structure\n" +
		"Pass 3: Checking directory connectivity\nPass 4: Checking reference counts\nPass 5: Checking group summary information\n" +
		fmt.Sprintf("%s: 10695/131072 files (0.0%% non-contiguous), 80173/524288 blocks\nresize2fs 1.47.0 (5-Feb-2023)\n", where) +
		fmt.Sprintf("Resizing the filesystem on %s to %d (4k) blocks.\nThe filesystem on %s is now %d (4k) blocks long.\n\n", where, blocks, where, blocks)
}
