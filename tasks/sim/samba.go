package sim

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"phoenix/tasks/nthash"
)

const (
	smbConf = "/etc/samba/smb.conf"
	// passdbFile stands for Samba's database; it holds the lines of smbpasswd(5).
	passdbFile = "/var/lib/samba/private/passdb.tdb"
)

// laySamba lays what Debian's packages of Samba bring.
func (m *Machine) laySamba() error {
	for _, dir := range []string{"/etc/samba", "/var/lib/samba/private"} {
		if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
			return err
		}
	}
	if !m.exists(smbConf) {
		text := "# Sample configuration file for the Samba suite for Debian GNU/Linux.\n\n[global]\n\n   workgroup = WORKGROUP\n" +
			"   log file = /var/log/samba/log.%m\n   max log size = 1000\n   server role = standalone server\n   map to guest = bad user\n\n" +
			"[homes]\n   comment = Home Directories\n   browseable = no\n   read only = yes\n   valid users = %S\n\n" +
			"[print$]\n   comment = Printer Drivers\n   path = /var/lib/samba/printers\n   guest ok = no\n"
		if err := m.write(smbConf, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if m.exists(passdbFile) {
		return nil
	}
	return m.write(passdbFile, nil, 0o600)
}

// sambaParameters are those that testparm knows; of a real Samba's 500, the ones that
// are met in shares.
func sambaParameters() map[string]string {
	out := map[string]string{}
	for name := range strings.SplitSeq("path,comment,browseable,read only,guest ok,valid users,invalid users,write list,read list,admin users,force user,"+
		"force group,create mask,directory mask,force create mode,force directory mode,inherit acls,inherit permissions,inherit owner,vfs objects,veto files,"+
		"hide dot files,follow symlinks,wide links,max connections,hosts allow,hosts deny,available,include,printable,ea support,store dos attributes,map archive,"+
		"strict allocate,strict sync,case sensitive,oplocks,access based share enum,hide unreadable", ",") {
		out[name] = "share"
	}
	for name := range strings.SplitSeq("workgroup,server string,server role,log file,logging,max log size,map to guest,passdb backend,panic action,obey pam restrictions,"+
		"unix password sync,passwd program,passwd chat,pam password change,usershare allow guests,server min protocol,interfaces,bind interfaces only,netbios name", ",") {
		out[name] = "global"
	}
	return out
}

// testparm of Samba 4.17 with -s and a file.
func testparm(c *call) int {
	file := smbConf
	for _, w := range c.argv[1:] {
		if !strings.HasPrefix(w, "-") {
			file = w
		}
	}
	text := c.m.text(file)
	if file == "/dev/stdin" {
		data, err := io.ReadAll(c.in)
		if err != nil {
			return c.died(err, 1)
		}
		text = string(data)
	}
	c.errorf("Load smb config files from %s\n", file)
	var dump strings.Builder
	if !c.loadShares(text, &dump) {
		c.errorf("Error loading services.\n")
		return 1
	}
	c.errorf("Loaded services file OK.\nWeak crypto is allowed by GnuTLS (e.g. NTLM as a compatibility fallback)\n\nServer role: ROLE_STANDALONE\n\n")
	c.printf("# Global parameters\n%s", dump.String())
	return 0
}

// loadShares reads smb.conf and what it includes; false is an error that stops Samba.
func (c *call) loadShares(text string, dump *strings.Builder) bool {
	global := true
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, isParam := strings.Cut(line, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch kind := sambaParameters()[name]; {
		case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";"):
		case line[0] == '[':
			if !strings.HasSuffix(line, "]") {
				return false
			}
			global = strings.EqualFold(line, "[global]")
			fmt.Fprintf(dump, "\n%s\n", line)
		case !isParam:
		case name == "include":
			if !c.loadShares(c.m.text(value), dump) {
				return false
			}
		case strings.Contains(name, ":"):
		case kind == "":
			c.errorf("Unknown parameter encountered: \"%s\"\nIgnoring unknown parameter \"%s\"\n", name, name)
		case kind == "global" && !global:
			c.errorf("Global parameter %s found in service section!\n", name)
		case slices.Contains([]string{"read only", "guest ok", "browseable", "available", "printable"}, name) && !smbBoolean(value):
			c.errorf("set_variable_helper(%s): value is not boolean!\n", value)
			return false
		default:
			fmt.Fprintf(dump, "\t%s = %s\n", name, value)
		}
	}
	return true
}

func smbBoolean(s string) bool {
	return slices.Contains([]string{"yes", "no", "true", "false", "on", "off", "1", "0"}, strings.ToLower(s))
}

// smbcontrol sends a message to smbd, of which a simulated one has no need.
func smbcontrol(c *call) int {
	if len(c.argv) < 3 || c.argv[2] != "reload-config" {
		c.errorf("Usage: smbcontrol [OPTION...] <destination> <message-type> <parameters>\n")
		return 1
	}
	return 0
}

// smbpasswd of Samba 4.17 as `smbpasswd -s -a USER`, with the password twice on its
// standard input.
func smbpasswd(c *call) int {
	user := c.argv[len(c.argv)-1]
	if len(c.argv) != 4 || !slices.Contains(c.argv, "-s") || !slices.Contains(c.argv, "-a") {
		c.errorf("smbpasswd: only -s -a USER is simulated\n")
		return 1
	}
	data, err := io.ReadAll(c.in)
	if err != nil {
		return c.died(err, 1)
	}
	lines := strings.Split(string(data), "\n")
	if len(lines) < 2 || lines[0] != lines[1] {
		c.errorf("Mismatch - password unchanged.\nUnable to get new password.\n")
		return 1
	}
	accounts := c.m.table(passwdFile)
	i := accounts.row(user)
	if i < 0 {
		c.errorf("Failed to add entry for user %s.\n", user)
		return 1
	}
	err = c.m.exclusive(func() error {
		all := c.m.table(passdbFile)
		row := []string{user, accounts[i][2], strings.Repeat("X", 32), nthash.Sum(lines[0]), "[U          ]", "LCT-6B03EDFB", ""}
		if j := all.row(user); j >= 0 {
			all[j] = row
		} else {
			c.printf("Added user %s.\n", user)
			all = append(all, row)
		}
		var b strings.Builder
		for _, f := range all {
			b.WriteString(strings.Join(f, ":") + "\n")
		}
		return c.m.write(passdbFile, []byte(b.String()), 0o600)
	})
	return c.died(err, 1)
}

// pdbedit lists the users: -L, with -w in the form of smbpasswd(5).
func pdbedit(c *call) int {
	if !slices.Contains(c.argv, "-L") {
		c.errorf("pdbedit: only -L is simulated\n")
		return 1
	}
	for _, f := range c.m.table(passdbFile) {
		if slices.Contains(c.argv, "-w") {
			c.printf("%s\n", strings.Join(f, ":"))
		} else {
			c.printf("%s:%s:\n", f[0], f[1])
		}
	}
	return 0
}
