package main

import (
	"slices"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks/gpu"
	"phoenix/tasks/gpufacts/findings"
	"phoenix/tasks/kind/lxc"
)

// gpuGiven are the cards that the configuration of a host, with what is pinned, gives to its
// containers. An index that is not pinned can mean any card, and is none of them; nor is a
// part of a card, which its step compares.
func gpuGiven(h *inventory.Host) []findings.Given {
	kept := h.Lock().Lock.Kept(h.Name)
	var out []findings.Given
	for i := range h.Containers {
		c := &h.Containers[i]
		of := h.GPUSource(c)
		if of == nil || c.Spec.State == lxc.StateAbsent {
			continue
		}
		pin := kept.Containers[of.Spec.CTID]
		names := of.Spec.GPUAssignment.Cards()
		if of.Request != nil && len(names) == 0 {
			names = pin.GPUs
		}
		for _, name := range names {
			if id := pin.Names[name]; id != "" {
				name = id
			}
			g := findings.Given{CTID: c.Spec.CTID, Name: c.Spec.Name}
			switch {
			case gpu.IsUUID(name):
				g.UUID, g.Address = name, kept.Cards[name].PCIAddress
			case strings.HasPrefix(name, "MIG-"), gpu.IsIndex(name):
				continue
			default:
				g.Address = name
			}
			if !slices.Contains(out, g) {
				out = append(out, g)
			}
		}
	}
	return out
}
