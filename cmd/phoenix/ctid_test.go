package main

import (
	"errors"
	"testing"

	"phoenix/inventory"
)

func TestAContainerIsOnlyLookedForOnAnotherHostWhereNumbersAreItsOwn(t *testing.T) {
	a1 := &inventory.Host{Name: "a1", Cluster: "a"}
	a2 := &inventory.Host{Name: "a2", Cluster: "a", CTIDs: []int{202}}
	b1 := &inventory.Host{Name: "b1", Cluster: "b"}
	all := []*inventory.Host{a1, a2, b1}
	for name, c := range map[string]struct {
		selected []*inventory.Host
		ctid     int
		want     string // empty for an error
	}{
		"placed on the selected host":                    {[]*inventory.Host{a2}, 202, "a2"},
		"placed on one of several":                       {all, 202, "a2"},
		"placed elsewhere in the cluster":                {[]*inventory.Host{a1}, 202, ""},
		"another cluster may have the number unmanaged":  {[]*inventory.Host{b1}, 202, "b1"},
		"placed nowhere, and there is only one host":     {[]*inventory.Host{a1}, 300, "a1"},
		"placed nowhere, and any of several could be it": {all, 300, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := only(all, c.selected, c.ctid)
			var usage *usageError
			switch {
			case c.want == "" && !errors.As(err, &usage):
				t.Errorf("got %v, %v; want a mistake of usage", h, err)
			case c.want != "" && (err != nil || h.Name != c.want):
				t.Errorf("got %v, %v; want %s", h, err, c.want)
			}
		})
	}
}
