package sim

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// guestDir is LXC's folder of a container, guestRoot its root file system. The
// volume of a container only has the right size; the files lie here.
func guestDir(id int) string  { return fmt.Sprintf("/var/lib/lxc/%d", id) }
func guestRoot(id int) string { return guestDir(id) + "/rootfs" }

// templateOS tells the ostype and architecture of a template from its name.
func templateOS(file string) (ostype, arch string) {
	ostype, arch = "unmanaged", "amd64"
	for _, alias := range [][2]string{{"almalinux", "centos"}, {"rockylinux", "centos"}, {"centos", "centos"}, {"debian", "debian"},
		{"ubuntu", "ubuntu"}, {"alpine", "alpine"}, {"fedora", "fedora"}, {"archlinux", "archlinux"}, {"opensuse", "opensuse"},
		{"gentoo", "gentoo"}, {"devuan", "devuan"}, {"openeuler", "centos"}} {
		if strings.HasPrefix(file, alias[0]) {
			ostype = alias[1]
		}
	}
	if m := regexp.MustCompile(`_(amd64|arm64|i386|armhf)\.`).FindStringSubmatch(file); m != nil {
		arch = m[1]
	}
	return ostype, arch
}

// layGuest lays the files of a fresh guest.
func layGuest(m *Machine, id int, template string) error {
	g := &Machine{Root: m.path(guestRoot(id)), LockTimeout: m.LockTimeout, Now: m.Now}
	return g.layInside(template)
}

func writeGuest(m *Machine, id int, files map[string]string, mode fs.FileMode) error {
	for _, name := range sortedKeys(files) {
		if err := m.write(guestRoot(id)+"/"+name, []byte(files[name]), mode); err != nil {
			return err
		}
	}
	return nil
}

// guestCredentials puts the public keys into root's file. A password only leaves a
// mark: what it is, is nobody's business.
func guestCredentials(m *Machine, id int, keys string, password bool) error {
	files := map[string]string{}
	if keys != "" {
		files["root/.ssh/authorized_keys"] = "# --- BEGIN PVE ---\n" + strings.TrimSuffix(keys, "\n") + "\n# --- END PVE ---\n"
	}
	if m.Containers != nil {
		return writeGuest(m, id, files, 0o600) // it has the passwords of its template
	}
	shadow := "root:*:20000:0:99999:7:::\n"
	if password {
		shadow = "root:$y$j9T$simulated:20000:0:99999:7:::\n"
	}
	files["etc/shadow"] = shadow
	return writeGuest(m, id, files, 0o600)
}

// uidMap is what the kernel says of a container's users: user_namespaces(7).
func uidMap(cfg *config) string {
	if cfg.keys["unprivileged"] == "1" {
		return "         0     100000      65536\n"
	}
	return "         0          0 4294967295\n"
}

// setupGuest writes the files that Proxmox owns in a guest, at every start.
func setupGuest(m *Machine, id int, cfg *config) error {
	if err := writeLXCConfig(m, id, cfg); err != nil {
		return err
	}
	if cfg.keys["ostype"] == "unmanaged" {
		return nil
	}
	full := cfg.keys["hostname"]
	if full == "" {
		full = fmt.Sprintf("CT%d", id)
	}
	short, _, _ := strings.Cut(full, ".")
	files := map[string]string{
		"etc/hostname":             short + "\n",
		"proc/sys/kernel/hostname": short + "\n",
		// A container has the kernel of its host.
		"proc/sys/kernel/osrelease": m.text("/proc/sys/kernel/osrelease"),
		"proc/self/uid_map":         uidMap(cfg),
		"etc/resolv.conf":           block(resolvConf(m, cfg)),
		"etc/network/interfaces":    interfacesFile(cfg),
		"etc/hosts":                 hostsFile(m.text(guestRoot(id)+"/etc/hosts"), staticIP(cfg), full, short),
	}
	if driver := m.text("/proc/driver/nvidia/version"); driver != "" {
		files["proc/driver/nvidia/version"] = driver // as all of /proc that is not about processes
	}
	for _, key := range cfg.numbered("dev") {
		if dev, fault := deviceSchema().split(cfg.keys[key]); fault == "" {
			files[strings.TrimPrefix(dev["path"], "/")] = ""
		}
	}
	for _, file := range sortedKeys(files) {
		if m.exists(path.Join(guestRoot(id), path.Dir(file), ".pve-ignore."+path.Base(file))) {
			delete(files, file)
		}
	}
	for _, key := range cfg.numbered("mp") {
		if mount, fault := mountSchema().split(cfg.keys[key]); fault == "" {
			if err := os.MkdirAll(m.path(path.Join(guestRoot(id), mount["mp"])), 0o755); err != nil {
				return err
			}
		}
	}
	if err := setTimezone(m, id, cfg.keys["timezone"]); err != nil {
		return err
	}
	return writeGuest(m, id, files, 0o644)
}

// writeLXCConfig makes the file that LXC starts the container from, as
// PVE::LXC::update_lxc_config does at a start and at every pct set, that of a running
// container included (pve-container 5.3.5).
func writeLXCConfig(m *Machine, id int, cfg *config) error {
	if m.Containers != nil {
		return m.Containers.Configure(id)
	}
	var b strings.Builder
	name := cfg.keys["hostname"]
	if name == "" {
		name = fmt.Sprintf("CT%d", id)
	}
	fmt.Fprintf(&b, "lxc.arch = %s\nlxc.include = /usr/share/lxc/config/%s.common.conf\n", cfg.keys["arch"], cfg.keys["ostype"])
	fmt.Fprintf(&b, "lxc.environment = TERM=linux\nlxc.uts.name = %s\nlxc.rootfs.path = %s\n", name, guestRoot(id))
	for _, key := range cfg.numbered("net") {
		nic, fault := netSchema().split(cfg.keys[key])
		if n := number(key); fault == "" {
			fmt.Fprintf(&b, "lxc.net.%d.type = veth\nlxc.net.%d.veth.pair = veth%di%d\nlxc.net.%d.hwaddr = %s\nlxc.net.%d.name = %s\n",
				n, n, id, n, n, nic["hwaddr"], n, nic["name"])
		}
	}
	for _, kv := range cfg.raw {
		fmt.Fprintf(&b, "%s = %s\n", kv[0], kv[1])
	}
	if cores := cfg.keys["cores"]; cores != "" {
		fmt.Fprintf(&b, "lxc.cgroup2.cpuset.cpus = 0-%s\n", cores)
	}
	return m.write(guestDir(id)+"/config", []byte(b.String()), 0o644)
}

// setTimezone points the guest's clock at a zone; "host" is the machine's own.
func setTimezone(m *Machine, id int, zone string) error {
	target := "/usr/share/zoneinfo/" + zone
	switch zone {
	case "":
		return nil
	case "host":
		link, err := os.Readlink(m.path("/etc/localtime"))
		if err != nil {
			return nil
		}
		target = link
	}
	link := m.path(guestRoot(id) + "/etc/localtime")
	if err := os.RemoveAll(link); err != nil {
		return err
	}
	return os.Symlink(target, link)
}

func block(text string) string { return "# --- BEGIN PVE ---\n" + text + "# --- END PVE ---\n" }

func resolvConf(m *Machine, cfg *config) string {
	var b strings.Builder
	if cfg.keys["nameserver"] == "" && cfg.keys["searchdomain"] == "" {
		for line := range strings.Lines(m.text("/etc/resolv.conf")) {
			if strings.HasPrefix(line, "nameserver ") || strings.HasPrefix(line, "search ") {
				b.WriteString(line)
			}
		}
		return b.String()
	}
	if search := cfg.keys["searchdomain"]; search != "" {
		b.WriteString("search " + search + "\n")
	}
	for _, ns := range splitList(cfg.keys["nameserver"]) {
		b.WriteString("nameserver " + ns + "\n")
	}
	return b.String()
}

// staticIP is the first fixed IPv4 address of the container, without its prefix.
func staticIP(cfg *config) string {
	for _, key := range cfg.numbered("net") {
		if nic, fault := netSchema().split(cfg.keys[key]); fault == "" && strings.Contains(nic["ip"], "/") {
			ip, _, _ := strings.Cut(nic["ip"], "/")
			return ip
		}
	}
	return ""
}

func hostsFile(old, ip, full, short string) string {
	if cut := strings.Index(old, "# --- BEGIN PVE ---"); cut >= 0 {
		old = old[:cut]
	}
	if ip == "" {
		ip = "127.0.1.1"
	}
	names := full + " " + short
	if full == short {
		names = full
	}
	return old + block(ip+" "+names+"\n")
}

func interfacesFile(cfg *config) string {
	var b strings.Builder
	b.WriteString("auto lo\niface lo inet loopback\niface lo inet6 loopback\n\n# interfaces(5) file used by ifup(8) and ifdown(8)\n# Include files from /etc/network/interfaces.d:\nsource /etc/network/interfaces.d/*\n\n")
	for _, key := range cfg.numbered("net") {
		nic, fault := netSchema().split(cfg.keys[key])
		if fault != "" {
			continue
		}
		b.WriteString("auto " + nic["name"] + "\n")
		b.WriteString(stanza(nic["name"], "inet", nic["ip"], nic["gw"]))
		b.WriteString(stanza(nic["name"], "inet6", nic["ip6"], nic["gw6"]))
	}
	return b.String()
}

func stanza(name, family, ip, gw string) string {
	switch {
	case ip == "" && family == "inet6":
		return ""
	case ip == "":
		ip = "manual"
	}
	if slices.Contains([]string{"dhcp", "manual", "auto"}, ip) {
		return fmt.Sprintf("iface %s %s %s\n\n", name, family, ip)
	}
	text := fmt.Sprintf("iface %s %s static\n\taddress %s\n", name, family, ip)
	if gw != "" {
		text += "\tgateway " + gw + "\n"
	}
	return text + "\n"
}

// mac draws a MAC address with Proxmox's prefix.
func (m *Machine) mac() string {
	return fmt.Sprintf("BC:24:11:%02X:%02X:%02X", m.intN(256), m.intN(256), m.intN(256))
}

// fingerprint draws a SHA256 fingerprint.
func (m *Machine) fingerprint() string {
	b := make([]byte, 32)
	for i := range b {
		b[i] = byte(m.intN(256))
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

// normalValue is a value as Proxmox writes it into the configuration.
func (m *Machine) normalValue(name, value string) string {
	o, ok := findOption(name)
	switch {
	case !ok:
		return value
	case o.typ == "boolean":
		return normalBoolean(value)
	case strings.HasPrefix(name, "net"):
		return m.canonicalNet(value)
	case name == "tags":
		return normalTags(value)
	case name == "nameserver" || name == "searchdomain":
		return strings.Join(splitList(value), " ")
	case name == "description" && value != "" && !strings.HasSuffix(value, "\n"):
		return value + "\n"
	case name == "cpuunits" && len(value) >= 5:
		return "10000" // the limit of cgroup v2
	}
	return value
}

// canonicalNet fills in what is missing in a netN: each write without a hardware
// address draws a new one.
func (m *Machine) canonicalNet(value string) string {
	nic, fault := netSchema().split(value)
	if fault != "" {
		return value
	}
	if nic["hwaddr"] == "" {
		nic["hwaddr"] = m.mac()
	}
	nic["type"] = "veth"
	return netSchema().print(nic)
}

// normalTags lowers, sorts and de-duplicates tags, as with the default tag-style.
func normalTags(value string) string {
	tags := splitList(strings.ToLower(value))
	slices.Sort(tags)
	return strings.Join(slices.Compact(tags), ";")
}
