package sim

// programs lists what the machine can run, in plain sight.
func programs() map[string]program {
	return map[string]program{
		"pct": pct, "lxc-attach": lxcAttach, "lxc-info": lxcInfo,
		"pvesm": pvesm, "pveam": pveam, "pvesh": pvesh, "pveversion": pveversion,
		"apt-get": aptGet, "apt-mark": aptMark, "dpkg": dpkg, "dpkg-query": dpkgQuery,
		"systemctl": systemctl, "timedatectl": timedatectl,
		"sh": shell, "bash": shell, "env": envProgram,
		"uname": uname, "hostname": hostname, "cat": cat, "echo": echo, "ls": ls,
		"head": head, "tail": tail, "grep": grep, "id": id, "uptime": uptime, "sleep": sleep,
		"true": func(*call) int { return 0 }, "false": func(*call) int { return 1 },
	}
}
