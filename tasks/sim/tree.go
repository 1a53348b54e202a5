package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Layout says which storages a machine has.
type Layout string

// The layouts.
const (
	// LayoutLVM is what the installer makes on ext4: local without containers, and
	// local-lvm with them.
	LayoutLVM Layout = ""
	// LayoutZFS is what the installer makes on ZFS: local and local-zfs.
	LayoutZFS Layout = "zfs"
	// LayoutRecorded is the machine that the catalogue of calls was recorded on:
	// local may hold everything, local-btrfs stands beside it, no index of
	// TurnKey templates was ever downloaded.
	LayoutRecorded Layout = "recorded"
)

// identity is what makes a tree a machine: it stays with the tree.
type identity struct {
	Node    string `json:"node"`
	Release string `json:"release"`
	Layout  Layout `json:"layout"`
	GPUs    int    `json:"gpus"`
}

const identityFile = "/.sim/machine.json"

// Open takes the machine that the tree below root is, whatever its name is by now.
func Open(root string, o Options) (*Machine, error) {
	data, err := os.ReadFile(filepath.Join(root, identityFile))
	if err != nil {
		return nil, fmt.Errorf("open simulated machine: %w", err)
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil {
		return nil, fmt.Errorf("open simulated machine: read %s: %w", identityFile, err)
	}
	return New(root, id.Node, o)
}

// lay makes the tree of a fresh machine, or takes the identity of the present one.
func (m *Machine) lay(o Options) error {
	return m.exclusive(func() error {
		if data, err := m.read(identityFile); err == nil {
			return m.adopt(data)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if m.Release != "8.4" && m.Release != "9.1" {
			return fmt.Errorf("lay out tree: release %q is neither 8.4 nor 9.1", m.Release)
		}
		id := identity{Node: m.Node, Release: m.Release, Layout: o.Layout, GPUs: o.GPUs}
		for _, part := range []func(identity) error{
			m.layFolders, m.layCluster, m.layKeys, m.laySystem, m.layLocales, m.layNetwork, m.layProc, m.layAppArmor, m.layKernel, m.layPackages, m.layUnits, m.layTemplates, m.layGPUs, m.layDisks,
		} {
			if err := part(id); err != nil {
				return fmt.Errorf("lay out tree: %w", err)
			}
		}
		data, err := json.Marshal(id)
		if err != nil {
			return err
		}
		return m.write(identityFile, data, 0o600) // last: a tree that has it is complete
	})
}

// adopt takes over what an existing tree says it is.
func (m *Machine) adopt(data []byte) error {
	var id identity
	if err := json.Unmarshal(data, &id); err != nil {
		return fmt.Errorf("read %s: %w", identityFile, err)
	}
	if id.Node != m.Node {
		return fmt.Errorf("use tree: it is the machine %s", id.Node)
	}
	m.Release = id.Release
	return nil
}

// writeAll writes files by path, with mode 0644.
func (m *Machine) writeAll(files map[string]string) error {
	for _, p := range sortedKeys(files) {
		if err := m.lays(p, []byte(files[p]), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// link makes a symbolic link.
func (m *Machine) link(p, target string) error {
	err := os.Symlink(target, m.path(p))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (m *Machine) layFolders(identity) error {
	for _, dir := range strings.Fields(`/boot /dev /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/preferences.d /etc/modprobe.d /etc/modules-load.d
		/etc/network/interfaces.d /etc/ssh /etc/sysctl.d /etc/systemd/system /etc/cron.d /home /lib/modules /media /mnt /opt /proc /root/.ssh
		/run/lock/lxc /run/pve /run/systemd/system /srv /sys/class/net /tmp /usr/bin /usr/sbin /usr/lib/systemd/system /usr/share
		/var/cache/apt/archives/partial /var/lib/apt/lists/partial /var/lib/dpkg/info /var/lib/lxc /var/lib/pve-manager/apl-info
		/var/lib/vz/dump /var/lib/vz/images /var/lib/vz/template/cache /var/lib/vz/template/iso /var/lib/vz/snippets
		/var/log/pve/tasks /var/tmp`) {
		if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
			return err
		}
	}
	for _, lock := range []string{"/var/lib/dpkg/lock", "/var/lib/dpkg/lock-frontend", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock"} {
		if err := m.lays(lock, nil, 0o640); err != nil {
			return err
		}
	}
	for dir, target := range map[string]string{"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib/systemd": "../usr/lib/systemd"} {
		if err := m.link(dir, target); err != nil {
			return err
		}
	}
	sbin := []string{"pct", "pvesm"}
	for _, name := range m.Programs() {
		if brought()[name] != "" {
			continue
		}
		dir := "/usr/bin/"
		if slices.Contains(sbin, name) {
			dir = "/usr/sbin/"
		}
		if err := m.lays(dir+name, []byte("\x7fELF simulated "+name+"\n"), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// layCluster lays /etc/pve, as pmxcfs shows it on a single node.
func (m *Machine) layCluster(id identity) error {
	node := "/etc/pve/nodes/" + m.Node
	for _, dir := range []string{node + "/lxc", node + "/qemu-server", node + "/priv", node + "/openvz", "/etc/pve/priv/lock", "/etc/pve/firewall", "/etc/pve/sdn"} {
		if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"local": "nodes/" + m.Node, "lxc": "nodes/" + m.Node + "/lxc", "qemu-server": "nodes/" + m.Node + "/qemu-server", "openvz": "nodes/" + m.Node + "/openvz",
	} {
		if err := m.link("/etc/pve/"+name, target); err != nil {
			return err
		}
	}
	files := map[string]string{
		storageFile:                installedStorages(id.Layout, m.Release),
		"/etc/pve/user.cfg":        "user:root@pam:1:0:::admin@example.org:::\n\n\n\n\n",
		"/etc/pve/.members":        fmt.Sprintf("{\n\"nodename\": %q,\n\"version\": 0\n}\n", m.Node),
		"/etc/pve/.vmlist":         "{\n\"version\": 1\n}\n",
		"/etc/pve/.version":        fmt.Sprintf("{\n\"starttime\": %d,\n\"clinfo\": 1,\n\"vmlist\": 1,\n\"storage.cfg\": 1,\n\"user.cfg\": 1\n}\n", m.Now().Unix()),
		node + "/lrm_status":       "{\"mode\":\"active\",\"results\":{},\"state\":\"wait_for_agent_lock\"}\n",
		"/etc/pve/pve-root-ca.pem": "",
	}
	if err := m.writeAll(files); err != nil {
		return err
	}
	if id.Layout == LayoutRecorded {
		return os.MkdirAll(m.path("/var/lib/pve/local-btrfs/images"), 0o755)
	}
	return nil
}

// installedStorages is storage.cfg as the installer writes it.
func installedStorages(l Layout, release string) string {
	content := "iso,vztmpl,backup"
	if release == "9.1" {
		content = "iso,vztmpl,backup,import"
	}
	local := "dir: local\n\tpath /var/lib/vz\n\tcontent " + content + "\n\n"
	switch l {
	case LayoutZFS:
		return local + "zfspool: local-zfs\n\tpool rpool/data\n\tsparse\n\tcontent images,rootdir\n\n"
	case LayoutRecorded:
		return "dir: local\n\tpath /var/lib/vz\n\tcontent snippets,backup,images,rootdir,vztmpl,iso\n\n" +
			"btrfs: local-btrfs\n\tpath /var/lib/pve/local-btrfs\n\tcontent images,rootdir\n\n"
	}
	return local + "lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\tcontent rootdir,images\n\n"
}

// layTemplates lays the indexes and the one template that is already there.
func (m *Machine) layTemplates(id identity) error {
	if err := m.lays(indexDir+"/"+proxmoxIndex, []byte(m.proxmoxTemplates()), 0o644); err != nil {
		return err
	}
	if id.Layout != LayoutRecorded {
		if err := m.lays(indexDir+"/"+turnkeyIndex, []byte(turnkeyTemplates()), 0o644); err != nil {
			return err
		}
	}
	present := "/var/lib/vz/template/cache/debian-12-standard_12.7-1_amd64.tar.zst"
	if err := m.lays(present, templateContent("debian-12-standard_12.7-1_amd64.tar.zst"), 0o644); err != nil {
		return err
	}
	return os.Truncate(m.path(present), 73834014)
}

// proxmoxTemplates is the index of download.proxmox.com, in the format of
// aplinfo-pve-8.dat, cut down to a few templates.
func (m *Machine) proxmoxTemplates() string {
	var b strings.Builder
	for _, t := range []struct{ file, section, os, version, about string }{
		{"almalinux-9-default_20240911_amd64.tar.xz", "system", "almalinux-9", "20240911", "LXC default image for almalinux 9 (20240911)"},
		{"alpine-3.20-default_20240908_amd64.tar.xz", "system", "alpine-3.20", "20240908", "LXC default image for alpine 3.20 (20240908)"},
		{"alpine-3.21-default_20241217_amd64.tar.xz", "system", "alpine-3.21", "20241217", "LXC default image for alpine 3.21 (20241217)"},
		{"alpine-3.22-default_20250617_amd64.tar.xz", "system", "alpine-3.22", "20250617", "LXC default image for alpine 3.22 (20250617)"},
		{"debian-12-standard_12.12-1_amd64.tar.zst", "system", "debian-12", "12.12-1", "Debian 12 Bookworm (standard)"},
		{"debian-13-standard_13.1-2_amd64.tar.zst", "system", "debian-13", "13.1-2", "Debian 13 Trixie (standard)"},
		{"ubuntu-22.04-standard_22.04-1_amd64.tar.zst", "system", "ubuntu-22.04", "22.04-1", "Ubuntu 22.04 Jammy (standard)"},
		{"ubuntu-24.04-standard_24.04-2_amd64.tar.zst", "system", "ubuntu-24.04", "24.04-2", "Ubuntu 24.04 Noble (standard)"},
		{"proxmox-mail-gateway-8.2-standard_8.2-1_amd64.tar.zst", "mail", "debian-12", "8.2-1", "Proxmox Mail Gateway 8.2"},
	} {
		name := t.file[:strings.Index(t.file, "_")]
		fmt.Fprintf(&b, "Package: %s\nVersion: %s\nType: lxc\nOS: %s\nSection: %s\nMaintainer: Proxmox Support Team <support@proxmox.com>\n"+
			"Architecture: amd64\nLocation: %s/%s\nsha512sum: %s\nInfopage: https://pve.proxmox.com/wiki/Linux_Container\nDescription: %s\n %s\n\n",
			name, t.version, t.os, t.section, t.section, t.file, sha512Hex(templateContent(t.file)), t.about, t.about)
	}
	return b.String()
}

// turnkeyTemplates is the index of releases.turnkeylinux.org with one appliance.
func turnkeyTemplates() string {
	file := "debian-12-turnkey-core_18.1-1_amd64.tar.gz"
	return "Package: turnkey-core\nVersion: 18.1-1\nType: lxc\nOS: debian-12\nSection: turnkeylinux\nArchitecture: amd64\n" +
		"Location: http://mirror.turnkeylinux.org/turnkeylinux/images/proxmox/" + file + "\nsha512sum: " + sha512Hex(templateContent(file)) +
		"\nInfopage: https://www.turnkeylinux.org/core\nDescription: TurnKey Core\n Common base for all TurnKey GNU/Linux appliances\n\n"
}
