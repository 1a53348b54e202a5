package samba

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
)

var (
	shareName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9 ._-]{0,78}[A-Za-z0-9._-])?\$?$`)
	userName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$`)
	// A backslash is between a domain and a name; at the end it would join the next line.
	listEntry = regexp.MustCompile(`^[@+&]{0,2}[A-Za-z0-9_]([A-Za-z0-9_.\\-]*[A-Za-z0-9_.-])?\$?$`)
	maskValue = regexp.MustCompile(`^[0-7]{3,4}$`)
	optName   = regexp.MustCompile(`^[a-z][a-z0-9 :_.-]*[a-z0-9]$`)
)

// Validate returns every fault of the spec. What Samba itself refuses is known on the
// host, where testparm reads the file before it is installed.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if s.Workgroup != "" && !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,14}$`).MatchString(s.Workgroup) {
		out.Add("workgroup", fmt.Sprintf("%q is no workgroup", s.Workgroup), "at most 15 letters and digits")
	}
	seen := make(map[string]string)
	for _, name := range tasks.Keys(s.Shares) {
		at, low := "shares."+name, strings.ToLower(name)
		switch {
		case !shareName.MatchString(name):
			out.Add(at, fmt.Sprintf("%q is no name of a share", name), "letters, digits, blanks inside, . _ - and $ at the end, at most 80")
		case slices.Contains([]string{"global", "homes", "printers", "print$", "ipc$"}, low):
			out.Add(at, "is one of Samba's own sections", "write it into smb.conf, or choose another name")
		case seen[low] != "":
			out.Add(at, "is the same share as "+seen[low]+" to Samba, which does not tell case apart", "")
		}
		seen[low] = name
		share := s.Shares[name]
		share.check(&out, at+".")
	}
	for _, name := range tasks.Keys(s.Users) {
		at := "users." + name
		if !userName.MatchString(name) {
			out.Add(at, fmt.Sprintf("%q is no user", name), "")
		}
		if p := s.Users[name].Password; p == nil || p.Name == "" {
			out.Add(at+".password", "names no secret", `{"secret": "NAME"}`)
		}
	}
	return out
}

func (s *Share) check(out *tasks.Problems, at string) {
	*out = append(*out, s.Spec.Validate(at, at+"path", s.Path)...)
	if strings.Contains(s.Path, "%") {
		out.Add(at+"path", "has a variable of Samba in it", "a share of phoenix is one directory; write others into smb.conf")
	}
	if fault := valueFault(s.Path); s.Path != "" && fault != "" {
		out.Add(at+"path", fault, "")
	}
	if fault := valueFault(s.Comment); s.Comment != "" && fault != "" {
		out.Add(at+"comment", fault, "")
	}
	for key, list := range map[string][]string{"valid_users": s.ValidUsers, "write_list": s.WriteList} {
		for i, name := range list {
			if !listEntry.MatchString(name) {
				out.Add(fmt.Sprintf("%s%s.%d", at, key, i), fmt.Sprintf("%q is neither a user nor a group", name), "a name, or @NAME for a group")
			}
		}
	}
	for _, n := range []struct{ key, name string }{{"force_user", s.ForceUser}, {"force_group", s.ForceGroup}} {
		if n.name != "" && !listEntry.MatchString(n.name) {
			out.Add(at+n.key, fmt.Sprintf("%q is no name", n.name), "")
		}
	}
	for _, m := range []struct{ key, mask string }{{"create_mask", s.CreateMask}, {"directory_mask", s.DirectoryMask}} {
		if m.mask != "" && !maskValue.MatchString(m.mask) {
			out.Add(at+m.key, fmt.Sprintf("%q is no mask", m.mask), `three or four octal digits in quotes, such as "0660"`)
		}
	}
	for _, name := range tasks.Keys(s.Options) {
		at := at + "options." + name
		_, own := synonyms()[canonicalName(name)]
		switch {
		case own && key(canonicalName(name)) != "options."+canonicalName(name):
			out.Add(at, "has a key of its own", "set "+key(canonicalName(name)))
		case own:
			out.Add(at, "would read settings that phoenix does not see", "")
		case !optName.MatchString(name):
			out.Add(at, "is no parameter", "in lower case, as smb.conf(5) lists it")
		case valueFault(s.Options[name]) != "":
			out.Add(at, valueFault(s.Options[name]), "")
		}
	}
}

// valueFault refuses what would not come back from smb.conf as it went in.
func valueFault(v string) string {
	switch {
	case v == "":
		return "is empty"
	case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "has a line break or a control character"
	case strings.TrimSpace(v) != v:
		return "begins or ends with a blank"
	case strings.HasSuffix(v, "\\"):
		return "ends with a backslash, after which smb.conf goes on with the next line"
	case len(v) > 1 && v[0] == '"' && strings.HasSuffix(v, `"`):
		return "is in quotes, which Samba takes away"
	}
	return ""
}
