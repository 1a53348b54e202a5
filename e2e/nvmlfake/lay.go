package nvmlfake

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// OnHost is the file that the library answers from where Variable is not set.
const OnHost = "/etc/nvmlfake"

// uvmMajor is the number of the driver's memory management among the character devices, capsMajor
// that of the capabilities. The kernel gives both; these are of a real machine.
const (
	uvmMajor  = 510
	capsMajor = 234
)

// Lay writes what a machine with the cards has, for realhost.Options.Cards: below proc
// and sys what the loaded driver shows there, in lib the library, in nodes the device
// nodes, and in etc what the library answers from and all else of the host's. The folder must be empty.
func (m Machine) Lay(ctx context.Context, dir string, r Release) error {
	version := cmp.Or(word(m.Lines, "driver"), "550.54.15")
	files := map[string]string{
		"sys/module/nvidia/version":  version + "\n",
		"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  " + version + "  Tue Mar  5 22:23:56 UTC 2024\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n",
		"proc/devices":               fmt.Sprintf("Character devices:\n  1 mem\n  5 /dev/tty\n 10 misc\n195 nvidia\n%d nvidia-caps\n%d nvidia-uvm\n\nBlock devices:\n  7 loop\n259 blkext\n", capsMajor, uvmMajor),
		"nodes":                      m.nodes(),
	}
	for i, c := range m.Cards {
		address, id, ok := strings.Cut(word(c.Lines, "pci"), " ")
		if !ok || len(id) != 8 {
			return fmt.Errorf("lay card %d: it has no line of its PCI address and ID", i)
		}
		at := "sys/bus/pci/devices/" + address + "/"
		files[at+"vendor"], files[at+"device"], files[at+"class"] = "0x"+id[4:]+"\n", "0x"+id[:4]+"\n", "0x030000\n"
		files["proc/driver/nvidia/gpus/"+address+"/information"] = information(address, version, c)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, c := range m.Cards {
		address, _, _ := strings.Cut(word(c.Lines, "pci"), " ")
		if err := os.Symlink("../../../../bus/pci/drivers/nvidia", filepath.Join(dir, "sys/bus/pci/devices", address, "driver")); err != nil {
			return err
		}
	}
	if err := m.layLibrary(ctx, filepath.Join(dir, "lib"), version, r); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		return err
	}
	return m.Write(filepath.Join(dir, OnHost))
}

// layLibrary names the library after the driver, as NVIDIA's installer does.
func (m Machine) layLibrary(ctx context.Context, dir, version string, r Release) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := Build(ctx, dir, r); err != nil {
		return err
	}
	name, file := filepath.Join(dir, "libnvidia-ml.so.1"), "libnvidia-ml.so."+version
	if err := os.Rename(name, filepath.Join(dir, file)); err != nil {
		return err
	}
	return os.Symlink(file, name)
}

// nodes are lines "NODE MAJOR MINOR MODE", with the modes that nvidia-modprobe gives.
func (m Machine) nodes() string {
	var b strings.Builder
	for _, c := range m.Cards {
		minor := cmp.Or(word(c.Lines, "minor"), "0")
		fmt.Fprintf(&b, "nvidia%s 195 %s 666\n", minor, minor)
	}
	fmt.Fprintf(&b, "nvidiactl 195 255 666\nnvidia-uvm %d 0 666\nnvidia-uvm-tools %[1]d 1 666\nnvidia-caps/nvidia-cap1 %d 1 400\nnvidia-caps/nvidia-cap2 %[2]d 2 444\n", uvmMajor, capsMajor)
	return b.String()
}

// information is what the driver says of a card in proc.
func information(address, version string, c Card) string {
	return fmt.Sprintf("Model: \t\t %s\nIRQ:   \t\t 41\nGPU UUID: \t %s\nVideo BIOS: \t %s\nBus Type: \t PCIe\nDMA Size: \t 47 bits\nDMA Mask: \t 0x7fffffffffff\n"+
		"Bus Location: \t %s\nDevice Minor: \t %s\nGPU Firmware: \t %s\nGPU Excluded:\t No\n",
		word(c.Lines, "name"), word(c.Lines, "uuid"), word(c.Lines, "vbios"), address, cmp.Or(word(c.Lines, "minor"), "0"), version)
}

// word is the value of the first line with a word.
func word(lines []string, name string) string {
	for _, l := range lines {
		if value, ok := strings.CutPrefix(l, name+" "); ok {
			return value
		}
	}
	return ""
}
