package gpulock

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/gpufacts"
)

// slot is what a container can be given: a card, or a part of one.
type slot struct {
	gpu *gpufacts.GPU
	// part is the MIG instance; nil for a whole card.
	part *gpufacts.MIGInstance
	uuid string
	// memory in bytes; 0 when it is not known.
	memory uint64
	// barred is why nobody can be given it now.
	barred  string
	holders []holder
}

// holder is a container that has a slot, with its budget in bytes.
type holder struct {
	ctid   int
	budget uint64
}

// slotsOf lists the cards that a driver told of, each before its parts.
func slotsOf(h *gpufacts.Host) []*slot {
	var out []*slot
	for i := range h.GPUs {
		g := &h.GPUs[i]
		card := &slot{gpu: g, uuid: g.UUID, memory: total(g.Memory), barred: barred(h, g)}
		out = append(out, card)
		if g.MIG == nil {
			continue
		}
		for j := range g.MIG.Instances {
			part := &g.MIG.Instances[j]
			s := &slot{gpu: g, part: part, uuid: part.UUID, memory: total(part.Memory), barred: card.barred}
			if s.barred == "" && s.uuid == "" {
				s.barred = unknownUUID
			}
			out = append(out, s)
		}
	}
	return out
}

const unknownUUID = "its UUID is not known"

func total(m *gpufacts.Memory) uint64 {
	if m == nil {
		return 0
	}
	return m.Total
}

// barred is why a card cannot be given to anybody now.
func barred(h *gpufacts.Host, g *gpufacts.GPU) string {
	c := h.Card(g.PCIAddress)
	switch {
	case g.Error != nil:
		return g.Error.Kind
	case c == nil && len(h.Cards) > 0:
		return "it is not on the PCI bus"
	case c != nil && c.Driver != "nvidia":
		return driver(*c)
	case g.UUID == "":
		return unknownUUID
	}
	return ""
}

func driver(c gpufacts.Card) string {
	return fmt.Sprintf("driver %s", cmp.Or(c.Driver, "none"))
}

func (s *slot) hold(ctid int, budget uint64) {
	if !slices.ContainsFunc(s.holders, func(o holder) bool { return o.ctid == ctid }) {
		s.holders = append(s.holders, holder{ctid, budget})
	}
}

// size is its memory; what is not known is the largest, so that it is taken last.
func (s *slot) size() uint64 { return cmp.Or(s.memory, math.MaxUint64) }

// divided tells whether a card is, or will be after its reset, one of parts.
func (s *slot) divided() bool {
	return s.gpu.MIG != nil && (s.gpu.MIG.Enabled || s.gpu.MIG.Pending != nil && *s.gpu.MIG.Pending)
}

// answers is why a slot is not what a request is for, whoever has it; empty where it is.
// What is pinned may be lost, and what is not known of it is believed.
func (s *slot) answers(w *wanted, pinned bool) string {
	r, name := w.Request, s.gpu.Name
	switch {
	case (s.part != nil) != (r.MIG != ""):
		if r.MIG != "" {
			return "a whole card"
		}
		return "a part of a card"
	case s.part == nil && s.divided():
		return "it is divided (MIG)"
	case s.barred != "" && !pinned:
		return s.barred
	case s.part != nil && !strings.EqualFold(s.part.Profile, r.MIG):
		return "another profile"
	case r.Model != "" && name == "" && !pinned:
		return "its model is not known"
	case r.Model != "" && name != "" && !isModel(name, r.Model):
		if like := likelyModel(name, r.Model); like != "" {
			return fmt.Sprintf("another model (did you mean %q?)", like)
		}
		return "another model"
	case w.need() > 0 && s.memory == 0 && !pinned:
		return "its memory is not known"
	case s.memory > 0 && w.BudgetGB > r.MinVRAMGB && s.memory < w.need():
		return fmt.Sprintf("too little memory for a gpu_memory_gb of %g", w.BudgetGB)
	case s.memory > 0 && s.memory < w.need():
		return "too little memory"
	}
	return ""
}

// name is what people call it.
func (s *slot) name() string {
	if s.part != nil {
		return strings.TrimSpace(s.gpu.Name + " MIG " + s.part.Profile)
	}
	return s.gpu.Name
}

// describe is "GPU 0 RTX 4090 25.8 GB": without the words that all cards have, and with
// the memory in the unit of the request.
func (s *slot) describe() string {
	words := []string{fmt.Sprintf("GPU %d", s.gpu.Index)}
	name := strings.TrimPrefix(strings.TrimPrefix(s.name(), "NVIDIA "), "GeForce ")
	if name = cmp.Or(name, s.gpu.PCIAddress); name != "" {
		words = append(words, name)
	}
	if s.memory > 0 && s.part == nil {
		words = append(words, Gigabytes(s.memory))
	}
	return strings.Join(words, " ")
}

// Gigabytes is a card's memory in the unit of requests and budgets, 10^9 bytes: "25.8 GB".
func Gigabytes(memory uint64) string {
	return strconv.FormatFloat(math.Round(float64(memory)/1e8)/10, 'f', -1, 64) + " GB"
}

// havers says who has a card.
func havers(list []holder) string {
	if len(list) == 1 {
		return fmt.Sprintf("container %d has it", list[0].ctid)
	}
	words := make([]string, len(list))
	for i, o := range list {
		words[i] = fmt.Sprint(o.ctid)
	}
	last := len(words) - 1
	return fmt.Sprintf("containers %s and %s have it", strings.Join(words[:last], ", "), words[last])
}

// why says what there is, and why each does not do.
func (p *picker) why(w *wanted) string {
	var words []string
	does := 0
	for _, s := range p.slots {
		if w.Request.MIG == "" && s.part != nil || w.Request.MIG != "" && s.part == nil && s.divided() {
			continue
		}
		word := p.refusal(s, w)
		if slices.Contains(w.got, s.uuid) {
			word = "it is this container's"
			does++
		} else if word == "" {
			word = "it would do"
			does++
		}
		words = append(words, s.describe()+": "+word)
	}
	listed := p.listed(append(words, p.strangers()...))
	if does > 0 {
		return fmt.Sprintf("only %d of %d can be had: %s", does, w.count(), listed)
	}
	return listed
}

// inventory lists the cards with what bars them.
func (p *picker) inventory() string {
	var words []string
	for _, s := range p.slots {
		if s.part != nil {
			continue
		}
		word := s.describe()
		if s.barred != "" {
			word += ": " + s.barred
		}
		words = append(words, word)
	}
	return p.listed(append(words, p.strangers()...))
}

// strangers are the cards that the driver told nothing of.
func (p *picker) strangers() []string {
	var words []string
	for _, c := range p.host.Cards {
		if !slices.ContainsFunc(p.host.GPUs, func(g gpufacts.GPU) bool { return g.PCIAddress == c.Address }) {
			words = append(words, c.Address+": "+driver(c))
		}
	}
	return words
}

func (p *picker) listed(words []string) string {
	if len(words) == 0 {
		return "the host has no NVIDIA GPU"
	}
	return strings.Join(words, "; ")
}
