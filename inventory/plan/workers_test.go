package plan_test

import (
	"reflect"
	"slices"
	"testing"

	"phoenix/inventory"
	"phoenix/inventory/plan"
	"phoenix/tasks/kind/lxc"
)

func TestContainersSayWhatTheyUse(t *testing.T) {
	h := &inventory.Host{Name: "pve1", MaxWorkersPerStorage: 3, Containers: []inventory.Container{
		{Spec: lxc.Spec{CTID: 900, Template: "x", StoragePool: "ssd", Volumes: []lxc.Volume{{Storage: "hdd", SizeGB: 1, ContainerPath: "/a"}, {Storage: "ssd", SizeGB: 1, ContainerPath: "/b"}}}},
		{Spec: lxc.Spec{CTID: 901, CloneFromCTID: 900}},
		{Spec: lxc.Spec{CTID: 902, CloneFromCTID: 901, StoragePool: "hdd"}},
		{Spec: lxc.Spec{CTID: 903}},
	}}
	p, err := plan.Build(h, plan.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"lxc:900": {"node", "ct:900", "storage:ssd", "storage:hdd"},
		"lxc:901": {"node", "ct:901", "ct:900", "storage:ssd"},
		"lxc:902": {"node", "ct:902", "ct:901", "storage:hdd"},
		"lxc:903": {"node", "ct:903"},
	}
	for _, s := range p.Steps {
		if !slices.Equal(s.Uses, want[s.ID]) {
			t.Errorf("%s uses %q, want %q", s.ID, s.Uses, want[s.ID])
		}
	}
	if limits := map[string]int{"node": 4, "inside": 4, "storage:ssd": 3, "storage:hdd": 3}; !reflect.DeepEqual(p.Limits, limits) {
		t.Errorf("limits %v, want %v", p.Limits, limits)
	}
	h.MaxWorkers = 9
	if p, err = plan.Build(h, plan.Selection{}); err != nil || p.Limits["node"] != 9 {
		t.Errorf("limits %v, %v", p.Limits, err)
	}
}
