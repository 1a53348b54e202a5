// Package pyservice keeps programs of Python running: a virtual environment, the packages
// in it, and a service of systemd that starts the program.
//
// A check reads what is installed from the *.dist-info folders of the environment and
// starts neither Python nor pip. pip is given everything that is wanted at once, and
// only when something differs; what else is in the environment is left alone. An
// environment of another interpreter is made anew. It never installs into the
// distribution's own Python. Start reading at Spec; venv.go has the environment, package
// daemon the service.
package pyservice

import (
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/daemon"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/parts"
)

// Name of the family in steps and in step IDs.
const Name = "python_service"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task {
	var all []parts.Part
	for _, name := range tasks.Keys(*s) {
		service := (*s)[name]
		all = append(all, parts.Part{Name: name, Task: service.Daemon(name).Task()})
	}
	return parts.New(all...)
}

// Daemon is the service with its environment, for a family that adds what it knows of its
// program. Problems must have found nothing.
func (s *Service) Daemon(name string) *daemon.Service {
	d, v := s.daemon(name), s.venv(name)
	d.Made = []parts.Part{{Name: "system", Task: (&apt.Spec{Packages: s.debs()}).Task()}, {Task: v, Name: "python"}}
	d.Revision = v.revision
	return d
}

func (s *Service) daemon(name string) *daemon.Service {
	return &daemon.Service{
		Name: name, Description: name + ", kept by phoenix", Command: s.command(name), Environment: s.Environment, Secrets: s.Secrets,
		User: s.User, WorkingDirectory: s.WorkingDirectory, Ready: s.Ready,
	}
}

func (s *Service) venv(name string) *venv {
	v := &venv{dir: s.dir(name), python: s.Python, packages: s.Packages, requirements: s.Requirements, index: s.IndexURL, extraFrom: s.ExtraIndexURL}
	if v.python == "" {
		v.python = "python3"
	}
	if len(s.Command) > 0 {
		v.service = name
	}
	return v
}

func (s *Service) dir(name string) string {
	if s.Venv == "" {
		return "/opt/" + name + "/venv"
	}
	return s.Venv
}

// command has the program by its absolute path: systemd knows nothing of the environment.
func (s *Service) command(name string) []string {
	if len(s.Command) == 0 || s.Command[0] == "" || path.IsAbs(s.Command[0]) {
		return s.Command
	}
	return append([]string{path.Join(s.dir(name), "bin", s.Command[0])}, s.Command[1:]...)
}

// debs are the packages of the distribution: Debian has the module venv apart from its
// interpreter.
func (s *Service) debs() []string {
	var out []string
	for _, p := range s.SystemPackages {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	switch {
	case s.Python == "":
		out = append(out, "python3-venv")
	case !strings.Contains(s.Python, "/"):
		out = append(out, s.Python+"-venv")
	}
	if s.Ready != nil && s.Ready.URL != "" {
		out = append(out, "curl")
	}
	slices.Sort(out)
	return slices.Compact(out)
}
