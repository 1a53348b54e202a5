package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/kernel"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/mig"
	"phoenix/tasks/kind/nvidia"
	"phoenix/tasks/kind/upgrade"
)

func TestKernelAndDriverComeAfterWhatBringsKernels(t *testing.T) {
	h := &inventory.Host{Name: "pve1", Hypervisor: &inventory.Hypervisor{
		Apt: &apt.Spec{Packages: []string{"jq"}}, Upgrade: &upgrade.Spec{Upgrade: upgrade.Full},
		Kernel: &kernel.Spec{Modules: []string{"vfio"}}, NVIDIA: &nvidia.Spec{Driver: "570.86.15"},
	}}
	var got []string
	for _, s := range build(t, h, Selection{}).Steps {
		got = append(got, fmt.Sprint(s.ID, s.Needs))
	}
	want := []string{"apt:packages[]", "apt:upgrade[apt:packages]", "kernel:settings[apt:packages]", "nvidia:driver[apt:packages]", "reboot:host[apt:upgrade kernel:settings nvidia:driver]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOnlyContainersWithCardsWaitForTheDriver(t *testing.T) {
	h := &inventory.Host{Name: "pve1", Hypervisor: &inventory.Hypervisor{NVIDIA: &nvidia.Spec{Driver: "570.86.15"}}, Containers: []inventory.Container{
		{Spec: lxc.Spec{CTID: 900}}, {Spec: lxc.Spec{CTID: 901, GPUAssignment: lxc.Assignment{lxc.AssignNone}}}, {Spec: lxc.Spec{CTID: 902, GPUAssignment: lxc.Assignment{"0"}}},
		{Spec: lxc.Spec{CTID: 903, GPUAssignment: lxc.Assignment{lxc.AssignAll}, State: lxc.StateAbsent}},
		{Spec: lxc.Spec{CTID: 904, GPULedger: &lxc.GPULedger{Request: "1 card", Unmet: "nobody has chosen"}}},
	}}
	needs := func(h *inventory.Host) string {
		var got []string
		for _, s := range build(t, h, Selection{}).Steps {
			got = append(got, fmt.Sprint(s.ID, s.Needs))
		}
		return strings.Join(got, " ")
	}
	if got, want := needs(h), "nvidia:driver[] reboot:host[nvidia:driver] lxc:900[] lxc:901[] lxc:902[nvidia:driver reboot:host] lxc:903[] lxc:904[nvidia:driver reboot:host]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	h.Hypervisor.MIG = &mig.Spec{Layouts: map[string]mig.Layout{"0": {"1g.5gb"}}}
	if got, want := needs(h), "nvidia:driver[] reboot:host[nvidia:driver] mig:host[nvidia:driver reboot:host] lxc:900[] lxc:901[] lxc:902[nvidia:driver reboot:host mig:host] lxc:903[] lxc:904[nvidia:driver reboot:host mig:host]"; got != want {
		t.Errorf("with divided cards: got %s, want %s", got, want)
	}
	h.Hypervisor.MIG = nil
	h.Hypervisor.NVIDIA = nil
	if got, want := needs(h), "lxc:900[] lxc:901[] lxc:902[] lxc:903[] lxc:904[]"; got != want {
		t.Errorf("without the driver's section: got %s, want %s", got, want)
	}
}

func TestOnlyContainersOfDividedCardsWaitForTheDivision(t *testing.T) {
	const one, two, part = "GPU-00000000-0000-0000-0000-000000000001", "GPU-00000000-0000-0000-0000-000000000002", "MIG-00000000-0000-0000-0000-000000000003"
	for name, c := range map[string]struct {
		spec  lxc.Spec
		cards []string
		want  bool
	}{
		"the same index":                        {lxc.Spec{GPUAssignment: lxc.Assignment{"0"}}, []string{"0"}, true},
		"another index":                         {lxc.Spec{GPUAssignment: lxc.Assignment{"1"}}, []string{"0", "2"}, false},
		"one of two":                            {lxc.Spec{GPUAssignment: lxc.Assignment{"1", "2"}}, []string{"0", "2"}, true},
		"all":                                   {lxc.Spec{GPUAssignment: lxc.Assignment{lxc.AssignAll}}, []string{"0"}, true},
		"an instance":                           {lxc.Spec{GPUAssignment: lxc.Assignment{part}}, []string{"0"}, true},
		"another address":                       {lxc.Spec{GPUAssignment: lxc.Assignment{"0000:02:00.0"}}, []string{"0000:01:00.0"}, false},
		"the same address, written shortly":     {lxc.Spec{GPUAssignment: lxc.Assignment{"0000:01:00.0"}}, []string{"01:00.0"}, true},
		"another UUID":                          {lxc.Spec{GPUAssignment: lxc.Assignment{two}}, []string{one}, false},
		"names that cannot be compared":         {lxc.Spec{GPUAssignment: lxc.Assignment{two}}, []string{"0"}, true},
		"an index that is pinned to another":    {lxc.Spec{GPUAssignment: lxc.Assignment{"1"}, GPULedger: &lxc.GPULedger{Pins: map[string]string{"1": two}}}, []string{one}, false},
		"an index that is pinned to that":       {lxc.Spec{GPUAssignment: lxc.Assignment{"1"}, GPULedger: &lxc.GPULedger{Pins: map[string]string{"1": two}}}, []string{two}, true},
		"a request that nobody has answered":    {lxc.Spec{GPULedger: &lxc.GPULedger{Request: "1 card", Unmet: "none is free"}}, []string{"0"}, true},
		"a request that another card answers":   {lxc.Spec{GPUAssignment: lxc.Assignment{two}, GPULedger: &lxc.GPULedger{Request: "1 card"}}, []string{one}, false},
		"a request that an instance answers":    {lxc.Spec{GPUAssignment: lxc.Assignment{part}, GPULedger: &lxc.GPULedger{Request: "1 MIG instance"}}, []string{one}, true},
		"one of several layouts has this index": {lxc.Spec{GPUAssignment: lxc.Assignment{"1"}}, []string{"0", one}, true},
	} {
		v := &inventory.Hypervisor{MIG: &mig.Spec{Layouts: map[string]mig.Layout{}}}
		for _, card := range c.cards {
			v.MIG.Layouts[card] = mig.Layout{"1g.5gb"}
		}
		if got := slices.Contains(containerNeeds(v, &c.spec), migID); got != c.want {
			t.Errorf("%s: waits %t, want %t", name, got, c.want)
		}
	}
}
