package lxc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks/gpu"
	"phoenix/tasks/pve"
)

// Assignment says which of the host's NVIDIA cards a container gets: "none", "all", or
// indexes, UUIDs and PCI addresses of cards. In JSON it is a string with commas, a
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

// The ways to name a card. The domain of a PCI address has 8 digits in nvidia-smi, 4 in
// Linux (more where they do not fit), and lspci leaves it out.
var (
	gpuIndex   = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})$`)
	gpuUUID    = regexp.MustCompile(`^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	gpuAddress = regexp.MustCompile(`^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$`)
)

// canonGPU is the one form of a card's name; ok is false for what is none.
func canonGPU(word string) (name string, ok bool) {
	if gpuIndex.MatchString(word) {
		return word, true
	}
	lower := strings.ToLower(word)
	if id, is := strings.CutPrefix(lower, "gpu-"); is {
		return "GPU-" + id, gpuUUID.MatchString("GPU-" + id)
	}
	m := gpuAddress.FindStringSubmatch(lower)
	if m == nil {
		return word, false
	}
	return fmt.Sprintf("%04s:%s", strings.TrimLeft(m[1], "0"), m[2]), true
}

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
	if s.GPUAssignment == nil {
		return
	}
	p.require(len(s.GPUAssignment) > 0, at, `write "none" to take all away`, "names no card")
	if !s.GPUAssignment.None() && !s.GPUAssignment.All() {
		s.GPUAssignment.validate(p, at)
	}
	for i, d := range s.Devices {
		p.require(!gpu.IsNode(d.Path), fmt.Sprintf("devices.%d.path", i), "take it out of one of the two", "%s belongs to gpu_assignment", d.Path)
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
	const hint = "indexes as nvidia-smi counts (0,1), UUIDs (GPU-…), PCI addresses (0000:01:00.0), all, or none"
	var seen []string
	for i, word := range a {
		at := fmt.Sprintf("%s.%d", at, i)
		name, ok := canonGPU(word)
		switch {
		case word == AssignNone, word == AssignAll:
			p.add(at, "", "%q stands alone", word)
		case strings.HasPrefix(word, "MIG-"):
			p.add(at, "pass its nodes in /dev/nvidia-caps through devices", "%q is a part of a card, and whole cards are given", word)
		case !ok:
			p.add(at, hint, "%q is not the name of a card", word)
		case slices.Contains(seen, name):
			p.add(at, "", "%s is named twice", name)
		}
		seen = append(seen, name)
	}
}
