package gpulock

import (
	"fmt"
	"slices"
)

// hold notes that a container and its clones have a card, and with it all of its parts; a
// part may be held by itself.
func (p *picker) hold(uuid string, w *wanted) {
	s := p.slot(uuid)
	if s == nil {
		return
	}
	for _, o := range p.slots {
		if o == s || s.part == nil && o.part != nil && o.gpu == s.gpu {
			p.holdSlot(o, w)
		}
	}
}

func (p *picker) holdSlot(s *slot, w *wanted) {
	for _, o := range p.kin(w) {
		if !o.Idle {
			s.hold(o.CTID, bytesOf(o.BudgetGB))
		}
	}
}

func (p *picker) release(uuid string, w *wanted) {
	if s := p.slot(uuid); s != nil {
		kin := p.kin(w)
		s.holders = slices.DeleteFunc(s.holders, func(h holder) bool {
			return slices.ContainsFunc(kin, func(o *wanted) bool { return o.CTID == h.ctid })
		})
	}
}

// kin are a container and those that have its cards because they are cloned from it.
func (p *picker) kin(w *wanted) []*wanted {
	out := []*wanted{w}
	for _, o := range p.wants {
		if o.Of == w.CTID && o != w {
			out = append(out, o)
		}
	}
	return out
}

// others are those that have a card and are not of the container's kin: those that are to
// have it, and those that have it on the host until their own request is met. Where the
// container has it there itself, it is left so.
func (p *picker) others(s *slot, w *wanted) []holder {
	kin, assigned := p.kin(w), p.assigned(s)
	out := slices.DeleteFunc(slices.Clone(s.holders), func(h holder) bool {
		return slices.ContainsFunc(kin, func(o *wanted) bool { return o.CTID == h.ctid })
	})
	for _, o := range p.wants {
		// Which of the parts one has, only the lock tells.
		has := slices.Contains(assigned, o.CTID) && !slices.Contains(assigned, w.CTID)
		if s.part != nil {
			has = slices.Contains(o.Pin.GPUs, s.uuid)
		}
		stays := has && o.Request != nil && !o.met && !o.Idle
		if stays && !slices.Contains(kin, o) && !slices.ContainsFunc(out, func(h holder) bool { return h.ctid == o.CTID }) {
			out = append(out, holder{o.CTID, bytesOf(o.BudgetGB)})
		}
	}
	return out
}

// unmanaged notes who has cards on the host beside those that the choice is for. Which
// part of a divided card such a container has is not known, so that it holds all.
func (p *picker) unmanaged() {
	for _, s := range p.slots {
		for _, ctid := range p.assigned(s) {
			if !slices.ContainsFunc(p.wants, func(w *wanted) bool { return w.CTID == ctid }) {
				s.hold(ctid, 0)
			}
		}
	}
}

func (p *picker) assigned(s *slot) []int {
	if c := p.host.Card(s.gpu.PCIAddress); c != nil {
		return c.Assigned
	}
	return nil
}

// sharers is 1 for a card that others have, and 0 for one that is free.
func (p *picker) sharers(s *slot, w *wanted) int { return min(len(p.others(s, w)), 1) }

// refusal is why a card does not do for a request; empty where it does.
func (p *picker) refusal(s *slot, w *wanted) string {
	if why := s.answers(w, false); why != "" {
		return why
	}
	others := p.others(s, w)
	if len(others) == 0 {
		return ""
	}
	has, mine, sum := havers(others), p.budget(w), uint64(0)
	for _, o := range others {
		switch {
		case p.policy(s.gpu) != PolicyShared:
			return has
		case o.budget == 0:
			return fmt.Sprintf("%s, and container %d no gpu_memory_gb", has, o.ctid)
		}
		sum += o.budget
	}
	switch {
	case mine == 0:
		return has + ", and it is shared only with a gpu_memory_gb"
	case s.memory == 0:
		return has + ", and its memory is not known"
	case sum+mine > s.memory:
		return fmt.Sprintf("%s, with %.1f GB of its %.1f GB", has, float64(sum)/1e9, float64(s.memory)/1e9)
	}
	return ""
}

// budget is what a container and its kin use of a card, in bytes; 0 where one of them may
// use all of it.
func (p *picker) budget(w *wanted) (sum uint64) {
	for _, o := range p.kin(w) {
		switch mine := bytesOf(o.BudgetGB); {
		case o.Idle:
		case mine == 0:
			return 0
		default:
			sum += mine
		}
	}
	return sum
}
