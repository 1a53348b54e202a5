package lxc

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
)

// GPULedger is what the lock file beside the configuration keeps of a container's cards.
type GPULedger struct {
	// File is its name, for messages.
	File string `json:"file,omitempty"`
	// Pins are what indexes of the assignment meant when they were first used, by UUID.
	Pins map[string]string `json:"pins,omitempty"`
	// Request is what was asked for in place of names, in words. The assignment is the
	// answer to it, or is not there where Unmet is why there is none.
	Request string `json:"request,omitempty"`
	Unmet   string `json:"unmet,omitempty"`
}

func (l *GPULedger) pin(name string) string {
	if l == nil {
		return ""
	}
	return l.Pins[name]
}

func (l *GPULedger) unmet() string {
	if l == nil {
		return ""
	}
	return l.Unmet
}

// GetsGPUs tells whether the container is to get any card, be it one that nobody has chosen
// yet.
func (s *Spec) GetsGPUs() bool {
	return len(s.GPUAssignment) > 0 && !s.GPUAssignment.None() || s.GPULedger.unmet() != ""
}

// wantedGPUs says which cards are wanted, for messages.
func (s *Spec) wantedGPUs() string {
	if s.GPUAssignment == nil && s.GPULedger != nil {
		return s.GPULedger.Request
	}
	return s.GPUAssignment.String()
}

// cardOf is where a card is among those of the driver; -1 for one that is not. An index
// that is pinned means the card that it meant first, wherever that is now.
func (s *Spec) cardOf(name string, cards []gpu.Bound) int {
	if id := s.GPULedger.pin(name); id != "" {
		name = id
	}
	if n, err := strconv.Atoi(name); err == nil {
		if n < len(cards) {
			return n
		}
		return -1
	}
	return slices.IndexFunc(cards, func(b gpu.Bound) bool { return b.Address == name || b.UUID == name })
}

// goneCard says that the driver lacks a card, what it has, and how to have another one.
func (s *Spec) goneCard(name string, cards []gpu.Bound) string {
	has := "the driver of this host has no card " + name + "; it has " + describe(cards)
	l := s.GPULedger
	switch id := l.pin(name); {
	case id != "":
		return fmt.Sprintf("index %s meant %s when it was first used, and the driver of this host has no such card; it has %s; to have index %s as it is now, take it out of container %d in %s", name, id, describe(cards), name, s.CTID, l.File)
	case l != nil && l.Request != "":
		return has + s.chooseAnew()
	}
	return has
}

// chooseAnew says how to have another answer to a request.
func (s *Spec) chooseAnew() string {
	if l := s.GPULedger; l != nil && l.Request != "" {
		return "; to have another one chosen, take container " + strconv.Itoa(s.CTID) + " out of " + l.File + " and run again"
	}
	return ""
}

// movedIndexes are those that mean another card by now than when they were pinned. The
// container keeps its card, and people say which of the two is meant.
func (s *Spec) movedIndexes(cards []gpu.Bound) (out []finding) {
	for _, name := range s.GPUAssignment.Cards() {
		id := s.GPULedger.pin(name)
		i := s.cardOf(name, cards)
		n, err := strconv.Atoi(name)
		if id == "" || i < 0 || err != nil || i == n {
			continue
		}
		now := "no card"
		if n < len(cards) {
			now = card(n, cards[n])
		}
		out = append(out, finding{op: opByHand, Change: tasks.Change{
			Path: pathGPU + "." + name, From: now, To: card(i, cards[i]), Effect: tasks.EffectPending,
			Note: tasks.NoteByHand + ": index " + name + " means another card than when it was first used. To keep the card of then, write " + id + " in gpu_assignment; to have that of now, take index " +
				name + " out of container " + strconv.Itoa(s.CTID) + " in " + s.GPULedger.File,
		}})
	}
	return out
}

// lookTimeout bounds the program that makes the driver look at its cards, which a card
// that is broken can hold up.
const lookTimeout = 30 * time.Second

// boundCards lists the driver's cards. Where one is wanted by a UUID that none of them
// has, and that of another is not known, nvidia-smi is started once: the driver asks a
// card for its UUID when a program first uses it.
func (t *task) boundCards(ctx context.Context, h tasks.Host) ([]gpu.Bound, error) {
	cards, err := gpu.BoundCards(h)
	if err != nil || t.looked || !slices.ContainsFunc(cards, func(b gpu.Bound) bool { return b.UUID == "" }) {
		return cards, err
	}
	hidden := func(name string) bool {
		return (gpu.IsUUID(name) || t.spec.GPULedger.pin(name) != "") && t.spec.cardOf(name, cards) < 0
	}
	if !slices.ContainsFunc(t.spec.GPUAssignment.Cards(), hidden) {
		return cards, nil
	}
	t.looked = true
	limited, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	// Without the program, the card is missing, which says what is known of the others.
	_, _ = h.Run(limited, tasks.Cmd{Argv: []string{"nvidia-smi", "-L"}, ReadOnly: true})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return gpu.BoundCards(h)
}
