package guest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// As Linux 6.18 showed them in a container with a bridge of Docker's.
const (
	trie = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 172.17.0.0/16 2 0 2
        |-- 172.17.0.1
           /32 host LOCAL
        |-- 172.17.255.255
           /32 link BROADCAST
     +-- 192.0.2.0/24 2 0 2
        +-- 192.0.2.0/30 2 0 2
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
  +-- 0.0.0.0/0 3 0 5
     +-- 192.0.2.0/24 2 0 2
        +-- 192.0.2.0/30 2 0 2
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 host LOCAL
     |-- 169.254.7.7
        /32 host LOCAL
     |-- 203.0.113.9
        /32 host LOCAL
`
	routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n" +
		"docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
	inet6 = "fd000000000000000000000000000002 04 40 00 82     eth0\n" +
		"fd000000000000000000000000000003 04 40 00 c0     eth0\n" +
		"00000000000000000000000000000001 01 80 10 80       lo\n" +
		"fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n"
)

func TestAddressesOfAContainerByTheirInterface(t *testing.T) {
	networks := parseRoutes(routes)
	var got []string
	for _, ip := range parseTrie(trie) {
		got = append(got, ip.String()+" "+interfaceOf(networks, ip))
	}
	for _, a := range parseInet6(inet6) {
		got = append(got, a.IP.String()+" "+a.Interface)
	}
	// Neither loopback nor link-local, nor the one that is only tentative yet.
	want := []string{"172.17.0.1 docker0", "192.0.2.2 eth0", "203.0.113.9 ", "fd00::2 eth0"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestTheSmallestNetworkHasTheAddress(t *testing.T) {
	list := []network{{netip.MustParsePrefix("10.0.0.0/8"), "eth0"}, {netip.MustParsePrefix("10.1.0.0/16"), "eth1"}, {netip.MustParsePrefix("10.0.0.0/9"), "eth2"}}
	if got := interfaceOf(list, netip.MustParseAddr("10.1.2.3")); got != "eth1" {
		t.Errorf("got %q", got)
	}
}

// FuzzAddresses: no table makes an address that cannot be reached, or twice the same;
// and an address that is written as the kernel does is read back.
func FuzzAddresses(f *testing.F) {
	f.Add(trie, routes, inet6, []byte{10, 0, 0, 5})
	f.Add("|-- 1.2.3.4\n/32 host LOCAL", "a\t0\t00000000\t0\t0\t0\t0\tFFFFFFFF", "x", []byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, trie, routes, inet6 string, raw []byte) {
		seen := map[netip.Addr]bool{}
		for _, ip := range parseTrie(trie) {
			if !ip.Is4() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || seen[ip] {
				t.Errorf("address %s", ip)
			}
			seen[ip] = true
		}
		for _, n := range parseRoutes(routes) {
			if !n.prefix.IsValid() {
				t.Errorf("network %v", n)
			}
		}
		for _, a := range parseInet6(inet6) {
			if !a.IP.Is6() || a.Interface == "" {
				t.Errorf("address %+v", a)
			}
		}
		ip, ok := netip.AddrFromSlice(raw)
		switch {
		case !ok || ip.IsLoopback() || ip.IsLinkLocalUnicast():
		case ip.Is4():
			if got := parseTrie(fmt.Sprintf("Local:\n |-- %s\n   /32 host LOCAL\n", ip)); !slices.Equal(got, []netip.Addr{ip}) {
				t.Errorf("%s is read back as %v", ip, got)
			}
		default:
			line := fmt.Sprintf("%x 02 40 00 80 eth0\n", ip.As16())
			if got := parseInet6(line); len(got) != 1 || got[0].IP != ip {
				t.Errorf("%s is read back as %v", strings.TrimSpace(line), got)
			}
		}
	})
}
