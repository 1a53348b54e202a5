package pveuser

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// Validate returns every fault of the spec, by Proxmox's own rules
// (PVE::AccessControl, pve-access-control 8.2).
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if !regexp.MustCompile(`^[^\s:/@!,;]{1,60}$`).MatchString(s.Name) || strings.HasPrefix(s.Name, "-") || pve.HasControl(s.Name) {
		out.Add("name", fmt.Sprintf("%q is no name of a user", s.Name), "no blank and none of : / @ ! , ; (60 characters at most)")
	}
	if s.Realm != "" && !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]+$`).MatchString(s.Realm) {
		out.Add("realm", fmt.Sprintf("%q is no name of a realm", s.Realm), "pam, pve, or a directory that is set up")
	}
	if s.ID() == pve.RootUser {
		if s.Enabled != nil && !*s.Enabled {
			out.Add("enabled", "root@pam cannot be disabled", "")
		}
		if len(s.ACL) > 0 {
			out.Add("acl", "root@pam may do everything already", "leave acl out")
		}
	}
	if pve.HasControl(s.Comment) || strings.TrimSpace(s.Comment) != s.Comment {
		out.Add("comment", "has a line break, or blanks at an end", "")
	}
	if s.Email != "" && !regexp.MustCompile(`^[^\s:@]+@[^\s:@]+$`).MatchString(s.Email) || pve.HasControl(s.Email) {
		out.Add("email", fmt.Sprintf("%q is no address", s.Email), "such as ann@example.org")
	}
	for i, g := range s.Groups {
		switch {
		case !word(g):
			out.Add(fmt.Sprintf("groups.%d", i), fmt.Sprintf("%q is no name of a group", g), "letters, digits and . _ -")
		case slices.Contains(s.Groups[:i], g):
			out.Add(fmt.Sprintf("groups.%d", i), fmt.Sprintf("the group %s is listed twice", g), "")
		}
	}
	return append(out, s.rightProblems()...)
}

func word(s string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9._-]+$`).MatchString(s) && s[0] != '-'
}

func (s *Spec) rightProblems() []tasks.Problem {
	var out tasks.Problems
	for i, r := range s.ACL {
		at := fmt.Sprintf("acl.%d", i)
		if !aclPath(r.Path) {
			out.Add(at+".path", fmt.Sprintf("%q is no path that rights are given at", r.Path), "/, /vms/900, /storage/local, /pool/lab, /nodes/pve, /access, /sdn, /mapping, without a slash at the end")
		}
		if !word(r.Role) {
			out.Add(at+".role", fmt.Sprintf("%q is no name of a role", r.Role), "such as Administrator, PVEVMAdmin or PVEAuditor")
		}
		if slices.ContainsFunc(s.ACL[:i], func(o Right) bool { return o.Path == r.Path && o.Role == r.Role }) {
			out.Add(at, fmt.Sprintf("the role %s at %s is listed twice", r.Role, r.Path), "")
		}
	}
	return out
}

// aclPath knows the forms that PVE::AccessControl::check_path does.
func aclPath(p string) bool {
	const part = `[A-Za-z0-9._-]+`
	return p == "/" || regexp.MustCompile(`^/(access(/groups(/`+part+`)?|/realm(/`+part+`)?)?|nodes(/`+part+`)?|pool(/`+part+`){0,3}|`+
		`sdn(/`+part+`){0,4}|storage(/`+part+`)?|vms(/[1-9][0-9]{2,8})?|mapping(/`+part+`){0,2})$`).MatchString(p)
}
