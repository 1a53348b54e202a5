package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/gpulock"
	"phoenix/tasks/gpu"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/vllm"
)

// book is which container has which card of a host, as far as the configuration and the
// lock file tell.
type book struct {
	host  *Host
	kept  gpulock.Host
	cards map[string]*given
	// holders are in the order of the containers.
	holders []*holder
}

// given is one card, by the best name that is known of it. What is not known is empty, or
// -1.
type given struct {
	id, uuid, address string
	index             int
	// of is the card that a MIG instance is a part of.
	of string
}

// holder is a container that is given cards, by its own configuration or by that of one that
// it is cloned from.
type holder struct {
	c *Container
	// from is the container whose configuration says so.
	from   int
	all    bool
	budget float64
	// ids are the cards, words their names as they are written.
	ids   []string
	words map[string]string
}

func (u *holder) has(id string) bool { return slices.Contains(u.ids, id) }

// may tells whether it can have the card: "all" is not about parts of one.
func (u *holder) may(id string) bool { return u.has(id) || u.all && !strings.HasPrefix(id, "MIG-") }

// book enters all containers of the host.
func (h *Host) book() *book {
	b := &book{host: h, kept: h.Lock().Lock.Kept(h.Name), cards: make(map[string]*given)}
	for i := range h.Containers {
		b.give(&h.Containers[i])
	}
	return b
}

// give enters a container. One that does not run has its cards all the same: nothing keeps
// it from being started. A template is never started.
func (b *book) give(c *Container) {
	if c.Spec.State == lxc.StateAbsent || c.Spec.IsTemplate != nil && *c.Spec.IsTemplate {
		return
	}
	line := b.host.lineOf(c)
	at := slices.IndexFunc(line, (*Container).saysGPUs)
	if at < 0 || !line[at].Spec.GetsGPUs() {
		return
	}
	from := &line[at].Spec
	u := &holder{c: c, from: from.CTID, all: from.GPUAssignment.All(), budget: b.host.GPUMemoryGB(c), words: make(map[string]string)}
	for _, word := range append(from.GPUAssignment.Cards(), from.GPUAssignment.Instances()...) {
		id := b.card(from.CTID, word)
		if !u.has(id) {
			u.ids = append(u.ids, id)
		}
		u.words[id] = word
	}
	for _, word := range b.known() {
		if u.all {
			b.card(from.CTID, word)
		}
	}
	b.holders = append(b.holders, u)
}

// known are the names of cards that somebody has said something of, or that the lock file
// has: "all" is at least these.
func (b *book) known() []string {
	var out []string
	for _, id := range sortedKeys(b.kept.Cards) {
		if gpu.IsUUID(id) {
			out = append(out, id)
		}
	}
	if v := b.host.Hypervisor; v != nil && v.Cards != nil {
		for _, word := range sortedKeys(v.Cards.GPUs) {
			if name, ok := gpu.CardName(word); ok {
				out = append(out, name)
			}
		}
	}
	return out
}

// card enters a card by the name that a container has for it, and returns the best that is
// known of it. An index is what the lock file says that it means for that container, or
// else for any other.
func (b *book) card(ctid int, word string) string {
	g := &given{uuid: word, index: -1}
	switch {
	case gpu.IsIndex(word):
		g.uuid = b.kept.Containers[ctid].Names[word]
		for _, other := range slices.Sorted(maps.Keys(b.kept.Containers)) {
			g.uuid = cmp.Or(g.uuid, b.kept.Containers[other].Names[word])
		}
		g.index, _ = strconv.Atoi(word)
	case strings.Contains(word, ":"):
		g.uuid, g.address = "", word
		for _, id := range sortedKeys(b.kept.Cards) {
			if b.kept.Cards[id].PCIAddress == word && gpu.IsUUID(id) {
				g.uuid = id
			}
		}
	}
	g.id = cmp.Or(g.uuid, word)
	if b.cards[g.id] != nil {
		return g.id
	}
	g.address = cmp.Or(g.address, b.kept.Cards[g.uuid].PCIAddress)
	for _, p := range b.kept.Containers {
		for name, id := range p.Names {
			if at, err := strconv.Atoi(name); err == nil && id == g.uuid {
				g.index = at
			}
		}
	}
	b.cards[g.id] = g
	if strings.HasPrefix(word, "MIG-") && g.address != "" {
		g.of = b.card(ctid, g.address)
	}
	return g.id
}

// policy is that of a card; an instance has that of its card.
func (b *book) policy(id string) string {
	g := b.cards[id]
	if g != nil && b.cards[g.of] != nil {
		g = b.cards[g.of]
	}
	if g == nil {
		return b.host.GPUPolicy("", "", -1)
	}
	return b.host.GPUPolicy(g.uuid, g.address, g.index)
}

// common are the cards that two containers both have. Of two that have all, nothing may be
// known: that is one card without a name.
func (b *book) common(u, o *holder) []string {
	ids := u.ids
	if u.all {
		ids = o.ids
	}
	if u.all && o.all {
		ids = sortedKeys(b.cards)
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !u.may(id) || !o.may(id) })
	if u.all && o.all && len(ids) == 0 {
		return []string{""}
	}
	return ids
}

// shared finds the cards of a container that one before it has, too: where the policy is
// exclusive, that is refused; where nobody says a policy, it is warned of.
func (b *book) shared(i int) diag.List {
	u := b.holders[i]
	said := make(map[string]bool)
	found := make(map[string][]string)
	note := func(policy, what, text string) {
		if policy != PolicyShared && !said[what] {
			said[what] = true
			found[policy] = append(found[policy], text)
		}
	}
	for _, whole := range []bool{false, true} { // who has a card by name goes before who has all
		for _, o := range b.holders[:i] {
			for _, id := range b.common(u, o) {
				switch {
				case u.all && !whole:
					policy := b.policy(id)
					note(policy, policy, fmt.Sprintf("all, of which container %d gets some", o.c.Spec.CTID))
				case !u.all && !o.all && !whole:
					note(b.policy(id), id, fmt.Sprintf("%s with container %d", b.called(u, id), o.c.Spec.CTID))
				case !u.all && o.all && whole:
					note(b.policy(id), id, fmt.Sprintf("%s with container %d, which gets all", b.called(u, id), o.c.Spec.CTID))
				}
			}
			for id, how := range b.parts(u, o) {
				if policy := b.policy(id); policy == PolicyExclusive && !whole {
					note(policy, id, fmt.Sprintf("%s, %s container %d", b.called(u, id), how, o.c.Spec.CTID))
				}
			}
		}
	}
	n := u.c.place("gpu_assignment")
	var out diag.List
	if texts := found[PolicyExclusive]; len(texts) > 0 {
		out.Add(n.Fault(fmt.Sprintf("container %d would share GPUs whose policy is exclusive: %s", u.c.Spec.CTID, strings.Join(texts, "; ")),
			`give it other cards, or let them be shared: "policy": "shared" in nvidia.gpus, or nvidia.gpu_policy`))
	}
	if texts := found[""]; len(texts) > 0 {
		d := n.Fault(fmt.Sprintf("container %d shares GPUs: %s", u.c.Spec.CTID, strings.Join(texts, "; ")), "what they run at the same time shares the card's memory")
		d.Severity = diag.Warning
		out.Add(d)
	}
	return out
}

// called is a card as a container names it, with what that means.
func (b *book) called(u *holder, id string) string {
	if word := u.words[id]; word != "" && word != id {
		return word + " (" + id + ")"
	}
	return id
}

// titled is a card with its name: "NVIDIA RTX A6000 (GPU-…)".
func (b *book) titled(id string) string {
	if name := b.kept.Cards[id].Name; name != "" {
		return name + " (" + id + ")"
	}
	return id
}

// budgets holds the sum of what containers take of a card against its memory, as far as
// the lock file knows it.
func (b *book) budgets(g *given) diag.List {
	card := b.kept.Cards[g.uuid]
	var sum float64
	var words []string
	var last *holder
	for _, u := range b.holders {
		if n := b.takes(u, g.id); n > 0 && u.budget > 0 {
			sum += u.budget * float64(n)
			words = append(words, fmt.Sprintf("container %d %s", u.c.Spec.CTID, gigabytes(u.budget*float64(n))))
			last = u
		}
	}
	if card.MemoryBytes == 0 || sum*1e9 <= float64(card.MemoryBytes) {
		return nil
	}
	return diag.List{last.c.place("gpu_memory_gb").Fault(fmt.Sprintf("%s has %s, and its containers take %s: %s", b.titled(g.id), gigabytes(float64(card.MemoryBytes)/1e9), gigabytes(sum), strings.Join(words, ", ")),
		"lower a gpu_memory_gb, or give one of them another card")}
}

// unlimited warns of a container without a budget on a card where another one has a budget.
func (b *book) unlimited(u *holder) diag.List {
	if u.budget > 0 {
		return nil
	}
	for _, o := range b.holders {
		if o == u || o.budget == 0 {
			continue
		}
		for _, id := range b.common(u, o) {
			if b.policy(id) == PolicyExclusive {
				continue // that is refused
			}
			d := u.c.place("gpu_assignment").Fault(fmt.Sprintf("container %d has no gpu_memory_gb, and container %d, which shares its card, has one", u.c.Spec.CTID, o.c.Spec.CTID),
				"say what it takes of the card: without it, the sum is not held against the card's memory")
			d.Severity = diag.Warning
			return diag.List{d}
		}
	}
	return nil
}

// vllm warns where vLLM, which reserves its share of a card when it starts, takes more than
// the container's budget.
func (b *book) vllm(u *holder) diag.List {
	i := u.c.at("vllm")
	if i < 0 || u.budget == 0 {
		return nil
	}
	s, is := u.c.Inside[i].Spec.(*vllm.Spec)
	if !is || s.GPUMemoryUtilization == 0 {
		return nil
	}
	for _, id := range sortedKeys(b.cards) {
		memory := float64(b.kept.Cards[b.cards[id].uuid].MemoryBytes) / 1e9
		if !u.may(id) || s.GPUMemoryUtilization*memory <= u.budget {
			continue
		}
		d := u.c.place("vllm", "gpu_memory_utilization").Fault(fmt.Sprintf("vLLM takes %g of the %s of %s, %s, which is more than gpu_memory_gb, %s", s.GPUMemoryUtilization, gigabytes(memory), b.titled(id), gigabytes(s.GPUMemoryUtilization*memory), gigabytes(u.budget)),
			fmt.Sprintf("lower gpu_memory_utilization to %.2f, or raise gpu_memory_gb", math.Floor(u.budget/memory*100)/100))
		d.Severity = diag.Warning
		return diag.List{d}
	}
	return nil
}
