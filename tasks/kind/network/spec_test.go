package network_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/ifupdown"
	"phoenix/tasks/kind/network"
	"phoenix/tasks/taskstest"
)

func one(name string, b network.Bridge) network.Spec {
	return network.Spec{Bridges: map[string]network.Bridge{name: b}}
}

func TestValidate_namesEveryFault(t *testing.T) {
	no := false
	vmbr0 := func(b network.Bridge) network.Spec { return one("vmbr0", b) }
	two := func(a, b network.Bridge) network.Spec {
		return network.Spec{Bridges: map[string]network.Bridge{"vmbr0": a, "vmbr1": b}}
	}
	for _, tc := range []struct {
		name  string
		spec  network.Spec
		paths []string
	}{
		{"no bridge", network.Spec{}, []string{"bridges"}},
		{"a timeout too short to get in", network.Spec{ConfirmTimeoutS: 1, Bridges: one("vmbr0", network.Bridge{}).Bridges}, []string{"confirm_timeout_s"}},
		{"a number that Proxmox does not take", one("vmbr4095", network.Bridge{}), []string{"bridges.vmbr4095"}},
		{"a number with a zero in front", one("vmbr01", network.Bridge{}), []string{"bridges.vmbr01"}},
		{"a name that is too long", one("abcdefghijk", network.Bridge{}), []string{"bridges.abcdefghijk"}},
		{"a name with a line break", one("br\n0", network.Bridge{}), []string{"bridges.br\n0"}},
		{"a port with a blank", vmbr0(network.Bridge{Ports: []string{"eno1 eno2"}}), []string{"bridges.vmbr0.ports.0"}},
		{"a port that is no port", vmbr0(network.Bridge{Ports: []string{"none"}}), []string{"bridges.vmbr0.ports.0"}},
		{"a bridge in itself", vmbr0(network.Bridge{Ports: []string{"vmbr0"}}), []string{"bridges.vmbr0.ports.0"}},
		{"a bridge in a bridge", two(network.Bridge{Ports: []string{"vmbr1"}}, network.Bridge{}), []string{"bridges.vmbr0.ports.0"}},
		{"a port twice", two(network.Bridge{Ports: []string{"eno1"}}, network.Bridge{Ports: []string{"eno1"}}), []string{"bridges.vmbr1.ports.0"}},
		{"an address without a prefix", vmbr0(network.Bridge{Address: "10.0.0.2"}), []string{"bridges.vmbr0.address"}},
		{"an address of the other family", vmbr0(network.Bridge{Address: "fd00::1/64", Address6: "10.0.0.2/24"}), []string{"bridges.vmbr0.address", "bridges.vmbr0.address6"}},
		{"an IPv4 address in IPv6", vmbr0(network.Bridge{Address6: "::ffff:10.0.0.2/120"}), []string{"bridges.vmbr0.address6"}},
		{"the address of the network", vmbr0(network.Bridge{Address: "10.0.0.0/24"}), []string{"bridges.vmbr0.address"}},
		{"the broadcast address", vmbr0(network.Bridge{Address: "10.0.0.255/24"}), []string{"bridges.vmbr0.address"}},
		{"an address twice", two(network.Bridge{Address: "10.0.0.2/24"}, network.Bridge{Address: "10.0.0.2/16"}), []string{"bridges.vmbr1.address"}},
		{"a gateway outside the subnet", vmbr0(network.Bridge{Address: "10.0.0.2/24", Gateway: "10.0.1.1"}), []string{"bridges.vmbr0.gateway"}},
		{"a gateway that is the bridge", vmbr0(network.Bridge{Address: "10.0.0.2/24", Gateway: "10.0.0.2"}), []string{"bridges.vmbr0.gateway"}},
		{"a gateway without an address", vmbr0(network.Bridge{Gateway: "10.0.0.1"}), []string{"bridges.vmbr0.gateway"}},
		{"two default gateways", two(network.Bridge{Address: "10.0.0.2/24", Gateway: "10.0.0.1"}, network.Bridge{Address: "10.1.0.2/24", Gateway: "10.1.0.1"}), []string{"bridges.vmbr1.gateway"}},
		{"a gateway that is a name", vmbr0(network.Bridge{Address6: "fd00::2/64", Gateway6: "router"}), []string{"bridges.vmbr0.gateway6"}},
		{"an MTU that is too small", vmbr0(network.Bridge{MTU: 576}), []string{"bridges.vmbr0.mtu"}},
		{"an MTU that ifupdown2 does not take", vmbr0(network.Bridge{MTU: 65520}), []string{"bridges.vmbr0.mtu"}},
		{"VLANs that are none", vmbr0(network.Bridge{VIDs: []string{"0", "5-4", "2-4095", "+3", "20"}}), []string{"bridges.vmbr0.vids.0", "bridges.vmbr0.vids.1", "bridges.vmbr0.vids.2", "bridges.vmbr0.vids.3"}},
		{"VLANs on a bridge without", vmbr0(network.Bridge{VLANAware: &no, VIDs: []string{"20"}}), []string{"bridges.vmbr0.vids"}},
		{"a comment of two lines", vmbr0(network.Bridge{Comment: "a\nauto eno9"}), []string{"bridges.vmbr0.comment"}},
		{"a comment that eats the next line", vmbr0(network.Bridge{Comment: `a\`}), []string{"bridges.vmbr0.comment"}},
		{"a subnet with host bits", vmbr0(network.Bridge{NAT: &network.NAT{Subnet: "10.0.0.1/24", Out: "eno1"}}), []string{"bridges.vmbr0.nat.subnet"}},
		{"an interface with shell in it", vmbr0(network.Bridge{NAT: &network.NAT{Subnet: "10.0.0.0/24", Out: "eno1; rm"}}), []string{"bridges.vmbr0.nat.out"}},
		{"a way out that leads in", vmbr0(network.Bridge{NAT: &network.NAT{Subnet: "10.0.0.0/24", Out: "vmbr0"}}), []string{"bridges.vmbr0.nat.out"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var paths []string
			for _, p := range tc.spec.Validate() {
				paths = append(paths, p.Path)
			}
			if !slices.Equal(paths, tc.paths) {
				t.Errorf("problems at %q, want %q", paths, tc.paths)
			}
		})
	}
	good := one("vmbr0", network.Bridge{Address: "10.0.0.2/31", Gateway: "10.0.0.3", Address6: "fd00::2/64", Gateway6: "fe80::1", MTU: 9000, VIDs: []string{"2-4094"}})
	if p := good.Validate(); len(p) > 0 {
		t.Errorf("found fault with %v", p)
	}
}

// TestNetwork_spellings checks stanzas that say the same in other words.
func TestNetwork_spellings(t *testing.T) {
	const static = "auto vmbr1\niface vmbr1 inet static\n"
	for _, tc := range []struct{ name, file, want, path string }{
		{"a netmask", static + "\taddress 10.77.0.1\n\tnetmask 255.255.255.0\n\tbridge_ports none\n", `{"address":"10.77.0.1/24"}`, ""},
		{"a netmask that is a prefix", static + "\taddress 10.77.0.1\n\tnetmask 24\n\tbridge_ports none\n", `{"address":"10.77.0.1/24"}`, ""},
		{"a second address of the same bridge", static + "\taddress 10.88.0.1/24\n\taddress 10.77.0.1/24\n\tbridge-ports none\n", `{"address":"10.77.0.1/24"}`, ""},
		{"a second stanza for the same bridge", static + "\tbridge-ports none\niface vmbr1 inet static\n\taddress 10.77.0.1/24\n", `{"address":"10.77.0.1/24","ports":[]}`, ""},
		{"no family", "auto vmbr1\niface vmbr1\n\taddress 10.77.0.1/24\n\tbridge-ports none\n", `{"address":"10.77.0.1/24"}`, ""},
		{"all interfaces start", "auto all\niface vmbr1 inet manual\n\tbridge-ports none\n", `{"ports":[]}`, ""},
		{"an auto line too late", "iface vmbr1 inet manual\n\tbridge-ports none\nauto vmbr1\n", `{"ports":[]}`, "autostart"},
		{"ports in another order", "auto vmbr0\niface vmbr0 inet manual\n\tbridge-ports  eth0\n", `{"ports":["eth0"]}`, ""},
		{"ports by a pattern", static + "\tbridge-ports regex eth.*\n", `{"ports":["eth0"]}`, "ports"},
		{"VLANs with commas and twice", static + "\tbridge-ports none\n\tbridge-vids 2,3,4-10 9\n", `{"vids":["2-10"]}`, ""},
		{"VLAN awareness as a number", static + "\tbridge-ports none\n\tbridge_vlan_aware 1\n", `{"vlan_aware":true}`, "live.vlan_aware"},
		{"an address by DHCP", "auto vmbr1\niface vmbr1 inet dhcp\n\tbridge-ports none\n", `{"address":"10.77.0.1/24"}`, "address"},
		{"no VLAN awareness is none", static + "\tbridge-ports none\n", `{"vlan_aware":false}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bridge := "vmbr1"
			if strings.Contains(tc.file, "vmbr0") {
				bridge = "vmbr0"
			}
			res := taskstest.Check(t, network.Kind(), `{"bridges":{"`+bridge+`":`+tc.want+`}}`, with(t, tc.file))
			switch {
			case tc.path == "" && res.Status != tasks.StatusOK:
				t.Errorf("%+v", res)
			case tc.path != "" && (len(res.Changes) != 1 || res.Changes[0].Path != "bridges."+bridge+"."+tc.path):
				t.Errorf("%+v, want %s", res, tc.path)
			}
		})
	}
}

// wiki is how Proxmox's own documentation masquerades.
const wiki = "testdata/wiki/before/interfaces"

const masquerade = `{"bridges":{"vmbr1":{"nat":{"subnet":"10.77.0.0/24","out":"vmbr0"}}}}`

func TestNetwork_knowsMasqueradingInOtherWords(t *testing.T) {
	const head, up, down = "auto vmbr1\niface vmbr1 inet static\n\taddress 10.77.0.1/24\n\tbridge-ports none\n", "\tpost-up sysctl -q -w net/ipv4/ip_forward=1\n", "\tpost-down iptables -t nat -D POSTROUTING -s 10.77.0.0/24 -o vmbr0 -j MASQUERADE || true\n"
	for _, tc := range []struct{ name, lines, from string }{
		{"the documentation's lines double", strings.TrimPrefix(read(t, wiki), head), "10.77.0.0/24 by vmbr0, added once more by every reload"},
		{"checked before it is added", up + "\tpost-up iptables --table nat --check POSTROUTING --source 10.77.0.0/24 --out-interface vmbr0 --jump MASQUERADE 2>&1 >/dev/null || /sbin/iptables -t nat --append POSTROUTING --src 10.77.0.0/24 -o vmbr0 -j MASQUERADE\n" + down, "10.77.0.0/24 by vmbr0"},
		{"deleted before it is added, on one line", up + "\tup iptables -t nat -D POSTROUTING -s 10.77.0.0/24 -o vmbr0 -j MASQUERADE; iptables -t nat -A POSTROUTING -s 10.77.0.0/24 -o vmbr0 -j MASQUERADE\n" + down, "10.77.0.0/24 by vmbr0"},
		{"deleted before it is added, on two lines", up + "\tpost-up iptables -t nat -D POSTROUTING -s 10.77.0.0/24 -o vmbr0 -j MASQUERADE || true\n\tpost-up iptables -t nat -I POSTROUTING -s 10.77.0.0/24 -o vmbr0 -j MASQUERADE\n" + down, "10.77.0.0/24 by vmbr0"},
		{"with a condition more it is another rule", up + "\tpost-up iptables -t nat -A POSTROUTING -s 10.77.0.0/24 ! -d 10.0.0.0/8 -o vmbr0 -j MASQUERADE\n", ""},
		{"of another table it is another rule", up + "\tpost-up iptables -t filter -A POSTROUTING -s 10.77.0.0/24 -o vmbr0 -j MASQUERADE\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := taskstest.Check(t, network.Kind(), masquerade, with(t, head+tc.lines))
			if len(res.Changes) != 1 {
				t.Fatalf("%+v", res)
			}
			c := res.Changes[0]
			if equal := tc.from == c.To; equal && c.Path != "bridges.vmbr1.live.nat" || !equal && (c.Path != "bridges.vmbr1.nat" || c.From != tc.from) {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestNetwork_aLineThatDoesMoreIsLeftToItsOwner(t *testing.T) {
	text := strings.Replace(read(t, wiki), "post-up   iptables -t nat", "post-up /usr/local/bin/mine; iptables -t nat", 1)
	m := with(t, text)
	res := taskstest.Run(t, network.Kind(), masquerade, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "one command on each line") || taskstest.Get(t, m, ifupdown.Main) != text {
		t.Errorf("%+v", res)
	}
}

// TestNetwork_writesTheGoldenFiles runs each spec.json of testdata on the files before,
// and wants those after and no other; e2e has ifupdown2 read them. They hold what
// Proxmox writes and its documentation, and what people do: comments, files of their
// own, two families in two stanzas, options that phoenix does not know.
func TestNetwork_writesTheGoldenFiles(t *testing.T) {
	specs, err := filepath.Glob("testdata/*/spec.json")
	if err != nil || len(specs) < 4 {
		t.Fatalf("%v, %v", specs, err)
	}
	for _, file := range specs {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			m, spec := machine(t), read(t, file)
			for name, text := range tree(t, filepath.Join(filepath.Dir(file), "before")) {
				taskstest.Put(t, m, "/etc/network/"+name, text)
			}
			if res := taskstest.Run(t, network.Kind(), spec, m); res.Status != tasks.StatusChanged {
				t.Errorf("%+v", res)
			}
			for name, want := range tree(t, filepath.Join(filepath.Dir(file), "after")) {
				if got := taskstest.Get(t, m, "/etc/network/"+name); got != want {
					t.Errorf("%s is now\n%s", name, got)
				}
			}
			if res := taskstest.Run(t, network.Kind(), spec, m); res.Status != tasks.StatusOK {
				t.Errorf("a second run: %+v", res)
			}
		})
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// tree is the files below a folder, by their path in it.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out[strings.TrimPrefix(path, dir+"/")] = read(t, path)
		}
		return err
	})
	if err != nil || out["interfaces"] == "" {
		t.Fatalf("%s: %v", dir, err)
	}
	return out
}
