package inventory

import (
	"strings"
	"testing"
)

func TestFaultsOfTheNetworkHaveTheirPlaces(t *testing.T) {
	for section, want := range map[string]string{
		`"bridges": {"vmbr0": {"address": "10.0.0.2"}}`:                                       `h.json:1:58: network.bridges.vmbr0.address: "10.0.0.2" is no IPv4 address with a prefix (such as 10.0.0.2/24)`,
		`"bridges": {"vmbr0": {"address": "10.0.0.2/24", "gateway": "10.0.1.1"}}`:             `network.bridges.vmbr0.gateway: 10.0.1.1 is outside 10.0.0.0/24`,
		`"bridges": {"vmbr4095": {}}`:                                                         `network.bridges.vmbr4095: "vmbr4095" is no name of a bridge`,
		`"bridges": {"vmbr0": {"ports": ["eno1"]}, "vmbr1": {"ports": ["eno1"]}}`:             `network.bridges.vmbr1.ports.0: eno1 is at vmbr0 already`,
		`"confirm_timeout_s": 60`:                                                             `network.bridges: names no bridge`,
		`"bridge": {}`:                                                                        `network.bridge: unknown key "bridge" (did you mean bridges?)`,
		`"dns": {"nameservers": ["router"]}`:                                                  `network.dns.nameservers.0: "router" is no IP address`,
		`"dns": {"search": ["a.org"], "domain": "a.org"}`:                                     `network.dns.domain: excludes search`,
		`"bridges": {"vmbr0": {"nat": {"subnet": "10.1.0.0/24"}}}`:                            `network.bridges.vmbr0.nat: missing "out"`,
		`"bridges": {"vmbr0": {"ports": [], "mtu": 9000}}, "dns": {"nameservers": ["::1"]}`:   "",
		`"bridges": {"vmbr0": {"ports": [], "mtu": 9000, "vids": []}}`:                        "network.bridges.vmbr0.vids: ",
		`"bridges": {"vmbr0": {"ports": [1]}, "vmbr1": {"mtu": 64}}, "confirm_timeout_s": 99`: "network.bridges.vmbr1.mtu: 64 ",
	} {
		_, found := load(t, files{
			"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json}\n",
			"h.json":     `{"version":1,"network":{` + section + `}}`,
		})
		if text := strings.Join(found, "\n"); (want == "") != (text == "") || !strings.Contains(text, want) {
			t.Errorf("%s\ngives %q\nwant %q", section, text, want)
		}
	}
}

func TestTheSectionNetworkIsTwoSteps(t *testing.T) {
	fleet, found := load(t, files{
		"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json}\n",
		"h.json":     `{"version":1,"network":{"dns":{"nameservers":["10.0.0.1"]}}}`,
	})
	if len(found) > 0 {
		t.Fatal(found)
	}
	if v := fleet.Host("pve1").Hypervisor; v.Network != nil || v.DNS == nil {
		t.Errorf("got %+v", v)
	}
}

func TestAnAddressOfABridgeIsTheHostsOwn(t *testing.T) {
	bridges := func(address, more string) string {
		return `{"version":1,"network":{"bridges":{"vmbr0":{"ports":["eno1"],"address":"` + address + `"}` + more + `}}}`
	}
	for _, tc := range []struct{ name, one, two, want string }{
		{"each its own", bridges("10.0.0.1/24", ""), bridges("10.0.0.2/24", ""), ""},
		{"the address of another host", bridges("10.0.0.2/24", ""), bridges("10.0.0.2/24", ""), "bridge vmbr0 of pve1 has the same IP address as host pve2, 10.0.0.2"},
		{"the same beside that of the host", bridges("10.9.0.1/24", ""), bridges("10.9.0.1/24", ""), "bridge vmbr0 of pve2 has the same IP address as bridge vmbr0 of pve1, 10.9.0.1"},
		{"a bridge that leads nowhere", bridges("10.0.0.1/24", `,"vmbr1":{"ports":[],"address":"10.9.0.1/24"}`), bridges("10.0.0.2/24", `,"vmbr1":{"ports":[],"address":"10.9.0.1/24"}`), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, found := load(t, files{
				"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: a.json, cluster: c}\n  pve2: {address: 10.0.0.2, hypervisor: b.json, cluster: c}\n",
				"a.json":     tc.one, "b.json": tc.two,
			})
			if text := strings.Join(found, "\n"); (tc.want == "") != (text == "") || !strings.Contains(text, tc.want) {
				t.Errorf("gives %q, want %q", text, tc.want)
			}
		})
	}
}
