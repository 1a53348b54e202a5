package plan

import (
	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/storage"
)

// clusterWide are the families whose files belong to the whole cluster.
func clusterWide(kind string) bool {
	return kind == storage.Name
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
			if !clusterWide(s.Kind) {
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
