package sim

import (
	"slices"
	"strings"
)

// layDebian lays what only a guest of Debian or Ubuntu has. As in Proxmox's templates,
// there are no package lists before the first apt-get update.
func (m *Machine) layDebian(g guestOS, files map[string]string) error {
	if err := m.laysFolders(`etc/apt/apt.conf.d etc/apt/preferences.d etc/apt/sources.list.d etc/apt/keyrings etc/modules-load.d
		etc/systemd/system/multi-user.target.wants etc/systemd/system/timers.target.wants run/systemd/system usr/lib/systemd/system usr/share/keyrings
		usr/sbin var/cache/apt/archives/partial var/lib/apt/lists/partial var/lib/apt/periodic .sim`); err != nil {
		return err
	}
	for p, target := range map[string]string{"/bin": "usr/bin", "/lib": "usr/lib", "/etc/localtime": "/usr/share/zoneinfo/Etc/UTC"} {
		if err := m.link(p, target); err != nil {
			return err
		}
	}
	var installed []dpkgEntry
	for _, a := range guestArchive(g) {
		if a.present != "" {
			installed = append(installed, dpkgEntry{a.name, "install ok installed", a.present, "amd64", a.depends})
		}
	}
	files[statusFile] = formatStatus(installed)
	path, text := g.sources()
	files[path] = text
	files["/etc/timezone"] = "Etc/UTC\n"
	for _, zone := range timeZones() {
		files["/usr/share/zoneinfo/"+zone] = "TZif2 simulated " + zone + "\n"
	}
	files["/usr/share/i18n/SUPPORTED"] = "C.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\nen_GB.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\n"
	files["/etc/locale.gen"] = "# This file lists locales that you wish to have built.\n\n# C.UTF-8 UTF-8\n# de_DE.UTF-8 UTF-8\n# en_GB.UTF-8 UTF-8\n# en_US.UTF-8 UTF-8\n"
	files[localesFile] = "C\nC.utf8\nPOSIX\n"
	for name, target := range map[string]string{"ssh.service": "multi-user.target", "apt-daily.timer": "timers.target", "apt-daily-upgrade.timer": "timers.target"} {
		if err := m.layUnit(name, target, true); err != nil {
			return err
		}
	}
	return nil
}

// sources is the file of package sources that the template has.
func (g guestOS) sources() (path, text string) {
	const list = "/etc/apt/sources.list"
	v := g.codename
	switch {
	case g.id == "ubuntu" && g.version >= "24":
		stanza := func(uri, suites string) string {
			return "Types: deb\nURIs: " + uri + "\nSuites: " + suites + "\nComponents: main restricted universe multiverse\nSigned-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n"
		}
		return "/etc/apt/sources.list.d/ubuntu.sources", stanza("http://archive.ubuntu.com/ubuntu/", v+" "+v+"-updates") + "\n" + stanza("http://security.ubuntu.com/ubuntu/", v+"-security")
	case g.id == "ubuntu":
		const parts = " main restricted universe multiverse\n"
		return list, "deb http://archive.ubuntu.com/ubuntu " + v + parts + "deb http://archive.ubuntu.com/ubuntu " + v + "-updates" + parts + "deb http://archive.ubuntu.com/ubuntu " + v + "-security" + parts
	case g.version >= "13":
		return "/etc/apt/sources.list.d/debian.sources", "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: " + v + " " + v + "-updates\nComponents: main contrib\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n" +
			"Types: deb\nURIs: http://security.debian.org\nSuites: " + v + "-security\nComponents: main contrib\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
	}
	return list, "deb http://deb.debian.org/debian " + v + " main contrib\n\ndeb http://deb.debian.org/debian " + v + "-updates main contrib\n\ndeb http://security.debian.org " + v + "-security main contrib\n"
}

// guestArchive is what the archives of a guest's own distribution offer, cut down to a
// few packages; the versions are those of Debian 12.
func guestArchive(g guestOS) []archived {
	list := []archived{
		{name: "apt", version: "2.6.1", present: "2.6.1"},
		{name: "bash", version: "5.2.15-2+b8", present: "5.2.15-2+b8"},
		{name: "base-files", version: "12.4+deb12u12", present: "12.4+deb12u12"},
		{name: "coreutils", version: "9.1-1", present: "9.1-1"},
		{name: "libc6", version: "2.36-9+deb12u10", present: "2.36-9+deb12u10"},
		{name: "locales", version: "2.36-9+deb12u10", present: "2.36-9+deb12u10"},
		{name: "openssh-server", version: "1:9.2p1-2+deb12u7", present: "1:9.2p1-2+deb12u7", unit: "ssh.service"},
		{name: "systemd", version: "252.39-1~deb12u1", present: "252.39-1~deb12u1"},
		{name: "tzdata", version: "2025b-0+deb12u2", present: "2025b-0+deb12u2"},
		{name: "python3", version: "3.11.2-1+b1"},
		{name: "python3-venv", version: "3.11.2-1+b1", depends: "python3, python3-pip-whl"},
		{name: "python3-pip-whl", version: "23.0.1+dfsg-1"},
		{name: "python3-pip", version: "23.0.1+dfsg-1", depends: "python3"},
		{name: "python3-dev", version: "3.11.2-1+b1", depends: "python3"},
		{name: "build-essential", version: "12.9"},
		{name: "gnupg", version: "2.2.40-1.1+deb12u1"},
		{name: "kmod", version: "30+20221128-1"},
		{name: "pciutils", version: "1:3.9.0-4"},
		{name: "iptables", version: "1.8.9-2"},
		{name: "fuse-overlayfs", version: "1.10-1"},
		{name: "uidmap", version: "1:4.13+dfsg1-1+deb12u1"},
		{name: "ffmpeg", version: "7:5.1.7-0+deb12u1"},
		{name: "libnuma1", version: "2.0.16-1"},
		{name: "zstd", version: "1.5.4+dfsg2-5"},
		{name: "docker.io", version: "20.10.24+dfsg1-1+deb12u1", depends: "containerd, runc, iptables", unit: "docker.service"},
		{name: "containerd", version: "1.6.20~ds1-1+deb12u1", depends: "runc", unit: "containerd.service"},
		{name: "runc", version: "1.1.5+ds1-1+deb12u1"},
		{name: "docker-compose", version: "1.29.2-3", depends: "docker.io"},
		{name: "docker-cli", version: "26.1.5+dfsg1-9+b9"},
	}
	if g.id == "ubuntu" {
		list = append(list, archived{name: "docker-compose-v2", version: "2.27.1+ds1-0ubuntu1~" + g.version + ".1", depends: "docker.io"})
	}
	// What the host's Debian has as well, and a template does not.
	for _, a := range debianArchive() {
		if !slices.ContainsFunc(list, func(b archived) bool { return b.name == a.name }) {
			a.present = ""
			list = append(list, a)
		}
	}
	return list
}

// dockerArchive is what download.docker.com offers.
func dockerArchive(g guestOS) []archived {
	end := "~" + g.id + "." + g.version + "~" + g.codename
	return []archived{
		{name: "containerd.io", version: "1.7.24-1", unit: "containerd.service"},
		{name: "docker-ce", version: "5:27.4.1-1" + end, depends: "containerd.io, docker-ce-cli", unit: "docker.service"},
		{name: "docker-ce-cli", version: "5:27.4.1-1" + end},
		{name: "docker-buildx-plugin", version: "0.19.3-1" + end},
		{name: "docker-compose-plugin", version: "2.32.1-1" + end},
		{name: "docker-ce-rootless-extras", version: "5:27.4.1-1" + end},
	}
}

// toolkitArchive is what nvidia.github.io/libnvidia-container offers.
func toolkitArchive() []archived {
	const v = "1.18.2-1"
	return []archived{
		{name: "nvidia-container-toolkit", version: v, depends: "nvidia-container-toolkit-base, libnvidia-container-tools"},
		{name: "nvidia-container-toolkit-base", version: v},
		{name: "libnvidia-container-tools", version: v, depends: "libnvidia-container1"},
		{name: "libnvidia-container1", version: v},
	}
}

// inside is what the archive behind a source offers to a guest.
func (s source) inside(g guestOS) []archived {
	switch {
	case strings.Contains(s.uri, "download.docker.com"):
		return dockerArchive(g)
	case strings.Contains(s.uri, "nvidia.github.io"):
		return toolkitArchive()
	case strings.Contains(s.uri, "developer.download.nvidia.com"):
		return append(nvidiaArchive(), nvidiaUserSpace(g)...)
	case s.suite == g.codename && (strings.Contains(s.uri, "debian.org/debian") || strings.Contains(s.uri, "ubuntu.com/ubuntu")):
		return guestArchive(g)
	}
	return nil
}
