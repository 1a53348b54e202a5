package plan

import (
	"fmt"

	"phoenix/inventory"
	"phoenix/inventory/diag"
	"phoenix/tasks"
	"phoenix/tasks/kind/pveuser"
	"phoenix/tasks/kind/storage"
)

// clusterWide tells whether a step writes files that belong to the whole cluster.
func clusterWide(s tasks.Step) bool {
	return s.Kind == storage.Name || s.Kind == pveuser.Name || s.ID == firewallID
}

// firewallID is the step of the cluster's firewall; that of a host is the host's own.
const firewallID = "firewall:cluster"

// contradictions finds what two hosts of one cluster want differently of a file that
// they share: each run would change it back and forth.
func contradictions(hosts []*inventory.Host) diag.List {
	type wish struct{ host, spec string }
	first := make(map[[2]string]wish)
	var out diag.List
	for _, h := range hosts {
		if h.Cluster == "" {
			continue
		}
		steps, err := all(h)
		if err != nil {
			continue // told where the plan is made
		}
		for _, s := range steps {
			key := [2]string{h.Cluster, s.ID}
			switch before, known := first[key]; {
			case !clusterWide(s):
			case !known:
				first[key] = wish{h.Name, string(s.Spec)}
			case before.spec != string(s.Spec):
				out.Add(diag.Diagnostic{
					Path:    "hosts." + h.Name,
					Summary: fmt.Sprintf("%s is wanted differently for %s, and both are in cluster %s, which has it once", s.ID, before.host, h.Cluster),
					Hint:    "write the same for every host of the cluster",
				})
			}
		}
	}
	return out
}

// Elect has each cluster-wide step that several hosts of one cluster have made by the
// first of them; the others wait for it and verify. steps holds the plan of each host.
func Elect(hosts []*inventory.Host, steps [][]tasks.Step) {
	leader := make(map[[2]string]string)
	for i, h := range hosts {
		if h.Cluster == "" {
			continue
		}
		for j := range steps[i] {
			s := &steps[i][j]
			if !clusterWide(*s) {
				continue
			}
			key := [2]string{h.Cluster, s.ID}
			if leader[key] == "" {
				leader[key] = h.Name
			} else {
				s.Leader = leader[key]
			}
		}
	}
}
