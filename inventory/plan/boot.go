package plan

import (
	"phoenix/inventory"
	"phoenix/tasks/kind/bootcheck"
)

// bootCheck adds the question which containers would start after a reboot. It needs no
// other step: it is about the host as it is.
func (b *builder) bootCheck(h *inventory.Host) {
	spec := &bootcheck.Spec{}
	for i := range h.Containers {
		c := &h.Containers[i].Spec
		if len(c.DependsOn) > 0 {
			if spec.DependsOn == nil {
				spec.DependsOn = make(map[int][]int)
			}
			spec.DependsOn[c.CTID] = c.DependsOn
		}
	}
	b.add(bootcheck.Name, bootcheck.Name+":host", bootcheck.Name, spec, nil, nil)
}
