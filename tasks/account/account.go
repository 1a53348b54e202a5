// Package account reads the machine's own users and groups, from /etc/passwd,
// /etc/group and /etc/shadow.
//
// Users that a directory service adds are not in these files and are not seen. The
// package never writes. Start reading at FindUser.
package account

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// The files, as in passwd(5), group(5) and shadow(5).
const (
	PasswdPath = "/etc/passwd"
	GroupPath  = "/etc/group"
	ShadowPath = "/etc/shadow"
)

// User is a line of /etc/passwd.
type User struct {
	Name     string
	UID, GID int
	// Comment is the whole GECOS field.
	Comment string
	Home    string
	Shell   string
}

// Group is a line of /etc/group.
type Group struct {
	Name string
	GID  int
	// Members are those that the group names; who has it as the primary group is
	// not among them.
	Members []string
}

// Has tells whether u is in the group, as a member or by the primary group.
func (g Group) Has(u User) bool { return g.GID == u.GID || slices.Contains(g.Members, u.Name) }

// FindUser returns the user of that name, and false when there is none.
func FindUser(h tasks.Host, name string) (User, bool, error) {
	data, err := h.ReadFile(PasswdPath)
	if err != nil {
		return User{}, false, fmt.Errorf("find user %s: %w", name, err)
	}
	f, ok := line(data, name)
	if !ok {
		return User{}, false, nil
	}
	if len(f) != 7 {
		return User{}, false, fmt.Errorf("find user %s: the line in %s has %d fields, not 7", name, PasswdPath, len(f))
	}
	uid, err1 := strconv.Atoi(f[2])
	gid, err2 := strconv.Atoi(f[3])
	if err1 != nil || err2 != nil {
		return User{}, false, fmt.Errorf("find user %s: the line in %s has the numbers %q and %q", name, PasswdPath, f[2], f[3])
	}
	return User{Name: name, UID: uid, GID: gid, Comment: f[4], Home: f[5], Shell: f[6]}, true, nil
}

// FindGroup returns the group of that name, and false when there is none.
func FindGroup(h tasks.Host, name string) (Group, bool, error) {
	data, err := h.ReadFile(GroupPath)
	if err != nil {
		return Group{}, false, fmt.Errorf("find group %s: %w", name, err)
	}
	f, ok := line(data, name)
	if !ok {
		return Group{}, false, nil
	}
	if len(f) != 4 {
		return Group{}, false, fmt.Errorf("find group %s: the line in %s has %d fields, not 4", name, GroupPath, len(f))
	}
	gid, err := strconv.Atoi(f[2])
	if err != nil {
		return Group{}, false, fmt.Errorf("find group %s: the line in %s has the number %q", name, GroupPath, f[2])
	}
	members := strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })
	return Group{Name: name, GID: gid, Members: members}, true, nil
}

// Password is the second field of the user's line in /etc/shadow: a hash, behind an
// exclamation mark when it is locked; "*" or "!" alone when there is no password. It
// is empty for a user without a line. It must not get into a message.
func Password(h tasks.Host, name string) (string, error) {
	data, err := h.ReadFile(ShadowPath)
	if err != nil {
		return "", fmt.Errorf("find the password of %s: %w", name, err)
	}
	f, _ := line(data, name)
	if len(f) < 2 {
		return "", nil
	}
	return f[1], nil
}

// line finds the first line whose first field is name, as the C library does, and
// splits it.
func line(data []byte, name string) ([]string, bool) {
	for _, l := range tasks.Lines(string(data)) {
		if f := strings.Split(strings.TrimRight(l, "\n"), ":"); f[0] == name {
			return f, true
		}
	}
	return nil, false
}
