package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/ifupdown"
	"phoenix/tasks/pve"
)

// property is one managed property of a bridge: what is wanted, what the file says,
// and what the kernel has, all in canonical form.
type property struct {
	name string
	want string
	// written is what the file says, running what the kernel has.
	written string
	running func(*kernel) (string, error)
}

// properties lists what the spec manages of a bridge, in a fixed order.
func properties(b Bridge, i ifupdown.Interface) []property {
	var out []property
	add := func(managed bool, p property) {
		if managed {
			out = append(out, p)
		}
	}
	add(true, property{"autostart", strconv.FormatBool(b.autostart()), strconv.FormatBool(i.Auto), nil})
	want := ports(b.Ports)
	add(b.Ports != nil, property{"ports", want, ports(pve.ParseList(last(i, "bridge-ports"))), func(k *kernel) (string, error) {
		return k.ports(i.Name, b.Ports)
	}})
	for _, f := range families(b) {
		add(f.address != "", property{f.path("address"), canonical(f.address), f.written(i), func(k *kernel) (string, error) {
			return k.address(i.Name, f)
		}})
		add(f.gateway != "", property{f.path("gateway"), canonical(f.gateway), f.writtenGateway(i), func(k *kernel) (string, error) {
			return k.gateway(i.Name, f)
		}})
	}
	add(b.VLANAware != nil, property{"vlan_aware", yes(b.VLANAware), truth(last(i, "bridge-vlan-aware")), func(k *kernel) (string, error) {
		return k.vlanAware(i.Name)
	}})
	add(len(b.VIDs) > 0, property{"vids", vids(b.VIDs), vids(pve.ParseList(last(i, "bridge-vids"))), nil})
	add(b.MTU != 0, property{"mtu", strconv.Itoa(b.MTU), last(i, "mtu"), func(k *kernel) (string, error) { return k.mtu(i.Name) }})
	add(b.Comment != "", property{"comment", b.Comment, comment(i), nil})
	if b.NAT != nil {
		r := rule{b.NAT.Subnet, b.NAT.Out}
		out = append(out, property{"nat", r.String(), readNAT(i).describe(r), func(k *kernel) (string, error) { return k.nat(r) }})
	}
	return out
}

// last is the value of an option that only counts once.
func last(i ifupdown.Interface, key string) string {
	values := i.Values(key)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

func yes(b *bool) string { return strconv.FormatBool(b != nil && *b) }

func truth(s string) string {
	v, _ := pve.ParseBool(s)
	return strconv.FormatBool(v)
}

// ports are the names of ports as a set.
func ports(names []string) string {
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "none" })
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// vids are VLANs as ascending ranges that do not touch.
func vids(list []string) string {
	var in [maxVID + 2]bool
	for _, s := range list {
		from, to, err := vidRange(s)
		if err != nil {
			return strings.Join(list, " ") // what it is, so that it differs
		}
		for n := from; n <= to; n++ {
			in[n] = true
		}
	}
	var out []string
	for n := 1; n <= maxVID; n++ {
		from := n
		for in[n] && in[n+1] {
			n++
		}
		switch {
		case in[n] && from == n:
			out = append(out, strconv.Itoa(n))
		case in[n]:
			out = append(out, fmt.Sprintf("%d-%d", from, n))
		}
	}
	return strings.Join(out, " ")
}

func comment(i ifupdown.Interface) string {
	for _, s := range i.Stanzas {
		if c := s.Comment(); c != "" {
			return c
		}
	}
	return ""
}

// canonical is an address, with or without a prefix, as netip writes it.
func canonical(s string) string {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.String()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String()
	}
	return s
}

// family is what is wanted of one family of addresses.
type family struct {
	name, suffix     string
	address, gateway string
}

func families(b Bridge) []family {
	return []family{{"inet", "", b.Address, b.Gateway}, {"inet6", "6", b.Address6, b.Gateway6}}
}

func (f *family) path(property string) string { return property + f.suffix }

// is6 tells the family of an address; ifupdown2 goes by the address too, not by the
// stanza it is in.
func (f *family) has(address string) bool { return strings.Contains(address, ":") == (f.suffix == "6") }

// addresses are those of the family in one stanza, with the prefix that a netmask
// says.
func (f *family) addresses(s *ifupdown.Stanza) []string {
	masks := s.Values("netmask")
	var out []string
	for n, a := range s.Values("address") {
		if !strings.Contains(a, "/") && len(masks) > 0 {
			a += "/" + prefixLength(masks[min(n, len(masks)-1)])
		}
		if f.has(a) {
			out = append(out, canonical(a))
		}
	}
	return out
}

// prefixLength is a netmask as the length of a prefix: "255.255.255.0" and "24" are "24".
func prefixLength(mask string) string {
	a, err := netip.ParseAddr(mask)
	if err != nil {
		return mask
	}
	n := 0
	for _, b := range a.AsSlice() {
		for ; b&0x80 != 0; b <<= 1 {
			n++
		}
	}
	return strconv.Itoa(n)
}

// written is the wanted address where the file has it, or else what it has instead.
func (f *family) written(i ifupdown.Interface) string {
	var all []string
	for _, s := range i.Stanzas {
		if s.Family() == f.name && (s.Method() == "dhcp" || s.Method() == "auto") {
			all = append(all, s.Method())
			continue
		}
		all = append(all, f.addresses(s)...)
	}
	if slices.Contains(all, canonical(f.address)) {
		return canonical(f.address)
	}
	return strings.Join(all, ", ")
}

func (f *family) writtenGateway(i ifupdown.Interface) string {
	for _, g := range i.Values("gateway") {
		if f.has(g) {
			return canonical(g)
		}
	}
	return ""
}
