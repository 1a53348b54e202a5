package inventory

import (
	"fmt"
	"strconv"

	"phoenix/inventory/document"
	"phoenix/tasks"
	"phoenix/tasks/gpu"
)

// The policies of a card; without one, several containers may have it, with a warning.
const (
	// PolicyExclusive gives a card to one container at most.
	PolicyExclusive = "exclusive"
	// PolicyShared lets several have it.
	PolicyShared = "shared"
)

// Cards is what is said of a host's NVIDIA cards in the section nvidia, beside the driver.
type Cards struct {
	// Policy is that of cards of which nothing else is said; empty when it is not said.
	Policy string `json:"gpu_policy,omitempty"`
	// GPUs by UUID, PCI address or index.
	GPUs map[string]CardSettings `json:"gpus,omitempty"`

	// node is the section, for what is found later.
	node *document.Node
}

// place is where something is said of a card.
func (c *Cards) place(word string) *document.Node { return c.node.Get("gpus").Get(word) }

// CardSettings is what is said of one card.
type CardSettings struct {
	Policy string `json:"policy,omitempty"`
}

// cardNames says how a card is named.
const cardNames = "an index as nvidia-smi counts (0), a whole UUID (GPU-…) or a PCI address (0000:01:00.0); `phoenix gpus -o json` has them"

// Validate looks at the names of the cards. The schema knows the policies.
func (c *Cards) Validate() []tasks.Problem {
	var out []tasks.Problem
	first := make(map[string]string)
	for _, word := range sortedKeys(c.GPUs) {
		name, ok := gpu.CardName(word)
		before, twice := first[name]
		switch at := "gpus." + word; {
		case !ok:
			out = append(out, tasks.Problem{Path: at, Summary: fmt.Sprintf("%q is not the name of a card", word), Hint: cardNames})
		case twice:
			out = append(out, tasks.Problem{Path: at, Summary: fmt.Sprintf("%s and %s are the same card", word, before), Hint: "take one of them out"})
		}
		first[name] = word
	}
	return out
}

// GPUPolicy is the policy of a card of the host: exclusive, shared, or empty where nothing
// is said. What is said of its UUID goes first, then of its address, then of its index.
// An empty string or -1 is what is not known of it.
func (h *Host) GPUPolicy(uuid, address string, index int) string {
	if h.Hypervisor == nil || h.Hypervisor.Cards == nil {
		return ""
	}
	c := h.Hypervisor.Cards
	said := make(map[string]string)
	for word, s := range c.GPUs {
		if name, ok := gpu.CardName(word); ok && s.Policy != "" {
			said[name] = s.Policy
		}
	}
	for _, word := range []string{uuid, address, strconv.Itoa(index)} {
		if name, ok := gpu.CardName(word); ok && said[name] != "" {
			return said[name]
		}
	}
	return c.Policy
}
