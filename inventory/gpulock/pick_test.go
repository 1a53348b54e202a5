package gpulock

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/gpufacts"
)

const gib = uint64(1) << 30

// uuid is that of a card by one digit: "a" is that of GPU 0.
func uuid(letter string) string {
	return "GPU-" + strings.Repeat(letter, 8) + "-1111-2222-3333-444455556666"
}

// box is a host with cards of these names and memories in GiB: "NVIDIA GeForce RTX 4090/24".
// GPU 0 is uuid("a") at 0000:01:00.0.
func box(cards ...string) *gpufacts.Host {
	h := &gpufacts.Host{Document: gpufacts.Document{Source: gpufacts.SourceNVML}}
	for i, c := range cards {
		name, memory, _ := strings.Cut(c, "/")
		g := gpufacts.GPU{Index: i, Name: name, UUID: uuid(string(rune('a' + i))), PCIAddress: address(i)}
		var n uint64
		if _, err := fmt.Sscan(memory, &n); err == nil {
			g.Memory = &gpufacts.Memory{Total: n * gib}
		}
		h.GPUs = append(h.GPUs, g)
		h.Cards = append(h.Cards, gpufacts.Card{Address: g.PCIAddress, Driver: "nvidia", Node: fmt.Sprintf("/dev/nvidia%d", i)})
	}
	return h
}

func address(i int) string { return fmt.Sprintf("0000:%02x:00.0", i+1) }

// divided is an A100 of two parts: MIG-1 of 1g.5gb and MIG-3 of 3g.20gb.
func divided() *gpufacts.Host {
	h := box("NVIDIA A100-PCIE-40GB/40")
	h.GPUs[0].MIG = &gpufacts.MIG{Enabled: true, Instances: []gpufacts.MIGInstance{
		{UUID: "MIG-1", Profile: "1g.5gb", Memory: &gpufacts.Memory{Total: 5 * gib}},
		{UUID: "MIG-3", Profile: "3g.20gb", Memory: &gpufacts.Memory{Total: 20 * gib}},
	}}
	return h
}

// twins is an A100 with two parts of one profile, MIG-1 and MIG-2.
func twins() *gpufacts.Host {
	h := divided()
	h.GPUs[0].MIG.Instances[1] = gpufacts.MIGInstance{UUID: "MIG-2", Profile: "1g.5gb"}
	return h
}

func change(h *gpufacts.Host, by func(*gpufacts.Host)) *gpufacts.Host { by(h); return h }

func request(n int, gb float64, model string) *Request {
	return &Request{Count: n, MinVRAMGB: gb, Model: model}
}

func policy(p string) func(*gpufacts.GPU) string { return func(*gpufacts.GPU) string { return p } }

const (
	rtx3060 = "NVIDIA GeForce RTX 3060/12"
	rtx4090 = "NVIDIA GeForce RTX 4090/24"
	a6000   = "NVIDIA RTX A6000/48"
)

func TestPick(t *testing.T) {
	one, two := request(1, 0, ""), request(2, 0, "")
	for _, c := range []struct {
		name   string
		host   *gpufacts.Host
		wants  []Want
		policy string
		kept   map[string]Card
		// gpus of each container, as letters of the cards.
		gpus map[int]string
		// unmet is part of the reason of each container that has one.
		unmet map[int]string
	}{
		{name: "the smallest card that is enough is taken", host: box(a6000, rtx4090, rtx3060), wants: []Want{{CTID: 950, Request: request(1, 20, "")}}, gpus: map[int]string{950: "b"}},
		{name: "of cards of one size the lowest index is taken", host: box(rtx4090, rtx3060, rtx3060), wants: []Want{{CTID: 950, Request: one}}, gpus: map[int]string{950: "b"}},
		{name: "24 GB are those of the trade, and 26 are more", host: box(rtx4090), wants: []Want{{CTID: 950, Request: request(1, 24, "")}, {CTID: 951, Request: request(1, 26, "")}}, gpus: map[int]string{950: "a"}, unmet: map[int]string{951: "GPU 0 RTX 4090 25.8 GB: too little memory"}},
		{name: "a budget asks for as much memory", host: box(rtx3060, rtx4090), wants: []Want{{CTID: 950, Request: one, BudgetGB: 20}}, gpus: map[int]string{950: "b"}},
		{name: "the model is asked for", host: box(rtx3060, "NVIDIA GeForce RTX 4070 Ti/12", "NVIDIA GeForce RTX 4070/12"), wants: []Want{{CTID: 950, Request: request(1, 0, "rtx 4070")}}, gpus: map[int]string{950: "c"}},
		{name: "no container has the card of another", host: box(rtx3060, rtx4090), wants: []Want{{CTID: 950, Request: one}, {CTID: 951, Request: one}, {CTID: 952, Request: one}}, gpus: map[int]string{950: "a", 951: "b"}, unmet: map[int]string{952: "GPU 0 RTX 3060 12.9 GB: container 950 has it; GPU 1 RTX 4090 25.8 GB: container 951 has it"}},
		{name: "a card that another names by its UUID is taken", host: box(rtx3060, rtx4090), wants: []Want{{CTID: 950, Request: one}, {CTID: 951, Names: []string{uuid("a")}}}, gpus: map[int]string{950: "b"}},
		{name: "a card that another names by its address is taken", host: box(rtx3060, rtx4090), wants: []Want{{CTID: 950, Request: one}, {CTID: 951, Names: []string{address(0)}}}, gpus: map[int]string{950: "b"}},
		{name: "a card that another names by its index is taken", host: box(rtx3060, rtx4090), wants: []Want{{CTID: 950, Request: one}, {CTID: 951, Names: []string{"0"}}}, gpus: map[int]string{950: "b", 951: "0=a"}},
		{name: "nothing is left beside a container that gets all", host: box(rtx3060), wants: []Want{{CTID: 950, Request: one}, {CTID: 951, All: true}}, unmet: map[int]string{950: "container 951 has it"}},
		{name: "a container that phoenix does not manage has its card", host: change(box(rtx3060, rtx4090), func(h *gpufacts.Host) { h.Cards[0].Assigned = []int{970} }), wants: []Want{{CTID: 950, Request: one}}, gpus: map[int]string{950: "b"}},
		{name: "a card that a managed container is about to lose is free", host: change(box(rtx3060), func(h *gpufacts.Host) { h.Cards[0].Assigned = []int{951} }), wants: []Want{{CTID: 950, Request: one}, {CTID: 951}}, gpus: map[int]string{950: "a"}},
		{name: "a card of a virtual machine is not there", host: change(box(rtx3060, rtx4090), func(h *gpufacts.Host) { h.Cards[0].Driver = "vfio-pci" }), wants: []Want{{CTID: 950, Request: two}}, unmet: map[int]string{950: "GPU 0 RTX 3060 12.9 GB: driver vfio-pci; GPU 1 RTX 4090 25.8 GB: it would do"}},
		{name: "a lost card is not chosen", host: change(box(rtx3060), func(h *gpufacts.Host) { h.GPUs[0].Error = &gpufacts.Fault{Kind: gpufacts.KindLost} }), wants: []Want{{CTID: 950, Request: one}}, unmet: map[int]string{950: "GPU 0 RTX 3060 12.9 GB: lost"}},
		{name: "a divided card is not chosen whole", host: divided(), wants: []Want{{CTID: 950, Request: one}}, unmet: map[int]string{950: "it is divided (MIG)"}},
		{name: "a card without a UUID cannot be pinned", host: change(box(rtx3060), func(h *gpufacts.Host) { h.GPUs[0].UUID = "" }), wants: []Want{{CTID: 950, Request: one}}, unmet: map[int]string{950: "its UUID is not known"}},
		{name: "memory that is not known is not enough", host: box("NVIDIA T400"), wants: []Want{{CTID: 950, Request: request(1, 1, "")}}, unmet: map[int]string{950: "its memory is not known"}},
		{name: "a host without a card", host: box(), wants: []Want{{CTID: 950, Request: one}}, unmet: map[int]string{950: "the host has no NVIDIA GPU"}},
		{name: "a host whose driver is not there tells of its cards", host: &gpufacts.Host{Cards: []gpufacts.Card{{Address: address(0)}}}, wants: []Want{{CTID: 950, Request: one}}, unmet: map[int]string{950: "0000:01:00.0: driver none"}},

		{name: "several cards are of one model", host: box(rtx3060, rtx4090, a6000, rtx4090), wants: []Want{{CTID: 950, Request: two}}, gpus: map[int]string{950: "bd"}},
		{name: "several cards of several models are better than none", host: box(rtx3060, rtx4090), wants: []Want{{CTID: 950, Request: two}}, gpus: map[int]string{950: "ab"}},
		{name: "of several models the smallest are taken", host: box(a6000, rtx4090, rtx3060), wants: []Want{{CTID: 950, Request: two}}, gpus: map[int]string{950: "cb"}},
		{name: "one more card is of the model that is there", host: box(rtx3060, rtx4090, rtx4090), wants: []Want{{CTID: 950, Request: two, Pin: Pin{Request: one, GPUs: []string{uuid("b")}}}}, gpus: map[int]string{950: "bc"}},
		{name: "too few cards are none", host: box(rtx3060, rtx4090), wants: []Want{{CTID: 950, Request: request(3, 0, "")}, {CTID: 951, Request: one}}, gpus: map[int]string{951: "a"}, unmet: map[int]string{950: "container 951 has it"}},

		{name: "a pinned card stays, whatever would be better", host: box(rtx3060, rtx4090), wants: []Want{{CTID: 950, Request: one, Pin: Pin{Request: one, GPUs: []string{uuid("b")}}}}, gpus: map[int]string{950: "b"}},
		{name: "pinned cards go before what others ask for first", host: box(rtx3060), wants: []Want{{CTID: 949, Request: one}, {CTID: 950, Request: one, Pin: Pin{Request: one, GPUs: []string{uuid("a")}}}}, gpus: map[int]string{950: "a"}, unmet: map[int]string{949: "container 950 has it"}},
		{name: "a request that was answered is served before a new one", host: box(rtx3060, rtx4090, rtx4090), wants: []Want{{CTID: 949, Request: two}, {CTID: 950, Request: two, Pin: Pin{Request: one, GPUs: []string{uuid("a")}}}}, gpus: map[int]string{950: "ab"}, unmet: map[int]string{949: "container 950 has it"}},
		{name: "a pinned card that does no more is exchanged", host: box(rtx3060, rtx4090), wants: []Want{{CTID: 950, Request: request(1, 20, ""), Pin: Pin{Request: one, GPUs: []string{uuid("a")}}}}, gpus: map[int]string{950: "b"}},
		{name: "of too many pinned cards the last go", host: box(rtx3060, rtx4090), wants: []Want{{CTID: 950, Request: one, Pin: Pin{Request: two, GPUs: []string{uuid("b"), uuid("a")}}}}, gpus: map[int]string{950: "b"}},
		{name: "a pinned card that is lost stays", host: change(box(rtx3060, rtx4090), func(h *gpufacts.Host) { h.GPUs[0].Error = &gpufacts.Fault{Kind: gpufacts.KindLost} }), wants: []Want{{CTID: 950, Request: one, Pin: Pin{Request: one, GPUs: []string{uuid("a")}}}}, gpus: map[int]string{950: "a"}},
		{name: "a pinned card that the host tells nothing of stays", host: box(rtx3060), wants: []Want{{CTID: 950, Request: one, Pin: Pin{Request: one, GPUs: []string{uuid("d")}}}}, kept: map[string]Card{uuid("d"): {Name: "NVIDIA GeForce RTX 4090", PCIAddress: address(3)}}, gpus: map[int]string{950: "d"}},
		{name: "a pinned card in whose place is another is gone", host: box(rtx3060), wants: []Want{{CTID: 950, Request: one, Pin: Pin{Request: one, GPUs: []string{uuid("d")}}}}, kept: map[string]Card{uuid("d"): {Name: "NVIDIA GeForce RTX 4090", PCIAddress: address(0)}}, gpus: map[int]string{950: "a"}},
		{name: "a lost card that never did is not kept", host: box(rtx4090), wants: []Want{{CTID: 950, Request: request(1, 20, ""), Pin: Pin{Request: one, GPUs: []string{uuid("d")}}}}, kept: map[string]Card{uuid("d"): {MemoryBytes: 12 * gib, PCIAddress: address(3)}}, gpus: map[int]string{950: "a"}},
		{name: "a request that cannot be met keeps what it had", host: box(rtx3060), wants: []Want{{CTID: 950, Request: two, Pin: Pin{Request: one, GPUs: []string{uuid("a")}}}}, gpus: map[int]string{950: "a"}, unmet: map[int]string{950: "GPU 0 RTX 3060 12.9 GB: it is this container's"}},

		{name: "an index keeps the card that it meant", host: box(rtx3060, rtx4090), wants: []Want{{CTID: 950, Names: []string{"0"}, Pin: Pin{Names: map[string]string{"0": uuid("b"), "1": uuid("a")}}}}, gpus: map[int]string{950: "0=b"}},
		{name: "an index without a card means nothing", host: box(rtx3060), wants: []Want{{CTID: 950, Names: []string{"0", "4"}}}, gpus: map[int]string{950: "0=a"}, unmet: map[int]string{950: "no card with index 4 whose UUID is known: GPU 0 RTX 3060 12.9 GB"}},
		{name: "an existing container keeps the card that it has", host: change(box(rtx3060, rtx4090), func(h *gpufacts.Host) { h.Cards[1].Assigned = []int{951} }), wants: []Want{{CTID: 950, Request: request(1, 20, "")}, {CTID: 951, Request: one}}, gpus: map[int]string{951: "b"}, unmet: map[int]string{950: "container 951 has it"}},
		{name: "a pinned card that the container has on the host is not given twice", host: change(box(rtx3060, rtx4090), func(h *gpufacts.Host) { h.Cards[0].Assigned = []int{950} }), wants: []Want{{CTID: 950, Request: two, Pin: Pin{Request: one, GPUs: []string{uuid("a")}}}}, gpus: map[int]string{950: "ab"}},
		{name: "a clone has the card of its parent", host: change(box(rtx3060, rtx4090), func(h *gpufacts.Host) { h.Cards[1].Assigned = []int{960} }), wants: []Want{{CTID: 950, Request: request(1, 20, "")}, {CTID: 951, Request: one}, {CTID: 952, Request: one}, {CTID: 960, Of: 950}}, gpus: map[int]string{950: "b", 951: "a"}, unmet: map[int]string{952: "containers 950 and 960 have it"}},
		{name: "clones share with their parent's budget and their own", policy: PolicyShared, host: box(rtx4090), wants: []Want{{CTID: 949, Names: []string{"0"}, BudgetGB: 10}, {CTID: 950, Request: one, BudgetGB: 10}, {CTID: 951, Request: one, BudgetGB: 10}, {CTID: 960, Of: 950, BudgetGB: 10}}, gpus: map[int]string{949: "0=a", 951: "a"}, unmet: map[int]string{950: "containers 949 and 951 have it, with 20.0 GB of its 25.8 GB"}},
		{name: "a template leaves its card to others", host: box(rtx3060), wants: []Want{{CTID: 900, Names: []string{"0"}, Idle: true}, {CTID: 950, Request: one}}, gpus: map[int]string{900: "0=a", 950: "a"}},
		{name: "a container keeps what it has on the host until its request is met", host: change(box(rtx3060), func(h *gpufacts.Host) { h.Cards[0].Assigned = []int{951} }), wants: []Want{{CTID: 950, Request: one}, {CTID: 951, Request: two}}, unmet: map[int]string{950: "container 951 has it", 951: "it would do"}},
		{name: "what a container has on the host is free once its request is met", host: change(box(rtx3060, rtx4090), func(h *gpufacts.Host) { h.Cards[0].Assigned = []int{951} }), wants: []Want{{CTID: 950, Request: request(1, 0, "RTX 3060")}, {CTID: 951, Request: request(1, 20, "")}}, gpus: map[int]string{950: "a", 951: "b"}},
		{name: "of two that have one card on the host, the first gets it", host: change(box(rtx3060), func(h *gpufacts.Host) { h.Cards[0].Assigned = []int{950, 951} }), wants: []Want{{CTID: 950, Request: one}, {CTID: 951, Request: one}}, gpus: map[int]string{950: "a"}, unmet: map[int]string{951: "container 950 has it"}},

		{name: "cards are not shared without a word on it", host: box(rtx4090), wants: []Want{{CTID: 950, Request: one, BudgetGB: 8}, {CTID: 951, Request: one, BudgetGB: 8}}, gpus: map[int]string{950: "a"}, unmet: map[int]string{951: "container 950 has it"}},
		{name: "budgets share a card as far as it goes", policy: PolicyShared, host: box(rtx4090), wants: []Want{{CTID: 950, Request: one, BudgetGB: 12}, {CTID: 951, Request: one, BudgetGB: 12}, {CTID: 952, Request: one, BudgetGB: 2}}, gpus: map[int]string{950: "a", 951: "a"}, unmet: map[int]string{952: "containers 950 and 951 have it, with 24.0 GB of its 25.8 GB"}},
		{name: "a free card comes before one that is shared", policy: PolicyShared, host: box(rtx4090, a6000), wants: []Want{{CTID: 950, Request: one, BudgetGB: 8}, {CTID: 951, Request: one, BudgetGB: 8}}, gpus: map[int]string{950: "a", 951: "b"}},
		{name: "a free card comes before one of its model that is shared", policy: PolicyShared, host: box(rtx4090, rtx4090), wants: []Want{{CTID: 950, Request: one, BudgetGB: 8}, {CTID: 951, Request: one, BudgetGB: 8}}, gpus: map[int]string{950: "a", 951: "b"}},
		{name: "nobody without a budget shares", policy: PolicyShared, host: box(rtx4090), wants: []Want{{CTID: 950, Request: one, BudgetGB: 8}, {CTID: 951, Request: one}}, gpus: map[int]string{950: "a"}, unmet: map[int]string{951: "it is shared only with a gpu_memory_gb"}},
		{name: "nobody shares with one without a budget", policy: PolicyShared, host: box(rtx4090), wants: []Want{{CTID: 950, Names: []string{uuid("a")}}, {CTID: 951, Request: one, BudgetGB: 8}}, unmet: map[int]string{951: "and container 950 no gpu_memory_gb"}},

		{name: "a part of the profile is chosen", host: divided(), wants: []Want{{CTID: 950, Request: &Request{MIG: "3g.20gb"}}}, gpus: map[int]string{950: "MIG-3"}},
		{name: "a part that another names by its UUID is taken", host: twins(), wants: []Want{{CTID: 900, Names: []string{"MIG-1"}}, {CTID: 901, Request: &Request{MIG: "1g.5gb"}}}, gpus: map[int]string{901: "MIG-2"}},
		{name: "a request that cannot be met keeps the part that it had, and nobody else gets it", host: divided(), wants: []Want{{CTID: 949, Request: &Request{MIG: "3g.20gb"}}, {CTID: 950, Request: &Request{MIG: "2g.10gb"}, Pin: Pin{Request: &Request{MIG: "3g.20gb"}, GPUs: []string{"MIG-3"}}}}, gpus: map[int]string{950: "MIG-3"}, unmet: map[int]string{949: "container 950 has it", 950: "another profile"}},
		{name: "a request that cannot be met keeps the card of the one before", host: box(rtx3060), wants: []Want{{CTID: 950, Request: request(1, 0, "RTX 4090"), Pin: Pin{Request: one, GPUs: []string{uuid("a")}}}}, gpus: map[int]string{950: "a"}, unmet: map[int]string{950: "GPU 0 RTX 3060 12.9 GB: another model"}},
		{name: "of too few cards is told how many there are", host: box(rtx3060), wants: []Want{{CTID: 950, Request: two}}, unmet: map[int]string{950: "only 1 of 2 can be had: GPU 0 RTX 3060 12.9 GB: it would do"}},
		{name: "a model without its space is guessed", host: box(rtx4090), wants: []Want{{CTID: 950, Request: request(1, 0, "rtx4090")}}, unmet: map[int]string{950: `another model (did you mean "RTX 4090"?)`}},
		{name: "a budget above every card is told", host: box(rtx4090), wants: []Want{{CTID: 950, Request: one, BudgetGB: 48}}, unmet: map[int]string{950: "GPU 0 RTX 4090 25.8 GB: too little memory for a gpu_memory_gb of 48"}},
		{name: "a budget above the pinned card has a larger one chosen", host: box(rtx4090, a6000), wants: []Want{{CTID: 950, Request: one, BudgetGB: 40, Pin: Pin{Request: one, GPUs: []string{uuid("a")}}}}, gpus: map[int]string{950: "b"}},
		{name: "a part belongs to one container", host: divided(), wants: []Want{{CTID: 950, Request: &Request{MIG: "1g.5gb"}}, {CTID: 951, Request: &Request{MIG: "1g.5gb"}}}, gpus: map[int]string{950: "MIG-1"}, unmet: map[int]string{951: "GPU 0 A100-PCIE-40GB MIG 1g.5gb: container 950 has it; GPU 0 A100-PCIE-40GB MIG 3g.20gb: another profile"}},
		{name: "a part that another names is taken", host: divided(), wants: []Want{{CTID: 950, Request: &Request{MIG: "1g.5gb"}}, {CTID: 951, Names: []string{"MIG-1"}}}, unmet: map[int]string{950: "container 951 has it"}},
		{name: "the parts of a card that another names are its own", host: divided(), wants: []Want{{CTID: 950, Request: &Request{MIG: "1g.5gb"}}, {CTID: 951, Names: []string{"0"}}}, gpus: map[int]string{951: "0=a"}, unmet: map[int]string{950: "container 951 has it"}},
		{name: "a whole card is no part", host: box(rtx4090), wants: []Want{{CTID: 950, Request: &Request{MIG: "1g.5gb"}}}, unmet: map[int]string{950: "GPU 0 RTX 4090 25.8 GB: a whole card"}},
		{name: "a part that was made anew is chosen anew", host: divided(), wants: []Want{{CTID: 950, Request: &Request{MIG: "1g.5gb"}, Pin: Pin{Request: &Request{MIG: "1g.5gb"}, GPUs: []string{"MIG-0"}}}}, kept: map[string]Card{"MIG-0": {PCIAddress: address(0)}}, gpus: map[int]string{950: "MIG-1"}},
		{name: "a part of a lost card stays", host: change(box(rtx4090), func(h *gpufacts.Host) { h.GPUs[0].Error = &gpufacts.Fault{Kind: gpufacts.KindLost} }), wants: []Want{{CTID: 950, Request: &Request{MIG: "1g.5gb"}, Pin: Pin{Request: &Request{MIG: "1g.5gb"}, GPUs: []string{"MIG-0"}}}}, kept: map[string]Card{"MIG-0": {PCIAddress: address(0)}}, gpus: map[int]string{950: "MIG-0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Pick(c.host, c.wants, policy(c.policy), c.kept)
			if letters := lettered(got); !maps.Equal(letters, orNone(c.gpus)) {
				t.Errorf("chosen: %v, want %v", letters, c.gpus)
			}
			for id, why := range got.Unmet {
				if part := c.unmet[id]; part == "" || !strings.Contains(why, part) {
					t.Errorf("container %d is unmet: %q, want %q", id, why, part)
				}
			}
			if len(got.Unmet) != len(c.unmet) {
				t.Errorf("unmet: %v, want %v", got.Unmet, c.unmet)
			}
			for _, pin := range got.Pins {
				for _, id := range slices.Concat(pin.GPUs, slices.Collect(maps.Values(pin.Names))) {
					if _, kept := got.Cards[id]; !kept && c.kept[id] != (Card{}) {
						t.Errorf("the card %s is not kept", id)
					}
				}
			}
		})
	}
}

func orNone(m map[int]string) map[int]string {
	if m == nil {
		return map[int]string{}
	}
	return m
}

// lettered are the pins as the tests write them.
func lettered(c Choice) map[int]string {
	short := func(id string) string {
		if strings.HasPrefix(id, "GPU-") {
			return id[4:5]
		}
		return id
	}
	out := map[int]string{}
	for id, pin := range c.Pins {
		for _, u := range pin.GPUs {
			out[id] += short(u)
		}
		for _, name := range slices.Sorted(maps.Keys(pin.Names)) {
			out[id] += name + "=" + short(pin.Names[name])
		}
	}
	return out
}

func TestAPartialAnswerIsNoneToTheNewRequest(t *testing.T) {
	two, three := request(2, 0, ""), request(3, 0, "")
	got := Pick(box(rtx3060, rtx4090), []Want{{CTID: 950, Request: three, Pin: Pin{Request: two, GPUs: []string{uuid("a"), uuid("b")}}}}, policy(""), nil)
	if want := (Pin{Request: two, GPUs: []string{uuid("a"), uuid("b")}}); !reflect.DeepEqual(got.Pins[950], want) {
		t.Errorf("kept: %+v, want %+v", got.Pins[950], want)
	}
}

func TestWhatIsKeptOfCards(t *testing.T) {
	h := box(rtx3060, "/")
	h.GPUs[1].Name = ""
	kept := map[string]Card{
		uuid("b"): {Name: "NVIDIA GeForce RTX 4090", MemoryBytes: 24 * gib, PCIAddress: address(1)},
		uuid("d"): {Name: "gone", PCIAddress: address(3)},
		uuid("e"): {Name: "gone, and nobody has it", PCIAddress: address(4)},
	}
	got := Pick(h, []Want{{CTID: 950, Names: []string{uuid("d")}}}, policy(""), kept)
	want := map[string]Card{
		uuid("a"): {Name: "NVIDIA GeForce RTX 3060", MemoryBytes: 12 * gib, PCIAddress: address(0)},
		uuid("b"): kept[uuid("b")], uuid("d"): kept[uuid("d")],
	}
	if !maps.Equal(got.Cards, want) {
		t.Errorf("kept: %v, want %v", got.Cards, want)
	}
	got = Pick(divided(), []Want{{CTID: 950, Request: &Request{MIG: "1g.5gb"}}}, policy(""), nil)
	if c := got.Cards["MIG-1"]; c != (Card{Name: "NVIDIA A100-PCIE-40GB MIG 1g.5gb", MemoryBytes: 5 * gib, PCIAddress: address(0)}) || len(got.Cards) != 2 {
		t.Errorf("kept of a divided card: %v", got.Cards)
	}
}

func TestModels(t *testing.T) {
	for _, c := range []struct {
		name, model string
		want        bool
	}{
		{"NVIDIA GeForce RTX 4070", "RTX 4070", true},
		{"NVIDIA GeForce RTX 4070", "geforce rtx  4070", true},
		{"NVIDIA GeForce RTX 4070", "4070", true},
		{"NVIDIA GeForce RTX 4070", "RTX 407", false},
		{"NVIDIA GeForce RTX 4070", "TX 4070", false},
		{"NVIDIA GeForce RTX 4070", "NVIDIA RTX 4070", false},
		{"NVIDIA GeForce RTX 4070", "", false},
		{"NVIDIA GeForce RTX 4070 Ti", "RTX 4070", false},
		{"NVIDIA GeForce RTX 4070 Ti", "RTX 4070 Ti", true},
		{"NVIDIA GeForce RTX 4070 Ti SUPER", "RTX 4070 Ti", false},
		{"NVIDIA GeForce RTX 4070 SUPER", "RTX 4070", false},
		{"NVIDIA GeForce RTX 4090 D", "RTX 4090", false},
		{"NVIDIA GeForce RTX 4090 Laptop GPU", "RTX 4090", false},
		{"NVIDIA GeForce RTX 4090 Laptop GPU", "RTX 4090 Laptop", true},
		{"NVIDIA GeForce GTX 1080 with Max-Q Design", "GTX 1080", false},
		{"NVIDIA RTX 6000 Ada Generation", "RTX 6000", false},
		{"NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada", true},
		{"Quadro RTX 6000", "RTX 6000", true},
		{"NVIDIA RTX 4000 SFF Ada Generation", "RTX 4000", false},
		{"NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000", true},
		{"NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "RTX PRO 6000 Blackwell", false},
		{"NVIDIA A100-PCIE-40GB", "A100", true},
		{"NVIDIA A100-PCIE-40GB", "A100 PCIE", true},
		{"NVIDIA A100 80GB PCIe", "A100-80GB", true},
		{"NVIDIA A10G", "A10", false},
	} {
		if got := isModel(c.name, c.model); got != c.want {
			t.Errorf("%q is a %q: %v, want %v", c.name, c.model, got, c.want)
		}
	}
}
