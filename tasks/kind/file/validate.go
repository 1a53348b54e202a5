package file

import (
	"fmt"
	"path"
	"strings"

	"phoenix/tasks"
)

// maxContent keeps one file well below the size of a job's message.
const maxContent = 1 << 20

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	switch {
	case !path.IsAbs(s.Path) || path.Clean(s.Path) != s.Path || strings.ContainsFunc(s.Path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		out.Add("path", fmt.Sprintf("%q is no absolute, clean path", s.Path), "such as /etc/motd, without .. and without a slash at the end")
	case s.Path == "/":
		out.Add("path", "the root directory cannot be managed", "")
	}
	switch s.State {
	case "", StateFile, StateDirectory, StateAbsent:
	default:
		out.Add("state", fmt.Sprintf("%q is no state", s.State), "file, directory or absent")
	}
	if s.Content != nil {
		out = append(out, s.contentProblems()...)
	}
	return append(out, s.attrProblems()...)
}

func (s *Spec) contentProblems() []tasks.Problem {
	switch c := s.Content; {
	case s.State == StateDirectory || s.State == StateAbsent:
		return []tasks.Problem{{Path: "content", Summary: "only a file has content", Hint: `leave out state or content`}}
	case c.Ref == nil && c.Literal == nil:
		return []tasks.Problem{{Path: "content", Summary: "is null", Hint: "leave it out for content that is not managed"}}
	case c.Ref != nil && c.Ref.Name == "":
		return []tasks.Problem{{Path: "content.secret", Summary: "names no secret"}}
	case c.Literal != nil && len(*c.Literal) > maxContent:
		return []tasks.Problem{{Path: "content", Summary: fmt.Sprintf("has %d bytes, more than %d", len(*c.Literal), maxContent)}}
	}
	return nil
}

func (s *Spec) attrProblems() []tasks.Problem {
	var out tasks.Problems
	if s.Mode != "" && !isMode(s.Mode) {
		out.Add("mode", fmt.Sprintf("%q is no mode", s.Mode), `three or four octal digits in quotes, such as "0644"`)
	}
	for _, who := range []struct{ at, name string }{{"owner", s.Owner}, {"group", s.Group}} {
		if who.name != "" && !isName(who.name) {
			out.Add(who.at, fmt.Sprintf("%q is neither a name nor a number", who.name), "")
		}
	}
	any := s.Mode != "" || s.Owner != "" || s.Group != ""
	switch {
	case any && s.State == StateAbsent:
		out.Add("state", "what is absent has neither mode nor owner", "")
	case any && strings.HasPrefix(s.Path, clusterFiles):
		out.Add("mode", "the file system of /etc/pve decides modes and owners by itself", "leave mode, owner and group out")
	}
	return out
}

// isMode and isName are written out, because a check of hundreds of files spends
// more on compiling a pattern for each than on the files.

func isMode(s string) bool {
	return (len(s) == 3 || len(s) == 4) && strings.Trim(s, "01234567") == ""
}

// isName tells whether s can be a user or a group: useradd(8) and numbers.
func isName(s string) bool {
	for i, r := range strings.TrimSuffix(s, "$") {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
		if !letter && (i == 0 || r != '.' && r != '-') {
			return false
		}
	}
	return strings.TrimSuffix(s, "$") != ""
}
