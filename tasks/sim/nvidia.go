package sim

import (
	"fmt"
	"hash/crc32"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks/gpu"
	"phoenix/tasks/modprobe"
)

// installedDriver is the driver of a fresh machine with cards, by NVIDIA's installer.
const installedDriver = "550.54.15"

const (
	dkmsTree  = "/var/lib/dkms/"
	libraries = "/usr/lib/x86_64-linux-gnu/"
	// runfileMark begins the installer; the version follows.
	// unitsDone remembers that the device nodes were made.
	runfileMark = "#!/bin/sh\n# NVIDIA Accelerated Graphics Driver for Linux-x86_64 (simulated)\n"
)

// nvidiaArchive is what NVIDIA's archive for Debian offers; debianNVIDIA what Debian's
// non-free does.
func nvidiaArchive() []archived {
	const v = "570.86.15-1"
	return []archived{
		{name: "nvidia-open", version: v, depends: "nvidia-kernel-open-dkms, libnvidia-ml1"},
		{name: "cuda-drivers", version: v, depends: "nvidia-kernel-dkms, libnvidia-ml1"},
		{name: "nvidia-kernel-open-dkms", version: v, depends: "dkms"},
		{name: "nvidia-kernel-dkms", version: v, depends: "dkms"},
		{name: "libnvidia-ml1", version: v},
		{name: "nvidia-modprobe", version: v},
		{name: "nvidia-persistenced", version: v, unit: "nvidia-persistenced.service"},
	}
}

func debianNVIDIA() []archived {
	const v = "535.216.01-1~deb12u1"
	return []archived{
		{name: "dkms", version: "3.0.10-8+deb12u1"},
		{name: "nvidia-driver", version: v, depends: "libnvidia-ml1"},
		{name: "nvidia-kernel-dkms", version: v, depends: "dkms"},
		{name: "nvidia-open-kernel-dkms", version: v, depends: "dkms"},
		{name: "libnvidia-ml1", version: v},
		{name: "nvidia-modprobe", version: "535.161.07-1~deb12u1"},
		{name: "nvidia-persistenced", version: "535.171.04-1~deb12u1", unit: "nvidia-persistenced.service"},
	}
}

// headerPackages are the kernel's headers, which DKMS builds with.
func headerPackages(v versions) []archived {
	version := strings.TrimSuffix(v.kernel, "-pve")
	return []archived{
		{name: "proxmox-headers-" + v.kernel, version: version},
		{name: "proxmox-default-headers", version: version, depends: "proxmox-headers-" + v.kernel},
	}
}

// settled lays what packages of the driver and of headers bring, as their maintainer
// scripts do.
func (c *call) settled(e dpkgEntry) error {
	upstream, _, _ := strings.Cut(e.version, "-")
	if err := c.m.dockerBrings(e.name); err != nil {
		return err
	}
	if kernel, is := strings.CutPrefix(e.name, "proxmox-headers-"); is {
		return c.m.write("/lib/modules/"+kernel+"/build/Makefile", []byte("# simulated\n"), 0o644)
	}
	if err := c.m.layUserSpace(e.name, upstream); err != nil {
		return err
	}
	switch e.name {
	case "nginx":
		return c.m.layNginx()
	case "libnvidia-ml1":
		return c.m.layLibrary(upstream)
	case "nvidia-kernel-dkms", "nvidia-kernel-open-dkms", "nvidia-open-kernel-dkms":
		if err := c.m.laySources("nvidia", upstream, strings.Contains(e.name, "open")); err != nil {
			return err
		}
		for _, dir := range c.m.glob("/lib/modules/*/build") {
			c.sub("dkms", "install", "-m", "nvidia", "-v", upstream, "-k", path.Base(path.Dir(dir)), "--force")
		}
	}
	return nil
}

func (m *Machine) layLibrary(version string) error {
	file := "libnvidia-ml.so." + version
	if err := m.write(libraries+file, []byte("\x7fELF simulated\n"), 0o644); err != nil {
		return err
	}
	if err := os.Remove(m.path(libraries + "libnvidia-ml.so.1")); err != nil && !os.IsNotExist(err) {
		return err
	}
	return m.link(libraries+"libnvidia-ml.so.1", file)
}

// laySources registers the driver's sources with DKMS.
func (m *Machine) laySources(name, version string, open bool) error {
	license := map[bool]string{true: "Dual MIT/GPL", false: "NVIDIA"}[open]
	return m.write(dkmsTree+name+"/"+version+"/source/LICENSE", []byte(license+"\n"), 0o644)
}

// dkmsProgram is `dkms install -m NAME -v VERSION -k KERNEL` of dkms 3, and status.
func dkmsProgram(c *call) int {
	if len(c.argv) > 1 && c.argv[1] == "status" {
		for _, dir := range c.m.glob(dkmsTree + "*/*/*/x86_64") {
			w := strings.Split(strings.TrimPrefix(dir, dkmsTree), "/")
			c.printf("%s/%s, %s, x86_64: installed\n", w[0], w[1], w[2])
		}
		return 0
	}
	option := func(name string) string {
		if i := slices.Index(c.argv, name); i > 0 && i+1 < len(c.argv) {
			return c.argv[i+1]
		}
		return ""
	}
	name, version, kernel := option("-m"), option("-v"), option("-k")
	if len(c.argv) < 2 || c.argv[1] != "install" || name == "" || version == "" || kernel == "" {
		c.errorf("Error! Unknown action specified: %q\n", strings.Join(c.argv[1:], " "))
		return 3
	}
	sources := dkmsTree + name + "/" + version
	switch {
	case !c.m.exists(sources + "/source"):
		c.errorf("Error! Could not find module source directory.\nDirectory: /usr/src/%s-%s does not exist.\n", name, version)
		return 2
	case !c.m.exists("/lib/modules/" + kernel + "/build"):
		c.errorf("Error! Your kernel headers for kernel %[1]s cannot be found at /lib/modules/%[1]s/build or /lib/modules/%[1]s/source.\nPlease install the linux-headers-%[1]s package or use the --kernelsourcedir option to tell DKMS where it's located.\n", kernel)
		return 1
	}
	text := fmt.Sprintf("version=%s\nlicense=%s\n", version, strings.TrimSpace(c.m.text(sources+"/source/LICENSE")))
	for _, file := range []string{sources + "/" + kernel + "/x86_64/module/nvidia.ko", "/lib/modules/" + kernel + "/updates/dkms/nvidia.ko"} {
		if err := c.m.write(file, []byte(text), 0o644); err != nil {
			return c.died(err, 6)
		}
	}
	c.printf("Building module:\nCleaning build area...\nBuilding module(s)......\nInstalling /lib/modules/%s/updates/dkms/nvidia.ko\ndepmod...\n", kernel)
	return 0
}

// modinfo tells of a module file, or of the modules called nvidia of the running kernel.
func modinfo(c *call) int {
	name := c.argv[len(c.argv)-1]
	file := name
	if !strings.HasPrefix(name, "/") {
		release := strings.TrimSpace(c.m.text("/proc/sys/kernel/osrelease"))
		file = "/lib/modules/" + release + "/updates/dkms/" + name + ".ko"
	}
	version, license, ok := c.m.moduleFile(file)
	if !ok {
		c.errorf("modinfo: ERROR: Module %s not found.\n", name)
		return 1
	}
	c.printf("filename:       %s\nalias:          char-major-195-*\nversion:        %s\nsupported:      external\nlicense:        %s\nvermagic:       simulated SMP preempt mod_unload modversions \n", file, version, license)
	return 0
}

func (m *Machine) moduleFile(file string) (version, license string, ok bool) {
	found := regexp.MustCompile(`^version=(.*)\nlicense=(.*)\n$`).FindStringSubmatch(m.text(file))
	if found == nil {
		return "", "", false
	}
	return found[1], found[2], true
}

// loadNVIDIA loads the driver that lies ready for the running kernel.
func (m *Machine) loadNVIDIA(release, name string) error {
	version, license, ok := m.moduleFile("/lib/modules/" + release + "/updates/dkms/nvidia.ko")
	if !ok {
		return said(fmt.Sprintf("Module %s not found in directory /lib/modules/%s", name, release))
	}
	if strings.Contains(m.text("/proc/modules"), "nouveau ") {
		return said("could not insert 'nvidia': No such device")
	}
	banner := "NVIDIA UNIX x86_64 Kernel Module  " + version
	if license != "NVIDIA" {
		banner = "NVIDIA UNIX Open Kernel Module for x86_64  " + version + "  Release Build  (root@" + m.Node + ")"
	}
	files := map[string]string{
		"/sys/module/nvidia/version":  version + "\n",
		"/proc/driver/nvidia/version": "NVRM version: " + banner + "  Tue Mar  5 22:23:56 UTC 2024\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n",
		"/proc/devices":               characterDevices,
	}
	cards, err := gpu.Cards(m.Host())
	if err != nil {
		return err
	}
	for minor, c := range slices.DeleteFunc(cards, func(c gpu.Card) bool { return c.Driver == "vfio-pci" }) {
		files["/proc/driver/nvidia/gpus/"+c.Address+"/information"] = m.information(c.Address, minor, version)
		if err := m.link(pciDriver(c.Address), "../../../../bus/pci/drivers/nvidia"); err != nil {
			return err
		}
	}
	return m.writeAll(files)
}

// pciDriver is the link from a device of the PCI bus to its driver.
func pciDriver(address string) string { return "/sys/bus/pci/devices/" + address + "/driver" }

// characterDevices are those of a kernel with the driver.
const characterDevices = "Character devices:\n  1 mem\n  5 /dev/tty\n 10 misc\n195 nvidia\n226 drm\n234 nvidia-caps\n510 nvidia-uvm\n\nBlock devices:\n  7 loop\n 10 other\n259 blkext\n"

// uuidOf is a UUID that no other card has, also in its first digits.
func (m *Machine) uuidOf(address string, minor int) string {
	return fmt.Sprintf("GPU-%08x-0000-0000-0000-%012d", crc32.ChecksumIEEE([]byte(m.Node+" "+address)), minor+1)
}

// information is what the driver says of a card.
func (m *Machine) information(address string, minor int, version string) string {
	return fmt.Sprintf("Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:   \t\t %d\nGPU UUID: \t %s\nVideo BIOS: \t 95.02.3c.00.8f\n"+
		"Bus Type: \t PCIe\nDMA Size: \t 47 bits\nDMA Mask: \t 0x7fffffffffff\nBus Location: \t %s\nDevice Minor: \t %d\nGPU Firmware: \t %s\nGPU Excluded:\t No\n",
		40+minor, m.uuidOf(address, minor), address, minor, version)
}

// boundDevices are the links of the devices that the driver has.
func (m *Machine) boundDevices() []string {
	return slices.DeleteFunc(m.glob(pciDriver("*")), func(link string) bool {
		target, err := os.Readlink(m.path(link))
		return err != nil || path.Base(target) != "nvidia"
	})
}

// bootNVIDIA takes the driver out, with its nodes, and lets the booted kernel load the
// one that lies ready for it. The nodes come with the unit that makes them.
func (m *Machine) bootNVIDIA() error {
	gone := append(m.glob("/dev/nvidia*"), m.boundDevices()...)
	gone = append(gone, "/sys/module/nvidia/version", "/proc/driver/nvidia/version", "/proc/driver/nvidia/gpus", "/proc/devices")
	for _, p := range gone {
		if err := os.RemoveAll(m.path(p)); err != nil {
			return err
		}
	}
	cards, err := gpu.Cards(m.Host())
	if err != nil || len(cards) == 0 {
		return err
	}
	cfg, err := modprobe.Read(m.Host())
	if err != nil {
		return err
	}
	if m.loadModule("nvidia") != nil && !cfg.Blacklisted("nouveau") {
		return m.loadModule("nouveau")
	}
	return m.bootMIG()
}

// unitNodes makes the nodes that starting a unit makes.
func (m *Machine) unitNodes(unit string) error {
	for line := range strings.Lines(m.text(m.fragment(unit))) {
		m.unitMIG(line)
		if command, is := strings.CutPrefix(line, "ExecStart=/usr/bin/nvidia-modprobe "); is {
			if err := m.makeNodes(strings.Fields(command)); err != nil {
				return err
			}
		}
	}
	return nil
}

// nvidiaModprobe loads the driver and makes device nodes; with -u, those of unified
// memory and no others.
func nvidiaModprobe(c *call) int {
	if len(c.argv) == 3 && c.argv[1] == "-f" {
		return c.migNode(c.argv[2])
	}
	err := c.m.exclusive(func() error {
		if err := c.m.loadModule("nvidia"); err != nil {
			return err
		}
		return c.m.makeNodes(c.argv[1:])
	})
	if err != nil {
		return 1 // it says nothing
	}
	return 0
}

func (m *Machine) makeNodes(words []string) error {
	if !m.exists("/sys/module/nvidia/version") {
		return nil
	}
	files := map[string]string{}
	for i, w := range words {
		switch {
		case w == "-u":
			files["/dev/nvidia-uvm"], files["/dev/nvidia-uvm-tools"] = "", ""
		case w != "-c" || i+1 == len(words) || slices.Contains(words, "-u"):
		case words[i+1] == "255":
			files["/dev/nvidiactl"] = ""
		default:
			files["/dev/nvidia"+words[i+1]] = ""
		}
	}
	for node := range files {
		if m.exists(node) && m.text(node) == "" { // it has its numbers
			delete(files, node)
		}
	}
	return m.writeAll(files)
}

// runfile is NVIDIA's installer: it puts the driver's programs and sources onto the
// machine and has DKMS build the module for the running kernel.
func (c *call) runfile(version string, words []string) int {
	if slices.Contains(words, "--advanced-options") || slices.Contains(words, "-A") {
		c.printf("  -s, --silent\n  --dkms\n  -z, --no-nouveau-check\n  --skip-module-load\n  --no-kernel-modules\n  --no-kernel-module-source\n  --no-nvidia-modprobe\n  --systemd, --no-systemd\n  --allow-installation-with-running-driver\n  -M KERNEL-MODULE-TYPE, --kernel-module-type=KERNEL-MODULE-TYPE\n")
		return 0
	}
	if slices.Contains(words, "--no-kernel-modules") {
		return c.runfileUser(version)
	}
	fail := func(text string) int {
		c.errorf("\nERROR: %s\n\nERROR: Installation has failed.  Please see the file '/var/log/nvidia-installer.log' for details.\n", text)
		return 1
	}
	release := strings.TrimSpace(c.m.text("/proc/sys/kernel/osrelease"))
	switch {
	case strings.Contains(c.m.text("/proc/modules"), "nouveau ") && !slices.Contains(words, "--no-nouveau-check"):
		return fail("The Nouveau kernel driver is currently in use by your system.  This driver is incompatible with the NVIDIA driver, and must be disabled before proceeding.")
	case c.m.exists("/sys/module/nvidia/version") && !slices.Contains(words, "--allow-installation-with-running-driver"):
		return fail("An NVIDIA kernel module 'nvidia' appears to already be loaded in your kernel.")
	}
	open := slices.Contains(words, "--kernel-module-type=open")
	err := c.m.laySources("nvidia", version, open)
	if err == nil {
		err = c.m.layLibrary(version)
	}
	if err == nil {
		err = c.m.write("/usr/bin/nvidia-uninstall", []byte("\x7fELF simulated\n"), 0o755)
	}
	if err != nil {
		return c.died(err, 1)
	}
	if c.sub("dkms", "install", "-m", "nvidia", "-v", version, "-k", release, "--force") != 0 {
		return fail("Failed to install the kernel module through DKMS. No kernel module was installed; please try installing again without DKMS, or check the DKMS logs for more information.")
	}
	return 0
}

// runfileContent is the file that NVIDIA's address gives: a script, for the machines
// of the end-to-end tests, whose shell is a real one.
func runfileContent(version string) []byte {
	return []byte(runfileMark + "exec nvidia-installer " + version + " \"$@\"\n")
}

// nvidiaInstaller is what the installer unpacks.
func nvidiaInstaller(c *call) int {
	if len(c.argv) < 2 {
		c.errorf("ERROR: nvidia-installer must be run from a package.\n")
		return 1
	}
	return c.runfile(c.argv[1], c.argv[2:])
}

// layDriver lays the driver that a fresh machine with cards has.
func (m *Machine) layDriver(kernel string) error {
	if err := m.laySources("nvidia", installedDriver, false); err != nil {
		return err
	}
	if err := m.layLibrary(installedDriver); err != nil {
		return err
	}
	return m.writeAll(map[string]string{
		"/usr/bin/nvidia-uninstall":                          "\x7fELF simulated\n",
		"/lib/modules/" + kernel + "/updates/dkms/nvidia.ko": "version=" + installedDriver + "\nlicense=NVIDIA\n",
		"/proc/modules":                                      "nvidia_uvm 4943872 0 - Live 0x0000000000000000 (POE)\nnvidia 54120448 1 nvidia_uvm, Live 0x0000000000000000 (POE)\n",
	})
}
