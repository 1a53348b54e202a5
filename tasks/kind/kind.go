// Package kind lists every kind of thing that phoenix can manage, in plain sight.
//
// It is the one place to add a family to, beside its own package. It manages
// nothing itself. Start reading at All.
package kind

import (
	"phoenix/tasks"
	"phoenix/tasks/kind/application"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/arc"
	"phoenix/tasks/kind/basesetup"
	"phoenix/tasks/kind/bootcheck"
	"phoenix/tasks/kind/containers"
	"phoenix/tasks/kind/dataset"
	"phoenix/tasks/kind/dns"
	"phoenix/tasks/kind/docker"
	"phoenix/tasks/kind/exec"
	"phoenix/tasks/kind/facts"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/firewall"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/kind/guestfirewall"
	"phoenix/tasks/kind/health"
	"phoenix/tasks/kind/kernel"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/mig"
	"phoenix/tasks/kind/network"
	"phoenix/tasks/kind/nfs"
	"phoenix/tasks/kind/nvidia"
	"phoenix/tasks/kind/nvidiaguest"
	"phoenix/tasks/kind/ollama"
	"phoenix/tasks/kind/packages"
	"phoenix/tasks/kind/portainer"
	"phoenix/tasks/kind/power"
	"phoenix/tasks/kind/pveuser"
	"phoenix/tasks/kind/pyservice"
	"phoenix/tasks/kind/reboot"
	"phoenix/tasks/kind/repository"
	"phoenix/tasks/kind/rollback"
	"phoenix/tasks/kind/samba"
	"phoenix/tasks/kind/script"
	"phoenix/tasks/kind/service"
	"phoenix/tasks/kind/snapshot"
	"phoenix/tasks/kind/status"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/kind/template"
	"phoenix/tasks/kind/trustedca"
	"phoenix/tasks/kind/upgrade"
	"phoenix/tasks/kind/user"
	"phoenix/tasks/kind/vllm"
	"phoenix/tasks/kind/zpool"
)

// All returns every kind, each call a fresh registry.
func All() tasks.Registry {
	return tasks.NewRegistry(
		application.Kind(),
		apt.Kind(),
		arc.Kind(),
		basesetup.Kind(),
		bootcheck.Kind(),
		containers.Kind(),
		dataset.Kind(),
		dns.Kind(),
		docker.Kind(),
		exec.Kind(),
		facts.Kind(),
		file.Kind(),
		firewall.Kind(),
		gpus.Kind(),
		guestfirewall.Kind(),
		health.Kind(),
		kernel.Kind(),
		lxc.Kind(),
		mig.Kind(),
		network.Kind(),
		nfs.Kind(),
		nvidia.Kind(),
		nvidiaguest.Kind(),
		ollama.Kind(),
		packages.Kind(),
		portainer.Kind(),
		power.Kind(),
		pveuser.Kind(),
		pyservice.Kind(),
		reboot.Kind(),
		repository.Kind(),
		rollback.Kind(),
		samba.Kind(),
		script.Kind(),
		service.Kind(),
		snapshot.Kind(),
		status.Kind(),
		storage.Kind(),
		system.Kind(),
		template.Kind(),
		trustedca.Kind(),
		upgrade.Kind(),
		user.Kind(),
		vllm.Kind(),
		zpool.Kind(),
	)
}
