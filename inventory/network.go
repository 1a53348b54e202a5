package inventory

import (
	"fmt"
	"net/netip"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/tasks/kind/dns"
	"phoenix/tasks/kind/lxc"
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

// bridge is what the host's file says of a bridge.
func (h *hostEntry) bridge(name string) (network.Bridge, bool) {
	if h.Hypervisor == nil || h.Hypervisor.Network == nil {
		return network.Bridge{}, false
	}
	b, known := h.Hypervisor.Network.Bridges[name]
	return b, known
}

// alone names a bridge of the host that leads to no other machine: without ports it may
// be on every host, with the same addresses. Of others it is empty.
func (h *hostEntry) alone(bridge string) string {
	if b, known := h.bridge(bridge); known && b.Ports != nil && len(b.Ports) == 0 {
		return "bridge " + bridge + " of " + h.Name
	}
	return ""
}

// bridges claims the addresses of a host's bridges. The one that the host is reached at
// is claimed already.
func (c *claims) bridges(h *hostEntry) {
	for _, m := range objects(h.network.Get("bridges")) {
		b, known := h.bridge(m.Key)
		if !known || b.Ports == nil {
			continue
		}
		for key, text := range map[string]string{"address": b.Address, "address6": b.Address6} {
			p, err := netip.ParsePrefix(text)
			if err != nil || p.Addr().String() == h.Address {
				continue
			}
			c.add(h, claim{what: "IP address", value: p.Addr().String(), within: h.alone(m.Key), who: "bridge " + m.Key + " of " + h.Name}, m.Value.Get(key))
		}
	}
}

// subnets finds addresses of a container outside the subnet of their bridge. A VLAN has
// a subnet of its own, and several networks can share a bridge: where the container
// names a router of its own subnet, it is only warned of.
func (l *loader) subnets(h *hostEntry, c *Container) {
	if c.Spec.State == lxc.StateAbsent {
		return
	}
	for i, nic := range c.Spec.NetworkConfig {
		b, known := h.bridge(nic.Bridge)
		if !known || nic.VLAN != 0 {
			continue
		}
		for _, f := range []struct{ key, ip, gw, bridge string }{{"ip", nic.IP, nic.GW, b.Address}, {"ip6", nic.IP6, nic.GW6, b.Address6}} {
			ip, err1 := netip.ParsePrefix(f.ip)
			subnet, err2 := netip.ParsePrefix(f.bridge)
			if err1 != nil || err2 != nil || ip.IsSingleIP() || subnet.IsSingleIP() || ip.Addr().IsLinkLocalUnicast() || subnet.Contains(ip.Addr()) {
				continue
			}
			n, _ := c.node.Find([]string{"network_config", fmt.Sprint(i), f.key})
			d := n.Fault(fmt.Sprintf("%s is outside the subnet of bridge %s on host %s, %s", ip.Addr(), nic.Bridge, h.Name, subnet.Masked()),
				"give it an address of that subnet, another bridge, or a vlan")
			if gw, err := netip.ParseAddr(f.gw); err == nil && ip.Contains(gw) {
				d.Severity = diag.Warning
			}
			l.found.Add(d)
		}
	}
}
