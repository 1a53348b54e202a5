// Package kind lists every kind of thing that phoenix can manage, in plain sight.
//
// It is the one place to add a family to, beside its own package. It manages
// nothing itself. Start reading at All.
package kind

import (
	"phoenix/tasks"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/exec"
	"phoenix/tasks/kind/facts"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/service"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/kind/template"
)

// All returns every kind, each call a fresh registry.
func All() tasks.Registry {
	return tasks.NewRegistry(
		apt.Kind(),
		exec.Kind(),
		facts.Kind(),
		file.Kind(),
		lxc.Kind(),
		service.Kind(),
		storage.Kind(),
		system.Kind(),
		template.Kind(),
	)
}
