package sim

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
)

const (
	sysNet = "/sys/class/net/"
	// ifState lists the interfaces that ifupdown2 has brought up.
	ifState = "/run/network/ifstatenew"
)

// reload is one `ifreload -a`. It does what it can and goes on after errors.
type reload struct {
	*call
	failed bool
	// addresses and gateways by interface.
	addresses map[string][]netip.Prefix
	gateways  map[string][]netip.Addr
}

// ifreload puts the files into effect. Like the real one it takes back nothing, runs
// the post-up lines of all interfaces each time, and exits with 1 after any error.
func ifreload(c *call) int {
	if !slices.Equal(c.argv[1:], []string{"-a"}) {
		c.errorf("error: '-a' or '-c' or '-allow' option is required\n")
		return 1
	}
	files, err := c.m.interfaces(nil)
	if err != nil {
		return c.died(err, 1)
	}
	r := &reload{call: c, addresses: map[string][]netip.Prefix{}, gateways: map[string][]netip.Addr{}}
	for _, f := range files.faults {
		r.complain("%s", f)
	}
	// Not inside exclusive: the post-up lines are programs of their own.
	if err := r.all(files.found); err != nil {
		return c.died(err, 1)
	}
	if r.failed {
		return 1
	}
	return 0
}

func (r *reload) complain(format string, args ...any) {
	r.failed = true
	r.errorf(format+"\n", args...)
}

func (r *reload) all(found []iface) error {
	byName := map[string]iface{}
	var order []string
	for _, i := range found {
		if !i.auto {
			continue
		}
		if one, ok := byName[i.name]; ok {
			i.options = append(one.options, i.options...)
		} else {
			order = append(order, i.name)
		}
		byName[i.name] = i
	}
	for old := range strings.FieldsSeq(r.m.text(ifState)) {
		if _, still := byName[old]; !still && r.m.exists(sysNet+old+"/bridge") {
			if err := os.RemoveAll(r.m.path(sysNet + old)); err != nil {
				return err
			}
		}
	}
	for _, name := range order {
		if err := r.up(byName[name]); err != nil {
			return err
		}
	}
	if err := r.tables(); err != nil {
		return err
	}
	for _, name := range order {
		for _, line := range byName[name].values("post-up") {
			if code := r.sub("sh", "-c", line); code != 0 {
				r.complain("warning: %s: post-up cmd '%s' failed: returned %d", name, line, code)
			}
		}
	}
	return r.m.write(ifState, []byte(strings.Join(order, "\n")+"\n"), 0o644)
}

// up makes one interface as its stanzas say.
func (r *reload) up(i iface) error {
	dir := sysNet + i.name + "/"
	bridge := len(i.values("bridge-ports")) > 0
	if !bridge && !r.m.exists(dir) {
		if i.name != "lo" {
			r.complain("warning: %s: interface not recognized - please check interface configuration", i.name)
		}
		return nil
	}
	if bridge {
		if err := r.bridge(i, dir); err != nil {
			return err
		}
	}
	for _, a := range i.values("address") {
		p, err := netip.ParsePrefix(a)
		if err != nil {
			if p, err = netip.ParsePrefix(a + "/32"); err != nil {
				r.complain("warning: %s: '%s' does not appear to be an IPv4 or IPv6 network", i.name, a)
				continue
			}
		}
		r.addresses[i.name] = append(r.addresses[i.name], p)
	}
	for _, g := range i.values("gateway") {
		if a, err := netip.ParseAddr(g); err == nil {
			r.gateways[i.name] = append(r.gateways[i.name], a)
		}
	}
	mtu := "1500"
	if list := i.values("mtu"); len(list) > 0 {
		mtu = list[0]
	}
	for file, text := range map[string]string{"mtu": mtu, "flags": "0x1003", "operstate": "up"} {
		if err := r.m.write(dir+file, []byte(text+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// bridge makes a bridge with its ports; those of guests stay in it.
func (r *reload) bridge(i iface, dir string) error {
	aware := "0\n"
	if list := i.values("bridge-vlan-aware"); len(list) > 0 {
		if on, _ := boolean(list[len(list)-1]); on == "1" {
			aware = "1\n"
		}
	}
	if err := r.m.writeAll(map[string]string{dir + "bridge/stp_state": "0\n", dir + "bridge/vlan_filtering": aware}); err != nil {
		return err
	}
	want := map[string]bool{}
	for _, list := range i.values("bridge-ports") {
		for port := range strings.FieldsSeq(list) {
			switch {
			case port == "none":
			case !r.m.exists(sysNet + port):
				r.complain("error: %s: bridge port %s does not exist", i.name, port)
			default:
				want[port] = true
			}
		}
	}
	brif := dir + "brif"
	if err := os.MkdirAll(r.m.path(brif), 0o755); err != nil {
		return err
	}
	present, err := os.ReadDir(r.m.path(brif))
	if err != nil {
		return err
	}
	for _, p := range present {
		guest := slices.ContainsFunc([]string{"tap", "veth", "fwpr"}, func(s string) bool { return strings.HasPrefix(p.Name(), s) })
		if !want[p.Name()] && !guest {
			if err := os.RemoveAll(r.m.path(brif + "/" + p.Name())); err != nil {
				return err
			}
		}
	}
	for _, port := range slices.Sorted(maps.Keys(want)) {
		if err := r.m.write(brif+"/"+port, nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// tables writes what the kernel shows of addresses and routes.
func (r *reload) tables() error { return r.m.netTables(r.addresses, r.gateways) }

// netTables writes /proc/net as the kernel shows these addresses and gateways.
func (m *Machine) netTables(addresses map[string][]netip.Prefix, gateways map[string][]netip.Addr) error {
	var routes, trie, inet6, routes6 strings.Builder
	routes.WriteString("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n")
	trie.WriteString("Main:\n  +-- 0.0.0.0/0 3 0 5\n")
	inet6.WriteString("00000000000000000000000000000001 01 80 10 80       lo\n")
	leaf(&trie, netip.MustParseAddr("127.0.0.1"))
	for _, name := range slices.Sorted(maps.Keys(gateways)) {
		for _, g := range gateways[name] {
			if g.Is4() {
				fmt.Fprintf(&routes, "%s\t00000000\t%s\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", name, backwards(g))
			} else {
				fmt.Fprintf(&routes6, "%032d 00 %032d 00 %s 00000400 00000001 00000000 00000003 %s\n", 0, 0, hex.EncodeToString(g.AsSlice()), name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(addresses)) {
		for _, p := range addresses[name] {
			if !p.Addr().Is4() {
				fmt.Fprintf(&inet6, "%s 05 %02x 00 80 %8s\n", hex.EncodeToString(p.Addr().AsSlice()), p.Bits(), name)
				continue
			}
			leaf(&trie, p.Addr())
			var mask [4]byte
			binary.BigEndian.PutUint32(mask[:], ^uint32(0)<<(32-p.Bits()))
			fmt.Fprintf(&routes, "%s\t%s\t00000000\t0001\t0\t0\t0\t%s\t0\t0\t0\n", name, backwards(p.Masked().Addr()), backwards(netip.AddrFrom4(mask)))
		}
	}
	return m.writeAll(map[string]string{
		"/proc/net/route": routes.String(), "/proc/net/fib_trie": trie.String(), "/proc/net/if_inet6": inet6.String(), "/proc/net/ipv6_route": routes6.String(),
	})
}

func leaf(b *strings.Builder, a netip.Addr) {
	fmt.Fprintf(b, "     |-- %s\n        /32 host LOCAL\n", a)
}

// backwards is an IPv4 address as a little-endian kernel prints it.
func backwards(a netip.Addr) string {
	b := a.AsSlice()
	slices.Reverse(b)
	return strings.ToUpper(hex.EncodeToString(b))
}

// layNetwork lays what the kernel shows of the installed network.
func (m *Machine) layNetwork(identity) error {
	files := map[string]string{ifState: "lo\nvmbr0\nvmbr1\n", "/proc/sys/net/ipv4/ip_forward": "0\n", "/etc/network/.pve-interfaces.lock": ""}
	for _, name := range []string{"lo", "eth0", "vmbr0", "vmbr1"} {
		files[sysNet+name+"/mtu"], files[sysNet+name+"/operstate"], files[sysNet+name+"/flags"] = "1500\n", "up\n", "0x1003\n"
	}
	files[sysNet+"eth0/device/vendor"] = "0x1af4\n"
	for _, bridge := range []string{"vmbr0", "vmbr1"} {
		files[sysNet+bridge+"/bridge/stp_state"], files[sysNet+bridge+"/bridge/vlan_filtering"] = "0\n", "0\n"
	}
	files[sysNet+"vmbr0/brif/eth0"] = ""
	if err := m.writeAll(files); err != nil {
		return err
	}
	if err := os.MkdirAll(m.path(sysNet+"vmbr1/brif"), 0o755); err != nil {
		return err
	}
	return m.netTables(
		map[string][]netip.Prefix{"vmbr0": {netip.MustParsePrefix("10.99.99.2/24")}, "vmbr1": {netip.MustParsePrefix("10.77.0.1/24")}},
		map[string][]netip.Addr{"vmbr0": {netip.MustParseAddr("10.99.99.1")}})
}
