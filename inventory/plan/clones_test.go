package plan

import (
	"fmt"
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
)

// TestParentsAreFinishedBeforeTheirClonesAndGoAfterThem has the clones first in number.
func TestParentsAreFinishedBeforeTheirClonesAndGoAfterThem(t *testing.T) {
	family := func(state string) *inventory.Host {
		h := &inventory.Host{Name: "pve1"}
		for _, s := range []lxc.Spec{
			{CTID: 900, CloneFromCTID: 910, DependsOn: []int{910}}, {CTID: 910, CloneFromCTID: 920}, {CTID: 920, Template: "t"}, {CTID: 930, CloneFromCTID: 920},
		} {
			s.State = state
			h.Containers = append(h.Containers, inventory.Container{Spec: s})
		}
		return h
	}
	for state, want := range map[string]string{"": "lxc:920 lxc:910 lxc:900 lxc:930", lxc.StateAbsent: "lxc:900 lxc:910 lxc:930 lxc:920"} {
		h := family(state)
		if state == lxc.StateAbsent {
			h.Containers[0].Spec.DependsOn = nil
		}
		ordered, err := tasks.Order(build(t, h, Selection{}).Steps)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range ordered {
			got = append(got, s.ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("state %q: %s, want %s", state, strings.Join(got, " "), want)
		}
	}
	if needs := build(t, family(""), Selection{}).Steps[0].Needs; fmt.Sprint(needs) != "[lxc:910]" {
		t.Errorf("needs %v, want the parent once", needs)
	}
	if p := build(t, family(""), Selection{OnlyCT: []int{900}}); ids(p) != "lxc:900" || len(p.Steps[0].Needs) != 0 {
		t.Errorf("the clone alone: %+v", p.Steps)
	}
}
