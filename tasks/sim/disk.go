package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// diskFile holds what is on the disks: signatures by the kernel's name of a device.
const diskFile = "/.sim/disks.json"

// Signature is what wipefs finds on a device.
type Signature struct {
	// Type is blkid's word: "ext4", "gpt", "zfs_member".
	Type string `json:"type"`
	// Label is the name of the file system, the volume or the pool.
	Label string `json:"label,omitempty"`
}

// Disk is a disk of the machine.
type Disk struct {
	// Name is the kernel's: "sdb".
	Name string
	// ID is its name below /dev/disk/by-id.
	ID string
	// Model and Serial are what udev knows of it.
	Model, Serial string
	// Sectors of 512 bytes.
	Sectors int64
	// Number is its device number: "8:16".
	Number string
	// On is what is on the disk itself.
	On []Signature
	// Parts are its partitions, the first one first.
	Parts [][]Signature
}

// AddDisk plugs a disk in.
func (m *Machine) AddDisk(disks ...Disk) error {
	return m.exclusive(func() error { return m.plug(disks...) })
}

func (m *Machine) plug(disks ...Disk) error {
	on := m.signatures()
	for _, d := range disks {
		home := "/sys/devices/pci0000:00/block/" + d.Name
		files := map[string]string{
			home + "/size": fmt.Sprintf("%d\n", d.Sectors), home + "/dev": d.Number + "\n", "/dev/" + d.Name: "",
			"/run/udev/data/b" + d.Number: "E:ID_MODEL=" + strings.ReplaceAll(d.Model, " ", "_") + "\nE:ID_SERIAL_SHORT=" + d.Serial + "\n",
		}
		if err := m.writeAll(files); err != nil {
			return err
		}
		if err := m.links(d.Name, d.ID, "../../devices/pci0000:00/block/"+d.Name); err != nil {
			return err
		}
		on[d.Name] = d.On
		for i, p := range d.Parts {
			if err := m.addPart(d.Name, d.ID, i+1, d.Sectors/int64(len(d.Parts))); err != nil {
				return err
			}
			on[partName(d.Name, i+1)] = p
		}
	}
	return m.saveSignatures(on)
}

// links makes what finds a device: its class in /sys and its name below by-id.
func (m *Machine) links(name, id, home string) error {
	for link, target := range map[string]string{"/sys/class/block/" + name: home, "/dev/disk/by-id/" + id: "../../" + name} {
		if err := os.MkdirAll(m.path(path.Dir(link)), 0o755); err != nil {
			return err
		}
		if err := m.link(link, target); err != nil {
			return err
		}
	}
	return nil
}

func partName(disk string, n int) string {
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		return fmt.Sprintf("%sp%d", disk, n)
	}
	return fmt.Sprintf("%s%d", disk, n)
}

func (m *Machine) addPart(disk, id string, n int, sectors int64) error {
	name := partName(disk, n)
	home := "/sys/devices/pci0000:00/block/" + disk + "/" + name
	var major, minor int
	if _, err := fmt.Sscanf(m.text("/sys/class/block/"+disk+"/dev"), "%d:%d", &major, &minor); err != nil {
		return err
	}
	err := m.writeAll(map[string]string{
		home + "/size": fmt.Sprintf("%d\n", sectors), home + "/partition": fmt.Sprintf("%d\n", n), "/dev/" + name: "",
		home + "/dev": fmt.Sprintf("%d:%d\n", major, minor+n),
	})
	if err != nil {
		return err
	}
	return m.links(name, fmt.Sprintf("%s-part%d", id, n), "../../devices/pci0000:00/block/"+disk+"/"+name)
}

// parts lists the partitions of a disk.
func (m *Machine) parts(disk string) []string {
	var out []string
	found, err := filepath.Glob(m.path("/sys/class/block/" + disk + "/" + disk + "*"))
	if err != nil {
		return nil
	}
	for _, f := range found {
		out = append(out, filepath.Base(f))
	}
	return out
}

// dropParts is what the kernel does when a disk has lost its table.
func (m *Machine) dropParts(disk string, on map[string][]Signature) error {
	for _, name := range m.parts(disk) {
		for _, p := range []string{"/sys/class/block/" + disk + "/" + name, "/sys/class/block/" + name, "/dev/" + name} {
			if err := os.RemoveAll(m.path(p)); err != nil {
				return err
			}
		}
		delete(on, name)
	}
	byID, err := os.ReadDir(m.path("/dev/disk/by-id"))
	if err != nil {
		return err
	}
	for _, e := range byID {
		if full := m.path("/dev/disk/by-id/" + e.Name()); strings.Contains(e.Name(), "-part") {
			if _, err := os.Stat(full); err != nil { // it leads nowhere now
				if err := os.Remove(full); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// device is the kernel's name behind a path below /dev, or "".
func (m *Machine) device(p string) string {
	full, err := filepath.EvalSymlinks(m.path(p))
	if err != nil || !strings.HasPrefix(p, "/dev/") {
		return ""
	}
	return filepath.Base(full)
}

func (m *Machine) signatures() map[string][]Signature {
	on := make(map[string][]Signature)
	if data, err := m.read(diskFile); err == nil {
		_ = json.Unmarshal(data, &on) // a tree without disks has none
	}
	return on
}

func (m *Machine) saveSignatures(on map[string][]Signature) error {
	data, err := json.MarshalIndent(on, "", " ")
	if err != nil {
		return err
	}
	return m.write(diskFile, data, 0o600)
}

// wipefs lists signatures or takes them off (util-linux 2.38).
func wipefs(c *call) int {
	var devices []string
	all, asJSON := false, false
	for _, w := range c.argv[1:] {
		switch {
		case w == "-a" || w == "--all":
			all = true
		case w == "-J" || w == "--json":
			asJSON = true
		case w == "-n" || w == "--no-act":
		case strings.HasPrefix(w, "-"):
			c.errorf("wipefs: unrecognized option '%s'\nTry 'wipefs --help' for more information.\n", w)
			return 1
		default:
			devices = append(devices, w)
		}
	}
	for _, d := range devices {
		if c.m.device(d) == "" {
			c.errorf("wipefs: error: %s: probing initialization failed: No such file or directory\n", d)
			return 1
		}
	}
	if all {
		return c.died(c.m.exclusive(func() error { return c.wipe(devices) }), 1)
	}
	c.listSignatures(devices, asJSON)
	return 0
}

func (c *call) listSignatures(devices []string, asJSON bool) {
	on := c.m.signatures()
	type row struct {
		Device string  `json:"device"`
		Offset string  `json:"offset"`
		Type   string  `json:"type"`
		UUID   *string `json:"uuid"`
		Label  *string `json:"label"`
	}
	rows := []row{}
	for _, d := range devices {
		for i, s := range on[c.m.device(d)] {
			copies := 1
			if s.Type == "zfs_member" {
				copies = 2 // in truth up to 128
			}
			for n := range copies {
				r := row{Device: path.Base(d), Offset: fmt.Sprintf("%#x", 0x438+0x400*n+i), Type: s.Type}
				if s.Label != "" {
					r.Label = &s.Label
				}
				rows = append(rows, r)
			}
		}
	}
	if !asJSON {
		for _, r := range rows {
			c.printf("%s %s %s\n", r.Device, r.Offset, r.Type)
		}
		return
	}
	data, err := json.MarshalIndent(map[string]any{"signatures": rows}, "", "   ")
	if err == nil {
		c.printf("%s\n", data)
	}
}

func (c *call) wipe(devices []string) error {
	on := c.m.signatures()
	for _, d := range devices {
		name := c.m.device(d)
		if name == "" {
			return fmt.Errorf("wipefs: error: %s: probing initialization failed: No such file or directory", d)
		}
		for _, s := range on[name] {
			c.printf("%s: 8 bytes were erased at offset 0x00000438 (%s): 53 ef 00 00 00 00 00 00\n", d, s.Type)
		}
		if slices.ContainsFunc(on[name], func(s Signature) bool { return s.Type == "gpt" || s.Type == "dos" }) {
			c.printf("%s: calling ioctl to re-read partition table: Success\n", d)
			if err := c.m.dropParts(name, on); err != nil {
				return err
			}
		}
		delete(on, name)
	}
	return c.m.saveSignatures(on)
}

// tee writes its input to files and to its output.
func tee(c *call) int {
	data, err := io.ReadAll(io.LimitReader(c.in, maxOutput))
	if err != nil {
		return 1
	}
	code := 0
	for _, p := range c.argv[1:] {
		if err := c.m.write(c.abs(p), data, 0o644); err != nil {
			c.errorf("tee: %s: %v\n", p, err)
			code = 1
		}
	}
	c.printf("%s", data)
	return code
}
