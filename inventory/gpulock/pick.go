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

// PolicyShared is the policy of a card that several containers may be given by request.
const PolicyShared = "shared"

// Want is what one container of the configuration is to have of its host's cards. A
// container whose configuration says nothing of cards is none of them: what it has on the
// host, it keeps. One that is to have no card is one of them, and holds none.
type Want struct {
	CTID int
	// Request, Names and All: at most one of them. Names are indexes, UUIDs and PCI
	// addresses, each in the form that the facts have.
	Request *Request
	Names   []string
	All     bool
	// BudgetGB is the memory that the container may use of each of its cards, in units of
	// 10^9 bytes; 0 for no budget.
	BudgetGB float64
	// Idle is a container that is never started, as a template is: what it is given, others
	// can have.
	Idle bool
	// Of is the container that this one is cloned from and has its cards of, because it
	// says nothing of its own; 0 for none.
	Of int
	// Pin is what the lock has.
	Pin Pin
}

// Choice is what Pick came to.
type Choice struct {
	// Pins by CTID, those that were kept among them. A request that cannot be met whole
	// keeps what it had of it and gets nothing new.
	Pins map[int]Pin
	// Unmet says in one line, by CTID, why a request is not answered or an index means
	// nothing.
	Unmet map[int]string
	// Cards are what the lock is to keep of the host's cards.
	Cards map[string]Card
}

// Pick chooses cards of one host for the containers of its configuration, in their order.
// What is pinned stays, even while the card is lost: nothing moves to another card by
// itself. Then containers keep what they have on the host, and then the smallest card
// that does is taken. The same arguments give the same choice, and picking again with the
// result changes nothing. policy tells the policy of a card; kept is what the lock has of
// the host's cards.
func Pick(h *gpufacts.Host, wants []Want, policy func(*gpufacts.GPU) string, kept map[string]Card) Choice {
	p := &picker{host: h, policy: policy, kept: kept, choice: Choice{Pins: map[int]Pin{}, Unmet: map[int]string{}}}
	for i := range wants {
		p.wants = append(p.wants, &wanted{Want: &wants[i]})
	}
	p.slots = slotsOf(h)
	p.unmanaged()
	for _, w := range p.wants {
		p.name(w)
	}
	for _, w := range p.wants {
		p.keep(w)
	}
	for _, w := range p.wants {
		p.prefer(w)
	}
	p.fill()
	p.pins()
	p.choice.Cards = p.cards()
	return p.choice
}

type picker struct {
	host   *gpufacts.Host
	policy func(*gpufacts.GPU) string
	kept   map[string]Card
	wants  []*wanted
	slots  []*slot
	choice Choice
}

// wanted is a Want with what it has got so far.
type wanted struct {
	*Want
	// got are UUIDs: first those that were pinned, of which there are kept, then those
	// that are chosen now.
	got  []string
	kept int
	// met tells that the request is answered. A container without its answer keeps what it
	// has on the host.
	met bool
	// names are what indexes mean.
	names map[string]string
}

func (w *wanted) count() int { return max(w.Request.Count, 1) }

// need is the memory that a card is to have at least, in bytes.
func (w *wanted) need() uint64 { return bytesOf(max(w.Request.MinVRAMGB, w.BudgetGB)) }

// bytesOf is a number of units of 10^9 bytes, in bytes.
func bytesOf(gb float64) uint64 {
	if !(gb > 0) {
		return 0
	}
	return uint64(math.Round(min(gb, 1e9) * 1e9))
}

func (p *picker) slot(uuid string) *slot {
	i := slices.IndexFunc(p.slots, func(s *slot) bool { return s.uuid == uuid })
	if i < 0 || uuid == "" {
		return nil
	}
	return p.slots[i]
}

// name looks up what the names of a container mean, and holds those cards for it.
func (p *picker) name(w *wanted) {
	var missing []string
	for _, name := range w.Names {
		uuid := name
		if n, err := strconv.Atoi(name); err == nil {
			if uuid = p.indexed(w, name, n); uuid == "" {
				missing = append(missing, name)
				continue
			}
			if w.names == nil {
				w.names = map[string]string{}
			}
			w.names[name] = uuid
		} else if i := slices.IndexFunc(p.slots, func(s *slot) bool { return s.part == nil && s.gpu.PCIAddress == name }); i >= 0 {
			uuid = p.slots[i].uuid
		}
		p.hold(uuid, w)
	}
	for _, s := range p.slots {
		if w.All {
			p.holdSlot(s, w)
		}
	}
	if len(missing) > 0 {
		p.choice.Unmet[w.CTID] = fmt.Sprintf("no card with index %s whose UUID is known: %s", strings.Join(missing, ", "), p.inventory())
	}
}

// indexed is the UUID that an index means: the one that it meant first.
func (p *picker) indexed(w *wanted, name string, n int) string {
	if uuid := w.Pin.Names[name]; uuid != "" {
		return uuid
	}
	for _, s := range p.slots {
		if s.part == nil && s.gpu.Index == n {
			return s.uuid
		}
	}
	return ""
}

// keep keeps the pinned cards that still answer the request; of too many, the last go.
func (p *picker) keep(w *wanted) {
	if w.Request == nil {
		return
	}
	for _, uuid := range w.Pin.GPUs {
		if len(w.got) < w.count() && !slices.Contains(w.got, uuid) && p.stillAnswers(w, uuid) {
			w.got = append(w.got, uuid)
			p.hold(uuid, w)
		}
	}
	w.kept = len(w.got)
	w.met = w.kept == w.count()
}

// stillAnswers tells whether a pinned card does for the request. One that the host does
// not tell of is believed to be as it was, unless another is in its place.
func (p *picker) stillAnswers(w *wanted, uuid string) bool {
	if s := p.slot(uuid); s != nil {
		return s.answers(w, true) == ""
	}
	was, known := p.kept[uuid]
	if strings.HasPrefix(uuid, "MIG-") != (w.Request.MIG != "") {
		return false
	}
	for i := range p.host.GPUs {
		g := &p.host.GPUs[i]
		if known && g.PCIAddress == was.PCIAddress && g.PCIAddress != "" && g.UUID != "" && (w.Request.MIG == "" || g.Error == nil) {
			return false // the card was exchanged, or is divided in another way
		}
	}
	if !known || w.Request.MIG != "" {
		return true // what is kept of a part does not tell its profile
	}
	return (was.Name == "" || w.Request.Model == "" || isModel(was.Name, w.Request.Model)) &&
		(was.MemoryBytes == 0 || was.MemoryBytes >= w.need())
}

// prefer gives a container the cards that it has on the host, where they do.
func (p *picker) prefer(w *wanted) {
	if w.Request == nil || w.Request.MIG != "" {
		return
	}
	for _, s := range p.slots {
		if len(w.got) < w.count() && !slices.Contains(w.got, s.uuid) && slices.Contains(p.assigned(s), w.CTID) && p.refusal(s, w) == "" {
			w.got = append(w.got, s.uuid)
			p.hold(s.uuid, w)
		}
	}
	w.met = len(w.got) == w.count()
}

// fill chooses what is still wanted, for requests that were answered before first. What
// one that cannot be met gives back may do for another, so that all are asked until
// nothing comes of it.
func (p *picker) fill() {
	var order []*wanted
	for _, w := range p.wants {
		if w.Request != nil {
			order = append(order, w)
		}
	}
	slices.SortStableFunc(order, func(a, b *wanted) int { return cmp.Compare(min(b.kept, 1), min(a.kept, 1)) })
	for again := true; again; {
		again = false
		for _, w := range order {
			if !w.met && p.meet(w) {
				again = true
			}
		}
	}
	for _, w := range order {
		if !w.met {
			p.choice.Unmet[w.CTID] = p.why(w)
		}
	}
}

// meet chooses all that a request lacks, or gives back what was chosen for it. It tells
// whether anything is otherwise than before.
func (p *picker) meet(w *wanted) (changed bool) {
	set := p.best(w, w.count()-len(w.got))
	if set == nil {
		changed = len(w.got) > w.kept
		for _, uuid := range w.got[w.kept:] {
			p.release(uuid, w)
		}
		w.got = w.got[:w.kept]
		return changed
	}
	for _, s := range set {
		w.got = append(w.got, s.uuid)
		p.hold(s.uuid, w)
	}
	w.met = true
	return true
}

// best is the best set of that many cards; nil where there are not as many. It is empty
// where none is lacking.
func (p *picker) best(w *wanted, lacking int) []*slot {
	var able []*slot
	for _, s := range p.slots {
		if !slices.Contains(w.got, s.uuid) && p.refusal(s, w) == "" {
			able = append(able, s)
		}
	}
	if len(able) < lacking {
		return nil
	}
	slices.SortStableFunc(able, func(a, b *slot) int {
		return cmp.Or(cmp.Compare(p.sharers(a, w), p.sharers(b, w)), cmp.Compare(a.size(), b.size()), cmp.Compare(a.gpu.Index, b.gpu.Index))
	})
	best := able[:lacking]
	for _, first := range able {
		var same []*slot
		for _, s := range able {
			if s.gpu.Name == first.gpu.Name && len(same) < lacking {
				same = append(same, s)
			}
		}
		if len(same) == lacking && p.better(w, same, best) {
			best = same
		}
	}
	return slices.Clip(append([]*slot{}, best...))
}

// better tells whether a set is better than another: with fewer cards that others have,
// then of one model, then with less memory.
func (p *picker) better(w *wanted, a, b []*slot) bool {
	key := func(set []*slot) (out [3]float64) {
		var models []string
		for _, uuid := range w.got {
			if s := p.slot(uuid); s != nil {
				models = append(models, s.gpu.Name)
			}
		}
		for _, s := range set {
			out[0] += float64(p.sharers(s, w))
			out[2] += float64(s.size())
			models = append(models, s.gpu.Name)
		}
		slices.Sort(models)
		out[1] = float64(len(slices.Compact(models)))
		return out
	}
	x, y := key(a), key(b)
	return slices.Compare(x[:], y[:]) < 0
}

// pins puts together what the lock is to have.
func (p *picker) pins() {
	for _, w := range p.wants {
		switch {
		case len(w.names) > 0:
			p.choice.Pins[w.CTID] = Pin{Names: w.names}
		case len(w.got) > 0 && w.met:
			r := *w.Request
			p.choice.Pins[w.CTID] = Pin{Request: &r, GPUs: w.got}
		case len(w.got) > 0:
			// Not the request that is wanted now: this one is answered.
			r := *w.Request
			if w.Pin.Request != nil {
				r = *w.Pin.Request
			}
			r.Count = len(w.got)
			p.choice.Pins[w.CTID] = Pin{Request: &r, GPUs: w.got}
		case w.Request != nil && !w.met && w.Pin.Request != nil:
			p.choice.Pins[w.CTID] = w.Pin // what it has until there is something else for it
		}
	}
}

// cards is what the lock is to have of the host's cards: all that are there, and those
// that are meant and not there right now.
func (p *picker) cards() map[string]Card {
	meant := map[string]bool{}
	for _, pin := range p.choice.Pins {
		for _, uuid := range pin.GPUs {
			meant[uuid] = true
		}
		for _, uuid := range pin.Names {
			meant[uuid] = true
		}
	}
	for _, w := range p.wants {
		for _, name := range w.Names {
			meant[name] = true
		}
	}
	out := map[string]Card{}
	for uuid, c := range p.kept {
		if meant[uuid] {
			out[uuid] = c
		}
	}
	for _, s := range p.slots {
		if s.uuid == "" || s.part != nil && !meant[s.uuid] {
			continue
		}
		was := p.kept[s.uuid]
		out[s.uuid] = Card{Name: cmp.Or(s.name(), was.Name), MemoryBytes: cmp.Or(s.memory, was.MemoryBytes), PCIAddress: cmp.Or(s.gpu.PCIAddress, was.PCIAddress)}
	}
	return out
}
