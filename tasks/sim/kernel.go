package sim

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks/boot"
	"phoenix/tasks/bootimage"
	"phoenix/tasks/dropin"
	"phoenix/tasks/modprobe"
)

const (
	grubCfg     = "/boot/grub/grub.cfg"
	kernelLine  = "/etc/kernel/cmdline"
	runningLine = "/proc/cmdline"
	// espLine is what proxmox-boot-tool has put onto the partition that the machine
	// boots from, which is mounted only while the tool works.
	espLine = "/.sim/esp/cmdline"
)

// kernelModules are the modules that a kernel of the machine has, beside nvidia's.
func kernelModules() []string {
	return strings.Fields("bonding br_netfilter bridge dummy fuse ip6table_filter iptable_filter iptable_nat kvm kvm_amd kvm_intel nbd nfs nfsd nouveau nvidiafb overlay pcspkr snd_hda_intel softdog tun vfio vfio_iommu_type1 vfio_pci vhost_net wireguard zfs")
}

// layKernel lays what the kernel and its boot loader have on a fresh machine.
func (m *Machine) layKernel(identity) error {
	kernel := m.versions().kernel
	files := map[string]string{
		"/lib/modules/" + kernel + "/modules.builtin": "kernel/fs/ext4/ext4.ko\nkernel/drivers/block/loop.ko\n",
		"/boot/initrd.img-" + kernel:                  "",
		grubCfg:                                       m.menu("", "quiet"),
		"/etc/modules":                                "# /etc/modules: kernel modules to load at boot time.\n",
		"/etc/modprobe.d/pve-blacklist.conf":          "# This file contains a list of modules which are not supported by Proxmox VE\n\n# nvidiafb see bugreport https://bugzilla.proxmox.com/show_bug.cgi?id=701\nblacklist nvidiafb\n",
		"/etc/sysctl.conf":                            "# /etc/sysctl.conf - Configuration file for setting system variables\n",
	}
	for name, value := range parameters() {
		files["/proc/sys/"+name] = value + "\n"
	}
	if err := m.writeAll(files); err != nil {
		return err
	}
	if err := m.link("/etc/modules-load.d/modules.conf", "../modules"); err != nil || m.Release != "8.4" {
		return err
	}
	return m.link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf")
}

// parameters are the kernel parameters that the machine has, as after its boot.
func parameters() map[string]string {
	return map[string]string{
		"vm/swappiness": "60", "vm/max_map_count": "65530", "vm/overcommit_memory": "0", "vm/dirty_ratio": "20",
		"fs/inotify/max_user_watches": "65536", "fs/inotify/max_user_instances": "128", "fs/file-max": "9223372036854775807",
		"kernel/pid_max": "4194304", "kernel/panic": "0", "kernel/dmesg_restrict": "0", "kernel/keys/maxkeys": "200",
		"net/core/somaxconn": "4096", "net/core/rmem_max": "212992", "net/core/wmem_max": "212992",
		"net/ipv4/ip_forward": "0", "net/ipv4/ip_local_port_range": "32768\t60999", "net/ipv4/tcp_congestion_control": "cubic",
		"net/ipv6/conf/all/forwarding": "0", "net/ipv6/conf/all/disable_ipv6": "0", "net/ipv4/conf/all/rp_filter": "2",
	}
}

// modprobeProgram is `modprobe MODULE…`.
func modprobeProgram(c *call) int {
	code := 0
	for _, name := range c.argv[1:] {
		if strings.HasPrefix(name, "-") {
			continue
		}
		if err := c.m.exclusive(func() error { return c.m.loadModule(name) }); err != nil {
			c.errorf("modprobe: FATAL: %v\n", err)
			code = 1
		}
	}
	return code
}

// loadModule loads a module into the running kernel, with what comes with it.
func (m *Machine) loadModule(name string) error {
	name = modprobe.Canonical(name)
	present, err := modprobe.Present(m.Host())
	if err != nil || present.Has(name) {
		return err
	}
	release := strings.TrimSpace(m.text("/proc/sys/kernel/osrelease"))
	switch {
	case name == "nvidia" || name == "nvidia_uvm":
		if err := m.loadNVIDIA(release, name); err != nil {
			return err
		}
	case !slices.Contains(kernelModules(), name):
		return said(fmt.Sprintf("Module %s not found in directory /lib/modules/%s", name, release))
	case name == "br_netfilter":
		if err := m.write("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1\n"), 0o644); err != nil {
			return err
		}
	}
	return m.write("/proc/modules", []byte(name+" 16384 0 - Live 0x0000000000000000\n"+m.text("/proc/modules")), 0o444)
}

// sysctlProgram is `sysctl -w NAME=VALUE…` of procps 4.
func sysctlProgram(c *call) int {
	code := 0
	for _, word := range c.argv[1:] {
		if strings.HasPrefix(word, "-") {
			continue
		}
		name, value, set := strings.Cut(word, "=")
		file := "/proc/sys/" + parameterPath(name)
		switch {
		case !c.m.exists(file):
			c.errorf("sysctl: cannot stat %s: No such file or directory\n", file)
			code = 1
		case !set:
			c.printf("%s = %s\n", name, strings.TrimSpace(c.m.text(file)))
		default:
			if err := c.m.write(file, []byte(strings.Join(strings.Fields(value), "\t")+"\n"), 0o644); err != nil {
				return c.died(err, 1)
			}
			c.printf("%s = %s\n", name, value)
		}
	}
	return code
}

// parameterPath is where a parameter lies: a dot that comes first separates.
func parameterPath(name string) string {
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		return strings.NewReplacer(".", "/", "/", ".").Replace(name)
	}
	return name
}

// updateInitramfs is `update-initramfs -u -k all`; where proxmox-boot-tool keeps the
// kernels, its hook copies them.
func updateInitramfs(c *call) int {
	kernels, err := boot.Kernels(c.m.Host())
	if err != nil {
		return c.died(err, 1)
	}
	for _, k := range kernels {
		c.printf("update-initramfs: Generating /boot/initrd.img-%s\n", k)
		if err := c.m.write("/boot/initrd.img-"+k, []byte("made at "+c.m.Now().UTC().String()+"\n"), 0o644); err != nil {
			return c.died(err, 1)
		}
	}
	if esp, err := bootimage.ESP(c.m.Host()); err != nil || !esp {
		return c.died(err, 1)
	}
	c.printf("Running hook script 'zz-proxmox-boot'..\nRe-executing '/etc/kernel/postinst.d/zz-proxmox-boot' in new private mount namespace..\n")
	return c.copyToESP()
}

// updateGrub writes the menu; where proxmox-boot-tool keeps the kernels, it hands over.
func updateGrub(c *call) int {
	c.errorf("Generating grub configuration file ...\n")
	esp, err := bootimage.ESP(c.m.Host())
	if err != nil {
		return c.died(err, 1)
	}
	if esp {
		c.errorf("W: This system is booted via proxmox-boot-tool:\nW: Executing 'update-grub' directly does not update the correct configs!\nW: Running: 'proxmox-boot-tool refresh'\n\n")
		return c.copyToESP()
	}
	always, ordinary := c.m.grubWords()
	if err := c.m.write(grubCfg, []byte(c.m.menu(always, ordinary)), 0o600); err != nil {
		return c.died(err, 1)
	}
	c.errorf("Found linux image: /boot/vmlinuz-%[1]s\nFound initrd image: /boot/initrd.img-%[1]s\ndone\n", c.m.bootKernelName())
	return 0
}

// proxmoxBootTool knows refresh and status.
func proxmoxBootTool(c *call) int {
	esp, err := bootimage.ESP(c.m.Host())
	switch {
	case err != nil:
		return c.died(err, 1)
	case len(c.argv) != 2 || c.argv[1] != "refresh" && c.argv[1] != "status":
		c.errorf("USAGE: proxmox-boot-tool <commands> [ARGS]\n")
		return 1
	}
	c.printf("Re-executing '/usr/sbin/proxmox-boot-tool' in new private mount namespace..\n")
	switch {
	case !esp:
		c.errorf("E: /etc/kernel/proxmox-boot-uuids does not exist.\n")
		return 1
	case c.argv[1] == "status":
		c.printf("System currently booted with uefi\n")
		return 0
	}
	c.printf("Running hook script 'proxmox-auto-removal'..\nRunning hook script 'zz-proxmox-boot'..\n")
	return c.copyToESP()
}

// copyToESP copies kernels and command line to every partition of proxmox-boot-tool.
func (c *call) copyToESP() int {
	line := c.m.text(kernelLine)
	if line == "" {
		c.printf("No /etc/kernel/cmdline found - falling back to /proc/cmdline\n")
		line = c.m.text(runningLine)
	}
	if err := c.m.write(espLine, []byte(line), 0o644); err != nil {
		return c.died(err, 1)
	}
	for _, uuid := range strings.Fields(c.m.text("/etc/kernel/proxmox-boot-uuids")) {
		c.printf("Copying and configuring kernels on /dev/disk/by-uuid/%s\n\tCopying kernel and creating boot-entry for %s\n", uuid, c.m.bootKernelName())
	}
	return 0
}

// bootKernelName is the kernel that the next boot starts.
func (m *Machine) bootKernelName() string {
	next, _, err := boot.Next(m.Host())
	if err != nil {
		return ""
	}
	return next
}

// menu is GRUB's file with an ordinary entry and one to recover from.
func (m *Machine) menu(always, ordinary string) string {
	const entry = "menuentry '%s' --class proxmox --class gnu-linux {\n\tinsmod part_gpt\n\techo\t'Loading Linux %[2]s ...'\n\tlinux\t/boot/vmlinuz-%[2]s root=/dev/mapper/pve-root ro %[3]s\n\tinitrd\t/boot/initrd.img-%[2]s\n}\n"
	kernel := m.bootKernelName()
	if kernel == "" {
		kernel = m.versions().kernel
	}
	return fmt.Sprintf(entry, "Proxmox VE GNU/Linux", kernel, strings.TrimSpace(always+" "+ordinary)) + fmt.Sprintf(entry, "Recovery", kernel, "single "+always)
}

// grubWords are the words that GRUB's settings say, without the shell that reads them.
func (m *Machine) grubWords() (always, ordinary string) {
	assignment := regexp.MustCompile(`(?m)^(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)=(?:"([^"]*)"|'([^']*)'|(\S*))`)
	vars := map[string]string{}
	for _, file := range append([]string{"/etc/default/grub"}, m.glob("/etc/default/grub.d/*.cfg")...) {
		for _, a := range assignment.FindAllStringSubmatch(m.text(file), -1) {
			value := a[2] + a[3] + a[4]
			for _, name := range []string{"GRUB_CMDLINE_LINUX_DEFAULT", "GRUB_CMDLINE_LINUX"} {
				value = strings.NewReplacer("${"+name+"}", vars[name], "$"+name, vars[name]).Replace(value)
			}
			vars[a[1]] = value
		}
	}
	return vars["GRUB_CMDLINE_LINUX"], vars["GRUB_CMDLINE_LINUX_DEFAULT"]
}

// bootKernel is what a boot makes of the configuration: the command line, the modules
// and the parameters. It runs inside exclusive.
func (m *Machine) bootKernel() error {
	line := m.text(espLine)
	if found := regexp.MustCompile(`(?m)^\tlinux\t(\S+) (.*)$`).FindStringSubmatch(m.text(grubCfg)); line == "" && found != nil {
		line = "BOOT_IMAGE=" + found[1] + " " + strings.TrimSpace(found[2]) + "\n"
	}
	if line != "" {
		if err := m.write(runningLine, []byte(line), 0o444); err != nil {
			return err
		}
	}
	if err := m.write("/proc/modules", nil, 0o444); err != nil {
		return err
	}
	if err := m.bootNVIDIA(); err != nil {
		return err
	}
	files, err := dropin.Read(m.Host(), ".conf", dropin.Folders("modules-load.d")...)
	if err != nil {
		return err
	}
	for _, f := range files {
		for line := range strings.Lines(string(f.Data)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				_ = m.loadModule(line) // one that is missing is a line in the journal
			}
		}
	}
	return errors.Join(m.bootParameters(), m.bootUnits())
}

// bootParameters sets what sysctl.d says, the last file winning.
func (m *Machine) bootParameters() error {
	values := parameters()
	files, err := dropin.Read(m.Host(), ".conf", dropin.Folders("sysctl.d")...)
	if err != nil {
		return err
	}
	for _, f := range files {
		for line := range strings.Lines(string(f.Data)) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if ok && line[0] != '#' {
				values[parameterPath(strings.TrimSpace(name))] = strings.Join(strings.Fields(value), "\t")
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !m.exists("/proc/sys/" + name) {
			continue // no such parameter in this kernel
		}
		if err := m.write("/proc/sys/"+name, []byte(values[name]+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}
