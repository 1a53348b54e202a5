package e2e

// hand is something that somebody changes on a converged host.
type hand struct {
	// key is what of the example it is about.
	key string
	// do is a line of shell on the host.
	do string
	// want lists "STEP PATH" of every change that a check must report, and no other,
	// with commas between them.
	want string
	// back puts it right where a run refuses to.
	back string
}

// sub replaces text in a file of the host.
func sub(file, old, new string) string { return "sed -i 's|" + old + "|" + new + "|' " + file }

// option adds a line to the options of a file of the firewall.
func option(file, line string) string { return "sed -i '/^.OPTIONS/a " + line + "' " + file }

const (
	zfsState   = "/.sim/zfs.json"
	interfaces = "/etc/network/interfaces"
	clusterFw  = "/etc/pve/firewall/cluster.fw"
	hostFw     = "/etc/pve/local/host.fw"
	smbShares  = "/etc/samba/phoenix.conf"
	ownModules = "/etc/modprobe.d/zz-phoenix.conf"
	backports  = "/etc/apt/sources.list.d/backports.sources"
	debugList  = "/etc/apt/sources.list.d/debug.sources"
	storageCfg = "/etc/pve/storage.cfg"
)

// handsOnTheSystem are those on what the host is by itself.
func handsOnTheSystem() []hand {
	return []hand{
		{key: "system.timezone", do: "timedatectl set-timezone Etc/UTC", want: "system:time timezone"},
		{key: "system.ntp", do: "timedatectl set-ntp false", want: "system:time ntp, service:chrony enabled, service:chrony active"},
		{key: "system.locale", do: sub("/etc/default/locale", "de_DE", "en_US"), want: "system:locale locale"},
		{key: "system.hostname", do: "echo other > /etc/hostname", want: "system:hostname hostname"},

		{key: "apt.repositories", do: "rm /etc/apt/sources.list.d/proxmox.sources", want: "apt:repositories repositories"},
		{key: "apt.repositories", do: sub("/etc/apt/sources.list.d/pve-enterprise.list", "^# *deb", "deb"), want: "apt:repositories repositories"},
		{key: "apt.ceph", do: sub("/etc/apt/sources.list.d/ceph.list", "^# *deb", "deb"), want: "apt:repositories ceph"},
		{key: "apt.extra_sources.backports", do: "rm " + backports, want: "apt:repositories extra_sources.backports"},
		{key: "apt.extra_sources.backports.uris", do: sub(backports, "debian$", "debian-ports"), want: "apt:repositories extra_sources.backports.uris"},
		{key: "apt.extra_sources.backports.suites", do: sub(backports, "-backports", "-proposed"), want: "apt:repositories extra_sources.backports.suites"},
		{key: "apt.extra_sources.backports.components", do: sub(backports, "main", "contrib"), want: "apt:repositories extra_sources.backports.components"},
		{key: "apt.extra_sources.backports.signed_by", do: sub(backports, "debian-archive", "other-archive"), want: "apt:repositories extra_sources.backports.signed_by"},
		{key: "apt.extra_sources.debug.types", do: sub(debugList, "deb deb-src", "deb"), want: "apt:repositories extra_sources.debug.types"},
		{key: "apt.extra_sources.debug.uris", do: sub(debugList, "debian-debug$", "debian-bugs"), want: "apt:repositories extra_sources.debug.uris"},
		{key: "apt.extra_sources.debug.suites", do: sub(debugList, "bookworm-debug", "bookworm-bugs"), want: "apt:repositories extra_sources.debug.suites"},
		{key: "apt.extra_sources.debug.components", do: sub(debugList, "main", "contrib"), want: "apt:repositories extra_sources.debug.components"},
		{key: "apt.extra_sources.debug.architectures", do: sub(debugList, "amd64", "arm64"), want: "apt:repositories extra_sources.debug.architectures"},
		{key: "apt.extra_sources.debug.signed_by", do: sub(debugList, "debian-archive", "other-archive"), want: "apt:repositories extra_sources.debug.signed_by"},
		{key: "apt.extra_sources.debug.enabled", do: "echo Enabled: no >> " + debugList, want: "apt:repositories extra_sources.debug.enabled"},
		{key: "apt.packages", do: "apt-get -y remove curl", want: "apt:packages packages.curl"},
		{key: "apt.packages", do: "apt-get -y install iotop", want: "apt:packages packages.iotop"},
		{key: "apt.hold", do: "apt-mark unhold samba", want: "apt:packages hold.samba"},
		{key: "apt.upgrade", do: sub("/var/lib/dpkg/status", "3.0.17-1~deb12u2", "3.0.16-1~deb12u1"), want: "apt:upgrade packages.openssl"},

		{key: "kernel.modules", do: "sed -i '/^nbd /d' /proc/modules", want: "kernel:settings modules.nbd"},
		{key: "kernel.modules", do: "sed -i /br_netfilter/d /etc/modules-load.d/phoenix.conf", want: "kernel:settings modules.br_netfilter"},
		{key: "kernel.sysctl.vm.swappiness", do: "sysctl -w vm.swappiness=60", want: "kernel:settings sysctl.vm.swappiness"},
		{key: "kernel.sysctl.fs.inotify.max_user_instances", do: "sed -i /inotify/d /etc/sysctl.d/90-phoenix.conf", want: "kernel:settings sysctl.fs.inotify.max_user_instances"},
		{key: "kernel.sysctl.net.ipv4.ip_local_port_range", do: "sysctl -w 'net.ipv4.ip_local_port_range=32768 60999'", want: "kernel:settings sysctl.net.ipv4.ip_local_port_range"},
		{key: "kernel.cmdline", do: sub("/etc/default/grub", "iommu=pt", ""), want: "kernel:settings cmdline.iommu=pt"},
		{key: "kernel.cmdline", do: sub("/proc/cmdline", " iommu=pt", ""), want: "kernel:settings running.cmdline.iommu=pt, reboot:host reboot"},
		{key: "kernel.cmdline_absent", do: sub("/etc/default/grub", "iommu=pt", "iommu=pt quiet"), want: "kernel:settings cmdline_absent.quiet"},
		{key: "kernel.module_options.kvm", do: sub(ownModules, "ignore_msrs=1", "ignore_msrs=0"), want: "kernel:settings module_options.kvm"},
		{key: "kernel.blacklist", do: "sed -i /pcspkr/d " + ownModules, want: "kernel:settings blacklist.pcspkr"},
		{key: "kernel.blacklist", do: "sed -i '/blacklist nouveau/d' " + ownModules, want: "kernel:settings blacklist.nouveau, nvidia:driver nouveau"},

		{key: "network.bridges.vmbr0.ports", do: sub(interfaces, "bridge-ports eth0", "bridge-ports none"), want: "network:interfaces bridges.vmbr0.ports"},
		{key: "network.bridges.vmbr0.address", do: sub(interfaces, "10.99.99.2/24", "10.99.99.3/24"), want: "network:interfaces bridges.vmbr0.address"},
		{key: "network.bridges.vmbr0.gateway", do: sub(interfaces, "gateway 10.99.99.1$", "gateway 10.99.99.9"), want: "network:interfaces bridges.vmbr0.gateway"},
		{key: "network.bridges.vmbr0.address6", do: sub(interfaces, "fd00:99::2/64", "fd00:99::3/64"), want: "network:interfaces bridges.vmbr0.address6"},
		{key: "network.bridges.vmbr0.gateway6", do: sub(interfaces, "gateway fd00:99::1", "gateway fd00:99::9"), want: "network:interfaces bridges.vmbr0.gateway6"},
		{key: "network.bridges.vmbr0.comment", do: sub(interfaces, "#to the outside", "#to nowhere"), want: "network:interfaces bridges.vmbr0.comment"},
		{key: "network.bridges.vmbr1.ports", do: "sed -i '/iface vmbr1 /,/^$/s/bridge-ports none/bridge-ports eth1/' " + interfaces, want: "network:interfaces bridges.vmbr1.ports"},
		{key: "network.bridges.vmbr1.address", do: sub(interfaces, "10.77.0.1/24", "10.77.0.2/24"), want: "network:interfaces bridges.vmbr1.address"},
		{key: "network.bridges.vmbr1.nat.subnet", do: sub(interfaces, "10.77.0.0/24", "10.78.0.0/24"), want: "network:interfaces bridges.vmbr1.nat"},
		{key: "network.bridges.vmbr1.nat.out", do: "iptables -t nat -D POSTROUTING -s 10.77.0.0/24 -o vmbr0 -j MASQUERADE", want: "network:interfaces bridges.vmbr1.live.nat"},
		{key: "network.bridges.vmbr2.ports", do: "sed -i '/iface vmbr2 /,/^$/s/bridge-ports none/bridge-ports eth1/' " + interfaces, want: "network:interfaces bridges.vmbr2.ports"},
		{key: "network.bridges.vmbr2.vlan_aware", do: sub(interfaces, "bridge-vlan-aware yes", "bridge-vlan-aware no"), want: "network:interfaces bridges.vmbr2.vlan_aware"},
		{key: "network.bridges.vmbr2.vids", do: sub(interfaces, "10 20-29", "10 20-28"), want: "network:interfaces bridges.vmbr2.vids"},
		{key: "network.bridges.vmbr2.mtu", do: "echo 1500 > /sys/class/net/vmbr2/mtu", want: "network:interfaces bridges.vmbr2.live.mtu"},
		{key: "network.bridges.vmbr2.autostart", do: "sed -i '/^auto vmbr2/d' " + interfaces, want: "network:interfaces bridges.vmbr2.autostart"},
		{key: "network.dns.nameservers", do: "sed -i '/9.9.9.9/d' /etc/resolv.conf", want: "network:dns nameservers"},
		{key: "network.dns.search", do: sub("/etc/resolv.conf", "lab.example.org", "example.org"), want: "network:dns search"},
	}
}

// handsOnUsers are those on the users of the host and of Proxmox.
func handsOnUsers() []hand {
	return []hand{
		{key: "users.ann.uid", do: "usermod -u 2001 ann", want: "user:ann uid"},
		{key: "users.ann.comment", do: "usermod -c Nobody ann", want: "user:ann comment"},
		{key: "users.ann.home", do: "usermod -d /home/other ann", want: "user:ann home"},
		{key: "users.ann.shell", do: "usermod -s /bin/sh ann", want: "user:ann shell"},
		{key: "users.ann.groups", do: "gpasswd -d ann adm", want: "user:ann groups.adm"},
		{key: "users.ann.password_hash", do: "usermod -p '$6$x$other' ann", want: "user:ann password_hash"},
		{key: "users.ann.locked", do: "usermod -L ann", want: "user:ann locked"},
		{key: "users.ann.authorized_keys", do: "sed -i /ann@laptop/d /home/ann/.ssh/authorized_keys", want: "user:ann authorized_keys.SHA256:0w8K0bbqpcA0wIyh6BnJ/z4w0LbMyQp8Xo+UFO95c+k"},
		{key: "users.ann.exclusive_keys", do: "echo ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH4+1v2nulfEQ9eREAFYTzIwEBuB4LWAkR0flQCy835M else >> /home/ann/.ssh/authorized_keys", want: "user:ann authorized_keys.SHA256:wPCuCbQi8j3Y0PVJMKM3UkG+8nyFHpYaHcJftGW2BIU"},
		{key: "users.ann.sudo", do: "rm /etc/sudoers.d/phoenix-ann", want: "user:ann sudo"},
		{key: "users.ann.pve.enabled", do: "pveum user modify ann@pam --enable 0", want: "pveuser:ann@pam enabled"},
		{key: "users.ann.pve.comment", do: "pveum user modify ann@pam --comment Nobody", want: "pveuser:ann@pam comment"},
		{key: "users.ann.pve.email", do: "pveum user modify ann@pam --email other@example.org", want: "pveuser:ann@pam email"},
		{key: "users.ann.pve.groups", do: "pveum user modify ann@pam --groups ''", want: "pveuser:ann@pam groups.admins"},
		{key: "users.ann.pve.acl", do: "pveum acl delete / --users ann@pam --roles Administrator", want: "pveuser:ann@pam acl./.Administrator"},
		{key: "users.media.home", do: "usermod -d /nowhere media", want: "user:media home"},
		{key: "users.media.shell", do: "usermod -s /bin/sh media", want: "user:media shell"},
		{key: "users.media.locked", do: "usermod -p '$6$x$other' media", want: "user:media locked"},
		{key: "users.audit.pve.comment", do: "pveum user modify audit@pve --comment Nobody", want: "pveuser:audit@pve comment"},
		{key: "users.audit.pve.acl", do: "pveum acl modify /vms --users audit@pve --roles PVEAuditor --propagate 1", want: "pveuser:audit@pve acl./vms.PVEAuditor"},
		{key: "users.guest.state", do: "useradd guest", want: "user:guest state"},
	}
}

// handsOnTheRest are those on files, services and steps.
func handsOnTheRest() []hand {
	return []hand{
		{key: "nvidia.driver", do: "rm /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", want: "nvidia:driver driver"},
		{key: "nvidia.driver", do: sub("/sys/module/nvidia/version", "570.86.15", "550.54.15"), want: "nvidia:driver running.driver, reboot:host reboot"},
		{key: "nvidia.open", do: sub("/lib/modules/6.8.12-9-pve/updates/dkms/nvidia.ko", "Dual MIT/GPL", "NVIDIA"), want: "nvidia:driver running.driver, reboot:host reboot"},
		{key: "nvidia.persistence", do: "systemctl disable --now nvidia-persistenced", want: "nvidia:driver persistence"},
		{key: "nvidia.device_nodes", do: "rm /dev/nvidia1", want: "nvidia:driver device_nodes"},
		{key: "nvidia.device_nodes", do: "systemctl disable phoenix-nvidia-nodes.service", want: "nvidia:driver device_nodes"},

		{key: "templates.0.name", do: "rm /srv/templates/template/cache/debian-12-standard*", want: "template:debian-12-standard exists"},
		{key: "templates.0.latest", do: "cd /srv/templates/template/cache && mv debian-12-standard* debian-12-standard_12.2-1_amd64.tar.zst", want: "template:debian-12-standard exists"},
		{key: "templates.1.name", do: "rm /srv/templates/template/cache/alpine*", want: "template:alpine-3.22-default exists"},

		{key: "files./etc/monitor.state", do: "mv /etc/monitor /etc/elsewhere", want: "file:/etc/monitor state, file:/etc/monitor mode, file:/etc/monitor owner, file:/etc/monitor group, file:/etc/monitor/token state, file:/etc/monitor/token content, file:/etc/monitor/token mode"},
		{key: "files./etc/monitor.mode", do: "chmod 0755 /etc/monitor", want: "file:/etc/monitor mode"},
		{key: "files./etc/monitor.owner", do: "chown daemon /etc/monitor", want: "file:/etc/monitor owner"},
		{key: "files./etc/monitor.group", do: "chgrp daemon /etc/monitor", want: "file:/etc/monitor group"},
		{key: "files./etc/monitor/token.content", do: "echo other > /etc/monitor/token", want: "file:/etc/monitor/token content"},
		{key: "files./etc/monitor/token.mode", do: "chmod 0444 /etc/monitor/token", want: "file:/etc/monitor/token mode"},
		{key: "files./etc/motd.content", do: "echo mine >> /etc/motd", want: "file:/etc/motd content"},
		{key: "files./etc/motd.mode", do: "chmod 0600 /etc/motd", want: "file:/etc/motd mode"},
		{key: "files./etc/motd.old.state", do: "touch /etc/motd.old", want: "file:/etc/motd.old state"},

		{key: "services.chrony.enabled", do: "systemctl disable chrony", want: "service:chrony enabled, system:time ntp"},
		{key: "services.chrony.active", do: "systemctl stop chrony", want: "service:chrony active, system:time ntp"},
		{key: "services.smbd.enabled", do: "systemctl disable smbd", want: "service:smbd enabled"},
		{key: "services.smbd.active", do: "systemctl stop smbd", want: "service:smbd active"},
		{key: "services.nfs-server.enabled", do: "systemctl disable nfs-server", want: "service:nfs-server enabled"},
		{key: "services.nfs-server.active", do: "systemctl stop nfs-server", want: "service:nfs-server active"},

		{key: "steps.vzdump.check", do: "rm /etc/vzdump.conf", want: "script:vzdump check"},
		{key: "steps.vzdump.env.TMPDIR", do: sub("/etc/vzdump.conf", "scratch", "elsewhere"), want: "script:vzdump check"},
		{key: "steps.vzdump.apply", do: "sed -i /tmpdir/d /etc/vzdump.conf", want: "script:vzdump check"},
		{key: "features.scrub.pool", do: sub("/etc/cron.d/scrub", "tank", "fast"), want: "feature:scrub check"},
		{key: "features.scrub.day", do: sub("/etc/cron.d/scrub", " 1 ", " 2 "), want: "feature:scrub check"},
		{key: "features.scrub.hour", do: "rm /etc/cron.d/scrub", want: "feature:scrub check"},
		{key: "steps/smart", do: sub("/etc/smartd.conf", "02", "03"), want: "script:smart check"},
	}
}
