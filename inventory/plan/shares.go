package plan

import (
	"maps"
	"slices"

	"phoenix/inventory"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/firewall"
	"phoenix/tasks/kind/nfs"
	"phoenix/tasks/kind/samba"
	"phoenix/tasks/sharedir"
)

// The steps that are one for each host.
const (
	exportsID      = nfs.Name + ":exports"
	sharesID       = samba.Name + ":shares"
	hostFirewallID = firewall.Name + ":host"
)

// shares adds what the host gives to others over the network.
func (b *builder) shares(v *inventory.Hypervisor) {
	if v.NFS != nil {
		needs := []string{packagesID}
		for _, path := range slices.Sorted(maps.Keys(v.NFS.Exports)) {
			needs = append(needs, directoryNeeds(v, path, v.NFS.Exports[path].Spec)...)
		}
		b.add(nfs.Name, exportsID, "nfs", v.NFS, unique(needs), nil)
	}
	if v.Samba != nil {
		needs := []string{packagesID}
		for _, name := range slices.Sorted(maps.Keys(v.Samba.Shares)) {
			s := v.Samba.Shares[name]
			needs = append(needs, directoryNeeds(v, s.Path, s.Spec)...)
		}
		for _, name := range slices.Sorted(maps.Keys(v.Samba.Users)) {
			needs = append(needs, userID(name))
		}
		b.add(samba.Name, sharesID, "samba", v.Samba, unique(needs), nil)
	}
}

// directoryNeeds are the steps that make a directory, and whoever owns it.
func directoryNeeds(v *inventory.Hypervisor, path string, s sharedir.Spec) []string {
	needs := append(pathNeeds(v, path), file.Name+":"+path)
	if s.Owner != "" {
		needs = append(needs, userID(s.Owner))
	}
	return needs
}

// firewall adds a step for each file. The rules of the host may name groups and sets
// of the cluster.
func (b *builder) firewall(v *inventory.Hypervisor) {
	if v.Firewall == nil {
		return
	}
	cluster, host := *v.Firewall, *v.Firewall
	cluster.Host, host.Cluster = nil, nil
	if cluster.Cluster != nil {
		b.add(firewall.Name, firewallID, "firewall", &cluster, nil, nil)
	}
	if host.Host != nil {
		b.add(firewall.Name, hostFirewallID, "firewall", &host, []string{firewallID}, nil)
	}
}
