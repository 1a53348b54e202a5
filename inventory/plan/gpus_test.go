package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/inventory/gpulock"
	"phoenix/tasks"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/mig"
	"phoenix/tasks/kind/nvidia"
	"phoenix/tasks/kind/nvidiaguest"
)

func gpuContainer(ctid int, state, cards string, features ...inventory.Inside) inventory.Container {
	c := inventory.Container{Spec: lxc.Spec{CTID: ctid, State: state}, Inside: features}
	if cards != "" {
		c.Spec.GPUAssignment = lxc.Assignment{cards}
	}
	return c
}

func cloneOf(ctid int, c inventory.Container) inventory.Container {
	c.Spec.CloneFromCTID = ctid
	return c
}

func TestBuild_judgesTheCardsInAChecksOnly(t *testing.T) {
	nvidiaFeature := inventory.Inside{Name: "nvidia", Kind: nvidiaguest.Name, Spec: &nvidiaguest.Spec{}}
	driver := &inventory.Hypervisor{NVIDIA: &nvidia.Spec{}}
	ask := &gpus.Spec{Probe: strings.Repeat("a", 64)}
	for _, c := range []struct {
		name   string
		host   inventory.Host
		sel    Selection
		want   bool
		guests []int
	}{
		{"a host with the section", inventory.Host{Hypervisor: driver}, Selection{GPUs: ask}, true, nil},
		{"a host of which only the cards' policy is said", inventory.Host{Hypervisor: &inventory.Hypervisor{Cards: &inventory.Cards{}}}, Selection{GPUs: ask}, true, nil},
		{"a host of which only the division is said", inventory.Host{Hypervisor: &inventory.Hypervisor{MIG: &mig.Spec{}}}, Selection{GPUs: ask}, true, nil},
		{"clones that inherit their cards", inventory.Host{Containers: []inventory.Container{
			gpuContainer(900, "stopped", "0"), cloneOf(900, gpuContainer(901, "running", "")), cloneOf(901, gpuContainer(902, "running", "")), cloneOf(900, gpuContainer(903, "running", "none")),
		}}, Selection{GPUs: ask}, true, []int{901, 902}},
		{"a request that nobody has answered", inventory.Host{Containers: []inventory.Container{{Spec: lxc.Spec{CTID: 900, State: "running"}, Request: &gpulock.Request{}}}}, Selection{GPUs: ask}, true, []int{900}},
		{"no check", inventory.Host{Hypervisor: driver}, Selection{}, false, nil},
		{"a host without cards", inventory.Host{Hypervisor: &inventory.Hypervisor{}, Containers: []inventory.Container{gpuContainer(900, "running", "")}}, Selection{GPUs: ask}, false, nil},
		{"cards that are taken away", inventory.Host{Containers: []inventory.Container{gpuContainer(900, "running", "none"), gpuContainer(901, lxc.StateAbsent, "0")}}, Selection{GPUs: ask}, false, nil},
		{"containers with cards", inventory.Host{Containers: []inventory.Container{
			gpuContainer(900, "running", "0"), gpuContainer(901, "running", "1", nvidiaFeature), gpuContainer(902, "stopped", "0"), gpuContainer(903, "running", ""),
		}}, Selection{GPUs: ask}, true, []int{900}},
		{"tags that leave it out", inventory.Host{Hypervisor: driver}, Selection{GPUs: ask, Tags: []string{"lxc_configs"}}, false, nil},
		{"its tag", inventory.Host{Hypervisor: driver}, Selection{GPUs: ask, Tags: []string{"gpus"}}, true, nil},
		{"its tag is skipped", inventory.Host{Hypervisor: driver}, Selection{GPUs: ask, SkipTags: []string{"gpus:host"}}, false, nil},
		{"one container only", inventory.Host{Hypervisor: driver}, Selection{GPUs: ask, OnlyCT: []int{900}}, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.host.Name = "pve1"
			p, err := Build(&c.host, c.sel)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(p.Steps, func(s tasks.Step) bool { return s.Kind == gpus.Name })
			if (i >= 0) != c.want || i >= 0 && i != len(p.Steps)-1 {
				t.Fatalf("step %d of %d, want %t, at the end", i, len(p.Steps), c.want)
			}
			if i < 0 {
				return
			}
			var spec gpus.Spec
			if err := json.Unmarshal(p.Steps[i].Spec, &spec); err != nil || !spec.Inspect || spec.Probe != ask.Probe || !slices.Equal(spec.Guests, c.guests) || len(spec.Validate()) > 0 {
				t.Errorf("%+v, %v, want guests %v", spec, err, c.guests)
			}
			if len(p.Steps[i].Needs) > 0 {
				t.Error("it is about the host as it is, whatever became of other steps")
			}
		})
	}
}

func TestSelection_knowsTheTagOfTheCardsWhereThereAreSome(t *testing.T) {
	with, without := []*inventory.Host{{Name: "pve1", Hypervisor: &inventory.Hypervisor{NVIDIA: &nvidia.Spec{}}}}, []*inventory.Host{{Name: "pve1"}}
	if err := (Selection{Tags: []string{"gpus"}, GPUs: &gpus.Spec{}}).Validate(with); err != nil {
		t.Error(err)
	}
	if (Selection{Tags: []string{"gpus"}, GPUs: &gpus.Spec{}}).Validate(without) == nil || (Selection{Tags: []string{"gpus"}}).Validate(with) == nil {
		t.Error("a tag that no step has is a mistake")
	}
}
