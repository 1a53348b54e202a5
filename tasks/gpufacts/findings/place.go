package findings

import "phoenix/tasks/gpufacts"

// Place tells of cards that the driver gives no handle of which they are: of one that is
// lost, only its index is known. The driver counts in the order of addresses
// (nvmlDeviceGetHandleByIndex in nvml.h), so that it is one of those on the bus that are the
// driver's and that nobody else is. It tells whether it has found any.
func Place(h *gpufacts.Host) bool {
	var bound, left []*gpufacts.Card
	told := map[string]bool{}
	for i := range h.GPUs {
		told[h.GPUs[i].PCIAddress] = true
	}
	for i := range h.Cards {
		if c := &h.Cards[i]; c.Driver == "nvidia" && c.Node != "" {
			bound = append(bound, c)
			if !told[c.Address] {
				left = append(left, c)
			}
		}
	}
	var lacking []*gpufacts.GPU
	for i := range h.GPUs {
		if g := &h.GPUs[i]; g.PCIAddress == "" && g.Error != nil {
			lacking = append(lacking, g)
		}
	}
	found := false
	for i, g := range lacking {
		var c *gpufacts.Card
		switch {
		case len(lacking) == len(left):
			c = left[i]
		case g.Index >= 0 && g.Index < len(bound) && !told[bound[g.Index].Address]:
			c = bound[g.Index]
		default:
			continue // one that is not on the bus any more
		}
		g.PCIAddress, found, told[c.Address] = c.Address, true, true
		if g.UUID == "" {
			g.UUID = c.UUID
		}
	}
	return found
}
