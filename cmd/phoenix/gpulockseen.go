package main

import (
	"fmt"
	"slices"

	"phoenix/inventory"
	"phoenix/tasks/gpufacts"
)

// see notes what a host told of its cards, for the rules that only it can tell of.
func (c *gpuChoice) see(h *inventory.Host, data *gpufacts.Host) {
	var seen []inventory.SeenGPU
	for i := range data.GPUs {
		g := &data.GPUs[i]
		s := inventory.SeenGPU{UUID: g.UUID, Address: g.PCIAddress, Index: g.Index, Divided: g.MIG != nil && g.MIG.Enabled}
		if on := data.Card(g.PCIAddress); on != nil {
			s.Assigned = on.Assigned
		}
		seen = append(seen, s)
	}
	if c.seen == nil {
		c.seen = map[string][]inventory.SeenGPU{}
	}
	c.seen[h.Name] = seen
}

// instanceAhead adds what comes next where the instance that a container asks for is not
// there, and this run makes it: cards are chosen before anything is changed.
func (c *gpuChoice) instanceAhead(h *inventory.Host, ctid int, data *gpufacts.Host) string {
	i := slices.IndexFunc(h.Containers, func(o inventory.Container) bool { return o.Spec.CTID == ctid })
	if i < 0 || h.Containers[i].Request == nil || h.Containers[i].Request.MIG == "" || !c.divides[h.Name] {
		return ""
	}
	profile := h.Containers[i].Request.MIG
	wanted, there := 0, 0
	for _, layout := range h.Hypervisor.MIG.Layouts {
		for _, p := range layout {
			if p == profile {
				wanted++
			}
		}
	}
	for i := range data.GPUs {
		if m := data.GPUs[i].MIG; m != nil {
			for _, part := range m.Instances {
				if part.Profile == profile {
					there++
				}
			}
		}
	}
	if wanted <= there {
		return ""
	}
	return fmt.Sprintf("; mig:host makes %s: the `phoenix run` after it gives it", profile)
}
