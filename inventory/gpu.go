package inventory

import (
	"fmt"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/tasks/kind/lxc"
)

// sharedGPUs warns of cards that several containers of a host get. Names of different
// kinds, an index and a UUID, can mean the same card; only the host could tell.
func (l *loader) sharedGPUs(h *hostEntry) {
	first := make(map[string]int) // container by the name of a card
	every, some := 0, 0           // the first that gets all, and the first that gets any
	for i := range h.Containers {
		c := &h.Containers[i]
		s, a := &c.Spec, c.Spec.GPUAssignment
		if s.State == lxc.StateAbsent || s.IsTemplate != nil && *s.IsTemplate || len(a) == 0 || a.None() {
			continue
		}
		var shared []string
		if a.All() && some != 0 {
			shared = append(shared, fmt.Sprintf("all, of which container %d gets some", some))
		}
		for _, name := range a.Cards() {
			before, taken := first[name]
			switch {
			case taken && before != s.CTID:
				shared = append(shared, fmt.Sprintf("%s with container %d", name, before))
			case !taken && every != 0:
				shared = append(shared, fmt.Sprintf("%s with container %d, which gets all", name, every))
			}
			if !taken {
				first[name] = s.CTID
			}
		}
		if a.All() && every == 0 {
			every = s.CTID
		}
		if some == 0 {
			some = s.CTID
		}
		if len(shared) > 0 {
			d := c.node.Get("gpu_assignment").Fault(fmt.Sprintf("container %d shares GPUs: %s", s.CTID, strings.Join(shared, "; ")),
				"what they run at the same time shares the card's memory")
			d.Severity = diag.Warning
			l.found.Add(d)
		}
	}
}
