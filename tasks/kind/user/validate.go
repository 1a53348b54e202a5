package user

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if !accountName(s.Name) {
		out.Add("name", fmt.Sprintf("%q is no name of a user", s.Name), "a lower-case letter or _ first, then these, digits, - and . (32 at most)")
	}
	switch s.State {
	case "", StatePresent:
	case StateAbsent:
		if s.Name == "root" {
			out.Add("state", "root cannot be removed", "")
		}
		if s.says() {
			out.Add("state", "of a user that is to be absent nothing else can be said", "leave the other keys out")
		}
	default:
		out.Add("state", fmt.Sprintf("%q is no state", s.State), "present or absent")
	}
	if u := s.UID; u != nil && (*u < 0 || *u > 1<<31-2) {
		out.Add("uid", fmt.Sprintf("%d is no number of a user", *u), "0 to 2147483646")
	}
	if u := s.UID; u != nil && (*u == 0) != (s.Name == "root") {
		out.Add("uid", "the number 0 is root's, and root has no other", "leave uid out")
	}
	if strings.Contains(s.Comment, ":") || pve.HasControl(s.Comment) {
		out.Add("comment", "has a colon or a line break", "/etc/passwd has no room for them")
	}
	for _, p := range []struct{ key, value string }{{"home", s.Home}, {"shell", s.Shell}} {
		if p.value != "" && (!path.IsAbs(p.value) || path.Clean(p.value) != p.value || p.value == "/" || strings.Contains(p.value, ":") || pve.HasControl(p.value)) {
			out.Add(p.key, fmt.Sprintf("%q is no absolute, clean path", p.value), "without a colon, without .. and without a slash at the end")
		}
	}
	if s.Name == "root" && s.Home != "" && s.Home != "/root" {
		out.Add("home", "root's home directory is /root", "leave home out")
	}
	out = append(out, s.groupProblems()...)
	out = append(out, s.keyProblems()...)
	return append(out, s.sudoProblems()...)
}

// says tells whether anything but the name and the state is set.
func (s *Spec) says() bool {
	return s.UID != nil || s.Comment+s.Home+s.Shell != "" || s.System || s.Groups != nil || s.PasswordHash != nil ||
		s.Locked != nil || s.AuthorizedKeys != nil || s.ExclusiveKeys || s.Sudo != nil
}

// accountName allows lower case only: sudo takes a word in upper case for an alias, and
// ALL for everybody.
func accountName(s string) bool {
	return regexp.MustCompile(`^[a-z_][a-z0-9_.-]{0,31}$`).MatchString(s)
}

func (s *Spec) groupProblems() []tasks.Problem {
	var out tasks.Problems
	for i, g := range s.Groups {
		at := fmt.Sprintf("groups.%d", i)
		switch {
		case !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`).MatchString(g):
			out.Add(at, fmt.Sprintf("%q is no name of a group", g), "letters, digits and _ . - (32 at most)")
		case g == s.Name:
			out.Add(at, "the group of the user's own name comes with the user", "leave it out")
		case slices.Contains(s.Groups[:i], g):
			out.Add(at, fmt.Sprintf("the group %s is listed twice", g), "")
		}
	}
	return out
}

func (s *Spec) keyProblems() []tasks.Problem {
	var out tasks.Problems
	if s.ExclusiveKeys && len(s.AuthorizedKeys) == 0 {
		out.Add("exclusive_keys", "would lock everybody out: authorized_keys is empty", "list the keys that may stay")
	}
	seen := make(map[string]bool)
	for i, l := range s.AuthorizedKeys {
		at := fmt.Sprintf("authorized_keys.%d", i)
		k, err := parseKey(l)
		switch {
		case pve.HasControl(l):
			out.Add(at, "has a line break or a control character", "one key is one line")
		case err != nil:
			out.Add(at, err.Error(), "a line of a .pub file: [options] kind key [comment]; the kinds are "+strings.Join(keyKinds(), ", "))
		case seen[k.blob]:
			out.Add(at, "the same key is listed before", "")
		}
		seen[k.blob] = err == nil
	}
	return out
}

func (s *Spec) sudoProblems() []tasks.Problem {
	var out tasks.Problems
	for i, r := range s.Sudo {
		if !strings.Contains(r, "=") || strings.TrimSpace(r) != r || strings.HasSuffix(r, `\`) || strings.HasPrefix(r, ",") || pve.HasControl(r) {
			out.Add(fmt.Sprintf("sudo.%d", i), fmt.Sprintf("%q is no rule of one line", r), `HOSTS=(RUN-AS) COMMANDS, without the user's name: "ALL=(ALL:ALL) NOPASSWD: ALL"`)
		}
	}
	return out
}
