package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// volumeInfo is one thing that lies on a storage, as `pvesm list` tells it.
type volumeInfo struct {
	id, format, kind string
	size             int64
	vmid             string
	changed          int64
}

func pvesmList(c *call, a cliArgs) int {
	s, ok := c.m.storage(a["storage"])
	if !ok {
		c.errorf("storage '%s' does not exist\n", a["storage"])
		return 255
	}
	if s.disabled {
		c.errorf("storage '%s' is disabled\n", s.id)
		return 255
	}
	list := slices.DeleteFunc(c.m.contents(s), func(v volumeInfo) bool {
		return a["content"] != "" && v.kind != a["content"] || a["vmid"] != "" && v.vmid != a["vmid"]
	})
	width := len("Volid")
	for _, v := range list {
		width = max(width, len(v.id))
	}
	c.printf("%-*s %-7s %-7s %10s %s\n", width, "Volid", "Format", "Type", "Size", "VMID")
	for _, v := range list {
		line := fmt.Sprintf("%-*s %-7s %-7s %10d %s", width, v.id, v.format, v.kind, v.size, v.vmid)
		c.printf("%s\n", strings.TrimRight(line, " "))
	}
	return 0
}

// contents lists all that lies on a storage, by volume ID.
func (m *Machine) contents(s storage) []volumeInfo {
	var list []volumeInfo
	for _, at := range []struct{ kind, dir string }{
		{"vztmpl", "template/cache"}, {"iso", "template/iso"}, {"backup", "dump"}, {"snippets", "snippets"},
	} {
		if !s.file() || !s.content[at.kind] {
			continue
		}
		files, err := os.ReadDir(m.path(s.path + "/" + at.dir))
		if err != nil {
			continue
		}
		for _, f := range files {
			format := contentFormat(at.kind, f.Name())
			if info, err := f.Info(); err == nil && format != "" && info.Mode().IsRegular() {
				list = append(list, volumeInfo{
					id: s.id + ":" + at.kind + "/" + f.Name(), format: format, kind: at.kind,
					size: info.Size(), changed: info.ModTime().Unix(),
				})
			}
		}
	}
	list = append(list, m.guestVolumes(s)...)
	slices.SortFunc(list, func(x, y volumeInfo) int { return strings.Compare(x.id, y.id) })
	return list
}

// contentFormat is the format column of a file, or "" where Proxmox passes over it.
func contentFormat(kind, name string) string {
	ends := map[string]map[string]string{
		"vztmpl": {".tar.gz": "tgz", ".tar.xz": "txz", ".tar.zst": "tzst", ".tar.bz2": "tbz2"},
		"iso":    {".iso": "iso", ".img": "iso"},
		"backup": {".tar": "tar", ".tar.gz": "tar.gz", ".tar.zst": "tar.zst", ".tar.lzo": "tar.lzo"},
	}
	if kind == "snippets" {
		return "snippet"
	}
	for end, format := range ends[kind] {
		if strings.HasSuffix(name, end) {
			return format
		}
	}
	return ""
}

// guestVolumes lists disks of guests: files in images/ID of a directory storage,
// vm-ID-disk-N elsewhere.
func (m *Machine) guestVolumes(s storage) []volumeInfo {
	pattern := s.path + "/images/*/*"
	if !s.file() {
		pattern = s.path + "/*-*-disk-*"
	}
	paths, err := filepath.Glob(m.path(pattern))
	if err != nil {
		return nil
	}
	var list []volumeInfo
	for _, full := range paths {
		info, err := os.Stat(full)
		if err != nil {
			continue
		}
		name := filepath.Base(full)
		owner := strings.Split(name, "-")
		if len(owner) < 3 {
			continue
		}
		v := volumeInfo{id: s.id + ":" + name, format: "raw", kind: m.guestKind(owner[1]), size: info.Size(), vmid: owner[1], changed: info.ModTime().Unix()}
		if s.file() {
			v.id = s.id + ":" + owner[1] + "/" + name
			v.format = strings.TrimPrefix(filepath.Ext(name), ".")
		}
		if info.IsDir() {
			v.format, v.size = "subvol", 0
		}
		if disk, err := os.Stat(filepath.Join(full, "disk.raw")); err == nil {
			v.id, v.format, v.size = v.id+".raw", "raw", disk.Size()
		}
		list = append(list, v)
	}
	return list
}

// guestKind is what a guest's disks count as: those of containers are rootdir.
func (m *Machine) guestKind(vmid string) string {
	if m.exists("/etc/pve/nodes/" + m.Node + "/qemu-server/" + vmid + ".conf") {
		return "images"
	}
	return "rootdir"
}

// pvesmAlloc makes an empty volume: size in KiB, or with a suffix M or G.
func pvesmAlloc(c *call, a cliArgs) int {
	s, ok := c.m.storage(a["storage"])
	if !ok {
		c.errorf("storage '%s' does not exist\n", a["storage"])
		return 255
	}
	bytes, ok := allocSize(a["size"])
	if !ok {
		c.errorf("%spvesm alloc <storage> <vmid> <filename> <size> [OPTIONS]\n", complaint(fmt.Sprintf("size: value '%s' does not match the regex pattern", a["size"])))
		return 2
	}
	name := a["filename"]
	if s.file() {
		name = a["vmid"] + "/" + name
	}
	return c.died(c.m.exclusive(func() error {
		p, err := s.locate(name)
		if err != nil {
			return err
		}
		if c.m.exists(p) {
			return fmt.Errorf("disk image '%s' already exists", p)
		}
		if err := c.m.write(p, nil, 0o640); err != nil {
			return err
		}
		if err := os.Truncate(c.m.path(p), bytes); err != nil {
			return err
		}
		c.printf("successfully created '%s:%s'\n", s.id, name)
		return nil
	}), 255)
}

// allocSize reads a size in KiB, or with M or G, as bytes.
func allocSize(s string) (int64, bool) {
	unit := int64(1 << 10)
	switch {
	case strings.HasSuffix(s, "G"):
		unit = 1 << 30
	case strings.HasSuffix(s, "M"):
		unit = 1 << 20
	}
	n, err := strconv.ParseInt(strings.TrimRight(s, "GM"), 10, 40)
	return n * unit, err == nil && n > 0
}

func pvesmFree(c *call, a cliArgs) int {
	volume := a["volume"]
	if !strings.Contains(volume, ":") && a["storage"] != "" {
		volume = a["storage"] + ":" + volume
	}
	id, name, _ := volumeID(volume)
	s, ok := c.m.storage(id)
	if !ok {
		c.errorf("storage '%s' does not exist\n", id)
		return 255
	}
	return c.died(c.m.exclusive(func() error {
		p, err := s.locate(name)
		if err != nil {
			return err
		}
		if !c.m.exists(p) {
			return fmt.Errorf("disk image '%s' does not exist", p)
		}
		if err := os.RemoveAll(c.m.path(p)); err != nil {
			return err
		}
		c.printf("Removed volume '%s'\n", volume)
		return nil
	}), 255)
}
