package fwfile

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Name matches the names of sets, groups and aliases.
var Name = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]+$`)

// CanonicalAddress writes an address or a network in one way: 10.0.0.5/32 is
// 10.0.0.5, and IPv6 is in lower case. A name is in lower case, too.
func CanonicalAddress(s string) string {
	not := ""
	if strings.HasPrefix(s, "!") {
		not, s = "!", strings.TrimSpace(s[1:])
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return not + a.String()
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		if p.IsSingleIP() {
			return not + p.Addr().String()
		}
		return not + p.String()
	}
	return not + strings.ToLower(s)
}

// CanonicalAddresses does the same for a list with commas, and sorts it.
func CanonicalAddresses(list string) string {
	if list == "" {
		return ""
	}
	var out []string
	for _, s := range strings.Split(list, ",") {
		out = append(out, CanonicalAddress(strings.TrimSpace(s)))
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ",")
}

// CheckAddress refuses what is no address, network or alias: "10.0.0.0/24",
// "fd00::5", "dc/name". Host bits in a network stop Proxmox's own tools.
func CheckAddress(s string) error {
	if _, err := netip.ParseAddr(s); err == nil && !strings.Contains(s, "%") {
		return nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return fmt.Errorf("%q has bits behind its prefix: the network is %s", s, p.Masked())
		}
		return nil
	}
	name := strings.TrimPrefix(strings.TrimPrefix(s, "dc/"), "guest/")
	if Name.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q is neither an address, nor a network, nor an alias", s)
}

// CheckAddresses refuses what cannot be the source or destination of a rule: a list
// of addresses, networks, ranges a-b and aliases of one family, or one set: +name.
func CheckAddresses(list string) error {
	if set, is := strings.CutPrefix(list, "+"); is {
		name := strings.TrimPrefix(strings.TrimPrefix(set, "dc/"), "guest/")
		if !Name.MatchString(name) {
			return fmt.Errorf("%q is no set", list)
		}
		return nil
	}
	families := map[bool]bool{}
	items := strings.Split(list, ",")
	for _, s := range items {
		a, err := first(s)
		if err == nil {
			families[a.Is4()] = true
			continue
		}
		if err := CheckAddress(s); err != nil {
			return err
		}
		if len(items) > 1 {
			return fmt.Errorf("%q is an alias in a list: Proxmox takes one alias or a list of addresses", s)
		}
	}
	if len(families) == 2 {
		return fmt.Errorf("%q mixes IPv4 and IPv6: write a rule for each", list)
	}
	return nil
}

// first is the address that an item of a list begins with; an error for a name, and
// for what is wrong.
func first(s string) (netip.Addr, error) {
	if from, to, ok := strings.Cut(s, "-"); ok {
		a, err := netip.ParseAddr(from)
		b, err2 := netip.ParseAddr(to)
		if err == nil && err2 == nil && a.Is4() == b.Is4() && a.Less(b) {
			return a, nil
		}
		return netip.Addr{}, fmt.Errorf("%q is no range", s)
	}
	if err := CheckAddress(s); err != nil {
		return netip.Addr{}, err
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a, nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Addr(), err
}
