// Package disk tells what a disk is, what is on it and who uses it, so that nobody's
// data is given to something new by mistake.
//
// It reads /sys, /proc and the configuration of guests, and asks wipefs for
// signatures, because a Host cannot read a device. It changes nothing and decides
// nothing: whether a disk may be taken is up to the caller. Start reading at Look.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// ByID is where disks have names that do not depend on the order of their discovery.
const ByID = "/dev/disk/by-id/"

const sysBlock = "/sys/class/block/"

// Disk is one disk, or one partition, with everything below it.
type Disk struct {
	// Path is the name it was asked for by.
	Path string
	// Name is the kernel's: "sda".
	Name string
	// Model and Serial are empty when nobody knows them.
	Model, Serial string
	// Bytes is its size.
	Bytes int64
	// Parts are the kernel's names of its partitions.
	Parts []string
	// Content is every signature on it and on its partitions.
	Content []Content
	// Uses says who has it open or needs it: "sda1 is mounted at /srv".
	Uses []string
}

// Content is one thing that is on a device, by its signature.
type Content struct {
	// Device is the kernel's name of the disk or partition.
	Device string
	// Type is blkid's word: ext4, LVM2_member, zfs_member, gpt.
	Type string
	// Label is the name that it gives itself: of a file system, a volume, a pool.
	Label string
}

// Devices are the kernel's names of the partitions, then of the disk itself.
func (d Disk) Devices() []string { return append(slices.Clone(d.Parts), d.Name) }

// Empty tells whether nothing would be lost.
func (d Disk) Empty() bool { return len(d.Content) == 0 && len(d.Parts) == 0 }

// Name is the kernel's name of a device, by any of its paths. The error of a path
// that is not there satisfies errors.Is(err, fs.ErrNotExist).
func Name(h tasks.Host, p string) (string, error) {
	at := p
	for range 8 {
		info, err := h.Stat(at)
		switch {
		case err != nil:
			return "", err
		case !strings.HasPrefix(at, "/dev/"):
			return "", fmt.Errorf("find device %s: it leads to %s, out of /dev", p, at)
		case info.Mode&fs.ModeSymlink == 0:
			return path.Base(at), nil
		case path.IsAbs(info.Target):
			at = path.Clean(info.Target)
		default:
			at = path.Join(path.Dir(at), info.Target)
		}
	}
	return "", fmt.Errorf("find device %s: too many symbolic links", p)
}

// Whole is the disk that a partition lies on, or the device itself.
func Whole(h tasks.Host, name string) (string, error) {
	if _, there, err := tasks.ReadIfExists(h, sysBlock+name+"/partition"); err != nil || !there {
		return name, err
	}
	info, err := h.Stat(sysBlock + name)
	if err != nil {
		return "", err
	}
	return path.Base(path.Dir(info.Target)), nil
}

// Look looks at the disks, at all of them with one start of wipefs. A disk that is
// not there is an error that names those that are.
func Look(ctx context.Context, h tasks.Host, paths []string) ([]Disk, error) {
	disks := make([]Disk, len(paths))
	var devices []string
	for i, p := range paths {
		d, err := describe(h, p)
		if err != nil {
			return nil, err
		}
		disks[i] = d
		devices = append(devices, d.Devices()...)
	}
	content, err := signatures(ctx, h, devices)
	if err != nil {
		return nil, err
	}
	used, err := usage(h)
	if err != nil {
		return nil, err
	}
	for i := range disks {
		d := &disks[i]
		for _, dev := range d.Devices() {
			d.Content = append(d.Content, content[dev]...)
			uses, err := used.of(h, dev)
			if err != nil {
				return nil, err
			}
			d.Uses = append(d.Uses, uses...)
		}
	}
	return disks, nil
}

// describe says what kind of thing the disk is.
func describe(h tasks.Host, p string) (Disk, error) {
	name, err := Name(h, p)
	if errors.Is(err, fs.ErrNotExist) {
		return Disk{}, missing(h, p)
	}
	if err != nil {
		return Disk{}, fmt.Errorf("look at disk %s: %w", p, err)
	}
	d := Disk{Path: p, Name: name}
	size, err := attribute(h, name, "size")
	if err != nil {
		return Disk{}, err
	}
	sectors, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return Disk{}, fmt.Errorf("look at disk %s: its size is %q", p, size)
	}
	d.Bytes = sectors * 512 // whatever the disk's own sectors are (Linux, Documentation/ABI/stable/sysfs-block)
	if d.Model, d.Serial, err = identity(h, name); err != nil {
		return Disk{}, err
	}
	names, err := h.ReadDir(sysBlock + name)
	if err != nil {
		return Disk{}, fmt.Errorf("look at disk %s: %w", p, err)
	}
	for _, n := range names {
		if !strings.HasPrefix(n, name) {
			continue
		}
		if number, err := attribute(h, name, n+"/partition"); err != nil {
			return Disk{}, err
		} else if number != "" {
			d.Parts = append(d.Parts, n)
		}
	}
	return d, nil
}

// missing names the disks that are there.
func missing(h tasks.Host, p string) error {
	names, err := h.ReadDir(ByID)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		return strings.Contains(n, "-part") || strings.HasPrefix(n, "dm-") || strings.HasPrefix(n, "lvm-") || strings.HasPrefix(n, "wwn-")
	})
	const most = 12
	more := ""
	if len(names) > most {
		names, more = names[:most], ", …"
	}
	there := "no disk is there"
	if len(names) > 0 {
		there = "there are " + strings.Join(names, ", ") + more
	}
	return fmt.Errorf("look at disk %s: it is not there (below %s %s)", p, ByID, there)
}

// attribute is a file of the device in sysfs; empty when there is none.
func attribute(h tasks.Host, name, file string) (string, error) {
	data, _, err := tasks.ReadIfExists(h, sysBlock+name+"/"+file)
	return strings.TrimSpace(string(data)), err
}

// identity is the model and the serial number, from udev's records or, where udev
// has none, from sysfs.
func identity(h tasks.Host, name string) (model, serial string, err error) {
	number, err := attribute(h, name, "dev")
	if err != nil {
		return "", "", err
	}
	data, _, err := tasks.ReadIfExists(h, "/run/udev/data/b"+number)
	if err != nil {
		return "", "", err
	}
	for _, line := range tasks.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		switch key {
		case "E:ID_MODEL":
			model = strings.ReplaceAll(value, "_", " ")
		case "E:ID_SERIAL_SHORT":
			serial = value
		}
	}
	for _, from := range []struct {
		into *string
		file string
	}{{&model, "device/model"}, {&serial, "device/serial"}, {&serial, "serial"}} {
		if *from.into == "" {
			if *from.into, err = attribute(h, name, from.file); err != nil {
				return "", "", err
			}
		}
	}
	return model, serial, nil
}
