package pyservice

import (
	"phoenix/tasks/daemon"
	"phoenix/tasks/secret"
)

// Spec is the services of one container by their names, which are those of their units,
// too. None is nothing to do.
type Spec map[string]Service

// Service is one program in a virtual environment of its own.
type Service struct {
	// Python is the interpreter that the environment is made with: a name such as
	// python3.12, or an absolute path. Empty means python3.
	Python string `json:"python,omitempty"`
	// Venv is the folder of the environment; empty means /opt/NAME/venv.
	Venv string `json:"venv,omitempty"`
	// Packages of Python: "name==version", or "name" in any version. What is installed
	// beside them is left alone.
	Packages []string `json:"packages,omitempty"`
	// Requirements is the text of a requirements file, for what Packages cannot say.
	Requirements string `json:"requirements,omitempty"`
	// IndexURL replaces the index of PyPI; ExtraIndexURL is asked beside it.
	IndexURL      string `json:"index_url,omitempty"`
	ExtraIndexURL string `json:"extra_index_url,omitempty"`
	// SystemPackages of the distribution that the program needs.
	SystemPackages []string `json:"system_packages,omitempty"`
	// Command of the service; its program is looked for in the environment first. Without
	// one there is no service, and the environment alone is kept.
	Command []string `json:"command,omitempty"`
	// Environment are variables of the service.
	Environment map[string]string `json:"environment,omitempty"`
	// Secrets are variables whose values nobody but root and the service may read.
	Secrets map[string]secret.Ref `json:"secrets,omitempty"`
	// User that the service runs as; empty means one of the service's name, which is made.
	User string `json:"user,omitempty"`
	// WorkingDirectory of the service, which must exist; empty means /var/lib/phoenix-NAME,
	// which is made and is the user's.
	WorkingDirectory string `json:"working_directory,omitempty"`
	// Ready is how the service shows that it works; nil asks systemd alone.
	Ready *daemon.Ready `json:"ready,omitempty"`
}
