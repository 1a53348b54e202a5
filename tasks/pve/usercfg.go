package pve

import (
	"slices"
	"strings"

	"phoenix/tasks"
)

// The files of Proxmox's own users. Each is absent until it is first written.
const (
	UserCfgPath    = "/etc/pve/user.cfg"
	DomainsCfgPath = "/etc/pve/domains.cfg"
)

// RootUser is the user that always exists, is always enabled and may do everything.
const RootUser = "root@pam"

// UserCfg is what Proxmox knows of users, groups, roles and rights.
type UserCfg struct {
	// Accounts by ID.
	Accounts map[string]Account
	// Groups have the IDs of their members.
	Groups map[string][]string
	// Roles are those that people have made; Proxmox's own are not in the file.
	Roles []string
	// ACL is every right, each for itself.
	ACL []Right
}

// Account is one user of Proxmox.
type Account struct {
	// ID is NAME@REALM.
	ID             string
	Enabled        bool
	Email, Comment string
}

// Right is one role that one member has at one path.
type Right struct {
	// Path is "/", "/vms/900", "/storage/local".
	Path string
	// Member is a user, "@GROUP", or a token "USER!TOKEN".
	Member string
	Role   string
	// Propagate tells that the right also holds below the path.
	Propagate bool
}

// ParseUserCfg reads user.cfg, as PVE::AccessControl::parse_user_config does
// (pve-access-control 8.2): fields between colons, of which comments are percent
// encoded. It never fails: Proxmox ignores the lines that it does not understand.
func ParseUserCfg(data []byte) UserCfg {
	c := UserCfg{Accounts: map[string]Account{RootUser: {ID: RootUser, Enabled: true}}, Groups: make(map[string][]string)}
	for _, line := range tasks.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		f = append(f, make([]string, 8)...) // fields at the end may be missing
		switch {
		case f[1] == "":
		case f[0] == "user":
			c.Accounts[f[1]] = Account{ID: f[1], Enabled: f[2] != "" && f[2] != "0" || f[1] == RootUser, Email: f[6], Comment: unescape(f[7])}
		case f[0] == "group":
			c.Groups[f[1]] = SplitSet(f[2])
		case f[0] == "role":
			c.Roles = append(c.Roles, f[1])
		case f[0] == "acl":
			c.addRights(f)
		}
	}
	return c
}

// addRights takes a line that merges members with the same roles apart.
func (c *UserCfg) addRights(f []string) {
	for _, member := range SplitSet(f[3]) {
		for _, role := range SplitSet(f[4]) {
			r := Right{Path: f[2], Member: member, Role: role, Propagate: f[1] != "0"}
			i := slices.IndexFunc(c.ACL, func(o Right) bool { return o.Path == r.Path && o.Member == member && o.Role == role })
			if i < 0 {
				c.ACL = append(c.ACL, r)
			} else {
				c.ACL[i] = r // the last line wins
			}
		}
	}
}

// ReadUserCfg reads the users of the cluster. A missing file means root@pam alone.
func ReadUserCfg(h tasks.Host) (UserCfg, error) {
	data, _, err := tasks.ReadIfExists(h, UserCfgPath)
	if err != nil {
		return UserCfg{}, err
	}
	return ParseUserCfg(data), nil
}

// KnowsRole tells whether there is a role of that name. Names that begin with PVE are
// Proxmox's own and differ between releases, so any of them is taken for one.
func (c UserCfg) KnowsRole(name string) bool {
	return name == "Administrator" || name == "NoAccess" || strings.HasPrefix(name, "PVE") || slices.Contains(c.Roles, name)
}

// Right finds what a member has at a path by a role.
func (c UserCfg) Right(path, member, role string) (Right, bool) {
	i := slices.IndexFunc(c.ACL, func(r Right) bool { return r.Path == path && r.Member == member && r.Role == role })
	if i < 0 {
		return Right{}, false
	}
	return c.ACL[i], true
}

// ReadRealms lists where users can come from, sorted. Pam and pve are always there.
func ReadRealms(h tasks.Host) ([]string, error) {
	data, _, err := tasks.ReadIfExists(h, DomainsCfgPath)
	if err != nil {
		return nil, err
	}
	realms := []string{"pam", "pve"}
	for _, line := range tasks.Lines(string(data)) {
		if s, ok := parseHeader(strings.TrimRight(line, "\r\n")); ok && line[0] != ' ' && line[0] != '\t' && line[0] != '#' {
			realms = append(realms, s.ID)
		}
	}
	slices.Sort(realms)
	return slices.Compact(realms), nil
}
