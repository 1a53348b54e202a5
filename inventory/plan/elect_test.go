package plan

import (
	"strings"
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

func TestFaults_hostsOfAClusterMustAgreeOnWhatTheyShare(t *testing.T) {
	host := func(name, cluster, path string) *inventory.Host {
		return &inventory.Host{Name: name, Cluster: cluster, Hypervisor: &inventory.Hypervisor{
			Storages: []storage.Spec{{ID: "tank", Type: "dir", Path: path}}, Files: []file.Spec{{Path: "/etc/motd", Content: text(name)}},
		}}
	}
	for name, c := range map[string]struct {
		hosts []*inventory.Host
		want  string
	}{
		"the same":              {[]*inventory.Host{host("pve1", "a", "/x"), host("pve2", "a", "/x")}, ""},
		"of different clusters": {[]*inventory.Host{host("pve1", "a", "/x"), host("pve2", "b", "/y")}, ""},
		"of none":               {[]*inventory.Host{host("pve1", "", "/x"), host("pve2", "", "/y")}, ""},
		"different":             {[]*inventory.Host{host("pve1", "a", "/x"), host("pve2", "a", "/y")}, "storage:tank is wanted differently for pve1, and both are in cluster a"},
	} {
		found := Faults(&inventory.Fleet{Hosts: c.hosts})
		if (len(found) == 0) != (c.want == "") || len(found) > 0 && !strings.Contains(found[0].Summary, c.want) {
			t.Errorf("%s: %+v, want %q", name, found, c.want)
		}
	}
}
