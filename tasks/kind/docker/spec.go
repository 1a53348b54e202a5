package docker

import (
	"encoding/json"

	"phoenix/tasks/secret"
)

// Spec is Docker in one container. The zero value is Docker of the distribution, with
// logs that are bounded.
type Spec struct {
	// Source is "distribution" (docker.io; docker on Alpine) or "docker-ce" (Docker's own
	// archive, for Debian and Ubuntu). Empty keeps the one that is installed, and takes
	// the distribution's where there is none.
	Source string `json:"source,omitempty"`
	// ComposePlugin installs docker compose; nil means where there are projects.
	ComposePlugin *bool `json:"compose_plugin,omitempty"`
	// LogDriver of containers; empty is not managed, and Docker's default is json-file.
	LogDriver string `json:"log_driver,omitempty"`
	// LogOptions of the log driver. Without any, json-file is bounded to 3 files of 10 MB
	// for each container, unless daemon.json says otherwise; {} leaves it unbounded.
	LogOptions map[string]string `json:"log_options,omitzero"`
	// RegistryMirrors are addresses that are asked before Docker Hub.
	RegistryMirrors []string `json:"registry_mirrors,omitempty"`
	// InsecureRegistries may be spoken with without TLS: HOST[:PORT] or CIDR.
	InsecureRegistries []string `json:"insecure_registries,omitempty"`
	// DataRoot is where images and containers are; empty is not managed.
	DataRoot string `json:"data_root,omitempty"`
	// LiveRestore keeps containers running while the daemon is restarted; nil is not managed.
	LiveRestore *bool `json:"live_restore,omitempty"`
	// StorageDriver is written as it is; empty chooses one where Docker would choose a bad one.
	StorageDriver string `json:"storage_driver,omitempty"`
	// Daemon has any other keys of daemon.json.
	Daemon map[string]json.RawMessage `json:"daemon,omitempty"`
	// Users of the guest that are members of the group docker, which is as good as root.
	Users []string `json:"users,omitempty"`
	// Compose are projects by name. Others are left alone.
	Compose map[string]Project `json:"compose,omitempty"`
	// NVIDIA gives containers the GPUs of the guest; nil is not managed.
	NVIDIA *NVIDIA `json:"nvidia,omitempty"`
}

// Project is one project of docker compose.
type Project struct {
	// Files by name, relative to the directory; one of them is the compose file.
	Files map[string]secret.Text `json:"files"`
	// Env is written to the file .env beside them.
	Env map[string]secret.Text `json:"env,omitempty"`
	// Directory of the files, absolute; empty means /opt/compose/NAME.
	Directory string `json:"directory,omitempty"`
	// State is "up" (also when empty) or "down".
	State string `json:"state,omitempty"`
}

// NVIDIA is how containers get GPUs.
type NVIDIA struct {
	// Mode is "cdi" (docker run --device nvidia.com/gpu=all), "legacy" (--gpus all), or
	// "auto" (also when empty): cdi from Docker 25 and version 1.18 of the toolkit on.
	Mode string `json:"mode,omitempty"`
}

// The values of Source, State and Mode.
const (
	SourceCE           = "docker-ce"
	SourceDistribution = "distribution"
	StateUp            = "up"
	StateDown          = "down"
	ModeAuto           = "auto"
	ModeCDI            = "cdi"
	ModeLegacy         = "legacy"
)
