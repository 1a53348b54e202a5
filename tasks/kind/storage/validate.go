package storage

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// Validate returns every fault of the spec, by Proxmox's own rules.
func (s *Spec) Validate() []tasks.Problem {
	var out []tasks.Problem
	add := func(path, summary, hint string) {
		out = append(out, tasks.Problem{Path: path, Summary: summary, Hint: hint})
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9_.-]*[a-z0-9]$`).MatchString(s.ID) {
		add("id", fmt.Sprintf("%q is no storage ID", s.ID), "at least two characters: a lower-case letter, then letters, digits, - _ . and a letter or digit last")
	}
	if s.Type != "dir" {
		add("type", fmt.Sprintf("%q is not supported", s.Type), `the only type so far is "dir"`)
	}
	switch {
	case !path.IsAbs(s.Path) || path.Clean(s.Path) != s.Path || s.Path == "/" || unprintable(s.Path):
		add("path", fmt.Sprintf("%q is no absolute, clean path of a directory", s.Path), "such as /srv/backups")
	case s.ID == "local" && s.Path != "/var/lib/vz":
		add("path", `the storage "local" can only be at /var/lib/vz`, "Proxmox puts it back there; use another ID")
	}
	out = append(out, s.contentProblems()...)
	for i, n := range s.Nodes {
		if !regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`).MatchString(n) {
			add(fmt.Sprintf("nodes.%d", i), fmt.Sprintf("%q is no node name", n), "")
		}
	}
	if s.ID == "local" && len(s.Nodes) > 0 {
		add("nodes", `the storage "local" is on every node`, "leave nodes out")
	}
	if s.PruneBackups != "" {
		out = append(out, pruneProblems(s.PruneBackups)...)
	}
	return out
}

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func (s *Spec) contentProblems() []tasks.Problem {
	var out []tasks.Problem
	for i, c := range s.Content {
		at := fmt.Sprintf("content.%d", i)
		if !validContent(c) {
			out = append(out, tasks.Problem{Path: at, Summary: fmt.Sprintf("%q is no kind of content", c), Hint: "one of " + strings.Join(contents(), ", ")})
		}
		if c == "none" && len(s.Content) > 1 {
			out = append(out, tasks.Problem{Path: at, Summary: `"none" excludes every other content`})
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
