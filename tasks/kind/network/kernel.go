package network

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
)

const sysNet = "/sys/class/net/"

// kernel is the network as it runs, read from /sys and /proc.
type kernel struct {
	ctx context.Context
	h   tasks.Host
}

// state is "" for a bridge that is up, or what it is instead.
func (k *kernel) state(name string) (string, error) {
	flags, there, err := k.number(name, "flags")
	if err != nil {
		return "", err
	}
	_, bridge, err := k.number(name, "bridge/stp_state")
	if err != nil {
		return "", err
	}
	const up = 1 // IFF_UP; the operational state is down as long as no guest is in it
	switch {
	case !there:
		return "missing", nil
	case !bridge:
		return "not a bridge", nil
	case flags&up == 0:
		return "down", nil
	}
	return "", nil
}

// number reads a file of an interface that holds a number.
func (k *kernel) number(name, file string) (n int64, there bool, err error) {
	data, there, err := tasks.ReadIfExists(k.h, sysNet+name+"/"+file)
	if err != nil || !there {
		return 0, false, err
	}
	n, err = strconv.ParseInt(strings.TrimSpace(string(data)), 0, 64)
	if err != nil {
		return 0, true, fmt.Errorf("read %s%s/%s: %w", sysNet, name, file, err)
	}
	return n, true, nil
}

// ports are those of the wanted ports that are in the bridge, and the physical ones
// that should not be. Guests' ports come and go.
func (k *kernel) ports(name string, want []string) (string, error) {
	present, err := k.h.ReadDir(sysNet + name + "/brif")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var out []string
	for _, p := range present {
		_, err := k.h.Stat(sysNet + p + "/device")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if slices.Contains(want, p) || err == nil {
			out = append(out, p)
		}
	}
	return ports(out), nil
}

// vlanAware reads what a kernel without VLAN filtering lacks, which is false.
func (k *kernel) vlanAware(name string) (string, error) {
	n, _, err := k.number(name, "bridge/vlan_filtering")
	return strconv.FormatBool(n == 1), err
}

func (k *kernel) mtu(name string) (string, error) {
	n, _, err := k.number(name, "mtu")
	return strconv.FormatInt(n, 10), err
}

// address is the wanted address where the bridge has it, or else what it has.
func (k *kernel) address(name string, f family) (string, error) {
	read := k.addresses4
	if f.suffix == "6" {
		read = k.addresses6
	}
	all, err := read(name)
	if slices.Contains(all, canonical(f.address)) {
		return canonical(f.address), err
	}
	return strings.Join(all, ", "), err
}

// route is a line of the kernel's IPv4 routes.
type route struct {
	dest    netip.Prefix
	gateway netip.Addr
}

// routes4 reads /proc/net/route: numbers in hexadecimal, in the order of bytes of
// this machine, which is little-endian wherever Proxmox runs.
func (k *kernel) routes4(name string) ([]route, error) {
	var out []route
	err := k.table("/proc/net/route", func(fields []string) {
		if len(fields) < 8 || fields[0] != name {
			return
		}
		dest, gateway, mask := littleEndian(fields[1]), littleEndian(fields[2]), littleEndian(fields[7])
		if dest.IsValid() && gateway.IsValid() && mask.IsValid() {
			ones := bits.OnesCount32(binary.BigEndian.Uint32(mask.AsSlice()))
			out = append(out, route{netip.PrefixFrom(dest, ones), gateway})
		}
	})
	return out, err
}

func littleEndian(s string) netip.Addr {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 4 {
		return netip.Addr{}
	}
	slices.Reverse(b)
	a, _ := netip.AddrFromSlice(b)
	return a
}

// table calls f with the words of each line; a missing file has none.
func (k *kernel) table(file string, f func(fields []string)) error {
	data, _, err := tasks.ReadIfExists(k.h, file)
	for _, line := range tasks.Lines(string(data)) {
		f(strings.Fields(line))
	}
	return err
}

// addresses4 are the machine's addresses in the subnets that are behind the bridge.
// No file says which interface has an IPv4 address: /proc/net/fib_trie has the
// addresses, /proc/net/route the subnets.
func (k *kernel) addresses4(name string) ([]string, error) {
	routes, err := k.routes4(name)
	if err != nil {
		return nil, err
	}
	own, err := k.local4()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range own {
		for _, r := range routes {
			if r.gateway.IsUnspecified() && r.dest.Contains(a) {
				out = append(out, netip.PrefixFrom(a, r.dest.Bits()).String())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// local4 are the IPv4 addresses of the machine: in the trie, a leaf "|-- ADDRESS"
// is followed by "/32 host LOCAL".
func (k *kernel) local4() ([]netip.Addr, error) {
	var out []netip.Addr
	var leaf netip.Addr
	err := k.table("/proc/net/fib_trie", func(fields []string) {
		switch {
		case len(fields) == 2 && fields[0] == "|--":
			leaf, _ = netip.ParseAddr(fields[1])
		case slices.Equal(fields, []string{"/32", "host", "LOCAL"}) && leaf.IsValid():
			out = append(out, leaf)
		}
	})
	return out, err
}

// addresses6 reads /proc/net/if_inet6. An address that another machine has too does
// not work.
func (k *kernel) addresses6(name string) ([]string, error) {
	const duplicate = 0x08 // IFA_F_DADFAILED
	var out []string
	err := k.table("/proc/net/if_inet6", func(fields []string) {
		if len(fields) != 6 || fields[5] != name {
			return
		}
		length, err := strconv.ParseUint(fields[2], 16, 8)
		flags, err2 := strconv.ParseUint(fields[4], 16, 32)
		a := bigEndian(fields[0])
		if err == nil && err2 == nil && a.IsValid() && !a.IsLinkLocalUnicast() && flags&duplicate == 0 {
			out = append(out, netip.PrefixFrom(a, int(length)).String())
		}
	})
	slices.Sort(out)
	return out, err
}

func bigEndian(s string) netip.Addr {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 16 {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// gateway is the default gateway behind the bridge.
func (k *kernel) gateway(name string, f family) (string, error) {
	out := ""
	if f.suffix == "6" {
		err := k.table("/proc/net/ipv6_route", func(fields []string) {
			if len(fields) == 10 && fields[9] == name && fields[1] == "00" && strings.Trim(fields[4], "0") != "" {
				out = bigEndian(fields[4]).String()
			}
		})
		return out, err
	}
	routes, err := k.routes4(name)
	for _, r := range routes {
		if r.dest.Bits() == 0 && !r.gateway.IsUnspecified() {
			out = r.gateway.String()
		}
	}
	return out, err
}

// nat asks iptables, because no file has its rules, and the kernel whether packets
// are forwarded at all.
func (k *kernel) nat(want rule) (string, error) {
	on, _, err := tasks.ReadIfExists(k.h, "/proc/sys/net/ipv4/ip_forward")
	if err != nil {
		return "", err
	}
	out, err := tasks.Succeed(k.ctx, k.h, tasks.Cmd{Argv: []string{"iptables", "-w", "-t", "nat", "-S", "POSTROUTING"}, ReadOnly: true})
	if err != nil {
		return "", fmt.Errorf("see whether %s is masqueraded: %w", want.subnet, err)
	}
	there := false
	for _, line := range tasks.Lines(string(out.Stdout)) {
		c, ok := parseRule(strings.Fields(line))
		there = there || ok && c.rule == want
	}
	switch {
	case !there:
		return "", nil
	case strings.TrimSpace(string(on)) != "1":
		return want.String() + ", without ip_forward", nil
	}
	return want.String(), nil
}
