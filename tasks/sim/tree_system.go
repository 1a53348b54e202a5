package sim

import (
	"fmt"
	"os"
	"strings"
)

// versions are what differs between the supported releases.
type versions struct {
	debian, codename, manager, repoid, kernel, container string
	// guest is set in a container only, where but for debian and codename nothing else is.
	guest guestOS
}

func (m *Machine) versions() versions {
	if m.distro.id != "" {
		return versions{debian: m.distro.version, codename: m.distro.codename, guest: m.distro}
	}
	if m.Release == "9.1" {
		return versions{"13", "trixie", "9.1.4", "5ac30304265fbd8e", "6.17.4-1-pve", "6.0.18", guestOS{}}
	}
	return versions{"12", "bookworm", "8.4.21", "2606ac85", "6.8.12-9-pve", "5.3.5", guestOS{}}
}

func (m *Machine) laySystem(id identity) error {
	v := m.versions()
	resolvers := "search local\nnameserver 10.99.99.1\n"
	if id.Layout == LayoutRecorded {
		resolvers = "nameserver 10.255.255.53\n"
	}
	apparmor := "Y\n"
	if id.Layout == LayoutRecorded {
		apparmor = "N\n" // its kernel had none, so volumes could not be plugged in live
	}
	files := map[string]string{
		"/sys/module/apparmor/parameters/enabled": apparmor,

		"/etc/hostname":           m.Node + "\n",
		"/etc/hosts":              "127.0.0.1 localhost.localdomain localhost\n10.99.99.2 " + m.Node + ".local " + m.Node + "\n",
		"/etc/resolv.conf":        resolvers,
		"/etc/timezone":           "Etc/UTC\n",
		"/etc/machine-id":         strings.Repeat("0123456789abcdef", 2) + "\n",
		"/etc/debian_version":     v.debian + ".5\n",
		"/etc/os-release":         osRelease(v),
		"/etc/passwd":             "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"/etc/group":              "root:x:0:\ndaemon:x:1:\nadm:x:4:\ntty:x:5:\nsudo:x:27:\nwww-data:x:33:\nnogroup:x:65534:\n",
		"/etc/shadow":             "root:$y$j9T$simulated$root:20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\nwww-data:*:20000:0:99999:7:::\nnobody:*:20000:0:99999:7:::\n",
		"/etc/subuid":             "root:100000:65536\n",
		"/etc/subgid":             "root:100000:65536\n",
		"/etc/fstab":              "/dev/pve/root / ext4 errors=remount-ro 0 1\nproc /proc proc defaults 0 0\n",
		"/etc/motd":               "",
		"/usr/sbin/nologin":       "\x7fELF simulated\n",
		"/etc/default/grub":       "GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"\"\n",
		"/etc/ssh/sshd_config":    "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\nAcceptEnv LANG LC_*\nSubsystem sftp /usr/lib/openssh/sftp-server\n",
		"/etc/chrony/chrony.conf": "pool 2.debian.pool.ntp.org iburst\n",
		"/etc/network/interfaces": "auto lo\niface lo inet loopback\n\niface eth0 inet manual\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 10.99.99.2/24\n" +
			"\tgateway 10.99.99.1\n\tbridge-ports eth0\n\tbridge-stp off\n\tbridge-fd 0\n\nauto vmbr1\niface vmbr1 inet static\n\taddress 10.77.0.1/24\n" +
			"\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n\nsource /etc/network/interfaces.d/*\n",
	}
	for _, zone := range timeZones() {
		files["/usr/share/zoneinfo/"+zone] = "TZif2 simulated " + zone + "\n"
	}
	for _, device := range []string{"null", "zero", "kvm", "fuse", "net/tun"} {
		files["/dev/"+device] = ""
	}
	if err := m.writeAll(files); err != nil {
		return err
	}
	return m.link("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
}

// layZsh lays the shell that Debian's package of zsh brings.
func (m *Machine) layZsh() error {
	return m.write("/usr/bin/zsh", []byte("\x7fELF simulated\n"), 0o755)
}

func osRelease(v versions) string {
	return fmt.Sprintf("PRETTY_NAME=\"Debian GNU/Linux %[1]s (%[2]s)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"%[1]s\"\nVERSION=\"%[1]s (%[2]s)\"\n"+
		"VERSION_CODENAME=%[2]s\nID=debian\nHOME_URL=\"https://www.debian.org/\"\n", v.debian, v.codename)
}

func (m *Machine) layProc(id identity) error {
	armor := "Y\n"
	if id.Layout == LayoutRecorded {
		armor = "N\n" // so that hot-plugging a mount point fails, as it did there
	}
	kernel := m.versions().kernel
	var cpus strings.Builder
	for i := range 4 {
		fmt.Fprintf(&cpus, "processor\t: %d\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\ncpu MHz\t\t: 2596.134\ncpu cores\t: 4\nflags\t\t: fpu vme svm\n\n", i)
	}
	return m.writeAll(map[string]string{
		"/proc/sys/kernel/hostname":  m.Node + "\n",
		"/proc/sys/kernel/osrelease": kernel + "\n",
		bootID:                       bootIDOf(0) + "\n",
		"/proc/net/unix":             "Num       RefCount Protocol Flags    Type St Inode Path\n0000000000000000: 00000002 00000000 00010000 0001 01 12001 /run/systemd/private\n",
		"/proc/cpuinfo":              cpus.String(),
		"/proc/meminfo":              "MemTotal:       16374532 kB\nMemFree:        12034200 kB\nMemAvailable:   14200000 kB\nSwapTotal:       8388604 kB\nSwapFree:        8388604 kB\n",
		"/proc/uptime":               "86400.50 340000.00\n",
		"/proc/loadavg":              "0.10 0.12 0.09 1/312 4242\n",
		"/proc/cmdline":              "BOOT_IMAGE=/boot/vmlinuz-" + kernel + " root=/dev/mapper/pve-root ro quiet\n",
		"/proc/version":              "Linux version " + kernel + " (build@proxmox) (gcc 12.2.0) #1 SMP PREEMPT_DYNAMIC PMX " + kernel + "\n",
		"/proc/mounts":               "/dev/mapper/pve-root / ext4 rw,relatime,errors=remount-ro 0 0\nproc /proc proc rw,relatime 0 0\n/dev/fuse /etc/pve fuse rw,nosuid,nodev,relatime 0 0\n",
		"/sys/module/apparmor/parameters/enabled": armor,
		"/proc/modules":                           "",
		"/boot/vmlinuz-" + kernel:                 "",
		"/lib/modules/" + kernel + "/modules.dep": "",
	})
}

// layGPUs puts NVIDIA devices on the PCI bus and the nodes of a loaded driver into
// /dev.
func (m *Machine) layGPUs(id identity) error {
	if id.GPUs == 0 {
		return nil
	}
	files := map[string]string{
		"/dev/nvidiactl": "", "/dev/nvidia-uvm": "", "/dev/nvidia-uvm-tools": "", "/dev/nvidia-caps/nvidia-cap1": "", "/dev/nvidia-caps/nvidia-cap2": "",
	}
	for i := range id.GPUs {
		dir := fmt.Sprintf("/sys/bus/pci/devices/0000:%02x:00.0/", i+1)
		files[dir+"vendor"], files[dir+"device"], files[dir+"class"] = "0x10de\n", "0x2684\n", "0x030000\n"
		files[fmt.Sprintf("/dev/nvidia%d", i)] = ""
	}
	if err := m.writeAll(files); err != nil {
		return err
	}
	kernel := m.versions().kernel
	if err := m.layDriver(kernel); err != nil {
		return err
	}
	return m.loadNVIDIA(kernel, "nvidia")
}

// layUnits lays systemd's unit files with what is enabled and active.
func (m *Machine) layUnits(identity) error {
	if err := os.MkdirAll(m.path("/etc/systemd/system/multi-user.target.wants"), 0o755); err != nil {
		return err
	}
	for _, name := range strings.Fields("chrony ssh cron pve-cluster pvedaemon pveproxy pvestatd pve-firewall pve-guests lxc-monitord lxcfs qmeventd") {
		if err := m.layUnit(name+".service", "multi-user.target", true); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"pve-daily-update.timer": "timers.target", "apt-daily.timer": "timers.target"} {
		if err := m.layUnit(name, target, true); err != nil {
			return err
		}
	}
	for _, static := range []string{"pve-container@.service", "pve-daily-update.service", "systemd-journald.service"} {
		if err := m.layUnit(static, "", false); err != nil {
			return err
		}
	}
	return nil
}

// layUnit lays one unit file, enables it in target and starts it.
func (m *Machine) layUnit(name, target string, active bool) error {
	base := strings.TrimSuffix(name, ".service")
	text := "[Unit]\nDescription=" + base + " (simulated)\n\n[Service]\nExecStart=/usr/sbin/" + base + "\nExecReload=/bin/kill -HUP $MAINPID\n"
	if target != "" {
		text += "\n[Install]\nWantedBy=" + target + "\n"
	}
	file := unitDir + name
	if err := m.lays(file, []byte(text), 0o644); err != nil {
		return err
	}
	if target != "" {
		wants := "/etc/systemd/system/" + target + ".wants/"
		if err := os.MkdirAll(m.path(wants), 0o755); err != nil {
			return err
		}
		if err := m.link(wants+name, file); err != nil {
			return err
		}
	}
	if !active {
		return nil
	}
	if err := m.lays(startsDir+name, []byte("1\n"), 0o644); err != nil {
		return err
	}
	return m.lays(activeDir+name, []byte("1\n"), 0o644)
}
