package lxc

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"phoenix/tasks/pve"
)

func (s *Spec) validateNetwork(p *problems) {
	p.require(len(s.NetworkConfig) <= maxInterfaces, "network_config", "", "there are more than %d interfaces", maxInterfaces)
	var names []string
	for i, n := range s.NetworkConfig {
		at := fmt.Sprintf("network_config.%d.", i)
		p.require(linkName.MatchString(n.Name), at+"name", "such as eth0", "%q is not the name of an interface", n.Name)
		p.require(!slices.Contains(names, n.Name), at+"name", "", "two interfaces are called %s", n.Name)
		names = append(names, n.Name)
		n.validate(p, at)
	}
	for _, word := range pve.ParseList(s.Nameserver) {
		addr, _, _ := strings.Cut(word, "%")
		p.require(isAddress(addr), "nameserver", "", "%q is not an IP address", word)
	}
	for _, word := range pve.ParseList(s.Searchdomain) {
		p.require(isDNSName(word), "searchdomain", "", "%q is not a domain", word)
	}
	p.require(!pve.HasControl(s.Nameserver), "nameserver", "", "has a control character")
	p.require(!pve.HasControl(s.Searchdomain), "searchdomain", "", "has a control character")
}

func (n Interface) validate(p *problems, at string) {
	p.require(n.Bridge == "" || linkName.MatchString(n.Bridge), at+"bridge", "such as vmbr0", "%q is not the name of a bridge", n.Bridge)
	address(p, at+"ip", n.IP, false, "dhcp", "manual")
	address(p, at+"ip6", n.IP6, true, "dhcp", "auto", "manual")
	gateway(p, at+"gw", n.GW, n.IP, false)
	gateway(p, at+"gw6", n.GW6, n.IP6, true)
	if n.MACAddress != "" {
		ok := macAddress.MatchString(n.MACAddress)
		p.require(ok, at+"mac_address", "such as BC:24:11:00:00:01", "%q is not a MAC address", n.MACAddress)
		group := ok && strings.ContainsRune("13579bdfBDF", rune(n.MACAddress[1]))
		p.require(!group, at+"mac_address", "the first byte must be even", "%s is a group address", n.MACAddress)
	}
	p.require(n.VLAN >= 0 && n.VLAN <= 4094, at+"vlan", "", "%d is not a VLAN from 1 to 4094", n.VLAN)
	for i, v := range n.Trunks {
		p.require(v >= 1 && v <= 4094, fmt.Sprintf("%strunks.%d", at, i), "", "%d is not a VLAN from 1 to 4094", v)
	}
	p.require(n.MTU == 0 || n.MTU >= 64 && n.MTU <= 65535, at+"mtu", "", "%d is not an MTU from 64 to 65535", n.MTU)
	p.require(n.RateMBs >= 0, at+"rate_mbs", "in MB/s", "%v is not a rate", n.RateMBs)
}

func address(p *problems, at, value string, v6 bool, words ...string) {
	if value == "" || slices.Contains(words, value) {
		return
	}
	prefix, err := netip.ParsePrefix(value)
	switch {
	case err != nil && isAddress(value):
		bits := "24"
		if v6 {
			bits = "64"
		}
		p.add(at, "did you mean "+value+"/"+bits+"?", "%q has no prefix length", value)
	case err != nil:
		p.add(at, "ADDRESS/PREFIX or "+strings.Join(words, ", "), "%q is not an address", value)
	case prefix.Addr().Is4() == v6:
		p.add(at, "", "%q is of the other IP version", value)
	case prefix.Addr().IsUnspecified() || prefix.Addr().IsMulticast():
		p.add(at, "", "%q is not the address of a machine", value)
	}
}

func gateway(p *problems, at, gw, ip string, v6 bool) {
	if gw == "" {
		return
	}
	addr, err := netip.ParseAddr(gw)
	switch {
	case err != nil && strings.Contains(gw, "/"):
		p.add(at, "did you mean "+gw[:strings.Index(gw, "/")]+"?", "%q is an address without a prefix length", gw)
	case err != nil || addr.Zone() != "":
		p.add(at, "", "%q is not an address", gw)
	case addr.Is4() == v6:
		p.add(at, "", "%q is of the other IP version", gw)
	case isWord(ip):
		p.add(at, "leave one of the two out", "a gateway has no meaning with the address %q", ip)
	}
}

// isWord tells whether an address is one of the words instead of an address.
func isWord(ip string) bool { return ip == "dhcp" || ip == "auto" || ip == "manual" }
