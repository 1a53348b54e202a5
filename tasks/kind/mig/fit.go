package mig

import (
	"errors"
	"slices"
	"sort"
	"strings"
)

// none is the canonical form of no instance.
const none = "none"

func canonical(list []string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, " ")
}

// described is the canonical form of what a card is divided into. A GPU instance with
// nothing in it can be used by no program.
func described(list []*instance) string {
	var parts, empty []string
	for _, g := range list {
		parts = append(parts, g.parts...)
		if len(g.parts) == 0 {
			empty = append(empty, g.profile+" without a compute instance")
		}
	}
	return canonical(append(sorted(parts), empty...))
}

// plan is what makes one division of another. What is wanted and there is kept: its
// UUID, which containers go by, would otherwise be lost.
type plan struct {
	destroy, create, fill []*instance
	// anew says that what could be kept is in the way of the rest.
	anew bool
}

// planFor compares. Without offers, places are not looked for. What a container is given
// is the last to make room: another instance of the profile is not the one that it has.
func planFor(now []*instance, want []string, offers []*offer) (*plan, error) {
	var given, free []*instance
	for _, g := range now {
		if len(g.given) > 0 {
			given = append(given, g)
		} else {
			free = append(free, g)
		}
	}
	now = append(given, free...)
	p, kept := compose(now, want, 0)
	if len(p.create) == 0 || offers == nil {
		return p, nil
	}
	for _, w := range want {
		if name, _, _, _ := shape(w); offerOf(offers, name) == nil {
			var all []string
			for _, o := range offers {
				all = append(all, o.name)
			}
			sort.Strings(all)
			return nil, errors.New("the card has no profile " + name + "; it offers " + strings.Join(all, ", "))
		}
	}
	if place(p.create, kept, offers) {
		return p, nil
	}
	p, fewer := compose(now, want, 1)
	if !place(p.create, fewer, offers) {
		p, fewer = compose(now, want, nobody)
		if !place(p.create, nil, offers) {
			return nil, errors.New(strings.Join(want, ", ") + " do not fit onto the card together")
		}
	}
	p.anew = len(kept) > len(fewer)
	return p, nil
}

// taken says which instances the plan would take away from containers; "" for none.
func (p *plan) taken() string {
	var out []string
	for _, g := range p.destroy {
		if len(g.given) > 0 {
			out = append(out, g.profile+" of "+strings.Join(g.given, ", "))
		}
	}
	return strings.Join(out, "; ")
}

func offerOf(offers []*offer, name string) *offer {
	for _, o := range offers {
		if o.name == name && len(o.starts) > 0 {
			return o
		}
	}
	return nil
}

// nobody is more than all containers of a host.
const nobody = 1 << 30

// compose keeps the GPU instances of which everything is wanted and that at least so many
// containers are given, puts what else is wanted where there is room in those, and the
// rest into new ones.
func compose(now []*instance, want []string, least int) (p *plan, kept []*instance) {
	p = &plan{}
	left := append([]string(nil), want...)
	var bins []*instance
	for _, g := range now {
		rest, all := append([]string(nil), left...), len(g.given) >= least
		for _, c := range g.parts {
			i := slices.Index(rest, c)
			if all = all && i >= 0; all {
				rest = append(rest[:i], rest[i+1:]...)
			}
		}
		if all {
			g.add = nil
			bins, left = append(bins, g), rest
		} else {
			p.destroy = append(p.destroy, g)
		}
	}
	for _, w := range left {
		name, _, _, _ := shape(w)
		g := room(bins, w)
		if g == nil {
			g = &instance{id: -1, profile: name}
			bins = append(bins, g)
		}
		g.add = append(g.add, w)
	}
	for _, g := range bins {
		switch {
		case g.id < 0:
			p.create = append(p.create, g)
			continue
		case len(g.add) > 0:
			p.fill = append(p.fill, g)
		case len(g.parts) == 0:
			p.destroy = append(p.destroy, g)
			continue
		}
		kept = append(kept, g)
	}
	return p, kept
}

// room is the first GPU instance of the profile that has enough slices left.
func room(bins []*instance, w string) *instance {
	name, compute, left, _ := shape(w)
	for _, g := range bins {
		used := compute
		for _, list := range [][]string{g.parts, g.add} {
			for _, c := range list {
				_, n, _, _ := shape(c)
				used += n
			}
		}
		if g.profile == name && used <= left {
			return g
		}
	}
	return nil
}

// place finds a place for each new GPU instance, in their order. The highest is tried
// first: the low ones are for what can be nowhere else, as a 4g.20gb.
func place(fresh, taken []*instance, offers []*offer) bool {
	if len(fresh) == 0 {
		return true
	}
	g := fresh[0]
	o := offerOf(offers, g.profile)
	same := 0
	for _, t := range taken {
		if t.profile == g.profile {
			same++
		}
	}
	for i := len(o.starts) - 1; i >= 0 && same < o.total; i-- {
		g.start = o.starts[i]
		if free(g.start, o.size, taken, offers) && place(fresh[1:], append(taken[:len(taken):len(taken)], g), offers) {
			return true
		}
	}
	return false
}

func free(start, size int, taken []*instance, offers []*offer) bool {
	for _, t := range taken {
		if o := offerOf(offers, t.profile); o == nil || start < t.start+o.size && t.start < start+size {
			return false
		}
	}
	return true
}
