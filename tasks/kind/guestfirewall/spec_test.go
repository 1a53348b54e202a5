package guestfirewall_test

import (
	"slices"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/guestfirewall"
)

func TestValidate_namesEveryFault(t *testing.T) {
	with := func(keys string) string { return `{"ctid":950,` + keys + `}` }
	rule := func(r string) string { return with(`"rules":[` + r + `]`) }
	for _, tc := range []struct{ name, spec, path string }{
		{"no container", `{}`, "ctid"},
		{"a number that no guest has", `{"ctid":99}`, "ctid"},
		{"an unknown policy", with(`"policy_in":"accept"`), "policy_in"},
		{"another unknown policy", with(`"policy_out":"DROP\nenable: 0"`), "policy_out"},
		{"a level that is none", with(`"log_level_in":"loud"`), "log_level_in"},
		{"another level that is none", with(`"log_level_out":"info\n"`), "log_level_out"},
		{"an alias of an alias", with(`"aliases":{"a1":"b1"}`), "aliases.a1"},
		{"a name with a bracket", with(`"ipsets":{"a]":[]}`), "ipsets.a]"},
		{"an entry that is none", with(`"ipsets":{"lan":["10.0.0.1","x y"]}`), "ipsets.lan.1"},
		{"a filter of an interface by its other name", with(`"ipsets":{"ipfilter-eth0":["10.0.0.1"]}`), "ipsets.ipfilter-eth0"},
		{"packets that pass through", rule(`{"type":"forward","action":"DROP"}`), "rules.0.type"},
		{"an interface by its other name", rule(`{"type":"in","action":"DROP","iface":"eth0"}`), "rules.0.iface"},
		{"an interface of a group by its other name", rule(`{"type":"group","action":"web","iface":"vmbr0"}`), "rules.0.iface"},
		{"a service that Proxmox has no name for", rule(`{"type":"in","action":"ACCEPT","macro":"Nonsense"}`), "rules.0.macro"},
		{"a service with a blank", rule(`{"type":"in","action":"ACCEPT","macro":"S SH"}`), "rules.0.macro"},
		{"a port without a protocol", rule(`{"type":"in","action":"DROP","dport":"22"}`), "rules.0.dport"},
		{"a comment with a line break", rule(`{"type":"in","action":"DROP","comment":"a\nIN ACCEPT"}`), "rules.0.comment"},
		{"the second of two", rule(`{"type":"in","action":"DROP"},{"type":"in","action":"SSH"}`), "rules.1.action"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := decode(t, tc.spec).Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
	if p := decode(t, full).Validate(); len(p) > 0 {
		t.Errorf("problems %v", p)
	}
}

func TestInterfaces_areAllThatTheSpecNames(t *testing.T) {
	s := decode(t, `{"ctid":950,"ipsets":{"ipfilter-net2":[],"lan":[]},"rules":[{"type":"in","action":"DROP"},{"type":"group","action":"web","iface":"net1"}]}`)
	if got, want := s.Interfaces(), []guestfirewall.Interface{{Path: "ipsets.ipfilter-net2", Number: 2}, {Path: "rules.1.iface", Number: 1}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func decode(t *testing.T, text string) *guestfirewall.Spec {
	t.Helper()
	s := new(guestfirewall.Spec)
	if err := tasks.UnmarshalStrict([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	return s
}
