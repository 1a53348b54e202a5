package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/firewall"
	"phoenix/tasks/kind/guestfirewall"
	"phoenix/tasks/kind/lxc"
)

func TestAContainersRulesAreThereBeforeItAndAClonesAfterIt(t *testing.T) {
	h := &inventory.Host{Name: "pve1", Hypervisor: &inventory.Hypervisor{Firewall: &firewall.Spec{Cluster: &firewall.Cluster{}}}}
	for _, s := range []lxc.Spec{
		{CTID: 900, Template: "t", Tags: []string{"Web"}}, {CTID: 901, CloneFromCTID: 900}, {CTID: 902, Template: "t", State: lxc.StateAbsent}, {CTID: 903, Template: "t"},
	} {
		c := inventory.Container{Spec: s}
		if s.CTID != 903 {
			c.Firewall = &guestfirewall.Spec{CTID: s.CTID}
		}
		h.Containers = append(h.Containers, c)
	}
	p := build(t, h, Selection{})
	needs := map[string]string{}
	for _, s := range p.Steps {
		needs[s.ID] = strings.Join(s.Needs, " ")
		if s.Kind == guestfirewall.Name && !slices.Equal(s.Uses, []string{"firewall"}) {
			t.Errorf("%s uses %q", s.ID, s.Uses)
		}
	}
	for id, want := range map[string]string{
		"firewall:900": "firewall:cluster", "lxc:900": "firewall:900",
		"firewall:901": "firewall:cluster lxc:901", "lxc:901": "lxc:900",
		"lxc:902": "", "lxc:903": "",
	} {
		if got, there := needs[id]; got != want || !there {
			t.Errorf("%s needs %q, want %q", id, got, want)
		}
	}
	if _, there := needs["firewall:902"]; there {
		t.Error("a container that is to go gets rules")
	}
	ordered, err := tasks.Order(p.Steps)
	if err != nil || len(ordered) != len(p.Steps) {
		t.Fatal(err)
	}
	for sel, want := range map[string]string{
		"ct900": "lxc:900 firewall:900", "web": "lxc:900 firewall:900", "firewall": "firewall:cluster firewall:900 firewall:901", "guestfirewall": "firewall:900 firewall:901",
	} {
		if got := ids(build(t, h, Selection{Tags: []string{sel}})); got != want {
			t.Errorf("%s takes %s, want %s", sel, got, want)
		}
	}
	if got := ids(build(t, h, Selection{OnlyCT: []int{901}})); got != "lxc:901 firewall:901" {
		t.Errorf("one container takes %s", fmt.Sprint(got))
	}
}
