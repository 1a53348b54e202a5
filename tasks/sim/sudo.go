package sim

import (
	"io"
	"os"
	"regexp"
	"strings"
)

// brought are programs that neither a fresh Proxmox VE host nor a fresh guest has, by the
// packages of which one brings them.
func brought() map[string]string {
	return map[string]string{
		"python3": "python3", "journalctl": "systemd", "visudo": "sudo", "exportfs": "nfs-kernel-server",
		"testparm": "samba", "smbcontrol": "samba", "smbpasswd": "samba", "pdbedit": "samba", "update-ca-certificates": "ca-certificates",
		"apk": "apk-tools", "rc-service": "openrc", "rc-update": "openrc",
		"docker": "docker.io docker-ce-cli docker-cli", "dockerd": "docker.io docker-ce docker", "docker-compose": "docker-compose", "nginx": "nginx",
	}
}

// lacks tells whether a program is missing because its package is.
func (m *Machine) lacks(program string) bool {
	packages := strings.Fields(brought()[program])
	return len(packages) > 0 && !m.packaged(packages)
}

// laySudo lays what Debian's package of sudo brings, and keeps what is there.
func (m *Machine) laySudo() error {
	if err := os.MkdirAll(m.path("/etc/sudoers.d"), 0o750); err != nil || m.exists("/etc/sudoers") {
		return err
	}
	return m.write("/etc/sudoers", []byte("Defaults\tenv_reset\nDefaults\tmail_badpass\nroot\tALL=(ALL:ALL) ALL\n%sudo\tALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"), 0o440)
}

// visudo checks a file as `visudo -c -f FILE` of sudo 1.9.13 does; it knows comments,
// directives and simple rules, and edits nothing.
func visudo(c *call) int {
	file, check := "/etc/sudoers", false
	for i := 1; i < len(c.argv); i++ {
		switch {
		case c.argv[i] == "-c":
			check = true
		case c.argv[i] == "-f" && i+1 < len(c.argv):
			i++
			file = c.argv[i]
		case strings.HasPrefix(c.argv[i], "-c") && strings.HasSuffix(c.argv[i], "f") && i+1 < len(c.argv):
			check = true
			i++
			file = c.argv[i]
		}
	}
	if !check {
		return c.complain(1, "no editor found (editor path = /usr/bin/editor)")
	}
	var text string
	shown := file
	if file == "-" {
		data, err := io.ReadAll(io.LimitReader(c.in, maxOutput))
		if err != nil {
			return c.died(err, 1)
		}
		text, shown = string(data), "stdin"
	} else {
		if !c.m.exists(c.abs(file)) {
			return c.complain(1, "unable to open %s: No such file or directory", file)
		}
		text = c.m.text(c.abs(file))
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		l := strings.TrimRight(line, "\n")
		if !sudoersLine(l) {
			c.errorf("%s:%d:%d: syntax error\n%s\n", shown, n, len(l)+1, l)
			return 1
		}
	}
	c.printf("%s: parsed OK\n", shown)
	return 0
}

// sudoersLine accepts what one line may be.
func sudoersLine(l string) bool {
	l = strings.TrimSpace(l)
	if l == "" || strings.HasPrefix(l, "#") || strings.HasPrefix(l, "@include") || strings.HasPrefix(l, "Defaults") {
		return true
	}
	const name = `[A-Za-z0-9_.%#+!-]+`
	const list = name + `(\s*,\s*` + name + `)*`
	rule := regexp.MustCompile(`^` + list + `\s+` + list + `\s*=\s*(\((` + list + `)?(\s*:\s*` + list + `)?\)\s*)?([A-Z_]+:\s*)*(ALL|[/!A-Z_].*)$`)
	return rule.MatchString(l)
}
