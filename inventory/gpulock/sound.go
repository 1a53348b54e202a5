package gpulock

import (
	"slices"
	"strings"
	"unicode"

	"phoenix/tasks/gpu"
	"phoenix/tasks/gpufacts"
)

// longestName is more than NVIDIA calls any card.
const longestName = 96

// Sound is what a host tells of its cards with every name in the one form that Parse reads.
// What is no UUID, no address and no name of a card is not known: a host that tells
// nonsense must not make a file that nobody can read. The given host stays as it is.
func Sound(h gpufacts.Host) gpufacts.Host {
	h.GPUs, h.Cards = slices.Clone(h.GPUs), slices.Clone(h.Cards)
	seen := map[string]bool{"": true}
	once := func(id string) string {
		if seen[id] {
			return "" // of two with one UUID, none can be told from the other by it
		}
		seen[id] = true
		return id
	}
	for i := range h.GPUs {
		g := &h.GPUs[i]
		g.UUID, g.PCIAddress, g.Name = once(soundUUID(g.UUID)), soundAddress(g.PCIAddress), soundName(g.Name)
		if g.MIG == nil {
			continue
		}
		m := *g.MIG
		m.Instances = slices.Clone(m.Instances)
		for j := range m.Instances {
			part := &m.Instances[j]
			part.UUID, part.Profile = once(soundPart(part.UUID)), soundName(part.Profile)
		}
		g.MIG = &m
	}
	for i := range h.Cards {
		h.Cards[i].Address = soundAddress(h.Cards[i].Address)
	}
	h.Cards = slices.DeleteFunc(h.Cards, func(c gpufacts.Card) bool { return c.Address == "" })
	return h
}

func soundUUID(word string) string {
	if name, ok := gpu.CardName(word); ok && gpu.IsUUID(name) {
		return name
	}
	return ""
}

// soundPart is the UUID of a MIG instance; drivers before 470 named them otherwise.
func soundPart(word string) string {
	id, is := strings.CutPrefix(strings.ToLower(word), "mig-")
	if is && migUUID.MatchString("MIG-"+id) {
		return "MIG-" + id
	}
	return ""
}

func soundAddress(word string) string {
	if name, ok := gpu.CardName(word); ok && strings.Contains(name, ":") {
		return name
	}
	return ""
}

func soundName(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > longestName {
		text = string(runes[:longestName])
	}
	return strings.TrimSpace(text)
}
