package plan

import (
	"phoenix/inventory"
	"phoenix/tasks/kind/containers"
)

// census looks at the containers of the host together: only a host that has an LXC file
// is said to have others.
func (b *builder) census(h *inventory.Host) {
	if h.LXC == "" {
		return
	}
	spec := &containers.Spec{Configured: []containers.Configured{}}
	for i := range h.Containers {
		s := &h.Containers[i].Spec
		spec.Configured = append(spec.Configured, containers.Configured{CTID: s.CTID, MemoryMB: s.MemoryMB, Runs: s.Runs()})
	}
	b.add(containers.Name, containers.StepID, "lxc_configs", spec, nil, nil)
}
