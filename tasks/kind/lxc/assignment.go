package lxc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks/gpu"
	"phoenix/tasks/pve"
)

// Assignment says which of the host's NVIDIA cards a container gets: "none", "all", or
// indexes, UUIDs and PCI addresses of cards, or UUIDs of MIG instances. In JSON it is a string with commas, a
// list, or a single index.
type Assignment []string

// The words that stand alone in an Assignment.
const (
	AssignNone = "none"
	AssignAll  = "all"
)

// UnmarshalJSON reads all three forms.
func (a *Assignment) UnmarshalJSON(data []byte) error {
	var value any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return fmt.Errorf("read GPUs: %w", err)
	}
	*a = Assignment{}
	switch v := value.(type) {
	case string:
		for _, word := range strings.Split(v, ",") {
			*a = append(*a, strings.TrimSpace(word))
		}
	case json.Number:
		*a = append(*a, v.String())
	case []any:
		for _, item := range v {
			switch item.(type) {
			case string, json.Number:
				*a = append(*a, strings.TrimSpace(fmt.Sprint(item)))
			default:
				return errors.New("read GPUs: an item of the list is neither a string nor a number")
			}
		}
	default:
		return errors.New("read GPUs: want a string, a list, or a number")
	}
	return nil
}

// canonGPU is the one form of a card's name; ok is false for what is none.
func canonGPU(word string) (name string, ok bool) { return gpu.CardName(word) }

// None tells whether all cards are taken away.
func (a Assignment) None() bool { return slices.Equal(a, Assignment{AssignNone}) }

// All tells whether every card of the host is given.
func (a Assignment) All() bool { return slices.Equal(a, Assignment{AssignAll}) }

// Cards are the names of the cards, each in one form; none for the two words.
func (a Assignment) Cards() []string {
	var out []string
	for _, word := range a {
		if name, ok := canonGPU(word); ok {
			out = append(out, name)
		}
	}
	return out
}

func (a Assignment) String() string { return strings.Join(a, ",") }

// validateGPUs looks at the names, and for other keys that give the same devices: each
// setting has one owner.
func (s *Spec) validateGPUs(p *problems) {
	const at = "gpu_assignment"
	if s.GPUAssignment == nil && s.GPULedger == nil {
		return
	}
	p.require(s.GPUAssignment == nil || len(s.GPUAssignment) > 0, at, `write "none" to take all away`, "names no card")
	if !s.GPUAssignment.None() && !s.GPUAssignment.All() {
		s.GPUAssignment.validate(p, at)
	}
	for i, d := range s.Devices {
		ours := gpu.IsNode(d.Path) || gpu.IsCapability(d.Path) && len(s.GPUAssignment.Instances()) > 0
		p.require(!ours, fmt.Sprintf("devices.%d.path", i), "take it out of one of the two", "%s belongs to gpu_assignment", d.Path)
	}
	if s.LXCOptions == nil {
		return
	}
	for i, l := range *s.LXCOptions {
		o, err := pve.ParseRawOption(l)
		p.require(err != nil || !plainlyGPU(o), fmt.Sprintf("lxc_options.%d", i), "take the line out", "gpu_assignment gives these devices")
	}
}

func (a Assignment) validate(p *problems, at string) {
	const hint = "indexes as nvidia-smi counts (0,1), UUIDs (GPU-…, MIG-…), PCI addresses (0000:01:00.0), all, or none"
	var seen []string
	for i, word := range a {
		at := fmt.Sprintf("%s.%d", at, i)
		name, ok := canonGPU(word)
		if id := canonMIG(word); id != "" {
			name, ok = id, true
		}
		switch {
		case word == AssignNone, word == AssignAll:
			p.add(at, "", "%q stands alone", word)
		case !ok && strings.HasPrefix(strings.ToUpper(word), "MIG-"):
			p.add(at, "MIG- and a UUID, as `nvidia-smi -L` lists it with driver 470 and later", "%q is not the UUID of a MIG instance", word)
		case !ok:
			p.add(at, hint, "%q is not the name of a card", word)
		case slices.Contains(seen, name):
			p.add(at, "", "%s is named twice", name)
		}
		seen = append(seen, name)
	}
}
