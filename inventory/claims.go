package inventory

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/tasks/kind/lxc"
)

// claims finds what two things have that only one can have.
type claims struct {
	l     *loader
	first map[claim]claimed
}

// claim is something that only one can have.
type claim struct {
	what, value string
	// within is where it has to be unique; empty is everywhere.
	within string
	who    string
	// host tells that the host itself has it.
	host bool
}

type claimed struct {
	who, cluster string
	at           document.Pos
	host         bool
}

func (c *claims) container(h *hostEntry, ct *Container) {
	if ct.Spec.State == lxc.StateAbsent {
		return
	}
	who := fmt.Sprintf("container %d", ct.Spec.CTID)
	at := func(path ...string) *document.Node { n, _ := ct.node.Find(path); return n }
	if ct.Spec.Name != "" {
		c.add(h, claim{what: "name", value: strings.ToLower(ct.Spec.Name), who: who}, at("name"))
	}
	for i, nic := range ct.Spec.NetworkConfig {
		for key, text := range map[string]string{"ip": nic.IP, "ip6": nic.IP6} {
			if ip, err := netip.ParsePrefix(text); err == nil {
				c.add(h, claim{what: "IP address", value: ip.Addr().Unmap().String(), within: h.alone(nic.Bridge), who: who}, at("network_config", fmt.Sprint(i), key))
			}
		}
		if mac, err := net.ParseMAC(nic.MACAddress); err == nil {
			c.add(h, claim{what: "MAC address", value: mac.String(), within: h.alone(nic.Bridge), who: who}, at("network_config", fmt.Sprint(i), "mac_address"))
		}
	}
}

// add reports the second who has the same thing. Between clusters a name may repeat,
// and an address, which may be on another network, is only warned about. Two hosts
// behind one address (another port, another jump host) are legal.
func (c *claims) add(h *hostEntry, new claim, n *document.Node) {
	key := claim{what: new.what, value: new.value, within: new.within}
	before, twice := c.first[key]
	switch {
	case !twice:
		c.first[key] = claimed{who: new.who, cluster: h.Cluster, at: n.Pos, host: new.host}
		return
	case new.host && before.host, new.what == "name" && before.cluster != h.Cluster:
		return
	}
	hint := ""
	if before.at.Source != nil {
		hint = "first at " + before.at.String()
	}
	d := n.Fault(fmt.Sprintf("%s has the same %s as %s, %s", new.who, new.what, before.who, new.value), hint)
	if before.cluster != h.Cluster {
		d.Severity = diag.Warning
	}
	c.l.found.Add(d)
}
