package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The sizes that Proxmox prints: K, M, G, T are powers of 1024.
const (
	kibi = 1 << 10
	gibi = 1 << 30
)

// parseSize reads "4G", "512M", "1024" in bytes.
func parseSize(s string) (int64, bool) {
	m := regexp.MustCompile(`^(\d+(?:\.\d+)?)([KMGT])?$`).FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, false
	}
	if m[2] != "" {
		for range strings.Index("KMGT", m[2]) + 1 {
			n *= kibi
		}
	}
	return int64(n), true
}

// printSize writes a size with the largest unit that divides it: 4G, 1536M, 0T.
func printSize(n int64) string {
	unit := ""
	for _, next := range []string{"K", "M", "G", "T"} {
		if n%kibi != 0 {
			break
		}
		n, unit = n/kibi, next
	}
	return strconv.FormatInt(n, 10) + unit
}

// newVolume reads STORAGE:SIZE, SIZE in GiB: the syntax that asks for a new volume.
func newVolume(volume string) (storageID string, size int64, ok bool) {
	m := regexp.MustCompile(`^([^:\s]+):(\d+(\.\d+)?)$`).FindStringSubmatch(volume)
	if m == nil {
		return "", 0, false
	}
	n, err := strconv.ParseFloat(m[2], 64)
	// Proxmox cuts off to whole MiB (PVE::LXC::create_disks, pve-container 5.3.5).
	return m[1], int64(n*kibi) * kibi * kibi, err == nil
}

// volumePath is where a volume lies on the simulated machine. It judges the name as
// the storage's plugin does.
func (m *Machine) volumePath(volid string) (string, error) {
	id, name, ok := splitVolumeID(volid)
	if !ok {
		return "", fmt.Errorf("unable to parse volume ID '%s'", volid)
	}
	s, ok := m.storage(id)
	if !ok {
		return "", fmt.Errorf("storage '%s' does not exist", id)
	}
	for _, kind := range [][2]string{{"vztmpl/", "/template/cache/"}, {"snippets/", "/snippets/"}, {"iso/", "/template/iso/"}, {"backup/", "/dump/"}} {
		if file, ok := strings.CutPrefix(name, kind[0]); ok {
			return s.path + kind[1] + path.Base(file), nil
		}
	}
	if !s.file() {
		return s.path + "/" + path.Base(name), nil // a linked clone's name begins with its base
	}
	if !regexp.MustCompile(`^\d+/[A-Za-z0-9._-]+$`).MatchString(name) {
		return "", fmt.Errorf("unable to parse directory volume name '%s'", name)
	}
	return s.path + "/images/" + name, nil
}

// volumeOwner is the container that a volume's name belongs to, or 0.
func volumeOwner(volid string) int {
	m := regexp.MustCompile(`(?:vm|base|subvol|basevol)-(\d+)-`).FindStringSubmatch(path.Base(volid))
	if m == nil {
		return 0
	}
	id, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return id
}

// volumesOf lists the volumes of a container on a storage, referenced or not.
func (m *Machine) volumesOf(s storage, id int) []string {
	dir, prefix := s.path, s.id+":"
	if s.file() {
		dir, prefix = fmt.Sprintf("%s/images/%d", s.path, id), fmt.Sprintf("%s:%d/", s.id, id)
	}
	entries, err := os.ReadDir(m.path(dir))
	if err != nil {
		return nil
	}
	var volids []string
	for _, e := range entries {
		if volumeOwner(e.Name()) == id {
			volids = append(volids, prefix+e.Name())
		}
	}
	return volids
}

// allocate makes a volume of the lowest free number and prints what Proxmox prints.
func (c *call) allocate(s storage, id int, size int64) (volid string, err error) {
	var taken []int
	for _, v := range c.m.volumesOf(s, id) {
		if n := regexp.MustCompile(`disk-(\d+)`).FindStringSubmatch(v); n != nil {
			number, _ := strconv.Atoi(n[1])
			taken = append(taken, number)
		}
	}
	n := 0
	for slices.Contains(taken, n) {
		n++
	}
	tree := size == 0 || s.typ == "zfspool"
	name := fmt.Sprintf("vm-%d-disk-%d", id, n)
	if tree {
		name = fmt.Sprintf("subvol-%d-disk-%d", id, n)
	}
	if s.file() {
		suffix := ".raw"
		if tree {
			suffix = ".subvol"
		}
		name = fmt.Sprintf("%d/%s%s", id, name, suffix)
	}
	volid = s.id + ":" + name
	where, err := c.m.volumePath(volid)
	if err != nil {
		return "", err
	}
	if tree {
		if err := os.MkdirAll(c.m.path(where), 0o755); err != nil {
			return volid, err
		}
		return volid, c.m.setQuota(where, size)
	}
	return volid, c.makeImage(s, where, size)
}

// makeImage makes the sparse file of a volume and formats it.
func (c *call) makeImage(s storage, where string, size int64) error {
	c.announceImage(s, where, size)
	if size >= 900<<40 {
		return fmt.Errorf("unable to create image: qemu-img: %s: The image size is too large for file format 'raw'", where)
	}
	if err := os.MkdirAll(c.m.path(path.Dir(where)), 0o740); err != nil {
		return fmt.Errorf("unable to create image: %w", err)
	}
	if c.m.full(where) {
		return fmt.Errorf("unable to create image: qemu-img: %s: Could not resize file: %w", where, errNoSpace)
	}
	if err := os.WriteFile(c.m.path(where), nil, 0o640); err != nil {
		return fmt.Errorf("unable to create image: %w", err)
	}
	if err := os.Truncate(c.m.path(where), s.taken(size)); err != nil {
		return fmt.Errorf("unable to create image: %w", err)
	}
	c.printf("%s", c.mkfsText(size))
	return nil
}

// extent is what LVM gives out at a time, in a volume group as the installer makes it.
const extent = 4 << 20

// taken is how large a volume of a wanted size becomes: LVM rounds up.
func (s storage) taken(size int64) int64 {
	if s.typ == "lvm" || s.typ == "lvmthin" {
		return (size + extent - 1) / extent * extent
	}
	return size
}

func (c *call) announceImage(s storage, where string, size int64) {
	switch s.typ {
	case "dir", "nfs", "cifs":
		c.printf("Formatting '%s', fmt=raw size=%d preallocation=off\n", where, size)
	case "lvm", "lvmthin":
		c.printf("  Logical volume \"%s\" created.\n", path.Base(where))
	}
}

// mkfsText is what mke2fs 1.47.0 prints for a file system of that size.
func (c *call) mkfsText(size int64) string {
	const blockSize, perInode = 4096, 16384
	blocks := size / blockSize
	return fmt.Sprintf("Creating filesystem with %d 4k blocks and %d inodes\nFilesystem UUID: %s\n", blocks, size/perInode, c.m.uuid()) +
		"Superblock backups stored on blocks: \n\t" + wrapNumbers(superblockBackups(blocks)) + "\n"
}

// superblockBackups lists the blocks that have a copy of the superblock.
func superblockBackups(blocks int64) []string {
	const perGroup = 32768
	var backups []string
	for group := int64(1); group*perGroup < blocks; group++ {
		if group == 1 || powerOf(group, 3) || powerOf(group, 5) || powerOf(group, 7) {
			backups = append(backups, strconv.FormatInt(group*perGroup, 10))
		}
	}
	return backups
}

// wrapNumbers breaks a list of blocks into lines as mke2fs does.
func wrapNumbers(numbers []string) string {
	const width = 72
	var b strings.Builder
	left := width
	for i, n := range numbers {
		if i > 0 {
			b.WriteString(", ")
		}
		if len(n)+2 > left {
			b.WriteString("\n\t")
			left = width
		}
		b.WriteString(n)
		left -= len(n) + 2
	}
	return b.String()
}

func powerOf(n, base int64) bool {
	for n%base == 0 {
		n /= base
	}
	return n == 1
}

func (m *Machine) uuid() string {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(m.intN(256))
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// volumeSize is the size of a volume in bytes; a folder has none.
func (m *Machine) volumeSize(volid string) (int64, error) {
	where, err := m.volumePath(volid)
	if err != nil {
		return 0, err
	}
	st, err := os.Stat(m.path(where))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("volume '%s' does not exist", volid)
	case err != nil:
		return 0, err
	case st.IsDir():
		return m.quota(where)
	}
	return st.Size(), nil
}

// quotaFile stands for the refquota of a ZFS data set, which a folder cannot have.
func quotaFile(where string) string { return "/.sim/refquota" + where }

func (m *Machine) setQuota(where string, size int64) error {
	if size == 0 {
		return nil
	}
	return m.write(quotaFile(where), []byte(strconv.FormatInt(size, 10)), 0o600)
}

// quota is the size of a volume that is a folder; 0 when it has no limit.
func (m *Machine) quota(where string) (int64, error) {
	text := m.text(quotaFile(where))
	if text == "" {
		return 0, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// free removes a volume, and its folder when that is empty.
func (m *Machine) free(volid string) (missing string, err error) {
	where, err := m.volumePath(volid)
	if err != nil {
		return "", err
	}
	if !m.exists(where) {
		return where, nil
	}
	if base := path.Base(where); m.linkedTo(base) {
		return "", fmt.Errorf("base volume '%s' is still in use by linked clones", base)
	}
	if err := os.RemoveAll(m.path(where)); err != nil {
		return "", err
	}
	_ = os.Remove(m.path(quotaFile(where))) // only data sets have one
	if s, _, ok := splitVolumeID(volid); ok {
		if st, _ := m.storage(s); st.file() {
			_ = os.Remove(m.path(path.Dir(where))) // stays when it is not empty
		}
	}
	return "", nil
}

// linkedTo tells whether a guest's volume says in its name that it is a linked clone of
// the base volume. LVM's say nothing, and can do without their base.
func (m *Machine) linkedTo(base string) bool {
	if !strings.HasPrefix(base, "base") {
		return false
	}
	return slices.ContainsFunc(m.guestFiles(), func(file string) bool {
		data, err := os.ReadFile(file)
		return err == nil && bytes.Contains(data, []byte(":"+base+"/"))
	})
}

// isVolume reports whether a mount point's source is a volume of a storage, not a
// path of the host.
func isVolume(source string) bool { return !strings.HasPrefix(source, "/") }
