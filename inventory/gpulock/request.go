package gpulock

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"phoenix/tasks"
)

// maxCount is more than any machine has.
const maxCount = 64

// profile is how NVIDIA names the sizes of MIG instances: "1g.5gb", "1g.5gb+me",
// "1g.24gb+me.all", "4g.96gb-me" (NVIDIA Multi-Instance GPU User Guide, "Supported MIG
// profiles").
var profile = regexp.MustCompile(`^[1-9]g\.[1-9][0-9]{0,3}gb([+-][a-z]+(\.[a-z]+)*)?$`)

// Validate looks at what no card could answer.
func (r *Request) Validate() []tasks.Problem {
	var p tasks.Problems
	if r.Count < 0 || r.Count > maxCount {
		p.Add("count", fmt.Sprintf("%d is outside 1 to %d", r.Count, maxCount), "leave it out for one")
	}
	if r.MinVRAMGB < 0 {
		p.Add("min_vram_gb", fmt.Sprintf("%g is below 0", r.MinVRAMGB), "")
	}
	if r.Model != "" && (len(modelWords(r.Model)) == 0 || strings.ContainsFunc(r.Model, unicode.IsControl)) {
		p.Add("model", fmt.Sprintf("%q is not part of a card's name", r.Model), `words of the name that nvidia-smi -L shows, such as "RTX 4090"`)
	}
	if r.MIG != "" && !profile.MatchString(r.MIG) {
		p.Add("mig", fmt.Sprintf("%q is not the profile of a MIG instance", r.MIG), `as nvidia-smi mig -lgip lists them, such as "1g.5gb"`)
	}
	if r.MIG != "" && r.Model != "" {
		p.Add("model", fmt.Sprintf("an instance of profile %s or a card of model %s is asked for, not both", r.MIG, r.Model), "take one of the two out")
	}
	return p
}

// Same tells whether two requests ask for the same.
func (r Request) Same(o Request) bool {
	r.Count, o.Count = max(r.Count, 1), max(o.Count, 1)
	return r == o
}

// Fits tells whether a card is as the request wants it. What is not known of the card is
// not held against it.
func (r Request) Fits(c Card) bool {
	if c.MemoryBytes > 0 && c.MemoryBytes < bytesOf(r.MinVRAMGB) {
		return false
	}
	return r.Model == "" || c.Name == "" || isModel(c.Name, r.Model)
}

// Answers tells whether the pin is a whole answer to a request of a container with that
// budget, as far as the cards are known.
func (p Pin) Answers(r Request, budgetGB float64, cards map[string]Card) bool {
	if p.Request == nil || !p.Request.Same(r) || len(p.GPUs) != max(r.Count, 1) {
		return false
	}
	r.MinVRAMGB = max(r.MinVRAMGB, budgetGB)
	for _, id := range p.GPUs {
		if strings.HasPrefix(id, "MIG-") != (r.MIG != "") || !r.Fits(cards[id]) {
			return false
		}
	}
	return true
}
