package plan

import (
	"slices"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/nvidiaguest"
)

// hasGPUs tells whether the configuration of a host has something to do with cards.
func hasGPUs(h *inventory.Host) bool {
	if v := h.Hypervisor; v != nil && (v.NVIDIA != nil || v.Cards != nil || v.MIG != nil) {
		return true
	}
	return slices.ContainsFunc(h.Containers, func(c inventory.Container) bool { return withCards(h, &c) })
}

// withCards tells whether a container is to have cards: by what it says itself, or else by
// what the nearest one says that it is cloned from.
func withCards(h *inventory.Host, c *inventory.Container) bool {
	if c.Spec.State == lxc.StateAbsent {
		return false
	}
	for range h.Containers { // a circle is a fault, and told elsewhere
		if c.Request != nil || len(c.Spec.GPUAssignment) > 0 {
			return c.Request != nil || c.Spec.GetsGPUs()
		}
		i := slices.IndexFunc(h.Containers, func(o inventory.Container) bool { return o.Spec.CTID == c.Spec.CloneFromCTID })
		if i < 0 || c.Spec.CloneFromCTID == 0 {
			return false
		}
		c = &h.Containers[i]
	}
	return false
}

// gpuTags choose the step.
func gpuTags() []string { return []string{gpus.Name, "nvidia", gpus.StepID} }

// judgeGPUs is the question how the cards are. It needs no other step and comes last: it
// is about the host as it is. Where the feature nvidia sees to the user space of a
// container, nobody else asks for it.
func judgeGPUs(h *inventory.Host, ask *gpus.Spec) (tasks.Step, error) {
	spec := gpus.Spec{Probe: ask.Probe, Inspect: true}
	for i := range h.Containers {
		c := &h.Containers[i]
		feature := slices.ContainsFunc(c.Inside, func(i inventory.Inside) bool { return i.Kind == nvidiaguest.Name })
		if withCards(h, c) && c.Spec.Runs() && !feature {
			spec.Guests = append(spec.Guests, c.Spec.CTID)
		}
	}
	s, err := tasks.NewStep(gpus.Name, gpus.StepID, &spec)
	s.Tags = gpuTags()
	return s, err
}
