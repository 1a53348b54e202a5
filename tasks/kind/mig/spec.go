package mig

import (
	"encoding/json"
	"errors"
	"regexp"
	"sort"
	"strconv"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
)

// Spec is how the cards of one machine are divided. Cards that it does not name are left
// as they are.
type Spec struct {
	// Layouts by the card's UUID, PCI address, or index as nvidia-smi counts.
	Layouts map[string]Layout `json:"mig"`
}

// Layout is what one card is divided into: profiles of instances ("3g.20gb", "1g.5gb+me",
// or "1c.3g.20gb" for a part of a GPU instance that others share), none for MIG without an
// instance, or Off alone. In JSON, Off may be written as a string.
type Layout []string

// Off is a whole card: MIG is disabled.
const Off = "off"

func (l Layout) off() bool { return len(l) == 1 && l[0] == Off }

// words are the one form in which a layout is told.
func (l Layout) words() string { return canonical(sorted(l)) }

// UnmarshalJSON reads both forms.
func (l *Layout) UnmarshalJSON(data []byte) error {
	if string(data) == `"off"` {
		*l = Layout{Off}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil || list == nil {
		return errors.New(`read MIG layout: want a list of profiles, or "off"`)
	}
	*l = list
	return nil
}

// profileName is what nvidia-smi calls an instance (NVIDIA's MIG User Guide, "MIG Device
// Names"): the slices of a compute instance where it has not all, the GPU instance, its
// slices, its memory.
var profileName = regexp.MustCompile(`^(?:([1-9])c\.)?(([1-9])g\.([1-9][0-9]{0,3})gb(?:[+-][a-z][a-z.]{0,15}){0,3})$`)

// shape takes a profile apart; slices is 0 for what is none.
func shape(name string) (gpu string, compute, slices, gb int) {
	m := profileName.FindStringSubmatch(name)
	if m == nil {
		return "", 0, 0, 0
	}
	compute, slices, gb = number(m[1]), number(m[3]), number(m[4])
	if compute < 0 {
		compute = slices
	}
	if compute > slices {
		slices = 0
	}
	return m[2], compute, slices, gb
}

// number is -1 for what is none.
func number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// sorted puts profiles into the one order in which they are compared and made: the
// largest first.
func sorted(list []string) []string {
	out := append([]string(nil), list...)
	sort.Slice(out, func(i, j int) bool {
		_, ac, as, ag := shape(out[i])
		_, bc, bs, bg := shape(out[j])
		if a, b := (as*10000+ag)*10+ac, (bs*10000+bg)*10+bc; a != b {
			return a > b
		}
		return out[i] < out[j]
	})
	return out
}

// mostInstances that a card can be divided into (NVIDIA's MIG User Guide, "Supported
// GPUs").
const mostInstances = 7

// Validate returns every fault of the spec. What a card offers is known on the machine
// only.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	seen := make(map[string]string)
	for _, card := range s.cards() {
		at := "mig." + card
		name, ok := gpu.CardName(card)
		if !ok {
			out.Add(at, strconv.Quote(card)+" is not the name of a card", "a UUID (GPU-…), a PCI address (0000:01:00.0), or an index as nvidia-smi counts")
		} else if seen[name] != "" {
			out.Add(at, "is the card that "+seen[name]+" names too", "name it once")
		}
		seen[name] = card
		l := s.Layouts[card]
		if len(l) > mostInstances {
			out.Add(at, "has "+strconv.Itoa(len(l))+" instances, and no card has more than "+strconv.Itoa(mostInstances), "")
		}
		for i, p := range l {
			if _, c, n, _ := shape(p); !l.off() && (n == 0 || c == n && p[1] == 'c') {
				out.Add(at+"."+strconv.Itoa(i), strconv.Quote(p)+" is no profile", "3g.20gb, 1g.5gb+me, 1c.3g.20gb: `nvidia-smi mig -lgip` lists what a card offers")
			}
		}
	}
	return out
}

// cards are the names of the cards as they are written, in order.
func (s *Spec) cards() []string {
	var out []string
	for name := range s.Layouts {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}
