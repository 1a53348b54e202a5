package plan

import (
	"fmt"
	"slices"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks/kind/dns"
	"phoenix/tasks/kind/kernel"
	"phoenix/tasks/kind/network"
)

func TestTheNetworkComesAfterItsModules(t *testing.T) {
	h := &inventory.Host{Name: "pve1", Hypervisor: &inventory.Hypervisor{
		Kernel: &kernel.Spec{Modules: []string{"8021q"}}, DNS: &dns.Spec{Nameservers: []string{"10.0.0.1"}},
		Network: &network.Spec{Bridges: map[string]network.Bridge{"vmbr1": {Ports: []string{}}}},
	}}
	var got []string
	steps := build(t, h, Selection{}).Steps
	for _, s := range steps {
		got = append(got, fmt.Sprint(s.ID, s.Needs))
	}
	if want := []string{"kernel:settings[]", "network:interfaces[kernel:settings]", "network:dns[]", "reboot:host[kernel:settings]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := `{"bridges":{"vmbr1":{"ports":[]}}}`; string(steps[1].Spec) != want {
		t.Errorf("an empty list of ports is lost on the way: %s", steps[1].Spec)
	}
}
