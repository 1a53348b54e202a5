package inventory

import (
	"net/netip"

	"phoenix/inventory/document"
	"phoenix/tasks/kind/dns"
	"phoenix/tasks/kind/network"
)

// networkDoc is the typed form of the section network: bridges, and how the host finds
// names, which is a step of its own.
type networkDoc struct {
	Bridges network.Spec `json:",inline"`
	DNS     dns.Spec     `json:"dns"`
}

// network reads the section network.
func (l *loader) network(n *document.Node, v *Hypervisor) {
	v.DNS = one[dns.Spec](l, n, "dns")
	if n == nil || n.Kind != document.Object {
		return
	}
	if bridges := n.Without("dns"); len(bridges.Members) > 0 {
		v.Network = new(network.Spec)
		l.decode(section{what: "section network", node: bridges, at: n.Pos}, v.Network)
	}
}

// bridges claims the addresses of a host's bridges that lead to other machines. One
// without ports may be on every host, with the same address. The one that the host is
// reached at is claimed already.
func (c *claims) bridges(h *hostEntry) {
	if h.Hypervisor == nil || h.Hypervisor.Network == nil {
		return
	}
	for _, m := range objects(h.network.Get("bridges")) {
		b := h.Hypervisor.Network.Bridges[m.Key]
		if len(b.Ports) == 0 {
			continue
		}
		for key, text := range map[string]string{"address": b.Address, "address6": b.Address6} {
			p, err := netip.ParsePrefix(text)
			if err != nil || p.Addr().String() == h.Address {
				continue
			}
			c.add(h, "IP address", p.Addr().String(), "bridge "+m.Key+" of "+h.Name, m.Value.Get(key), false)
		}
	}
}
