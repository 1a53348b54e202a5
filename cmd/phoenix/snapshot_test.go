package main

import (
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/snapshot"
)

func TestSnapshotsThatClonesComeFromAreNotCounted(t *testing.T) {
	for name, refused := range map[string]bool{"phoenix-20261122-080000": true, "base": false, "phoenix-created": false} {
		h := &inventory.Host{Containers: []inventory.Container{
			{Spec: lxc.Spec{CTID: 900}},
			{Spec: lxc.Spec{CTID: 901, CloneFromCTID: 900, CloneFromSnapshot: name}},
		}}
		for ctid, keep := range map[int]int{900: 2, 901: 2, 902: 0} {
			r := snapshotRequest{specs: []snapshot.Spec{{Keep: keep}}}
			err := r.sources([]*inventory.Host{h}, []chosen{{ctid: ctid, host: h}})
			if want := refused && ctid == 900; (err != nil) != want || want && !strings.Contains(err.Error(), "container 901 is a clone of snapshot "+name+" of container 900") {
				t.Errorf("%s of %d: %v", name, ctid, err)
			}
		}
	}
}
