package plan

import (
	"slices"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks/gpu"
	"phoenix/tasks/kind/kernel"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/mig"
	"phoenix/tasks/kind/nvidia"
	"phoenix/tasks/kind/reboot"
	"phoenix/tasks/kind/upgrade"
)

const (
	kernelID = "kernel:settings"
	nvidiaID = "nvidia:driver"
	rebootID = "reboot:host"
	migID    = "mig:host"
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

// mig comes behind what brings the driver, and before the containers that get parts of
// cards.
func (b *builder) mig(v *inventory.Hypervisor) {
	if v.MIG != nil {
		b.add(mig.Name, migID, "nvidia", v.MIG, []string{nvidiaID, rebootID}, nil)
	}
}

// divides tells whether the division of the cards is anything to a container: it gets an
// instance, or a card that may be one of those that are divided. One name tells two cards
// apart only from another of its form.
func divides(m *mig.Spec, c *lxc.Spec) bool {
	if c.GPUAssignment.All() || len(c.GPUAssignment.Instances()) > 0 || len(c.GPUAssignment) == 0 {
		return true // nobody has answered a request yet
	}
	return slices.ContainsFunc(c.GPUAssignment.Cards(), func(name string) bool {
		names := []string{name}
		if l := c.GPULedger; l != nil && l.Pins[name] != "" {
			names = append(names, l.Pins[name])
		}
		for word := range m.Layouts {
			card, _ := gpu.CardName(word)
			comparable := slices.ContainsFunc(names, func(n string) bool { return form(n) == form(card) })
			if !comparable || slices.Contains(names, card) {
				return true
			}
		}
		return false
	})
}

// form is how a card is named: by its UUID, its address or its index.
func form(name string) string {
	switch {
	case gpu.IsUUID(name):
		return "uuid"
	case strings.Contains(name, ":"):
		return "address"
	}
	return "index"
}
