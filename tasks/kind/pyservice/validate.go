package pyservice

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/daemon"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/pve"
)

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	for _, name := range tasks.Keys(*s) {
		if !daemon.ValidName(name) {
			out.Add(name, fmt.Sprintf("%q is no name of a service", name), "a lower-case letter first, then these, digits, - and _ (31 at most)")
			continue
		}
		service := (*s)[name]
		for _, p := range service.Problems(name) {
			p.Path = name + "." + p.Path
			out = append(out, p)
		}
	}
	return out
}

// Problems are the faults of one service.
func (s *Service) Problems(name string) []tasks.Problem {
	var out tasks.Problems
	if s.Python != "" && !regexp.MustCompile(`^(/([A-Za-z0-9_.+-]+/)*)?python3(\.[0-9]+)?$`).MatchString(s.Python) {
		out.Add("python", fmt.Sprintf("%q is no interpreter", s.Python), "python3, python3.12, or an absolute path to one of such a name")
	}
	if v := s.Venv; v != "" && (!path.IsAbs(v) || path.Clean(v) != v || strings.Count(v, "/") < 2 || strings.Trim(v, pathCharacters) != "") {
		out.Add("venv", fmt.Sprintf("%q is no folder for an environment", v), "an absolute, clean path with at least two parts, without spaces: /opt/"+name+"/venv")
	}
	seen := map[string]int{}
	for i, text := range s.Packages {
		at := fmt.Sprintf("packages.%d", i)
		r, ok := parseRequirement(text)
		switch _, twice := seen[r.name]; {
		case !ok || r.tail != "":
			out.Add(at, fmt.Sprintf("%q is neither a project nor a project with its exact version", text), "name==1.2.3, name[extra]==1.2.3 or name; put anything else into requirements")
		case twice:
			out.Add(at, fmt.Sprintf("%s is named twice", r.name), "")
		}
		seen[r.name] = i
	}
	if strings.ContainsFunc(s.Requirements, func(r rune) bool { return r != '\n' && r != '\t' && pve.HasControl(string(r)) }) {
		out.Add("requirements", "has a control character", "it is the text of a requirements file")
	}
	for _, u := range []struct{ key, value string }{{"index_url", s.IndexURL}, {"extra_index_url", s.ExtraIndexURL}} {
		parsed, err := url.Parse(u.value)
		switch {
		case u.value == "":
		case err != nil || parsed.Scheme != "https" && parsed.Scheme != "http" || parsed.Hostname() == "" || pve.HasControl(u.value):
			out.Add(u.key, fmt.Sprintf("%q is no address of an index", u.value), "https://pypi.org/simple")
		case parsed.User != nil:
			out.Add(u.key, "has a user name or a password", "every user of the machine sees the arguments of programs; use an index that asks for none")
		}
	}
	for _, p := range (&apt.Spec{Packages: s.SystemPackages}).Validate() {
		p.Path = "system_" + p.Path
		out = append(out, p)
	}
	for i, p := range s.SystemPackages {
		if strings.HasPrefix(p, "-") {
			out.Add(fmt.Sprintf("system_packages.%d", i), "a service takes no packages away", "use the packages of the container")
		}
	}
	if len(s.Command) == 0 && (s.Ready != nil || len(s.Environment)+len(s.Secrets) > 0) {
		out.Add("command", "is missing", "without one there is no service that could have variables or answer")
	}
	if len(s.Command) > 0 && !path.IsAbs(s.Command[0]) && strings.Contains(s.Command[0], "/") {
		out.Add("command.0", fmt.Sprintf("%q is neither a program of the environment nor an absolute path", s.Command[0]), "uvicorn, or /usr/bin/env")
	}
	return append(out, s.daemon(name).Validate()...)
}

const pathCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-/"
