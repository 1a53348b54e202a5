package storage

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// Validate returns every fault of the spec, by Proxmox's own rules.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if !regexp.MustCompile(`^[a-z][a-z0-9_.-]*[a-z0-9]$`).MatchString(s.ID) {
		out.Add("id", fmt.Sprintf("%q is no storage ID", s.ID), "at least two characters: a lower-case letter, then letters, digits, - _ . and a letter or digit last")
	}
	kind, known := kinds()[s.Type]
	if !known {
		out.Add("type", fmt.Sprintf("%q is not supported", s.Type), "one of "+typeNames())
		return out
	}
	out = append(out, s.typeProblems(kind)...)
	switch {
	case s.ID == "local" && s.Type != "dir":
		out.Add("type", `the storage "local" can only be a dir`, "Proxmox puts it back; use another ID")
	case s.ID == "local" && s.Path != "/var/lib/vz":
		out.Add("path", `the storage "local" can only be at /var/lib/vz`, "Proxmox puts it back there; use another ID")
	}
	out = append(out, s.contentProblems(kind)...)
	for i, n := range s.Nodes {
		if !regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`).MatchString(n) {
			out.Add(fmt.Sprintf("nodes.%d", i), fmt.Sprintf("%q is no node name", n), "")
		}
	}
	if s.ID == "local" && len(s.Nodes) > 0 {
		out.Add("nodes", `the storage "local" is on every node`, "leave nodes out")
	}
	if s.PruneBackups != "" {
		out = append(out, pruneProblems(s.PruneBackups)...)
	}
	return out
}

// typeProblems compares what is given with what the type needs and knows.
func (s *Spec) typeProblems(kind kindOf) []tasks.Problem {
	var out tasks.Problems
	given := make(map[string]bool)
	for _, w := range s.words() {
		given[w.path] = w.want != ""
		if hint := w.fault(); hint != "" {
			out.Add(w.path, fmt.Sprintf("%q is no %s", w.want, w.path), hint)
		}
	}
	for _, b := range s.switches() {
		given[b.path] = b.want != nil && b.path != "disabled"
	}
	given["prune_backups"] = s.PruneBackups != ""
	given["password"] = s.Password != nil
	for _, path := range kind.needs {
		if !given[path] {
			out.Add(path, fmt.Sprintf("a storage of type %s needs %s", s.Type, path), "")
		}
	}
	for _, path := range tasks.Keys(given) {
		if given[path] && !kind.isFixed(path) && !slices.Contains(kind.may, path) {
			out.Add(path, fmt.Sprintf("a storage of type %s has no %s", s.Type, path), "leave it out")
		}
	}
	if given["password"] && !given["username"] && s.Type == "cifs" {
		out.Add("password", "a password needs a username", "Proxmox logs in as a guest without one")
	}
	return out
}

// fault says how the value would have to look, when it is none.
func (w word) fault() string {
	forms := map[string]struct{ pattern, hint string }{
		"pool":       {`^[A-Za-z][A-Za-z0-9_.:-]*(/[A-Za-z0-9][A-Za-z0-9_.:-]*)*$`, "a ZFS pool, or POOL/DATASET"},
		"vgname":     {`^[A-Za-z0-9_+.][A-Za-z0-9_+.-]*$`, "a volume group"},
		"thinpool":   {`^[A-Za-z0-9_+.][A-Za-z0-9_+.-]*$`, "a thin pool of the volume group"},
		"server":     {`^[A-Za-z0-9:][A-Za-z0-9.:-]*$`, "a host name or an address"},
		"share":      {`^[^-/\\\s][^/\\]*$`, "the share's name, without the server and without slashes"},
		"blocksize":  {`^[1-9][0-9]*[kKmM]?$`, "a power of two such as 16k"},
		"options":    {`^[^-\s]\S*$`, "without blanks, such as vers=4.2,soft"},
		"username":   {`^[^-\s]\S*$`, "a name without blanks"},
		"domain":     {`^[^-\s]\S*$`, "a name without blanks"},
		"smbversion": {`^(default|2\.0|2\.1|3|3\.0|3\.11)$`, "one of default, 2.0, 2.1, 3, 3.0, 3.11"},
	}
	form, other := forms[w.path], ""
	switch w.path {
	case "path", "export", "mountpoint":
		if !path.IsAbs(w.want) || path.Clean(w.want) != w.want || w.want == "/" && w.path != "export" {
			other = "an absolute, clean path of a directory, such as /srv/backups"
		}
		form.pattern = `.*`
	}
	switch {
	case w.want == "":
		return ""
	case unprintable(w.want):
		return "one line without control characters"
	case !regexp.MustCompile(form.pattern).MatchString(w.want):
		return form.hint
	}
	return other
}

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func (s *Spec) contentProblems(kind kindOf) []tasks.Problem {
	var out tasks.Problems
	for i, c := range s.Content {
		at := fmt.Sprintf("content.%d", i)
		if !slices.Contains(kind.content, c) {
			out.Add(at, fmt.Sprintf("%q is no content of a storage of type %s", c, s.Type), "one of "+strings.Join(kind.content, ", "))
		}
		if c == "none" && len(s.Content) > 1 {
			out.Add(at, `"none" excludes every other content`, "")
		}
	}
	return out
}

func pruneProblems(v string) []tasks.Problem {
	keys := regexp.MustCompile(`^keep-(all=[01]|(last|hourly|daily|weekly|monthly|yearly)=[0-9]+)$`)
	parts := pve.SplitSet(v)
	for _, part := range parts {
		if !keys.MatchString(part) {
			return []tasks.Problem{{
				Path: "prune_backups", Summary: fmt.Sprintf("%q is no retention option", part),
				Hint: "such as keep-last=3,keep-weekly=2, or keep-all=1",
			}}
		}
		if part == "keep-all=1" && len(parts) > 1 {
			return []tasks.Problem{{Path: "prune_backups", Summary: "keep-all=1 excludes every other retention option"}}
		}
	}
	return nil
}
