package sim

// programs lists what the machine can run, in plain sight.
func programs() map[string]program {
	return map[string]program{
		"pct": pct, "lxc-attach": lxcAttach, "lxc-info": lxcInfo,
		"pvesm": pvesm, "pveam": pveam, "pvesh": pvesh, "pveversion": pveversion,
		"apt-get": aptGet, "apt-config": aptConfig, "apt-mark": aptMark, "dpkg": dpkg, "dpkg-query": dpkgQuery,
		"systemctl": systemctl, "timedatectl": timedatectl, "systemd-run": systemdRun,
		"useradd": useradd, "usermod": usermod, "userdel": userdel, "groupadd": groupadd, "gpasswd": gpasswd, "chpasswd": chpasswd,
		"visudo": visudo, "pveum": pveum,
		"apparmor_parser": apparmorParser, "pve-firewall": pveFirewall, "exportfs": exportfs,
		"testparm": testparm, "smbcontrol": smbcontrol, "smbpasswd": smbpasswd, "pdbedit": pdbedit,
		"zpool": zpool, "zfs": zfs, "wipefs": wipefs, "tee": tee,
		"ifreload": ifreload, "ifquery": ifquery, "iptables": iptables,
		"locale": locale, "locale-gen": localeGen, "update-locale": updateLocale, "hostnamectl": hostnamectl, "ip": ipTool,
		"modprobe": modprobeProgram, "modinfo": modinfo, "sysctl": sysctlProgram,
		"update-initramfs": updateInitramfs, "update-grub": updateGrub, "proxmox-boot-tool": proxmoxBootTool,
		"dkms": dkmsProgram, "nvidia-modprobe": nvidiaModprobe, "nvidia-installer": nvidiaInstaller,
		"nvidia-smi": nvidiaSMI, "ldconfig": ldconfig, "dd": dd, "rm": rm,
		"curl": curl, "sha256sum": sha256sum, "mv": mv, "apt-cache": aptCache,
		"sh": shell, "bash": bash, "env": envProgram,
		"uname": uname, "hostname": hostname, "cat": cat, "echo": echo, "ls": ls,
		"head": head, "tail": tail, "grep": grep, "id": id, "uptime": uptime, "sleep": sleep,
		"touch": (*call).touch, "nproc": nproc, "ln": ln, "apk": apk, "rc-service": rcService, "rc-update": rcUpdate, "update-ca-certificates": updateCACertificates,
		"python3": pythonProgram, "python": pythonProgram, "python3.11": pythonProgram, "journalctl": journalctl, "tar": tarProgram, "ollama": ollamaProgram,
		"docker": docker, "dockerd": dockerd, "docker-compose": dockerCompose, "nginx": nginxProgram, "cmp": cmpProgram, "cp": cp, "stat": statProgram, "readlink": readlinkProgram, "addgroup": addgroup,
		"mkdir": mkdir, "chmod": chmod, "chown": chown, "test": testProgram, "[": testProgram, "wc": wc,
		"true": func(*call) int { return 0 }, "false": func(*call) int { return 1 },
	}
}
