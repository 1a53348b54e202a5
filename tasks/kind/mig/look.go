package mig

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
	"phoenix/tasks/systemd"
)

// card is one that the spec names.
type card struct {
	*status
	// written is its name in the spec.
	written   string
	layout    Layout
	minor     int
	instances []*instance
	// unread is why they cannot be told.
	unread error
	// gone are device nodes of its instances that are not there.
	gone []string
	// users are who uses the card, and plan is what a run would make of its instances;
	// both are found only where something is to change.
	users []string
	plan  *plan
}

// on tells whether the card is in MIG mode now.
func (c *card) on() bool { return c.current == wordOn }

// pends tells whether the wanted mode was set, and is not in effect.
func (c *card) pends() bool {
	return c.on() == c.layout.off() && (c.pending == wordOn) != c.layout.off()
}

func (c *card) wanted() string {
	if c.layout.off() {
		return none
	}
	return c.layout.words()
}

// asWanted tells whether the card is divided as is wanted, now.
func (c *card) asWanted() bool {
	return c.on() != c.layout.off() && described(c.instances) == c.wanted()
}

// free tells whether a run may change the card.
func (c *card) free() bool { return !c.pends() && c.waits() == "" }

// waits is why people have to come first; "" where they need not.
func (c *card) waits() string {
	if c.plan != nil && c.plan.taken() != "" {
		return ": the layout has no place for what is given away, " + c.plan.taken() + `: change gpu_assignment there, or set it to "none", and run, then run again`
	}
	if len(c.users) > 0 {
		return " while the card is used by " + strings.Join(c.users, ", ") + ": stop it (a container by `phoenix stop CTID`) and run again"
	}
	return ""
}

// machine is what there is.
type machine struct {
	// bound are the driver's cards; faults say, by their address, why one cannot be asked.
	bound  []gpu.Bound
	faults map[string]error
	// cards are those that the spec names, and unmet says of the others why not.
	cards []*card
	unmet map[string]error
	// text is phoenix's unit; empty for none.
	text string
	unit systemd.Unit
}

func (t *task) look(ctx context.Context, h tasks.Host) (*machine, error) {
	m := &machine{faults: make(map[string]error), unmet: make(map[string]error)}
	var err error
	if m.bound, err = gpu.BoundCards(h); err != nil {
		return nil, err
	}
	if len(m.bound) == 0 {
		return nil, &tasks.UnknownError{Why: "NVIDIA's driver is not loaded, or has no card"}
	}
	text, err := m.ask(ctx, h, statusKeys, "--format=csv,noheader")
	if err != nil {
		return nil, err
	}
	all, err := parseStatus(text)
	if err != nil {
		return nil, err
	}
	for _, written := range t.spec.cards() {
		c, err := t.find(written, all, m)
		for _, other := range m.cards {
			if err == nil && other.uuid == c.uuid {
				err = errors.New("it is the card that " + other.written + " names too")
			}
		}
		if err != nil {
			m.unmet[written] = err
		} else {
			m.cards = append(m.cards, c)
		}
	}
	if err := m.inside(ctx, h); err != nil {
		return nil, err
	}
	data, there, err := tasks.ReadIfExists(h, unitFile)
	if m.text = string(data); there {
		m.unit, err = systemd.Show(ctx, h, unitName)
	}
	return m, err
}

// find takes the card of a name.
func (t *task) find(written string, all []*status, m *machine) (*card, error) {
	name, _ := gpu.CardName(written)
	words := ""
	for i, b := range m.bound {
		var s *status
		for _, other := range all {
			if other.address == b.Address {
				s = other
			}
		}
		if s == nil { // it was not told of
			s = &status{index: strconv.Itoa(i), address: b.Address, uuid: b.UUID}
		}
		words += "; GPU " + s.index + ", " + s.address + ", " + s.uuid
		if s.address != name && s.uuid != name && s.index != name {
			continue
		}
		c := &card{status: s, written: written, layout: t.spec.Layouts[written], minor: b.Minor}
		if s.name == "" {
			return nil, silent(m.faults[b.Address])
		}
		if !c.layout.off() && strings.HasPrefix(c.current, "[") {
			return nil, errors.New(c.name + " has no MIG (take nvidia.mig." + written + " out)")
		}
		return c, nil
	}
	return nil, errors.New("the driver of this host has none of that name; it has " + strings.TrimPrefix(words, "; "))
}

func silent(why error) error {
	if why == nil {
		why = errors.New("nvidia-smi does not tell of it")
	}
	return errors.New("it does not answer: " + why.Error())
}

// card is the one of a name of the spec; nil where it is unmet.
func (m *machine) card(written string) *card {
	for _, c := range m.cards {
		if c.written == written {
			return c
		}
	}
	return nil
}

// askTimeout bounds nvidia-smi, which a card that is broken can hold up.
const askTimeout = 30 * time.Second

// smi asks nvidia-smi. That there is nothing to list is the status 6, NVML's number for it.
// It tells whether a card can be what made it fail: not where it could not be run.
func smi(ctx context.Context, h tasks.Host, args ...string) (text string, card bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c := tasks.Cmd{Argv: append([]string{"nvidia-smi"}, args...), ReadOnly: true}
	out, err := h.Run(ctx, c)
	if err == nil && out.Code == 6 && args[0] == "mig" && strings.HasPrefix(string(out.Stdout)+string(out.Stderr), "No ") {
		return "", false, nil
	}
	return string(out.Stdout), err == nil || ctx.Err() != nil, tasks.Failed(c, out, err)
}

// ask asks of all cards at once. Where one of them makes that fail, each is asked by
// itself: a card that is broken costs only what it would have said.
func (m *machine) ask(ctx context.Context, h tasks.Host, args ...string) (string, error) {
	var err error
	if len(m.faults) == 0 {
		text, card, failed := smi(ctx, h, args...)
		if !card || failed == nil {
			return text, failed
		}
		err = failed
	}
	text := ""
	for _, b := range m.bound {
		if m.faults[b.Address] != nil || ctx.Err() != nil {
			continue
		}
		part, card, failed := smi(ctx, h, append(args[:len(args):len(args)], "-i", b.Address)...)
		if !card && failed != nil {
			return "", failed
		}
		if failed != nil {
			m.faults[b.Address], err = failed, failed
			continue
		}
		text += part
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if len(m.faults) == len(m.bound) {
		return "", err
	}
	return text, nil
}

// inside reads the instances of the cards, and of those that are to change who uses them
// and what they offer. Some drivers tell that only of cards in MIG mode.
func (m *machine) inside(ctx context.Context, h tasks.Host) error {
	var said [4]string
	var faults []error
	ask := func(i int, option string) {
		text, err := m.ask(ctx, h, "mig", option)
		said[i] = text
		if err != nil {
			faults = append(faults, err)
		}
	}
	on, differ := false, false
	for _, c := range m.cards {
		on = on || c.on()
	}
	if on {
		ask(0, "-lgi")
		ask(1, "-lci")
	}
	for _, c := range m.cards {
		c.instances, c.unread = parseInstances(c.index, said[0], said[1])
		differ = differ || !c.asWanted()
	}
	var used, given map[string][]string
	if differ {
		var err error
		if used, given, err = users(h); err != nil {
			return err
		}
		ask(2, "-lgip")
		ask(3, "-lgipp")
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	var good []*card
	for _, c := range m.cards {
		err := c.unread
		switch fault := m.faults[c.address]; {
		case fault != nil:
			err = silent(fault)
		case err != nil:
		case c.asWanted():
			err = c.nodes(h)
		default:
			c.users = used["/dev/nvidia"+strconv.Itoa(c.minor)]
			if err = c.give(h, given); err == nil {
				err = c.foresee(said[2], said[3])
			}
		}
		if err != nil {
			m.unmet[c.written] = err
		} else {
			good = append(good, c)
		}
	}
	m.cards = good
	return nil
}

// give notes which containers are configured with an instance: they have the node of one
// of its capabilities.
func (c *card) give(h tasks.Host, given map[string][]string) error {
	for _, g := range c.instances {
		for _, file := range g.access(c.minor) {
			node, err := gpu.CapabilityNode(h, file)
			if err != nil {
				return err
			}
			for _, who := range given[node] {
				if !slices.Contains(g.given, who) {
					g.given = append(g.given, who)
				}
			}
		}
	}
	return nil
}

func (c *card) foresee(profiles, places string) error {
	offers, err := parseOffers(c.index, profiles, places)
	if err != nil {
		return err
	}
	if offers == nil && c.on() {
		offers = []*offer{}
	}
	var want []string
	if !c.layout.off() {
		want = sorted(c.layout)
	}
	c.plan, err = planFor(c.instances, want, offers)
	return err
}

// access are the capabilities of one GPU instance: its own, and those of the compute
// instances in it.
func (g *instance) access(minor int) (out []string) {
	for i, id := range g.ids {
		out = append(out, gpu.AccessFiles(minor, g.id, id)[min(i, 1):]...)
	}
	return out
}

// access are the capabilities of the card's instances.
func (c *card) access() (out []string) {
	for _, g := range c.instances {
		out = append(out, g.access(c.minor)...)
	}
	return out
}

// nodes finds the device nodes that are missing.
func (c *card) nodes(h tasks.Host) error {
	for _, file := range c.access() {
		node, err := gpu.CapabilityNode(h, file)
		if err != nil {
			return err
		}
		if _, err = h.Stat(node); errors.Is(err, fs.ErrNotExist) {
			c.gone = append(c.gone, node)
		} else if err != nil {
			return err
		}
	}
	return nil
}
