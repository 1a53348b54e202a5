// Package gpu finds a machine's NVIDIA cards, and the driver that is loaded or lies
// ready for each of its kernels, from files alone.
//
// It starts no program and changes nothing. Start reading at Cards.
package gpu

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/boot"
	"phoenix/tasks/dpkg"
)

const (
	pciDevices    = "/sys/bus/pci/devices"
	loadedVersion = "/sys/module/nvidia/version"
	loadedBanner  = "/proc/driver/nvidia/version"
)

// Card is one NVIDIA display device on the PCI bus.
type Card struct {
	// Address on the bus: "0000:01:00.0".
	Address string
	// Device is the second half of the PCI ID: 0x2684.
	Device int
	// Driver that has it: "nvidia", "nouveau", "vfio-pci"; empty for none.
	Driver string
}

// Cards lists the NVIDIA cards in the order of their addresses; their audio functions
// share the vendor and are none.
func Cards(h tasks.Host) ([]Card, error) {
	names, err := h.ReadDir(pciDevices)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no PCI bus
	}
	if err != nil {
		return nil, err
	}
	var out []Card
	for _, n := range names {
		vendor, err := number(h, n, "vendor")
		if err != nil {
			return nil, err
		}
		class, err := number(h, n, "class")
		if err != nil {
			return nil, err
		}
		if vendor != 0x10de || class>>16 != 3 {
			continue
		}
		c := Card{Address: n}
		if c.Device, err = number(h, n, "device"); err != nil {
			return nil, err
		}
		if fi, err := h.Stat(path.Join(pciDevices, n, "driver")); err == nil {
			c.Driver = path.Base(fi.Target)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func number(h tasks.Host, device, attr string) (int, error) {
	at := path.Join(pciDevices, device, attr)
	data, err := h.ReadFile(at)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 0, 32)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", at, err)
	}
	return int(n), nil
}

// String names the card with its PCI ID.
func (c Card) String() string { return fmt.Sprintf("%s (10de:%04x)", c.Address, c.Device) }

// The first device IDs of the generations that change which kernel module there is:
// NVIDIA numbers its chips in the order of their generations (pci.ids). Turing begins
// at TU102, Blackwell at GB100.
const (
	turing    = 0x1e00
	blackwell = 0x2900
)

// ClosedOnly tells whether the card is older than Turing: the open kernel module has no
// support for it.
func (c Card) ClosedOnly() bool { return c.Device < turing }

// OpenOnly tells whether the card is of Blackwell or later: the closed kernel module
// has no support for it.
func (c Card) OpenOnly() bool { return c.Device >= blackwell }

// Loaded is the version of the driver in the running kernel, empty for none, and
// whether it is the open flavour.
func Loaded(h tasks.Host) (version string, open bool, err error) {
	data, there, err := tasks.ReadIfExists(h, loadedVersion)
	if err != nil || !there {
		return "", false, err
	}
	banner, _, err := tasks.ReadIfExists(h, loadedBanner)
	return strings.TrimSpace(string(data)), strings.Contains(string(banner), "Open Kernel Module"), err
}

// ModuleFile is where the driver for a kernel lies; empty without one. DKMS and the
// packages of Debian, which call it nvidia-current, put it into updates/dkms, and
// NVIDIA's installer without DKMS into kernel/drivers/video.
func ModuleFile(h tasks.Host, kernel string) (string, error) {
	for _, dir := range []string{"updates/dkms", "updates", "extra", "kernel/drivers/video"} {
		for _, name := range []string{"nvidia.ko", "nvidia-current.ko"} {
			for _, packed := range []string{"", ".zst", ".xz", ".gz"} {
				at := path.Join("/lib/modules", kernel, dir, name+packed)
				_, err := h.Stat(at)
				if err == nil {
					return at, nil
				}
				if !errors.Is(err, fs.ErrNotExist) {
					return "", err
				}
			}
		}
	}
	return "", nil
}

// Kernels are those that a driver has to be ready for: the running one, the one that
// the next boot starts, and every newer one.
func Kernels(h tasks.Host) ([]string, error) {
	running, err := boot.Running(h)
	if err != nil {
		return nil, err
	}
	next, _, err := boot.Next(h)
	if err != nil {
		return nil, err
	}
	all, err := boot.Kernels(h)
	if err != nil {
		return nil, err
	}
	out := []string{running}
	for _, k := range all {
		if k != running && (k == next || dpkg.CompareVersions(k, running) > 0) {
			out = append(out, k)
		}
	}
	return out, nil
}

// Unbuilt lists the kernels a reboot could end in without the driver that is loaded
// now: those for which no module lies ready. It is what to ask before a reboot.
func Unbuilt(h tasks.Host) ([]string, error) {
	version, _, err := Loaded(h)
	if err != nil || version == "" {
		return nil, err
	}
	kernels, err := Kernels(h)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, k := range kernels {
		file, err := ModuleFile(h, k)
		if err != nil {
			return nil, err
		}
		if file == "" {
			out = append(out, k)
		}
	}
	return out, nil
}

// Libraries is where the driver's libraries are on Debian and Ubuntu.
const Libraries = "/usr/lib/x86_64-linux-gnu"

// Library is the version of the driver's programs and libraries; empty without them.
func Library(h tasks.Host) (string, error) { return LibraryOf(h, "libnvidia-ml") }

var library = regexp.MustCompile(`^(lib[a-z-]+)\.so\.([0-9]+(?:\.[0-9]+)+)$`)

// LibraryOf is the version of one library of the driver's, such as libcuda; empty without
// it. The link that programs load goes there, on Debian by way of its alternatives.
func LibraryOf(h tasks.Host, name string) (string, error) {
	first := path.Join(Libraries, name+".so.1")
	at := first
	for range 10 {
		fi, err := h.Stat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if m := library.FindStringSubmatch(path.Base(at)); m != nil && m[1] == name {
			return m[2], nil
		}
		if fi.Target == "" {
			return "", nil // a file that is named after no version
		}
		if !path.IsAbs(fi.Target) {
			fi.Target = path.Join(path.Dir(at), fi.Target)
		}
		at = fi.Target
	}
	return "", fmt.Errorf("follow %s: the symbolic links go round in a circle", first)
}
