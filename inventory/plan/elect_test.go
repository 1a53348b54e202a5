package plan

import (
	"testing"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/storage"
)

func TestElect_oneHostOfAClusterMakesWhatBelongsToAll(t *testing.T) {
	host := func(name, cluster string) *inventory.Host { return &inventory.Host{Name: name, Cluster: cluster} }
	hosts := []*inventory.Host{host("pve1", "a"), host("alone", ""), host("pve2", "a"), host("pve3", "b"), host("other", "")}
	var steps [][]tasks.Step
	for range hosts {
		steps = append(steps, []tasks.Step{{ID: "storage:tank", Kind: storage.Name}, {ID: "file:/x", Kind: file.Name}})
	}
	steps[2] = append(steps[2], tasks.Step{ID: "storage:mine", Kind: storage.Name})
	Elect(hosts, steps)
	for i, want := range [][]string{{"", ""}, {"", ""}, {"pve1", "", ""}, {"", ""}, {"", ""}} {
		for j, leader := range want {
			if got := steps[i][j].Leader; got != leader {
				t.Errorf("%s on %s is led by %q, want %q", steps[i][j].ID, hosts[i].Name, got, leader)
			}
		}
	}
}
