package inventory

import (
	"slices"
	"strings"
	"testing"
)

// judged is a host of two containers with these settings, and of a third one without cards.
func judged(nvidia, first, second, lock string) files {
	fs := files{
		"hosts.yaml": "version: 1\nhosts: {pve1: {lxc: lxc.json, hypervisor: hv.json}}\n",
		"hv.json":    `{"version": 1, "nvidia": {` + nvidia + `}}`,
		"lxc.json":   `{"version": 1, "defaults": {"template": "t", "features": ["nvidia"]}, "lxc_configs": {"900": {` + first + `}, "901": {` + second + `}, "902": {}}}`,
	}
	if lock != "" {
		fs["lxc.lock.json"] = `{"version": 1, "hosts": {"pve1": {` + lock + `}}}`
	}
	return fs
}

func TestAHostIsAskedWhereARuleNeedsWhatNobodyKnows(t *testing.T) {
	const (
		excl    = `"gpu_policy": "exclusive"`
		a, b    = `"gpu_assignment": "` + cardA + `"`, `"gpu_assignment": "` + cardB + `"`
		gb      = `, "gpu_memory_gb": 8`
		known   = `"cards": {"` + cardA + `": {"name": "x", "memory_bytes": 25757220864, "pci_address": "0000:01:00.0"}, "` + cardB + `": {"memory_bytes": 51527024640}}`
		bare    = `"cards": {"` + cardA + `": {}, "` + cardB + `": {"name": "Spark"}}`
		address = `"gpu_assignment": "01:00.0"`
		part    = `"gpu_assignment": "MIG-aaaaaaaa-0000-0000-0000-000000000001"`
	)
	for name, c := range map[string]struct {
		nvidia, first, second, lock string
		open                        bool
	}{
		"no rule":                                 {"", a, b, "", false},
		"no cards":                                {excl, `"cores": 1`, `"gpu_assignment": "none"`, "", false},
		"a budget of a UUID":                      {"", a + gb, b, "", true},
		"a budget of an address":                  {"", address + gb, b, "", true},
		"a budget of all":                         {"", `"gpu_assignment": "all"` + gb, `"cores": 1`, "", true},
		"a budget of an instance":                 {"", part + gb, `"cores": 1`, known, true},
		"a budget of a card that is known":        {"", a + gb, address + gb, known, false},
		"a budget of all that are known":          {"", `"gpu_assignment": "all"` + gb, `"cores": 1`, known, false},
		"a budget of a card without its memory":   {"", a + gb, `"cores": 1`, bare, true},
		"a memory that the driver does not tell":  {"", b + gb, `"cores": 1`, bare, false},
		"a budget of an index":                    {"", `"gpu_assignment": "0"` + gb, `"cores": 1`, known, true},
		"a budget of a pinned index":              {"", `"gpu_assignment": "0"` + gb, `"cores": 1`, known + `, "containers": {"900": {"names": {"0": "` + cardA + `"}}}`, false},
		"an index that is pinned for another":     {"", `"gpu_assignment": "0"` + gb, `"cores": 1`, known + `, "containers": {"901": {"names": {"0": "` + cardA + `"}}}`, true},
		"an exclusive card":                       {excl, a, address, "", true},
		"an exclusive card among others":          {`"gpus": {"` + cardA + `": {"policy": "exclusive"}}`, a, `"gpu_assignment": 0`, known, true},
		"exclusive cards that are known":          {excl, a, b, bare, false},
		"a policy for a card that is not known":   {`"gpus": {"` + cardC + `": {"policy": "shared"}}`, a, b, known, true},
		"a policy for an index that is too large": {`"gpus": {"2": {"policy": "shared"}}`, a, b, known, true},
		"a policy for an index":                   {`"gpus": {"1": {"policy": "shared"}}`, a, b, known, false},
		"a policy where no card is known":         {`"gpus": {"7": {"policy": "shared"}}`, a, b, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := mustLoad(t, judged(c.nvidia, c.first, c.second, c.lock)).Hosts[0]
			if got := h.Unjudged(); (len(got) > 0) != c.open || slices.Contains(got, 902) {
				t.Errorf("not judged: %v", got)
			}
		})
	}
}

func TestABudgetAboveThePinnedCardHasAnotherOneChosen(t *testing.T) {
	lock := cards + `, "containers": {"900": {"request": {}, "gpus": ["` + cardA + `"]}}`
	h := mustLoad(t, judged("", `"gpu_assignment": {"count": 1}, "gpu_memory_gb": 40`, `"cores": 1`, lock)).Hosts[0]
	if got := h.Unpinned(true); !slices.Equal(got, []int{900}) {
		t.Errorf("without an answer: %v", got)
	}
	h = mustLoad(t, judged("", `"gpu_assignment": {"count": 1}, "gpu_memory_gb": 25`, `"cores": 1`, lock)).Hosts[0]
	if got := h.Unpinned(true); len(got) > 0 {
		t.Errorf("a card that is large enough is not taken: %v", got)
	}
}

func TestWhatOnlyTheHostTellsIsHeldAgainstIt(t *testing.T) {
	const index = `"gpu_assignment": "0"`
	lock := cards + `, "containers": {"900": {"names": {"0": "` + cardA + `"}}, "901": {"names": {"0": "` + cardA + `"}}}`
	seen := func(divided bool, ctids ...int) []SeenGPU {
		return []SeenGPU{{UUID: cardA, Address: "0000:01:00.0", Index: 0, Divided: divided, Assigned: ctids}, {UUID: cardB, Address: "0000:02:00.0", Index: 1}}
	}
	for name, c := range map[string]struct {
		nvidia, first, second string
		seen                  []SeenGPU
		want                  string
	}{
		"free":                          {`"gpu_policy": "exclusive"`, index, `"cores": 1`, seen(false), ""},
		"its own":                       {`"gpu_policy": "exclusive"`, index, `"cores": 1`, seen(false, 900, 977), ""},
		"one that says nothing":         {`"gpu_policy": "exclusive"`, index, `"cores": 1`, seen(false, 901), "container 900 would share 0 (" + cardA + "), whose policy is exclusive, with container 901, which has it on the host"},
		"one that is not managed":       {`"gpu_policy": "exclusive"`, `"gpu_assignment": "all"`, `"cores": 1`, seen(false, 977), "container 900 would share " + cardA + ", whose policy is exclusive, with container 977, which has it on the host"},
		"one that gives it back":        {`"gpu_policy": "exclusive"`, index, `"gpu_assignment": "none"`, seen(false, 901), ""},
		"one that goes":                 {`"gpu_policy": "exclusive"`, index, `"state": "absent"`, seen(false, 901), ""},
		"a card that may be shared":     {`"gpu_policy": "shared"`, index, `"cores": 1`, seen(false, 901), ""},
		"another card":                  {`"gpu_policy": "exclusive"`, `"gpu_assignment": "` + cardB + `"`, `"cores": 1`, seen(false, 901), ""},
		"a divided card":                {"", index, `"cores": 1`, seen(true), "container 900 is given 0 (" + cardA + ") whole, which is divided (MIG): no program in it can use the card"},
		"one that the section told of":  {`"mig": {"0": []}`, index, `"cores": 1`, seen(true), ""},
		"a policy that is nobody's":     {`"gpus": {"2": {"policy": "shared"}, "` + cardB + `": {"policy": "shared"}}`, `"cores": 1`, `"cores": 1`, seen(false), "pve1 has no card 2: the policy is nobody's"},
		"a host that told of no card":   {`"gpus": {"2": {"policy": "shared"}}`, index, `"cores": 1`, nil, ""},
		"policies by all kinds of name": {`"gpus": {"1": {}, "01:00.0": {}}`, index, `"cores": 1`, seen(false), ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := mustLoad(t, judged(c.nvidia, c.first, c.second, lock)).Hosts[0]
			var got []string
			for _, d := range h.SeenFaults(c.seen) {
				got = append(got, d.Summary)
			}
			if strings.Join(got, "\n") != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}
