package sim

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const userFile = "/etc/pve/user.cfg"

// pveum manages users, groups, roles and rights (PVE::CLI::pveum,
// libpve-access-control 8.2.2).
func pveum(c *call) int {
	if len(c.argv) < 3 {
		c.errorf("ERROR: no command specified\nUSAGE: pveum <COMMAND> [ARGS] [OPTIONS]\n")
		return 255
	}
	d := *c
	d.argv = append([]string{"pveum", c.argv[1] + " " + c.argv[2]}, c.argv[3:]...)
	user := []cliOption{{"comment", "string"}, {"email", "string"}, {"enable", "boolean"}, {"expire", "integer"}, {"firstname", "string"}, {"groups", "string"}, {"keys", "string"}, {"lastname", "string"}}
	comment := []cliOption{{"comment", "string"}}
	role := []cliOption{{"append", "boolean"}, {"privs", "string"}}
	rights := []cliOption{{"groups", "string"}, {"propagate", "boolean"}, {"roles", "string"}, {"tokens", "string"}, {"users", "string"}}
	return cliProgram{name: "pveum", code: 255, verbs: []cliVerb{
		{usage: "pveum user add <userid> [OPTIONS]", fixed: []string{"userid"}, options: user, run: changeUsers("create user failed", (*userCfg).addUser)},
		{usage: "pveum user modify <userid> [OPTIONS]", fixed: []string{"userid"}, options: append(user, cliOption{"append", "boolean"}), run: changeUsers("update user failed", (*userCfg).modifyUser)},
		{usage: "pveum user delete <userid>", fixed: []string{"userid"}, run: changeUsers("delete user failed", (*userCfg).deleteUser)},
		{usage: "pveum group add <groupid> [OPTIONS]", fixed: []string{"groupid"}, options: comment, run: changeUsers("create group failed", (*userCfg).addGroup)},
		{usage: "pveum role add <roleid> [OPTIONS]", fixed: []string{"roleid"}, options: role, run: changeUsers("create role failed", (*userCfg).addRole)},
		{usage: "pveum acl modify <path> [OPTIONS]", fixed: []string{"path"}, options: rights, run: changeUsers("ACL update failed", (*userCfg).addRights)},
		{usage: "pveum acl delete <path> [OPTIONS]", fixed: []string{"path"}, options: rights, run: changeUsers("ACL update failed", (*userCfg).deleteRights)},
	}}.run(&d)
}

// changeUsers reads user.cfg, lets one change happen and writes the file anew, even
// when nothing differs.
func changeUsers(failed string, change func(*userCfg, cliArgs) error) func(*call, cliArgs) int {
	return func(c *call, a cliArgs) int {
		err := c.m.exclusive(func() error {
			cfg := parseUsers(c.m.text(userFile), func(text string) { c.errorf("%s\n", text) })
			if err := change(cfg, a); err != nil {
				return fmt.Errorf("%s: %w", failed, err)
			}
			return c.m.write(userFile, []byte(cfg.String()), 0o640)
		})
		return c.died(err, 255)
	}
}

// userCfg is user.cfg by line, with rights taken apart.
type userCfg struct {
	// users, groups, pools and roles hold the fields after the name.
	users, groups, pools, roles map[string][]string
	tokens                      map[string]string
	// rights are by path, then member, then role: "1" where it propagates.
	rights map[string]map[string]map[string]string
}

func builtinRole(name string) bool {
	return name == "Administrator" || name == "NoAccess" || strings.HasPrefix(name, "PVE")
}

func parseUsers(text string, warn func(string)) *userCfg {
	c := &userCfg{users: map[string][]string{"root@pam": {"1", "0", "", "", "", "", ""}}, groups: map[string][]string{}, pools: map[string][]string{},
		roles: map[string][]string{}, tokens: map[string]string{}, rights: map[string]map[string]map[string]string{}}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		padded := append(slices.Clone(f), make([]string, 9)...)
		switch name := padded[1]; f[0] {
		case "":
		case "user":
			c.users[name] = padded[2:9]
		case "token":
			c.tokens[name] = strings.Join(f[2:], ":")
		case "group":
			c.groups[name] = padded[2:4]
		case "pool":
			c.pools[name] = padded[2:5]
		case "role":
			c.roles[name] = padded[2:3]
		case "acl":
			for _, role := range splitList(padded[4]) {
				if _, own := c.roles[role]; !own && !builtinRole(role) {
					warn("user config - ignore invalid acl role '" + role + "'")
					continue
				}
				for _, member := range splitList(padded[3]) {
					c.grant(padded[2], member, role, padded[1])
				}
			}
		default:
			warn("user config - ignore config line: " + strings.TrimSpace(line))
		}
	}
	return c
}

func (c *userCfg) grant(path, member, role, propagate string) {
	if c.rights[path] == nil {
		c.rights[path] = map[string]map[string]string{}
	}
	if c.rights[path][member] == nil {
		c.rights[path][member] = map[string]string{}
	}
	c.rights[path][member][role] = propagate
}

// String is the file as write_user_config writes it: sorted, each kind followed by an
// empty line.
func (c *userCfg) String() string {
	var b strings.Builder
	for _, id := range sortedKeys(c.users) {
		fmt.Fprintf(&b, "user:%s:%s:\n", id, strings.Join(c.users[id], ":"))
		for _, token := range sortedKeys(c.tokens) {
			if strings.HasPrefix(token, id+"!") {
				fmt.Fprintf(&b, "token:%s:%s\n", token, c.tokens[token])
			}
		}
	}
	for _, part := range []struct {
		word string
		rows map[string][]string
	}{{"group", c.groups}, {"pool", c.pools}, {"role", c.roles}} {
		b.WriteString("\n")
		for _, id := range sortedKeys(part.rows) {
			fmt.Fprintf(&b, "%s:%s:%s:\n", part.word, id, strings.Join(part.rows[id], ":"))
		}
	}
	b.WriteString("\n")
	for _, path := range sortedKeys(c.rights) {
		c.writeRights(&b, path)
	}
	b.WriteString("\n")
	return b.String()
}

// writeRights merges members that have the same roles.
func (c *userCfg) writeRights(b *strings.Builder, path string) {
	for _, propagate := range []string{"0", "1"} {
		members := make(map[string][]string)
		for _, member := range sortedKeys(c.rights[path]) {
			var roles []string
			for _, role := range sortedKeys(c.rights[path][member]) {
				if c.rights[path][member][role] == propagate {
					roles = append(roles, role)
				}
			}
			if list := strings.Join(roles, ","); list != "" && member != "root@pam" {
				members[list] = append(members[list], member)
			}
		}
		for _, roles := range sortedKeys(members) {
			fmt.Fprintf(b, "acl:%s:%s:%s:%s:\n", propagate, path, strings.Join(members[roles], ","), roles)
		}
	}
}

// escaped is a comment as the file has it.
func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == ':' || r == '%' || r < ' ' || r > '~' {
			b.WriteString(strings.ReplaceAll(url.QueryEscape(string(r)), "+", "%20"))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (c *userCfg) addUser(a cliArgs) error {
	id := a["userid"]
	if !regexp.MustCompile(`^[^\s:/]+@[A-Za-z][A-Za-z0-9._-]+$`).MatchString(id) {
		return fmt.Errorf("value '%s' does not look like a valid user name", id)
	}
	if _, exists := c.users[id]; exists {
		return fmt.Errorf("user '%s' already exists", id)
	}
	c.users[id] = []string{"1", "0", "", "", "", "", ""}
	return c.setUser(id, a)
}

func (c *userCfg) modifyUser(a cliArgs) error {
	id := a["userid"]
	if _, exists := c.users[id]; !exists {
		return fmt.Errorf("no such user ('%s')", id)
	}
	if _, given := a["groups"]; given && a["append"] != "1" {
		c.leaveGroups(id)
	}
	return c.setUser(id, a)
}

func (c *userCfg) setUser(id string, a cliArgs) error {
	f := slices.Clone(c.users[id])
	for i, option := range []string{"enable", "expire", "firstname", "lastname", "email", "comment", "keys"} {
		v, given := a[option]
		switch {
		case !given:
		case option == "comment" || option == "firstname" || option == "lastname":
			f[i] = escaped(v)
		default:
			f[i] = v
		}
	}
	c.users[id] = f
	for _, g := range splitList(a["groups"]) {
		row, known := c.groups[g]
		if !known {
			return fmt.Errorf("no such group '%s'", g)
		}
		members := splitList(row[0])
		if !slices.Contains(members, id) {
			members = append(members, id)
		}
		slices.Sort(members)
		c.groups[g] = []string{strings.Join(members, ","), row[1]}
	}
	return nil
}

func (c *userCfg) leaveGroups(id string) {
	for g, row := range c.groups {
		members := slices.DeleteFunc(splitList(row[0]), func(m string) bool { return m == id })
		c.groups[g] = []string{strings.Join(members, ","), row[1]}
	}
}

func (c *userCfg) deleteUser(a cliArgs) error {
	id := a["userid"]
	if _, exists := c.users[id]; !exists {
		return fmt.Errorf("user '%s' does not exist", id)
	}
	delete(c.users, id)
	c.leaveGroups(id)
	for _, members := range c.rights {
		delete(members, id)
	}
	maps.DeleteFunc(c.tokens, func(token, _ string) bool { return strings.HasPrefix(token, id+"!") })
	return nil
}

func (c *userCfg) addGroup(a cliArgs) error {
	if _, exists := c.groups[a["groupid"]]; exists {
		return fmt.Errorf("group '%s' already exists", a["groupid"])
	}
	c.groups[a["groupid"]] = []string{"", escaped(a["comment"])}
	return nil
}

func (c *userCfg) addRole(a cliArgs) error {
	if _, exists := c.roles[a["roleid"]]; exists || builtinRole(a["roleid"]) {
		return fmt.Errorf("role '%s' already exists", a["roleid"])
	}
	privs := splitList(a["privs"])
	slices.Sort(privs)
	c.roles[a["roleid"]] = []string{strings.Join(privs, ",")}
	return nil
}

func (c *userCfg) addRights(a cliArgs) error {
	return c.eachRight(a, func(path, member, role string) {
		propagate := "1"
		if a["propagate"] == "0" {
			propagate = "0"
		}
		c.grant(path, member, role, propagate)
	})
}

func (c *userCfg) deleteRights(a cliArgs) error {
	return c.eachRight(a, func(path, member, role string) { delete(c.rights[path][member], role) })
}

// eachRight visits every pair of a member and a role that the options name.
func (c *userCfg) eachRight(a cliArgs, do func(path, member, role string)) error {
	path := a["path"]
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if !regexp.MustCompile(`^/((access|nodes|pool|sdn|storage|vms|mapping)(/\S+)?)?$`).MatchString(path) {
		return fmt.Errorf("path: invalid ACL path '%s'", path)
	}
	members := splitList(a["users"])
	for _, u := range members {
		if _, exists := c.users[u]; !exists {
			return fmt.Errorf("user '%s' does not exist", u)
		}
	}
	for _, g := range splitList(a["groups"]) {
		if _, exists := c.groups[g]; !exists {
			return fmt.Errorf("group '%s' does not exist", g)
		}
		members = append(members, "@"+g)
	}
	for _, role := range splitList(a["roles"]) {
		if _, own := c.roles[role]; !own && !builtinRole(role) {
			return fmt.Errorf("role '%s' does not exist", role)
		}
		for _, member := range members {
			do(path, member, role)
		}
	}
	return nil
}
