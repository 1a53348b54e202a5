package plan

import (
	"phoenix/inventory"
	"phoenix/tasks/kind/dns"
	"phoenix/tasks/kind/network"
)

// network comes after the modules that it may need. All bridges are one step: they go
// into effect together and are confirmed once.
func (b *builder) network(v *inventory.Hypervisor) {
	if v.Network != nil {
		b.add(network.Name, "network:interfaces", "network", v.Network, []string{kernelID}, nil)
	}
	if v.DNS != nil {
		b.add(dns.Name, "network:dns", "network", v.DNS, nil, nil)
	}
}
