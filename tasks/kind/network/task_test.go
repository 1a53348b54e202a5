package network_test

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/ifupdown"
	"phoenix/tasks/kind/network"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// spec takes the bridge to the outside as the installer left it, changes another,
// and wants a third that is not there.
//
//go:embed testdata/fresh/spec.json
var spec string

// natUp is the line that masquerades.
const natUp = "\tpost-up iptables -w -t nat -C POSTROUTING -s 10.10.0.0/24 -o vmbr0 -j MASQUERADE 2>/dev/null || " +
	"iptables -w -t nat -A POSTROUTING -s 10.10.0.0/24 -o vmbr0 -j MASQUERADE\n"

func machine(t *testing.T) taskstest.Machine {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve1", sim.Options{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	return taskstest.Machine{Host: m.Host(), Digest: m.Digest}
}

// with is the machine with another main file.
func with(t *testing.T, interfaces string) taskstest.Machine {
	m := machine(t)
	taskstest.Put(t, m, ifupdown.Main, interfaces)
	return m
}

func put(name, content string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, name, content) }
}

// written replaces text in the main file.
func written(old, content string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		text := taskstest.Get(t, h, ifupdown.Main)
		if !strings.Contains(text, old) {
			t.Fatalf("there is no %q in\n%s", old, text)
		}
		taskstest.Put(t, h, ifupdown.Main, strings.Replace(text, old, content, 1))
	}
}

// without takes a text out of a file of the kernel.
func without(name, text string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		old := taskstest.Get(t, h, name)
		if !strings.Contains(old, text) {
			t.Fatalf("there is no %q in %s:\n%s", text, name, old)
		}
		taskstest.Put(t, h, name, strings.Replace(old, text, "", 1))
	}
}

func remove(name string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: name}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNetwork_conforms(t *testing.T) {
	taskstest.Suite{
		Kind: network.Kind(), Spec: spec, New: machine,
		Drifts: append(writtenDrifts(), liveDrifts()...),
		Faults: []taskstest.Fault{
			{Name: "ifupdown2 cannot read the new file", Op: "ifquery", Output: tasks.Output{Stderr: []byte("error: None: line3: iface vmbr9: unsupported address method 'statc'\n")}},
			{Name: "ifreload does half of it", Op: "ifreload", Make: func(t *testing.T, h tasks.Host) {
				taskstest.Put(t, h, "/sys/class/net/vmbr1/mtu", "9000\n")
			}, Output: tasks.Output{Code: 1, Stderr: []byte("error: vmbr2: netlink: cannot set address\n")}},
		},
	}.Run(t)
}

func writtenDrifts() []taskstest.Drift {
	one := func(name, old, content, path string) taskstest.Drift {
		return taskstest.Drift{Name: name, Make: written(old, content), Paths: []string{"bridges." + path}}
	}
	return []taskstest.Drift{
		one("it does not start at boot", "auto vmbr1\n", "", "vmbr1.autostart"),
		one("no port in the file", "bridge-ports eth0", "bridge-ports none", "vmbr0.ports"),
		one("another address in the file", "address 10.99.99.2/24", "address 10.99.99.3/24", "vmbr0.address"),
		one("another prefix in the file", "address 10.99.99.2/24", "address 10.99.99.2\n\tnetmask 255.255.0.0", "vmbr0.address"),
		one("no gateway in the file", "\tgateway 10.99.99.1\n", "", "vmbr0.gateway"),
		one("no address of IPv6 in the file", "\taddress fd00:10::1/64\n", "", "vmbr2.address6"),
		one("another gateway of IPv6 in the file", "fd00:10::ff", "fd00:10::fe", "vmbr2.gateway6"),
		one("VLAN awareness was switched off", "bridge-vlan-aware yes", "bridge-vlan-aware no", "vmbr1.vlan_aware"),
		one("other VLANs", "bridge-vids 2-100 200", "bridge_vids 2-4094", "vmbr1.vids"),
		one("another MTU in the file", "mtu 9000", "mtu 1500", "vmbr1.mtu"),
		one("another comment", "#uplink", "# downlink", "vmbr0.comment"),
		one("masquerading of another subnet", natUp, strings.ReplaceAll(natUp, "10.10.0.0", "10.11.0.0"), "vmbr2.nat"),
		one("masquerading that each reload adds once more", "2>/dev/null || ", "; ", "vmbr2.nat"),
		one("no forwarding in the file", "\tpost-up echo 1 > /proc/sys/net/ipv4/ip_forward\n", "", "vmbr2.nat"),
		one("masquerading that stays without the bridge", "\tpost-down", "\tdown echo", "vmbr2.nat"),
	}
}

func liveDrifts() []taskstest.Drift {
	one := func(name string, make func(*testing.T, tasks.Host), path string) taskstest.Drift {
		return taskstest.Drift{Name: name, Make: make, Paths: []string{"bridges." + path}}
	}
	const net = "/sys/class/net/"
	return []taskstest.Drift{
		one("the bridge is down", put(net+"vmbr1/flags", "0x1002\n"), "vmbr1.live"),
		one("the bridge is something else", remove(net+"vmbr1/bridge/stp_state"), "vmbr1.live"),
		one("the bridge is gone", remove(net+"vmbr1/flags"), "vmbr1.live"),
		one("a port was taken out", remove(net+"vmbr0/brif/eth0"), "vmbr0.live.ports"),
		one("a physical port was put in", func(t *testing.T, h tasks.Host) {
			taskstest.Put(t, h, net+"vmbr1/brif/eth9", "")
			if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: net + "eth9/device"}); err != nil {
				t.Fatal(err)
			}
		}, "vmbr1.live.ports"),
		one("the address was taken away", without("/proc/net/fib_trie", "     |-- 10.99.99.2\n        /32 host LOCAL\n"), "vmbr0.live.address"),
		one("the gateway was taken away", without("/proc/net/route", "vmbr0\t00000000\t0163630A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"), "vmbr0.live.gateway"),
		one("the address of IPv6 was taken away", put("/proc/net/if_inet6", ""), "vmbr2.live.address6"),
		one("the gateway of IPv6 was taken away", put("/proc/net/ipv6_route", ""), "vmbr2.live.gateway6"),
		one("VLAN awareness was switched off until the next boot", put(net+"vmbr1/bridge/vlan_filtering", "0\n"), "vmbr1.live.vlan_aware"),
		one("another MTU until the next boot", put(net+"vmbr1/mtu", "1500\n"), "vmbr1.live.mtu"),
		one("the rule was deleted", func(t *testing.T, h tasks.Host) {
			cmd := tasks.Cmd{Argv: strings.Fields("iptables -w -t nat -D POSTROUTING -s 10.10.0.0/24 -o vmbr0 -j MASQUERADE")}
			if _, err := tasks.Succeed(t.Context(), h, cmd); err != nil {
				t.Fatal(err)
			}
		}, "vmbr2.live.nat"),
		one("forwarding was switched off", put("/proc/sys/net/ipv4/ip_forward", "0\n"), "vmbr2.live.nat"),
	}
}

func TestNetwork_guestsPortsAreTheirOwn(t *testing.T) {
	m := machine(t)
	taskstest.Run(t, network.Kind(), spec, m)
	taskstest.Put(t, m, "/sys/class/net/vmbr0/brif/veth900i0", "")
	if res := taskstest.Check(t, network.Kind(), spec, m); res.Status != tasks.StatusOK {
		t.Errorf("%+v", res)
	}
}

func TestNetwork_aSecondReloadAddsNothing(t *testing.T) {
	m := machine(t)
	taskstest.Run(t, network.Kind(), spec, m)
	for range 2 {
		if _, err := tasks.Succeed(t.Context(), m, tasks.Cmd{Argv: []string{"ifreload", "-a"}}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := tasks.Succeed(t.Context(), m, tasks.Cmd{Argv: strings.Fields("iptables -t nat -S POSTROUTING")})
	if got := strings.Count(string(out.Stdout), "MASQUERADE"); err != nil || got != 1 {
		t.Errorf("after two reloads more there are %d rules, %v:\n%s", got, err, out.Stdout)
	}
}

func TestNetwork_nothingIsWrittenWhileOthersChangesWait(t *testing.T) {
	m := machine(t)
	taskstest.Put(t, m, ifupdown.Pending, "auto lo\n")
	rec := taskstest.NewRecorder(m)
	res := taskstest.Run(t, network.Kind(), spec, rec)
	if res.Status != tasks.StatusSkipped || res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "interfaces.new") || len(rec.Changes()) > 0 {
		t.Errorf("%+v, did %v", res, rec.Changes())
	}
	for _, c := range taskstest.Check(t, network.Kind(), spec, m).Changes {
		if !c.Held() {
			t.Errorf("a run would make %+v", c)
		}
	}
	remove(ifupdown.Pending)(t, m)
	taskstest.Run(t, network.Kind(), spec, m)
	taskstest.Put(t, m, ifupdown.Pending, taskstest.Get(t, m, ifupdown.Main))
	if res := taskstest.Check(t, network.Kind(), spec, m); res.Status != tasks.StatusOK {
		t.Errorf("an interfaces.new that changes nothing is found fault with: %+v", res)
	}
	written("address 10.99.99.2/24", "address 10.99.99.3/24")(t, m)
	taskstest.Put(t, m, ifupdown.Pending, taskstest.Get(t, m, ifupdown.Main))
	if res := taskstest.Run(t, network.Kind(), spec, m); res.Cause != tasks.CauseRefused {
		t.Errorf("what is written would be undone at the next boot: %+v", res)
	}
}

func TestNetwork_aFailedReloadBringsTheOldNetworkBack(t *testing.T) {
	m := machine(t)
	written("auto lo\n", "iface eth7 inet manual\nauto lo\n")(t, m)
	before := taskstest.Get(t, m, ifupdown.Main)
	res := taskstest.Run(t, network.Kind(), `{"bridges":{"vmbr1":{"ports":["eth7"]}}}`, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "bridge port eth7 does not exist") || !strings.Contains(res.Why, "as it was before") {
		t.Errorf("%+v", res)
	}
	if got := taskstest.Get(t, m, ifupdown.Main); got != before {
		t.Errorf("the file is now\n%s", got)
	}
}

func TestNetwork_aPortThatIsNotThereIsFoundBeforeAnythingIsWritten(t *testing.T) {
	const stanzas = "iface bond0 inet manual\n\tbond-slaves eth0\nauto lo\n"
	for _, tc := range []struct{ name, spec, why string }{
		{"a port that there is not", `"vmbr1":{"ports":["eth0","eth7"]}`, "find port eth7 of bridge vmbr1: the host has no such interface"},
		{"a port of a new bridge", `"vmbr9":{"ports":["eth7"]}`, "find port eth7 of bridge vmbr9"},
		{"a VLAN of what there is not", `"vmbr9":{"ports":["eth7.30"]}`, "find port eth7.30 of bridge vmbr9"},
		{"no VLAN at all", `"vmbr9":{"ports":["eth0.5000"]}`, "find port eth0.5000 of bridge vmbr9"},
		{"a way out that there is not", `"vmbr9":{"nat":{"subnet":"10.9.0.0/24","out":"eth7"}}`, "find nat.out eth7 of bridge vmbr9"},
		{"a way out that this configuration makes", `"vmbr9":{"nat":{"subnet":"10.9.0.0/24","out":"vmbr8"}},"vmbr8":{}`, ""},
		{"a bond that a stanza makes", `"vmbr9":{"ports":["bond0"]}`, ""},
		{"a VLAN of a bond", `"vmbr9":{"ports":["bond0.30"]}`, ""},
		{"no ports", `"vmbr9":{"ports":[]}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t)
			written("auto lo\n", stanzas)(t, m)
			res := taskstest.Check(t, network.Kind(), `{"bridges":{`+tc.spec+`}}`, m)
			if tc.why == "" && res.Status != tasks.StatusWouldChange || tc.why != "" && (res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why)) {
				t.Errorf("%+v, want %q", res, tc.why)
			}
		})
	}
}

func TestNetwork_errorsOfOthersDoNotStopIt(t *testing.T) {
	m := machine(t)
	written("auto lo\n", "garbage here\nauto lo\n")(t, m)
	if res := taskstest.Run(t, network.Kind(), spec, m); res.Status != tasks.StatusChanged {
		t.Errorf("%+v", res)
	}
}

func TestNetwork_whoeverChangesTheFileMeanwhileWins(t *testing.T) {
	m := machine(t)
	rec := taskstest.NewRecorder(m)
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Cmd != nil && o.Cmd.Name() == "systemd-run" {
			written("auto lo\n", "auto lo\n# mine\n")(t, m)
		}
		return nil
	}
	if res := taskstest.Run(t, network.Kind(), spec, rec); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "somebody has changed it") {
		t.Errorf("%+v", res)
	}
}

func TestNetwork_asksForAConfirmationAtTheNewAddresses(t *testing.T) {
	m := machine(t)
	want := new(network.Spec)
	if err := tasks.UnmarshalStrict([]byte(spec), want); err != nil {
		t.Fatal(err)
	}
	d, err := want.Task().Check(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var asked []tasks.Confirm
	err = want.Task().Apply(tasks.WithScope(ctx, tasks.Scope{Confirm: func(c tasks.Confirm) { asked = append(asked, c); stop() }}), m, d)
	if err == nil {
		t.Error("nobody confirmed, and the change stays")
	}
	if len(asked) != 1 || asked[0].TimeoutS != 10 || !slices.Equal(asked[0].Addresses, []string{"10.10.0.1", "fd00:10::1"}) {
		t.Errorf("asked for %+v", asked)
	}
}

func TestNetwork_whatSDNMakesIsNotTouched(t *testing.T) {
	m := machine(t)
	taskstest.Put(t, m, "/etc/network/interfaces.d/sdn", "auto vnet1\niface vnet1\n\tbridge_ports none\n")
	res := taskstest.Check(t, network.Kind(), `{"bridges":{"vnet1":{"mtu":1400}}}`, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "software-defined network") {
		t.Errorf("%+v", res)
	}
}

func TestNetwork_aBridgeThatIsNotStartedIsOnlyWritten(t *testing.T) {
	m := machine(t)
	const spec = `{"bridges":{"vmbr7":{"ports":[],"autostart":false}}}`
	if res := taskstest.Run(t, network.Kind(), spec, m); res.Status != tasks.StatusChanged {
		t.Errorf("%+v", res)
	}
	if text := taskstest.Get(t, m, ifupdown.Main); strings.Contains(text, "auto vmbr7") || !strings.Contains(text, "iface vmbr7 inet manual") {
		t.Errorf("the file is\n%s", text)
	}
}
