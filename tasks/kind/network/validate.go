package network

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/ifupdown"
)

// The bounds of values.
const (
	// minMTU is what IPv6 needs; maxMTU is the most that ifupdown2 takes.
	minMTU, maxMTU = 1280, 9216
	// minTimeoutS is what getting in takes, maxTimeoutS how long a host may stay in
	// doubt, in seconds.
	minTimeoutS, maxTimeoutS = 10, 600
	maxVID                   = 4094
)

var (
	numbered  = regexp.MustCompile(`^vmbr(0|[1-9][0-9]{0,3})$`)
	named     = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{1,9}$`)
	ifaceName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$`)
)

// validation collects the faults of a spec.
type validation struct {
	spec  *Spec
	found []tasks.Problem
	// first has the bridge that a port, an address or a gateway was found at first.
	first map[string]string
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	v := &validation{spec: s, first: make(map[string]string)}
	if s.ConfirmTimeoutS != 0 && (s.ConfirmTimeoutS < minTimeoutS || s.ConfirmTimeoutS > maxTimeoutS) {
		v.add("confirm_timeout_s", fmt.Sprintf("%d is neither 0 nor between %d and %d", s.ConfirmTimeoutS, minTimeoutS, maxTimeoutS), "60 is a good value")
	}
	if len(s.Bridges) == 0 {
		v.add("bridges", "names no bridge", "such as {\"vmbr0\": {\"ports\": [\"eno1\"]}}")
	}
	for _, name := range tasks.Keys(s.Bridges) {
		v.bridge(name, s.Bridges[name])
	}
	return v.found
}

func (v *validation) add(path, summary, hint string) {
	v.found = append(v.found, tasks.Problem{Path: path, Summary: summary, Hint: hint})
}

// once says that a value was at another bridge before.
func (v *validation) once(at, what, key, name string) {
	before, twice := v.first[key]
	if twice {
		v.add(at, what+" is at "+before+" already", "")
		return
	}
	v.first[key] = name
}

func (v *validation) bridge(name string, b Bridge) {
	at := "bridges." + name
	if !bridgeName(name) {
		v.add(at, fmt.Sprintf("%q is no name of a bridge", name), "vmbr0 to vmbr4094, or a letter and up to 9 letters, digits and _")
	}
	v.ports(at, name, b.Ports)
	v.address(at+".address", b.Address, at+".gateway", b.Gateway, 4, name)
	v.address(at+".address6", b.Address6, at+".gateway6", b.Gateway6, 6, name)
	if b.MTU != 0 && (b.MTU < minMTU || b.MTU > maxMTU) {
		v.add(at+".mtu", fmt.Sprintf("%d is not between %d and %d", b.MTU, minMTU, maxMTU), "")
	}
	for i, vid := range b.VIDs {
		if _, _, err := vidRange(vid); err != nil {
			v.add(fmt.Sprintf("%s.vids.%d", at, i), err.Error(), `"20" or "2-4094"`)
		}
	}
	if len(b.VIDs) > 0 && b.VLANAware != nil && !*b.VLANAware {
		v.add(at+".vids", "has no effect on a bridge that is not VLAN aware", "set vlan_aware to true")
	}
	if err := ifupdown.Printable(b.Comment); err != nil {
		v.add(at+".comment", err.Error(), "one line of plain text")
	} else if b.Comment != strings.TrimSpace(b.Comment) {
		v.add(at+".comment", "begins or ends with a blank", "")
	}
	if b.NAT != nil {
		v.nat(at+".nat", name, *b.NAT)
	}
}

// bridgeName tells whether Proxmox and the kernel take the name. Proxmox adds up to
// five characters to it for the devices of guests, of the 15 that there may be.
func bridgeName(name string) bool {
	if strings.HasPrefix(name, "vmbr") {
		n, err := strconv.Atoi(strings.TrimPrefix(name, "vmbr"))
		return err == nil && n <= maxVID && numbered.MatchString(name)
	}
	return named.MatchString(name) && name != "none" && name != "all"
}

func (v *validation) ports(at, name string, ports []string) {
	for i, port := range ports {
		at := fmt.Sprintf("%s.ports.%d", at, i)
		switch _, bridge := v.spec.Bridges[port]; {
		case !ifaceName.MatchString(port) || port == "none":
			v.add(at, fmt.Sprintf("%q is no name of an interface", port), "such as eno1, bond0 or eno1.20")
			continue
		case port == name:
			v.add(at, "a bridge cannot be in itself", "")
		case bridge:
			v.add(at, port+" is a bridge, and a bridge cannot be in another", "")
		}
		v.once(at, port, "port "+port, name)
	}
}

// address looks at the address and gateway of one family, 4 or 6.
func (v *validation) address(at, address, gatewayAt, gateway string, family int, name string) {
	example := map[int]string{4: "10.0.0.2/24", 6: "2001:db8::2/64"}[family]
	var p netip.Prefix
	if address != "" {
		var err error
		if p, err = prefix(address); err != nil || p.Addr().Is4() != (family == 4) {
			v.add(at, fmt.Sprintf("%q is no IPv%d address with a prefix", address, family), "such as "+example)
			return
		}
		if !usable(p) {
			v.add(at, address+" is not the address of one machine", "such as "+example)
		}
		v.once(at, p.Addr().String(), "address "+p.Addr().String(), name)
	}
	if gateway == "" {
		return
	}
	g, err := netip.ParseAddr(gateway)
	switch {
	case err != nil || g.Zone() != "" || g.Is4() != (family == 4) || g.Is4In6():
		v.add(gatewayAt, fmt.Sprintf("%q is no IPv%d address", gateway, family), "")
		return
	case address == "":
		v.add(gatewayAt, "there is no address that it could be reached from", "set "+at[strings.LastIndex(at, ".")+1:]+" too")
	case g == p.Addr():
		v.add(gatewayAt, gateway+" is the address of the bridge itself", "")
	case !p.Contains(g) && !g.IsLinkLocalUnicast():
		v.add(gatewayAt, gateway+" is outside "+p.Masked().String(), "")
	}
	v.once(gatewayAt, "a default gateway", fmt.Sprintf("gateway %d", family), name)
}

// prefix reads an address with its prefix, without what only looks like one.
func prefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Addr().Is4In6() {
		err = fmt.Errorf("parse %q: an IPv4 address in IPv6", s)
	}
	return p, err
}

// usable tells whether a machine can have the address: not that of the network, not
// its broadcast address, and of a range for machines.
func usable(p netip.Prefix) bool {
	a := p.Addr()
	if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || p.Bits() == 0 {
		return false
	}
	if !a.Is4() || p.Bits() >= 31 {
		return true
	}
	return a != p.Masked().Addr() && p.Contains(a.Next())
}

// vidRange reads "20" or "2-4094".
func vidRange(s string) (from, to int, err error) {
	lo, hi, ranged := strings.Cut(s, "-")
	if !ranged {
		hi = lo
	}
	from, err = strconv.Atoi(lo)
	if err == nil {
		to, err = strconv.Atoi(hi)
	}
	if err != nil || from < 1 || to > maxVID || from > to || strings.ContainsAny(s, "+ ") {
		return 0, 0, fmt.Errorf("%q is no VLAN or range of VLANs between 1 and %d", s, maxVID)
	}
	return from, to, nil
}

func (v *validation) nat(at, name string, n NAT) {
	p, err := prefix(n.Subnet)
	switch {
	case err != nil || !p.Addr().Is4() || p.Bits() == 0:
		v.add(at+".subnet", fmt.Sprintf("%q is no IPv4 subnet", n.Subnet), "such as 10.10.0.0/24")
	case p != p.Masked():
		v.add(at+".subnet", n.Subnet+" is an address in a subnet", "write "+p.Masked().String())
	}
	switch {
	case !ifaceName.MatchString(n.Out):
		v.add(at+".out", fmt.Sprintf("%q is no name of an interface", n.Out), "the one that leads outside, such as vmbr0")
	case n.Out == name:
		v.add(at+".out", "packets do not leave by the bridge that they come from", "the one that leads outside, such as vmbr0")
	}
}
