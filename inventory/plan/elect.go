package plan

import (
	"fmt"
	"slices"
	"strings"

	"phoenix/inventory"
	"phoenix/inventory/diag"
	"phoenix/tasks"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/pveuser"
	"phoenix/tasks/kind/storage"
)

// firewallID is the step of the cluster's firewall; that of a host is the host's own.
const firewallID = "firewall:cluster"

// shared names what a step writes of the whole cluster, by its file where it has one of
// its own; empty for what belongs to the host.
func shared(s tasks.Step) string {
	switch {
	case s.Kind == storage.Name, s.Kind == pveuser.Name, s.ID == firewallID:
		return s.ID
	case s.ID == rootKeysID:
		return sharedFile("/root/.ssh/authorized_keys")
	case s.Kind == file.Name:
		return sharedFile(strings.TrimPrefix(s.ID, file.Name+":"))
	}
	return ""
}

// sharedFile is the path in Proxmox's cluster file system of a file that all hosts of a
// cluster see, or empty. Four names in it are links to the folder of the host itself.
func sharedFile(name string) string {
	switch name { // links that Proxmox makes
	case "/root/.ssh/authorized_keys":
		return "/etc/pve/priv/authorized_keys"
	case "/etc/ceph/ceph.conf":
		return "/etc/pve/ceph.conf"
	}
	below, in := strings.CutPrefix(name, "/etc/pve/")
	first, _, _ := strings.Cut(below, "/")
	if !in || slices.Contains([]string{"local", "lxc", "qemu-server", "openvz"}, first) {
		return ""
	}
	return name
}

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
			key := [2]string{h.Cluster, shared(s)}
			switch before, known := first[key]; {
			case key[1] == "":
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
			if shared(*s) == "" {
				continue
			}
			key := [2]string{h.Cluster, shared(*s)}
			switch leader[key] {
			case h.Name:
			case "":
				leader[key] = h.Name
			default:
				s.Leader = leader[key]
			}
		}
	}
}
