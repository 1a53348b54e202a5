package sim

import (
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// The files of accounts, as in passwd(5), group(5) and shadow(5).
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
	shadowFile = "/etc/shadow"
)

// layKeys makes root's keys those of the cluster, as Proxmox does.
func (m *Machine) layKeys(identity) error {
	if err := m.link("/root/.ssh/authorized_keys", "/etc/pve/priv/authorized_keys"); err != nil {
		return err
	}
	return os.Chmod(m.path("/root/.ssh"), 0o700)
}

// table is a file of lines with colons between their fields.
type table [][]string

func (m *Machine) table(p string) table {
	var t table
	for line := range strings.Lines(m.text(p)) {
		t = append(t, strings.Split(strings.TrimSuffix(line, "\n"), ":"))
	}
	return t
}

// row is the index of a name, or -1.
func (t table) row(name string) int {
	return slices.IndexFunc(t, func(f []string) bool { return f[0] == name })
}

// taken tells whether a number is given out.
func (t table) taken(id string) bool {
	return slices.ContainsFunc(t, func(f []string) bool { return len(f) > 2 && f[2] == id })
}

// free is the first number of a range that is not given out in any of the tables.
func free(from, step int, tables ...table) string {
	for n := from; ; n += step {
		id := strconv.Itoa(n)
		if !slices.ContainsFunc(tables, func(t table) bool { return t.taken(id) }) {
			return id
		}
	}
}

func (m *Machine) saveTable(p string, t table) error {
	var b strings.Builder
	for _, f := range t {
		b.WriteString(strings.Join(f, ":") + "\n")
	}
	mode := os.FileMode(0o644)
	if p == shadowFile {
		mode = 0o640
	}
	return m.write(p, []byte(b.String()), mode)
}

// accountArgs reads options as shadow's programs do; flags take no value. The rest are
// the names.
func accountArgs(words []string, flags ...string) (options map[string]string, rest []string) {
	long := map[string]string{"-u": "--uid", "-g": "--gid", "-c": "--comment", "-d": "--home", "--home-dir": "--home", "-s": "--shell", "-G": "--groups", "-r": "--system", "-m": "--create-home", "-a": "--append", "-e": "--encrypted"}
	options = make(map[string]string)
	for i := 0; i < len(words); i++ {
		name, value, inline := strings.Cut(words[i], "=")
		if l := long[name]; l != "" {
			name = l
		}
		switch {
		case !strings.HasPrefix(name, "-"):
			rest = append(rest, words[i])
		case slices.Contains(flags, name):
			options[name] = "1"
		case inline:
			options[name] = value
		case i+1 < len(words):
			i++
			options[name] = words[i]
		}
	}
	return options, rest
}

// complain ends a program of shadow: "useradd: user 'ann' already exists".
func (c *call) complain(code int, format string, args ...any) int {
	c.errorf(c.argv[0]+": "+format+"\n", args...)
	return code
}

// locked runs an account program while no other changes anything.
func (c *call) locked(do func() int) int {
	code := 0
	if err := c.m.exclusive(func() error { code = do(); return nil }); err != nil {
		return c.died(err, 1)
	}
	return code
}

func useradd(c *call) int { return c.locked(c.useradd) }

// useradd makes an account as shadow 4.13 of Debian 12 does, with a group of its own.
func (c *call) useradd() int {
	o, names := accountArgs(c.argv[1:], "--system", "--create-home")
	if len(names) != 1 {
		c.errorf("Usage: useradd [options] LOGIN\n")
		return 2
	}
	name := names[0]
	users, groups, shadow := c.m.table(passwdFile), c.m.table(groupFile), c.m.table(shadowFile)
	switch {
	case users.row(name) >= 0:
		return c.complain(9, "user '%s' already exists", name)
	case o["--gid"] != "" && groups.row(o["--gid"]) < 0:
		return c.complain(6, "group '%s' does not exist", o["--gid"])
	case o["--gid"] == "" && groups.row(name) >= 0:
		return c.complain(9, "group %s exists - if you want to add this user to that group, use -g.", name)
	case o["--uid"] != "" && users.taken(o["--uid"]):
		return c.complain(4, "UID %s is not unique", o["--uid"])
	}
	wanted := splitList(o["--groups"])
	for _, g := range wanted {
		if groups.row(g) < 0 {
			return c.complain(6, "group '%s' does not exist", g)
		}
	}
	id := o["--uid"]
	switch {
	case id != "":
	case o["--system"] != "":
		id = free(999, -1, users, groups)
	default:
		id = free(1000, 1, users, groups)
	}
	home, shell := o["--home"], o["--shell"]
	if home == "" {
		home = "/home/" + name
	}
	if shell == "" {
		shell = "/bin/sh"
	} else if !c.m.exists(shell) {
		_ = c.complain(0, "Warning: missing or non-executable shell '%s'", shell)
	}
	for _, g := range wanted {
		groups.join(g, name)
	}
	gid := id
	if own := groups.row(o["--gid"]); own >= 0 {
		gid = groups[own][2]
	} else {
		groups = append(groups, []string{name, "x", id, ""})
	}
	users = append(users, []string{name, "x", id, gid, o["--comment"], home, shell})
	shadow = append(shadow, []string{name, "!", "20000", "0", "99999", "7", "", "", ""})
	if code := c.saveAccounts(users, groups, shadow); code != 0 {
		return code
	}
	if o["--create-home"] == "" || c.m.exists(home) {
		return 0
	}
	return c.makeHome(home, id, gid)
}

// makeHome makes a home directory.
func (c *call) makeHome(home, id, gid string) int {
	if err := os.MkdirAll(c.m.path(home), 0o700); err != nil {
		return c.complain(12, "cannot create directory %s", home)
	}
	uid, err := strconv.Atoi(id)
	if err != nil {
		return c.complain(3, "invalid user ID '%s'", id)
	}
	g, err := strconv.Atoi(gid)
	if err != nil {
		return c.complain(3, "invalid group ID '%s'", gid)
	}
	return c.died(c.m.give(home, tasks.Owner{UID: uid, GID: g}), 12)
}

// join makes a user a member of a group.
func (t table) join(group, user string) {
	f := t[t.row(group)]
	if members := splitList(f[3]); !slices.Contains(members, user) {
		f[3] = strings.Join(append(members, user), ",")
	}
}

func (c *call) saveAccounts(users, groups, shadow table) int {
	for _, f := range []struct {
		path string
		rows table
	}{{groupFile, groups}, {shadowFile, shadow}, {passwdFile, users}} {
		if err := c.m.saveTable(f.path, f.rows); err != nil {
			return c.complain(1, "failure while writing changes to %s", f.path)
		}
	}
	return 0
}

func usermod(c *call) int { return c.locked(c.usermod) }

func (c *call) usermod() int {
	o, names := accountArgs(c.argv[1:], "--append")
	if len(names) != 1 {
		c.errorf("Usage: usermod [options] LOGIN\n")
		return 2
	}
	users, groups := c.m.table(passwdFile), c.m.table(groupFile)
	i := users.row(names[0])
	switch {
	case i < 0:
		return c.complain(6, "user '%s' does not exist", names[0])
	case o["--uid"] != "" && o["--uid"] != users[i][2] && users.taken(o["--uid"]):
		return c.complain(4, "UID '%s' already exists", o["--uid"])
	}
	for _, g := range splitList(o["--groups"]) {
		if groups.row(g) < 0 {
			return c.complain(6, "group '%s' does not exist", g)
		}
		groups.join(g, names[0])
	}
	if o["--uid"] != "" {
		from, err1 := strconv.Atoi(users[i][2])
		to, err2 := strconv.Atoi(o["--uid"])
		if err := errors.Join(err1, err2); err != nil {
			return c.complain(3, "invalid user ID '%s'", o["--uid"])
		}
		if err := c.m.giveAll(users[i][5], from, to); err != nil {
			return c.died(err, 12)
		}
	}
	for option, field := range map[string]int{"--uid": 2, "--comment": 4, "--home": 5, "--shell": 6} {
		if v, given := o[option]; given {
			users[i][field] = v
		}
	}
	return c.saveAccounts(users, groups, c.m.table(shadowFile))
}

func userdel(c *call) int { return c.locked(c.userdel) }

func (c *call) userdel() int {
	_, names := accountArgs(c.argv[1:], "-r", "--remove", "-f", "--force")
	users, groups, shadow := c.m.table(passwdFile), c.m.table(groupFile), c.m.table(shadowFile)
	if len(names) != 1 || users.row(names[0]) < 0 {
		return c.complain(6, "user '%s' does not exist", strings.Join(names, " "))
	}
	gone := func(f []string) bool { return f[0] == names[0] }
	for _, g := range groups {
		members := slices.DeleteFunc(splitList(g[3]), func(m string) bool { return m == names[0] })
		g[3] = strings.Join(members, ",")
	}
	own := groups.row(names[0])
	if own >= 0 && groups[own][3] == "" {
		groups = slices.Delete(groups, own, own+1)
	}
	return c.saveAccounts(slices.DeleteFunc(users, gone), groups, slices.DeleteFunc(shadow, gone))
}

func groupadd(c *call) int { return c.locked(c.groupadd) }

func (c *call) groupadd() int {
	_, names := accountArgs(c.argv[1:], "--system")
	groups := c.m.table(groupFile)
	switch {
	case len(names) != 1:
		c.errorf("Usage: groupadd [options] GROUP\n")
		return 2
	case groups.row(names[0]) >= 0:
		return c.complain(9, "group '%s' already exists", names[0])
	}
	groups = append(groups, []string{names[0], "x", free(1000, 1, groups, c.m.table(passwdFile)), ""})
	if err := c.m.saveTable(groupFile, groups); err != nil {
		return c.complain(10, "failure while writing changes to %s", groupFile)
	}
	return 0
}

func gpasswd(c *call) int { return c.locked(c.gpasswd) }

// gpasswd knows --add and --delete.
func (c *call) gpasswd() int {
	if len(c.argv) != 4 || !slices.Contains([]string{"-a", "--add", "-d", "--delete"}, c.argv[1]) {
		c.errorf("Usage: gpasswd [option] GROUP\n")
		return 2
	}
	user, group := c.argv[2], c.argv[3]
	groups := c.m.table(groupFile)
	switch {
	case c.m.table(passwdFile).row(user) < 0:
		return c.complain(3, "user '%s' does not exist", user)
	case groups.row(group) < 0:
		return c.complain(3, "group '%s' does not exist in /etc/group", group)
	}
	f := groups[groups.row(group)]
	if strings.HasPrefix(strings.TrimLeft(c.argv[1], "-"), "a") {
		c.printf("Adding user %s to group %s\n", user, group)
		groups.join(group, user)
	} else {
		if !slices.Contains(splitList(f[3]), user) {
			return c.complain(3, "user '%s' is not a member of '%s'", user, group)
		}
		c.printf("Removing user %s from group %s\n", user, group)
		f[3] = strings.Join(slices.DeleteFunc(splitList(f[3]), func(m string) bool { return m == user }), ",")
	}
	if err := c.m.saveTable(groupFile, groups); err != nil {
		return c.complain(1, "failure while writing changes to /etc/group")
	}
	return 0
}

func chpasswd(c *call) int { return c.locked(c.chpasswd) }

// chpasswd knows --encrypted only: it makes no hashes.
func (c *call) chpasswd() int {
	o, _ := accountArgs(c.argv[1:], "--encrypted")
	data, err := io.ReadAll(io.LimitReader(c.in, maxOutput))
	if err != nil || o["--encrypted"] == "" {
		return c.complain(1, "the simulated one takes hashes only (-e)")
	}
	shadow := c.m.table(shadowFile)
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		user, hash, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !ok {
			_ = c.complain(1, "line %d: missing new password", n)
			return c.complain(1, "error detected, changes ignored")
		}
		i := shadow.row(user)
		if i < 0 {
			_ = c.complain(1, "line %d: user '%s' does not exist", n, user)
			return c.complain(1, "error detected, changes ignored")
		}
		shadow[i][1] = hash
	}
	if err := c.m.saveTable(shadowFile, shadow); err != nil {
		return c.complain(1, "failure while writing changes to /etc/shadow")
	}
	return 0
}
