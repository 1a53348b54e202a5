package sim

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"phoenix/tasks/aptsources"
)

// archived is a package of the simulated package archives. Present is the version
// that a fresh machine has installed, "" for none.
type archived struct{ name, version, present, depends, unit string }

const statusFile = "/var/lib/dpkg/status"

// debianArchive is what deb.debian.org offers, cut down to a few packages.
func debianArchive() []archived {
	return []archived{
		{name: "base-files", version: "12.4+deb12u10", present: "12.4+deb12u10"},
		{name: "bash", version: "5.2.15-2+b8", present: "5.2.15-2+b8"},
		{name: "ca-certificates", version: "20230311", present: "20230311"},
		{name: "chrony", version: "4.3-2+deb12u1", present: "4.3-2+deb12u1", unit: "chrony.service"},
		{name: "coreutils", version: "9.1-1", present: "9.1-1"},
		{name: "cron", version: "3.0pl1-162", present: "3.0pl1-162", unit: "cron.service"},
		{name: "libc6", version: "2.36-9+deb12u10", present: "2.36-9+deb12u10"},
		{name: "openssl", version: "3.0.17-1~deb12u2", present: "3.0.16-1~deb12u1"},
		{name: "openssh-server", version: "1:9.2p1-2+deb12u7", present: "1:9.2p1-2+deb12u7", unit: "ssh.service"},
		{name: "systemd", version: "252.39-1~deb12u1", present: "252.39-1~deb12u1"},
		{name: "curl", version: "7.88.1-10+deb12u12", depends: "libcurl4"},
		{name: "libcurl4", version: "7.88.1-10+deb12u12"},
		{name: "git", version: "1:2.39.5-0+deb12u2", depends: "libcurl4"},
		{name: "htop", version: "3.2.2-2"},
		{name: "iotop", version: "0.6-42-ga14256a-0.1"},
		{name: "jq", version: "1.6-2.1+deb12u1", depends: "libjq1"},
		{name: "libjq1", version: "1.6-2.1+deb12u1"},
		{name: "nfs-kernel-server", version: "1:2.6.2-4+deb12u1", unit: "nfs-server.service"},
		{name: "nginx", version: "1.22.1-9+deb12u3", unit: "nginx.service"},
		{name: "prometheus-node-exporter", version: "1.5.0-1+b6", unit: "prometheus-node-exporter.service"},
		{name: "rsync", version: "3.2.7-1+deb12u2"},
		{name: "samba", version: "2:4.17.12+dfsg-0+deb12u2", unit: "smbd.service"},
		{name: "sudo", version: "1.9.13p3-1+deb12u2"},
		{name: "tmux", version: "3.3a-3"},
		{name: "unattended-upgrades", version: "2.9.1+nmu3", unit: "unattended-upgrades.service"},
		{name: "vim", version: "2:9.0.1378-2+deb12u2"},
		{name: "wget", version: "1.21.3-1+deb12u1"},
		{name: "cmake", version: "3.25.1-1"},
		{name: "zsh", version: "5.9-4+b6"},
	}
}

// proxmoxArchive is what download.proxmox.com and enterprise.proxmox.com offer.
func proxmoxArchive(v versions) []archived {
	return []archived{
		{name: "ifupdown2", version: "3.2.0-1+pmx11", present: "3.2.0-1+pmx11"},
		{name: "libpve-common-perl", version: "8.3.8", present: "8.3.8"},
		{name: "libpve-guest-common-perl", version: "5.2.2", present: "5.2.2"},
		{name: "libpve-storage-perl", version: "8.3.8", present: "8.3.8"},
		{name: "lxc-pve", version: "6.0.0-1", present: "6.0.0-1"},
		{name: "lxcfs", version: "6.0.0-pve2", present: "6.0.0-pve2"},
		{name: "proxmox-kernel-" + v.kernel + "-signed", version: strings.TrimSuffix(v.kernel, "-pve"), present: strings.TrimSuffix(v.kernel, "-pve")},
		{name: "proxmox-ve", version: v.debian[:1] + ".0.0", present: v.debian[:1] + ".0.0", depends: "pve-manager"},
		{name: "pve-cluster", version: "8.1.3", present: "8.1.3"},
		{name: "pve-container", version: v.container, present: v.container},
		{name: "pve-manager", version: v.manager, present: v.manager, depends: "pve-container"},
		{name: "proxmox-backup-client", version: "3.4.6-1"},
	}
}

// stanza is a package as it stands in a Packages file.
func (a archived) stanza() string {
	s := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\nInstalled-Size: 1024\n", a.name, a.version)
	if a.depends != "" {
		s += "Depends: " + a.depends + "\n"
	}
	return s + "Filename: pool/" + a.name + ".deb\nSize: 1024\nDescription: " + a.name + " (simulated)\n\n"
}

// source is one line of sources.list, or one suite of a deb822 stanza.
type source struct {
	uri, suite string
	components []string
}

// sources reads all enabled package sources of the machine.
func (m *Machine) sources() []source {
	var list []source
	files := append([]string{"/etc/apt/sources.list"}, m.glob("/etc/apt/sources.list.d/*.list")...)
	for _, file := range files {
		for line := range strings.SplitSeq(m.text(file), "\n") {
			line, _, _ = strings.Cut(line, "#")
			words := strings.Fields(line)
			if len(words) > 1 && strings.HasPrefix(words[1], "[") {
				end := slices.IndexFunc(words, func(w string) bool { return strings.HasSuffix(w, "]") })
				words = append(words[:1], words[end+1:]...)
			}
			if len(words) >= 3 && words[0] == "deb" {
				list = append(list, source{words[1], words[2], words[3:]})
			}
		}
	}
	for _, file := range m.glob("/etc/apt/sources.list.d/*.sources") {
		for _, p := range paragraphs(m.text(file)) {
			on, known := boolean(p["Enabled"])
			if known && on == "0" || !slices.Contains(strings.Fields(p["Types"]), "deb") {
				continue
			}
			for _, uri := range strings.Fields(p["URIs"]) {
				for _, suite := range strings.Fields(p["Suites"]) {
					list = append(list, source{uri, suite, strings.Fields(p["Components"])})
				}
			}
		}
	}
	return list
}

// offers is what the archive behind the source holds. A Proxmox archive offers
// packages in its own components only.
func (s source) offers(v versions) []archived {
	if v.guest.id != "" {
		return s.inside(v.guest)
	}
	switch {
	case s.suite == v.codename+"-security" && strings.Contains(s.uri, "debian-security"):
		return slices.DeleteFunc(debianArchive(), func(a archived) bool { return a.name != "openssl" })
	case strings.Contains(s.uri, "developer.download.nvidia.com"):
		return nvidiaArchive()
	case s.suite != v.codename:
		return nil
	case strings.Contains(s.uri, "proxmox.com/debian/pve"):
		return append(proxmoxArchive(v), headerPackages(v)...)
	case strings.Contains(s.uri, "debian.org/debian"):
		return append(debianArchive(), debianNVIDIA()...)
	}
	return nil
}

// listName is the beginning of the names of the source's files in
// /var/lib/apt/lists.
func (s source) listName() string {
	return strings.TrimSuffix(aptsources.ListName(s.uri, s.suite), "_")
}

// layPackages lays the package sources, dpkg's status and apt's lists, as after an
// `apt-get update` without a subscription.
func (m *Machine) layPackages(identity) error {
	v := m.versions()
	files := map[string]string{"/usr/share/keyrings/debian-archive-keyring.gpg": "simulated\n"}
	if m.Release == "8.4" {
		files["/etc/apt/sources.list"] = "deb http://deb.debian.org/debian bookworm main contrib\ndeb http://deb.debian.org/debian bookworm-updates main contrib\ndeb http://security.debian.org/debian-security bookworm-security main contrib\n"
		files["/etc/apt/sources.list.d/pve-enterprise.list"] = "deb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise\n"
		files["/etc/apt/sources.list.d/ceph.list"] = "deb https://enterprise.proxmox.com/debian/ceph-quincy bookworm enterprise\n"
	} else {
		files["/etc/apt/sources.list.d/debian.sources"] = "Types: deb\nURIs: http://deb.debian.org/debian/\nSuites: trixie trixie-updates\nComponents: main contrib non-free-firmware\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n" +
			"\nTypes: deb\nURIs: http://security.debian.org/debian-security/\nSuites: trixie-security\nComponents: main contrib non-free-firmware\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
		files["/etc/apt/sources.list.d/pve-enterprise.sources"] = "Types: deb\nURIs: https://enterprise.proxmox.com/debian/pve\nSuites: trixie\nComponents: pve-enterprise\nSigned-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n"
		files["/etc/apt/sources.list.d/ceph.sources"] = "Types: deb\nURIs: https://enterprise.proxmox.com/debian/ceph-squid\nSuites: trixie\nComponents: enterprise\nSigned-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n"
	}
	var installed []dpkgEntry
	for _, a := range append(debianArchive(), proxmoxArchive(v)...) {
		if a.present != "" {
			installed = append(installed, dpkgEntry{a.name, "install ok installed", a.present, "amd64", a.depends})
		}
	}
	files[statusFile] = formatStatus(installed)
	files["/var/lib/apt/extended_states"] = ""
	if err := m.writeAll(files); err != nil {
		return err
	}
	for _, s := range m.sources() {
		if !strings.Contains(s.uri, "enterprise") {
			if err := m.fetchLists(s, m.lays); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetchLists writes the lists of one source.
func (m *Machine) fetchLists(s source, write func(p string, data []byte, mode fs.FileMode) error) error {
	base := "/var/lib/apt/lists/" + s.listName()
	release := fmt.Sprintf("Origin: simulated\nSuite: %s\nCodename: %s\nDate: %s\n", s.suite, s.suite, m.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"))
	if err := write(base+"_InRelease", []byte(release), 0o644); err != nil {
		return err
	}
	var b strings.Builder
	for _, a := range s.offers(m.versions()) {
		b.WriteString(a.stanza())
	}
	for i, list := range s.lists() {
		text := ""
		if i == 0 {
			text = b.String()
		}
		if err := write("/var/lib/apt/lists/"+list, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
