package plan

import (
	"maps"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/firewall"
	"phoenix/tasks/kind/pveuser"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/user"
)

// clusterFiles are steps that write what a cluster has once, each by its own way.
func clusterFiles() *inventory.Hypervisor {
	return &inventory.Hypervisor{
		Storages: []storage.Spec{{ID: "tank", Type: "dir", Path: "/x"}},
		PVEUsers: []pveuser.Spec{{Name: "ann", Realm: "pve"}},
		Users:    []user.Spec{{Name: "root", Shell: "/bin/bash", AuthorizedKeys: []string{"ssh-ed25519 AAAA ann"}}},
		Firewall: &firewall.Spec{Cluster: &firewall.Cluster{}},
		Files:    []file.Spec{{Path: "/etc/pve/datacenter.cfg", Content: text("")}, {Path: "/etc/pve/nodes/pve1/config"}, {Path: "/etc/ceph/ceph.conf"}},
	}
}

// hostFiles are steps that look alike and write what each host has for itself.
func hostFiles() *inventory.Hypervisor {
	return &inventory.Hypervisor{
		Users:    []user.Spec{{Name: "ann", AuthorizedKeys: []string{"ssh-ed25519 AAAA ann"}}, {Name: "root", Shell: "/bin/sh"}},
		Firewall: &firewall.Spec{Host: &firewall.Host{}},
		Files: []file.Spec{
			{Path: "/etc/pve/local/config"}, {Path: "/etc/pve/lxc/900.conf"}, {Path: "/etc/pve/qemu-server/100.conf"}, {Path: "/etc/pve/openvz/x"},
			{Path: "/etc/pve-x"}, {Path: "/etc/motd"}, {Path: "/home/ann/.ssh/authorized_keys"},
		},
	}
}

func TestElect_oneHostOfAClusterMakesWhatBelongsToAll(t *testing.T) {
	host := func(name, cluster string, v *inventory.Hypervisor) *inventory.Host {
		return &inventory.Host{Name: name, Cluster: cluster, Hypervisor: v}
	}
	hosts := []*inventory.Host{
		host("pve1", "a", clusterFiles()), host("alone", "", clusterFiles()), host("pve2", "a", clusterFiles()),
		host("pve3", "b", clusterFiles()), host("other", "", clusterFiles()), host("own1", "c", hostFiles()), host("own2", "c", hostFiles()),
	}
	var steps [][]tasks.Step
	for _, h := range hosts {
		steps = append(steps, build(t, h, Selection{}).Steps)
	}
	steps[2] = append(steps[2], tasks.Step{ID: "storage:mine", Kind: storage.Name}, tasks.Step{ID: "file:/etc/pve/priv/authorized_keys", Kind: file.Name})
	steps[0] = append(steps[0], tasks.Step{ID: "file:/root/.ssh/authorized_keys", Kind: file.Name}) // nobody waits for himself
	Elect(hosts, steps)
	led := map[string]string{}
	for i, h := range hosts {
		for _, s := range steps[i] {
			if s.Leader != "" && h.Name != "pve2" {
				t.Errorf("%s on %s is led by %s, want nobody", s.ID, h.Name, s.Leader)
			} else if s.Leader != "" {
				led[s.ID] = s.Leader
			}
		}
	}
	want := map[string]string{}
	for _, id := range []string{"storage:tank", "pveuser:ann@pve", "user:root/keys", "firewall:cluster", "file:/etc/pve/datacenter.cfg",
		"file:/etc/pve/nodes/pve1/config", "file:/etc/ceph/ceph.conf", "file:/etc/pve/priv/authorized_keys"} {
		want[id] = "pve1"
	}
	if !maps.Equal(led, want) {
		t.Errorf("led are %v, want %v", led, want)
	}
}

func TestFaults_hostsOfAClusterMustAgreeOnWhatTheyShare(t *testing.T) {
	fleet := func(cluster1, cluster2 string, change func(v *inventory.Hypervisor), files func() *inventory.Hypervisor) *inventory.Fleet {
		other := files()
		change(other)
		return &inventory.Fleet{Hosts: []*inventory.Host{
			{Name: "pve1", Cluster: cluster1, Hypervisor: files()}, {Name: "pve2", Cluster: cluster2, Hypervisor: other},
		}}
	}
	keys := []string{"ssh-ed25519 BBBB bob"}
	for id, change := range map[string]func(v *inventory.Hypervisor){
		"storage:tank":                    func(v *inventory.Hypervisor) { v.Storages[0].Path = "/y" },
		"pveuser:ann@pve":                 func(v *inventory.Hypervisor) { v.PVEUsers[0].Comment = "Ann" },
		"user:root/keys":                  func(v *inventory.Hypervisor) { v.Users[0].AuthorizedKeys = keys },
		"firewall:cluster":                func(v *inventory.Hypervisor) { v.Firewall.Cluster.PolicyIn = "DROP" },
		"file:/etc/pve/datacenter.cfg":    func(v *inventory.Hypervisor) { v.Files[0].Content = text("x") },
		"file:/etc/pve/nodes/pve1/config": func(v *inventory.Hypervisor) { v.Files[1].Content = text("x") },
		"file:/etc/ceph/ceph.conf":        func(v *inventory.Hypervisor) { v.Files[2].Content = text("x") },
		"file:/etc/pve/priv/authorized_keys": func(v *inventory.Hypervisor) {
			v.Users, v.Files = nil, append(v.Files, file.Spec{Path: "/etc/pve/priv/authorized_keys"})
		},
	} {
		found := Faults(fleet("a", "a", change, clusterFiles))
		want := id + " is wanted differently for pve1, and both are in cluster a, which has it once"
		if len(found) != 1 || found[0].Summary != want || found[0].Path != "hosts.pve2" {
			t.Errorf("%+v, want %q", found, want)
		}
		for _, c := range [][2]string{{"a", "b"}, {"", ""}} {
			if found := Faults(fleet(c[0], c[1], change, clusterFiles)); len(found) > 0 {
				t.Errorf("in clusters %q: %+v", c, found)
			}
		}
	}
	for name, c := range map[string]struct {
		files  func() *inventory.Hypervisor
		change func(v *inventory.Hypervisor)
	}{
		"the same":                   {clusterFiles, func(*inventory.Hypervisor) {}},
		"the rest of root's account": {clusterFiles, func(v *inventory.Hypervisor) { v.Users[0].Shell = "/bin/sh" }},
		"not all of it":              {clusterFiles, func(v *inventory.Hypervisor) { *v = inventory.Hypervisor{} }},
		"what is each host's own": {hostFiles, func(v *inventory.Hypervisor) {
			v.Users[0].AuthorizedKeys, v.Users[1].Shell, v.Firewall.Host.Options = keys, "/bin/bash", map[string]string{"nosmurfs": "1"}
			for i := range v.Files {
				v.Files[i].Content = text("x")
			}
		}},
	} {
		if found := Faults(fleet("a", "a", c.change, c.files)); len(found) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
