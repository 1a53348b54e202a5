package inventory

import (
	"slices"

	"phoenix/inventory/document"
	"phoenix/tasks/kind/kernel"
	"phoenix/tasks/kind/mig"
	"phoenix/tasks/kind/nvidia"
)

// nvidiaDoc is the typed form of the section nvidia: the keys of the driver's family,
// those of the cards, and how these are divided.
type nvidiaDoc struct {
	Driver nvidia.Spec `json:",inline"`
	Cards  Cards       `json:",inline"`
	MIG    mig.Spec    `json:",inline"`
}

// nvidia reads the section. Whoever only says something of the cards does not manage the
// driver.
func (l *loader) nvidia(n *document.Node, v *Hypervisor) {
	if n == nil || n.Kind != document.Object {
		return
	}
	cards := []string{"gpu_policy", "gpus"}
	if driver := n.Without(append(cards, "mig")...); len(driver.Members) > 0 || len(n.Members) == 0 {
		v.NVIDIA = new(nvidia.Spec)
		l.decode(section{what: "section nvidia", node: driver, at: n.Pos}, v.NVIDIA)
	}
	if v.Cards = part[Cards](l, n, cards); v.Cards != nil {
		v.Cards.node = n
	}
	v.MIG = part[mig.Spec](l, n, []string{"mig"})
}

// hardware reads the sections of the kernel and of NVIDIA's driver, and finds where one
// would keep the other from working.
func (l *loader) hardware(root *document.Node, v *Hypervisor) {
	v.Kernel = one[kernel.Spec](l, root, "kernel")
	l.nvidia(root.Get("nvidia"), v)
	if v.Kernel == nil || v.NVIDIA == nil || v.NVIDIA.Driver == "" {
		return
	}
	for i, module := range v.Kernel.Blacklist {
		if slices.Contains([]string{"nvidia", "nvidia_uvm", "nvidia-uvm"}, module) {
			l.found.Add(root.Get("kernel").Get("blacklist").Items[i].Fault(module+" is blacklisted, and section nvidia wants it loaded", "take it out of the blacklist, or leave nvidia.driver out; a card for virtual machines is bound to vfio-pci instead"))
		}
	}
}
