package inventory

import (
	"fmt"
	"math"
	"strconv"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/tasks/kind/lxc"
)

// GPUFaults holds the rules between containers and cards against what the lock files know.
// Load has reported them; they can be asked again once Host.Pin has brought more.
func (f *Fleet) GPUFaults() diag.List {
	var out diag.List
	for _, h := range f.Hosts {
		out.Add(h.GPUFaults()...)
	}
	return out
}

// GPUFaults are those of one host. Names of different kinds, an index and a UUID, can mean
// the same card; without the lock file, only the host could tell.
func (h *Host) GPUFaults() diag.List {
	b := h.book()
	var out diag.List
	for i := range h.Containers {
		out.Add(h.idleBudget(&h.Containers[i])...)
	}
	for i, u := range b.holders {
		out.Add(b.shared(i)...)
		out.Add(b.whole(u, nil)...)
		out.Add(b.unlimited(u)...)
		out.Add(b.vllm(u)...)
	}
	for _, id := range sortedKeys(b.cards) {
		out.Add(b.budgets(b.cards[id])...)
	}
	return out
}

// saysGPUs tells whether the container's own configuration says anything of cards.
func (c *Container) saysGPUs() bool { return c.Request != nil || len(c.Spec.GPUAssignment) > 0 }

// GPUSource is the container whose configuration says what cards one has: itself, or the
// nearest that it is cloned from; nil where none says anything.
func (h *Host) GPUSource(c *Container) *Container {
	for _, p := range h.lineOf(c) {
		if p.saysGPUs() {
			return p
		}
	}
	return nil
}

// lineOf is a container and those that it is cloned from, the nearest first: a clone has
// what it says nothing of as its parent has it.
func (h *Host) lineOf(c *Container) []*Container {
	byID := make(map[int]*Container)
	for i := range h.Containers {
		byID[h.Containers[i].Spec.CTID] = &h.Containers[i]
	}
	return lineage(c, byID)
}

// GPUMemoryGB is what a container takes of the memory of each of its cards, in units of
// 10^9 bytes: what it says itself, or else the nearest it is cloned from; 0 is not said.
func (h *Host) GPUMemoryGB(c *Container) float64 {
	for _, p := range h.lineOf(c) {
		if p.GPUMemoryGB > 0 {
			return p.GPUMemoryGB
		}
	}
	return 0
}

// idleBudget finds a budget that is for no card.
func (h *Host) idleBudget(c *Container) diag.List {
	if c.GPUMemoryGB == 0 || c.Spec.State == lxc.StateAbsent || h.GPUSource(c) != nil {
		return nil
	}
	return diag.List{c.node.Get("gpu_memory_gb").Fault(fmt.Sprintf("container %d takes %s of each of its cards, and is given none", c.Spec.CTID, gigabytes(c.GPUMemoryGB)),
		"say in gpu_assignment which cards it gets, or take gpu_memory_gb out")}
}

// gigabytes writes a size in units of 10^9 bytes.
func gigabytes(gb float64) string {
	return strconv.FormatFloat(math.Round(gb*10)/10, 'f', -1, 64) + " GB"
}

// place is where a container says something, or where it says whose clone it is.
func (c *Container) place(path ...string) *document.Node {
	if n, rest := c.node.Find(path); len(rest) == 0 {
		return n
	}
	if n := c.node.Get("clone_from_ctid"); n != nil {
		return n
	}
	return c.node
}
