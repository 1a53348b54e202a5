package guest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// Address is an address that a container has.
type Address struct {
	// Interface is its name inside; empty where the kernel's tables do not tell, as
	// for an IPv4 address without a network around it.
	Interface string
	// IP is the address.
	IP netip.Addr
}

// Addresses lists the addresses that can be reached from outside, in the network of a
// process: no loopback, no link-local ones, none that is still being looked at.
func Addresses(h tasks.Host, pid int) ([]Address, error) {
	file := func(name string) ([]byte, error) {
		data, _, err := tasks.ReadIfExists(h, fmt.Sprintf("/proc/%d/net/%s", pid, name))
		return data, err // a kernel without IPv6 has no table of it
	}
	trie, err := file("fib_trie")
	if err != nil {
		return nil, err
	}
	routes, err := file("route")
	if err != nil {
		return nil, err
	}
	v6, err := file("if_inet6")
	if err != nil {
		return nil, err
	}
	networks := parseRoutes(string(routes))
	var out []Address
	for _, ip := range parseTrie(string(trie)) {
		out = append(out, Address{Interface: interfaceOf(networks, ip), IP: ip})
	}
	return append(out, parseInet6(string(v6))...), nil
}

// network is one that an interface is in.
type network struct {
	prefix netip.Prefix
	name   string
}

// interfaceOf is the interface with the smallest network around the address.
func interfaceOf(list []network, ip netip.Addr) string {
	name, size := "", -1
	for _, n := range list {
		if n.prefix.Contains(ip) && n.prefix.Bits() > size {
			name, size = n.name, n.prefix.Bits()
		}
	}
	return name
}

// parseTrie reads the machine's own IPv4 addresses out of /proc/net/fib_trie, where each
// is a leaf, "|-- 10.0.0.5", with a line "/32 host LOCAL" below it. The table is there
// twice.
func parseTrie(text string) []netip.Addr {
	var out []netip.Addr
	var leaf netip.Addr
	for _, line := range tasks.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "|--":
			leaf, _ = netip.ParseAddr(f[1])
		case slices.Equal(f, []string{"/32", "host", "LOCAL"}) && leaf.Is4() && !leaf.IsLoopback() && !leaf.IsLinkLocalUnicast():
			if !slices.Contains(out, leaf) {
				out = append(out, leaf)
			}
		}
	}
	return out
}

// parseRoutes reads the networks that interfaces are in out of /proc/net/route: those
// with a mask and without a gateway. Numbers there have the byte order of the machine,
// which is little-endian on all that Proxmox runs on.
func parseRoutes(text string) []network {
	const name, destination, gateway, mask = 0, 1, 2, 7
	var out []network
	for _, line := range tasks.Lines(text) {
		f := strings.Fields(line)
		if len(f) <= mask || f[gateway] != "00000000" || f[mask] == "00000000" {
			continue
		}
		ip, err1 := strconv.ParseUint(f[destination], 16, 32)
		around, err2 := strconv.ParseUint(f[mask], 16, 32)
		if err1 != nil || err2 != nil {
			continue // the heading
		}
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], uint32(ip))
		out = append(out, network{netip.PrefixFrom(netip.AddrFrom4(b), bits.OnesCount32(uint32(around))), f[name]})
	}
	return out
}

// parseInet6 reads /proc/net/if_inet6: address, index, prefix length, scope, flags, name.
func parseInet6(text string) []Address {
	const tentative, failed = 0x40, 0x08
	var out []Address
	for _, line := range tasks.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 6 || f[3] != "00" { // 00 is the global scope
			continue
		}
		raw, err1 := hex.DecodeString(f[0])
		flags, err2 := strconv.ParseUint(f[4], 16, 32)
		ip, ok := netip.AddrFromSlice(raw)
		if err1 == nil && err2 == nil && ok && ip.Is6() && flags&(tentative|failed) == 0 {
			out = append(out, Address{Interface: f[5], IP: ip})
		}
	}
	return out
}
