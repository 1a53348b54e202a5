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
	}}
	needs := func(h *inventory.Host) string {
		var got []string
		for _, s := range build(t, h, Selection{}).Steps {
			got = append(got, fmt.Sprint(s.ID, s.Needs))
		}
		return strings.Join(got, " ")
	}
	if got, want := needs(h), "nvidia:driver[] reboot:host[nvidia:driver] lxc:900[] lxc:901[] lxc:902[nvidia:driver reboot:host] lxc:903[]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	h.Hypervisor.NVIDIA = nil
	if got, want := needs(h), "lxc:900[] lxc:901[] lxc:902[] lxc:903[]"; got != want {
		t.Errorf("without the driver's section: got %s, want %s", got, want)
	}
}
