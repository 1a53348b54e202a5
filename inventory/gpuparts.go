package inventory

import (
	"fmt"
	"iter"
	"slices"

	"phoenix/inventory/diag"
	"phoenix/tasks/gpu"
)

// parts are the cards that two containers share in parts: one has the card, or all, and
// the other a MIG instance of it. Each comes by the name that the first container has for
// its side, with words for the other.
func (b *book) parts(u, o *holder) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, id := range u.ids {
			if of := b.cards[id].of; of != "" && (o.all || o.has(of)) && !yield(id, "a part of the card of") {
				return
			}
		}
		for _, id := range o.ids {
			if of := b.cards[id].of; of != "" && (u.all || u.has(of)) && !yield(of, "a part of which goes to") {
				return
			}
		}
	}
}

// takes counts how often a container takes its budget of a card: once for the card, or
// once for each of its instances.
func (b *book) takes(u *holder, id string) (n int) {
	if u.may(id) {
		return 1
	}
	for _, part := range u.ids {
		if b.cards[part].of == id {
			n++
		}
	}
	return n
}

// whole warns of a container that is given a card by name which is divided, or is to be:
// without the capabilities of an instance, no program can use it. Whether the card is
// divided now, only the host tells: divided, which may be nil.
func (b *book) whole(u *holder, divided map[string]bool) diag.List {
	var out diag.List
	for _, id := range u.ids {
		if b.cards[id].of != "" || b.divides(id) == (divided != nil) || divided != nil && !divided[id] {
			continue
		}
		d := u.c.place("gpu_assignment").Fault(fmt.Sprintf("container %d is given %s whole, which is divided (MIG): no program in it can use the card", u.c.Spec.CTID, b.called(u, id)),
			`name an instance of it (MIG-…), ask for one ({"mig": "1g.5gb"}), or have the card whole: "off" in nvidia.mig`)
		d.Severity = diag.Warning
		out.Add(d)
	}
	return out
}

// divides tells whether the configuration has the card divided: somebody is given a part
// of it, or the section nvidia says so.
func (b *book) divides(id string) bool {
	for _, g := range b.cards {
		if g.of == id {
			return true
		}
	}
	g := b.cards[id]
	if b.host.Hypervisor == nil || b.host.Hypervisor.MIG == nil {
		return false
	}
	for word, layout := range b.host.Hypervisor.MIG.Layouts {
		name, ok := gpu.CardName(word)
		if ok && !slices.Contains(layout, "off") && slices.Contains([]string{g.uuid, g.address, fmt.Sprint(g.index)}, name) {
			return true
		}
	}
	return false
}
