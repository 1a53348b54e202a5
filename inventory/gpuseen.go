package inventory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/tasks/gpu"
	"phoenix/tasks/kind/lxc"
)

// SeenGPU is one card as its host has just told of it.
type SeenGPU struct {
	UUID, Address string
	Index         int
	// Divided is a card in MIG mode.
	Divided bool
	// Assigned are the containers that have it on the host.
	Assigned []int
}

// Unjudged lists the containers with cards where a rule is to be held, a budget or a policy
// that is exclusive, and the lock file does not know the cards that it is about. Then the
// host is asked, and the answer kept, so that it is asked once.
func (h *Host) Unjudged() []int {
	b := h.book()
	open := b.stranger()
	for _, u := range b.holders {
		open = open || u.budget > 0 && !b.knows(u, true) || h.mayExclude() && !b.knows(u, false)
	}
	var out []int
	for _, u := range b.holders {
		if open {
			out = append(out, u.c.Spec.CTID)
		}
	}
	return out
}

// mayExclude tells whether any card may be for one container only.
func (h *Host) mayExclude() bool {
	if h.Hypervisor == nil || h.Hypervisor.Cards == nil {
		return false
	}
	c := h.Hypervisor.Cards
	for _, s := range c.GPUs {
		if s.Policy == PolicyExclusive {
			return true
		}
	}
	return c.Policy == PolicyExclusive
}

// knows tells whether the lock file knows which cards a container has, and their memory
// where that matters. Of a card whose name is known the driver was asked for the memory
// too: asking again brings nothing.
func (b *book) knows(u *holder, memory bool) bool {
	known := func(id string) bool {
		c, there := b.kept.Cards[id]
		return there && (!memory || c.MemoryBytes > 0 || c.Name != "")
	}
	for _, id := range u.ids {
		if !known(b.cards[id].uuid) {
			return false
		}
	}
	// An index that is pinned for another container only is not this one's yet.
	for _, word := range u.words {
		if gpu.IsIndex(word) && b.kept.Containers[u.from].Names[word] == "" {
			return false
		}
	}
	if !u.all {
		return true
	}
	some := false
	for id := range b.kept.Cards {
		if gpu.IsUUID(id) {
			some = true
			if !known(id) {
				return false
			}
		}
	}
	return some
}

// stranger tells whether a policy is for a card that the lock file does not know, though
// it knows cards of the host.
func (b *book) stranger() bool {
	var seen []SeenGPU
	for id, c := range b.kept.Cards {
		if gpu.IsUUID(id) {
			// The indexes are not kept: so many cards have so many.
			seen = append(seen, SeenGPU{UUID: id, Address: c.PCIAddress, Index: len(seen)})
		}
	}
	return len(seen) > 0 && len(b.host.strangers(seen)) > 0
}

// strangers are the names of the section's policies that are none of the cards.
func (h *Host) strangers(seen []SeenGPU) (out []string) {
	if h.Hypervisor == nil || h.Hypervisor.Cards == nil {
		return nil
	}
	for _, word := range sortedKeys(h.Hypervisor.Cards.GPUs) {
		name, ok := gpu.CardName(word)
		if ok && !slices.ContainsFunc(seen, func(s SeenGPU) bool { return name == s.UUID || name == s.Address || name == strconv.Itoa(s.Index) }) {
			out = append(out, word)
		}
	}
	return out
}

// SeenFaults holds the containers and policies against what the host has told of its cards:
// what GPUFaults cannot know. The lock file has what the cards are called by then.
func (h *Host) SeenFaults(seen []SeenGPU) diag.List {
	b := h.book()
	var out diag.List
	divided := make(map[string]bool)
	for _, s := range seen {
		divided[s.UUID] = s.Divided
	}
	for _, u := range b.holders {
		for _, s := range seen {
			out.Add(b.taken(u, s)...)
		}
		out.Add(b.whole(u, divided)...)
	}
	if words := h.strangers(seen); len(words) > 0 && len(seen) > 0 {
		for _, word := range words {
			d := h.Hypervisor.Cards.place(word).Fault(fmt.Sprintf("%s has no card %s: the policy is nobody's", h.Name, word), "`phoenix gpus -o json` has the names of its cards")
			d.Severity = diag.Warning
			out.Add(d)
		}
	}
	return out
}

// taken finds that an exclusive card which a container is to be given is another's on the
// host, and stays with it: with one that phoenix does not manage, or whose configuration
// says nothing of cards any more.
func (b *book) taken(u *holder, s SeenGPU) diag.List {
	if !u.may(s.UUID) || s.UUID == "" || slices.Contains(s.Assigned, u.c.Spec.CTID) || b.host.GPUPolicy(s.UUID, s.Address, s.Index) != PolicyExclusive {
		return nil
	}
	var words []string
	managed := false
	for _, ctid := range slices.Sorted(slices.Values(s.Assigned)) {
		c := b.host.container(ctid)
		if c != nil && (c.Spec.State == lxc.StateAbsent || b.host.GPUSource(c) != nil) {
			continue
		}
		managed = managed || c != nil
		words = append(words, strconv.Itoa(ctid))
	}
	if len(words) == 0 {
		return nil
	}
	hint := "take the card away from it, or give this one another card"
	if managed {
		hint = `without the key, a container keeps the cards that it has: give that one "gpu_assignment": "none"`
	}
	return diag.List{u.c.place("gpu_assignment").Fault(fmt.Sprintf("container %d would share %s, whose policy is exclusive, with container %s, which has it on the host", u.c.Spec.CTID, b.called(u, s.UUID), strings.Join(words, ", ")), hint)}
}
