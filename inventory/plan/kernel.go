package plan

import (
	"phoenix/inventory"
	"phoenix/tasks/kind/kernel"
	"phoenix/tasks/kind/nvidia"
	"phoenix/tasks/kind/reboot"
	"phoenix/tasks/kind/upgrade"
)

const (
	kernelID = "kernel:settings"
	nvidiaID = "nvidia:driver"
	rebootID = "reboot:host"
)

// kernel comes early: bridges and ZFS need modules, and packages can bring some.
func (b *builder) kernel(v *inventory.Hypervisor) {
	if v.Kernel != nil {
		b.add(kernel.Name, kernelID, "kernel", v.Kernel, []string{packagesID}, nil)
	}
}

// nvidia comes after an upgrade, which may have brought the kernel that the driver is
// built for.
func (b *builder) nvidia(v *inventory.Hypervisor) {
	if v.NVIDIA != nil {
		b.add(nvidia.Name, nvidiaID, "nvidia", v.NVIDIA, []string{repositoriesID, packagesID}, nil)
	}
}

// reboot comes behind what may need one, and before the guests, whose devices it may
// bring. Whoever manages nothing of that kind is not told that a reboot is due.
func (b *builder) reboot(v *inventory.Hypervisor) {
	renamed := v.System != nil && v.System.Hostname != ""
	upgraded := v.Upgrade != nil && v.Upgrade.Upgrade != upgrade.Never
	if v.Kernel != nil || v.NVIDIA != nil || renamed || upgraded {
		b.add(reboot.Name, rebootID, "reboot", new(reboot.Spec), []string{"system:hostname", "apt:upgrade", kernelID, nvidiaID}, nil)
	}
}
