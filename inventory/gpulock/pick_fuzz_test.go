package gpulock

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/gpufacts"
)

// dice give small numbers, from bytes, and 0 where there are no more.
type dice struct{ data []byte }

func (d *dice) upTo(n int) int {
	if len(d.data) == 0 {
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return int(b) % (n + 1)
}

// drawnHost is a host of up to six cards, some of them lost, divided, or another's.
func drawnHost(d *dice) *gpufacts.Host {
	var cards []string
	for range d.upTo(6) {
		cards = append(cards, []string{rtx3060, rtx4090, a6000, "NVIDIA T400"}[d.upTo(3)])
	}
	h := box(cards...)
	for i := range h.GPUs {
		g := &h.GPUs[i]
		switch d.upTo(7) {
		case 1:
			g.Error = &gpufacts.Fault{Kind: gpufacts.KindLost}
		case 2:
			g.UUID = ""
		case 3:
			h.Cards[i].Driver = "vfio-pci"
		case 4:
			g.MIG = &gpufacts.MIG{Enabled: true, Instances: []gpufacts.MIGInstance{
				{UUID: "MIG-1" + g.UUID, Profile: "1g.5gb", Memory: &gpufacts.Memory{Total: 5 * gib}}, {UUID: "MIG-2" + g.UUID, Profile: "1g.5gb"},
			}}
		}
		for range d.upTo(2) {
			h.Cards[i].Assigned = append(h.Cards[i].Assigned, 948+d.upTo(6))
		}
	}
	return h
}

func drawnWant(d *dice, ctid int) Want {
	w := Want{CTID: ctid, BudgetGB: float64(d.upTo(3) * 5), Idle: d.upTo(5) == 1}
	draw := func() *Request {
		r := &Request{Count: d.upTo(3), MinVRAMGB: float64(d.upTo(2) * 11), Model: []string{"", "", "RTX 4090"}[d.upTo(2)]}
		if d.upTo(3) == 1 {
			*r = Request{Count: d.upTo(2), MIG: "1g.5gb"}
		}
		return r
	}
	id := func() string { return uuid(string(rune('a' + d.upTo(7)))) }
	switch d.upTo(6) {
	case 0:
		w.Names = []string{[]string{"0", "1", "7", uuid("a"), address(1), "MIG-1" + uuid("a")}[d.upTo(5)]}
	case 1:
		w.All = true
	case 2: // none
		w.Of = 949 + d.upTo(5)
	default:
		w.Request = draw()
	}
	if d.upTo(2) == 1 {
		w.Pin = Pin{Request: draw(), GPUs: []string{id(), id()}[:1+d.upTo(1)]}
	}
	return w
}

// chosenNow tells whether a container got a card that it neither had pinned nor names.
func chosenNow(w Want, pin Pin, id string) bool {
	return w.Request != nil && slices.Contains(pin.GPUs, id) && !slices.Contains(w.Pin.GPUs, id)
}

// FuzzPick holds every choice to what may never happen: a card that is chosen for one
// container while another has it for itself, more budget than memory, another choice for
// the same question, and a choice that the next run would make otherwise.
func FuzzPick(f *testing.F) {
	f.Add([]byte("\x03\x01\x01\x01\x00\x00\x00\x00\x00\x00\x02\x01\x03\x01\x00\x00\x00\x00\x01\x03\x01"))
	f.Add([]byte{6, 0, 1, 2, 0, 1, 2, 0, 1, 3, 0, 1, 4, 4, 0, 0, 0, 4, 2, 5, 1, 1, 2, 5, 0, 0, 1, 5, 1, 2, 5, 1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &dice{data}
		h := drawnHost(d)
		var wants []Want
		for i := range d.upTo(5) {
			wants = append(wants, drawnWant(d, 950+i))
		}
		shared := map[string]bool{}
		for _, g := range h.GPUs {
			shared[g.UUID] = d.upTo(1) == 1
		}
		rule := func(g *gpufacts.GPU) string {
			if shared[g.UUID] {
				return PolicyShared
			}
			return "exclusive"
		}
		got := Pick(h, wants, rule, nil)
		if again := Pick(h, wants, rule, nil); !reflect.DeepEqual(got, again) {
			t.Fatalf("the same question, another choice:\n%+v\n%+v", got, again)
		}
		for _, s := range slotsOf(h) {
			checkSlot(t, h, wants, got, s, s.part == nil && shared[s.uuid] || s.part != nil && shared[s.gpu.UUID])
		}
		for i, w := range wants {
			_, unmet := got.Unmet[w.CTID]
			if w.Request != nil && !unmet && len(got.Pins[w.CTID].GPUs) != max(w.Request.Count, 1) {
				t.Errorf("container %d: %+v for %+v", w.CTID, got.Pins[w.CTID], w.Request)
			}
			wants[i].Pin = got.Pins[w.CTID]
		}
		if next := Pick(h, wants, rule, got.Cards); !reflect.DeepEqual(next.Pins, got.Pins) || !maps.Equal(next.Cards, got.Cards) {
			t.Errorf("the next run chooses otherwise:\n%+v\n%+v", next, got)
		}
	})
}

// checkSlot looks at who has one card, if it was chosen for anybody now.
func checkSlot(t *testing.T, h *gpufacts.Host, wants []Want, got Choice, s *slot, shared bool) {
	assigned := h.Card(s.gpu.PCIAddress).Assigned
	holders, chosen, budgets, managed := 0, false, 0.0, []int{}
	stay, fresh := 0, false // those that keep it on the host, and whether another gets it
	for _, w := range wants {
		managed = append(managed, w.CTID)
		if w.Idle {
			continue
		}
		pin := got.Pins[w.CTID]
		if _, unmet := got.Unmet[w.CTID]; unmet && s.part == nil && w.Request != nil && slices.Contains(assigned, w.CTID) && !slices.Contains(pin.GPUs, s.uuid) {
			stay++
		}
		named := w.All || slices.Contains(w.Names, s.uuid) || slices.Contains(w.Names, s.gpu.PCIAddress) || slices.Contains(slices.Collect(maps.Values(pin.Names)), s.uuid)
		if !named && !slices.Contains(pin.GPUs, s.uuid) || s.uuid == "" {
			continue
		}
		holders++
		chosen = chosen || chosenNow(w, pin, s.uuid)
		fresh = fresh || chosenNow(w, pin, s.uuid) && !slices.Contains(assigned, w.CTID)
		if budgets += w.BudgetGB; w.BudgetGB == 0 {
			budgets += 1e9 // more than any card
		}
		if chosenNow(w, pin, s.uuid) && s.answers(&wanted{Want: &w}, false) != "" {
			t.Errorf("container %d was given %s: %s", w.CTID, s.uuid, s.answers(&wanted{Want: &w}, false))
		}
	}
	for _, id := range assigned {
		if !slices.Contains(managed, id) {
			holders, budgets = holders+1, 1e9
		}
	}
	switch {
	case fresh && stay > 0 && !shared:
		t.Errorf("%s was chosen, and a container that keeps it on the host was given no other", s.uuid)
	case !chosen || holders < 2:
	case !shared:
		t.Errorf("%s was chosen and has %d containers: %s", s.uuid, holders, strings.TrimSpace(s.name()))
	case budgets*1e9 > float64(s.memory):
		t.Errorf("%s was chosen, with budgets of %g GB on %d bytes", s.uuid, budgets, s.memory)
	}
}
