package inventory

import (
	"slices"

	"phoenix/inventory/document"
	"phoenix/tasks/kind/kernel"
	"phoenix/tasks/kind/nvidia"
)

// hardware reads the sections of the kernel and of NVIDIA's driver, and finds where one
// would keep the other from working.
func (l *loader) hardware(root *document.Node, v *Hypervisor) {
	v.Kernel = one[kernel.Spec](l, root, "kernel")
	v.NVIDIA = one[nvidia.Spec](l, root, "nvidia")
	if v.Kernel == nil || v.NVIDIA == nil || v.NVIDIA.Driver == "" {
		return
	}
	for i, module := range v.Kernel.Blacklist {
		if slices.Contains([]string{"nvidia", "nvidia_uvm", "nvidia-uvm"}, module) {
			l.found.Add(root.Get("kernel").Get("blacklist").Items[i].Fault(module+" is blacklisted, and section nvidia wants it loaded", "take it out of the blacklist, or leave nvidia.driver out; a card for virtual machines is bound to vfio-pci instead"))
		}
	}
}
