package firewall_test

import (
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/firewall"
)

func TestValidate_namesEveryFault(t *testing.T) {
	rule := func(r string) string { return `{"host":{"rules":[` + r + `]}}` }
	for _, tc := range []struct{ name, spec, path string }{
		{"nothing", `{}`, ""},
		{"a network with host bits", `{"host":{},"management_from":["10.0.0.5/24"]}`, "management_from.0"},
		{"a name as an address", `{"host":{},"management_from":["lan"]}`, "management_from.0"},
		{"waived and given", `{"host":{},"management_from":["10.0.0.5"],"keep_management_open":false}`, "management_from"},
		{"too short to confirm", `{"host":{},"confirm_timeout_s":5}`, "confirm_timeout_s"},
		{"an unknown policy", `{"cluster":{"policy_in":"ALLOW"}}`, "cluster.policy_in"},
		{"forwarding cannot be rejected", `{"cluster":{"policy_forward":"REJECT"}}`, "cluster.policy_forward"},
		{"an option with a key of its own", `{"cluster":{"options":{"enable":"1"}}}`, "cluster.options.enable"},
		{"an option with a line break", `{"host":{"options":{"nf_conntrack_helpers":"ftp\nenable: 0"}}}`, "host.options.nf_conntrack_helpers"},
		{"an option of another file", `{"host":{"options":{"policy_in":"DROP"}}}`, "host.options.policy_in"},
		{"a level that is none", `{"host":{"options":{"log_level_in":"loud"}}}`, "host.options.log_level_in"},
		{"too few connections", `{"host":{"options":{"nf_conntrack_max":"100"}}}`, "host.options.nf_conntrack_max"},
		{"an alias of an alias", `{"cluster":{"aliases":{"a1":"b1"}}}`, "cluster.aliases.a1"},
		{"an alias with host bits", `{"cluster":{"aliases":{"a1":"10.0.0.1/24"}}}`, "cluster.aliases.a1"},
		{"a name with a bracket", `{"cluster":{"aliases":{"a]":"10.0.0.1"}}}`, "cluster.aliases.a]"},
		{"two names that are one", `{"cluster":{"ipsets":{"Lan":[],"lan":[]}}}`, "cluster.ipsets.lan"},
		{"an entry that is none", `{"cluster":{"ipsets":{"lan":["10.0.0.1","10.0.0"]}}}`, "cluster.ipsets.lan.1"},
		{"a name that is too long for a chain", `{"cluster":{"groups":{"a234567890123456789":[]}}}`, "cluster.groups.a234567890123456789"},
		{"a group in a group", `{"cluster":{"groups":{"web":[{"type":"group","action":"web"}]}}}`, "cluster.groups.web.0.type"},
		{"a type that is none", rule(`{"type":"IN","action":"DROP"}`), "host.rules.0.type"},
		{"a macro as the action", rule(`{"type":"in","action":"SSH"}`), "host.rules.0.action"},
		{"a macro that is none", rule(`{"type":"in","action":"DROP","macro":"a b"}`), "host.rules.0.macro"},
		{"a group with a source", rule(`{"type":"group","action":"web","source":"10.0.0.1"}`), "host.rules.0.type"},
		{"a group without a name", rule(`{"type":"group","action":""}`), "host.rules.0.action"},
		{"an interface with a blank", rule(`{"type":"in","action":"DROP","iface":"a b"}`), "host.rules.0.iface"},
		{"mixed families", rule(`{"type":"in","action":"DROP","source":"10.0.0.1,fd00::1"}`), "host.rules.0.source"},
		{"a comment in an address", rule(`{"type":"in","action":"DROP","dest":"10.0.0.1 # x"}`), "host.rules.0.dest"},
		{"a port without a protocol", rule(`{"type":"in","action":"DROP","dport":"22"}`), "host.rules.0.dport"},
		{"a port beyond all ports", rule(`{"type":"in","action":"DROP","proto":"tcp","dport":"99999"}`), "host.rules.0.dport"},
		{"a range that ends before it begins", rule(`{"type":"in","action":"DROP","proto":"tcp","sport":"90:80"}`), "host.rules.0.sport"},
		{"a protocol that is none", rule(`{"type":"in","action":"DROP","proto":"TCP UDP"}`), "host.rules.0.proto"},
		{"a type of ICMP without the protocol", rule(`{"type":"in","action":"DROP","icmp_type":"echo-request"}`), "host.rules.0.icmp_type"},
		{"a level of the log that is none", rule(`{"type":"in","action":"DROP","log":"loud"}`), "host.rules.0.log"},
		{"a comment with a line break", rule(`{"type":"in","action":"DROP","comment":"a\nIN ACCEPT"}`), "host.rules.0.comment"},
		{"the comment of our own rule", rule(`{"type":"in","action":"DROP","comment":"keeps SSH and the web interface reachable"}`), "host.rules.0.comment"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := new(firewall.Spec)
			if err := tasks.UnmarshalStrict([]byte(tc.spec), s); err != nil {
				t.Fatal(err)
			}
			if p := s.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

func TestValidate_takesWhatProxmoxTakes(t *testing.T) {
	for _, text := range []string{clusterSpec, hostSpec} {
		s := new(firewall.Spec)
		if err := tasks.UnmarshalStrict([]byte(text), s); err != nil {
			t.Fatal(err)
		}
		if p := s.Validate(); len(p) > 0 {
			t.Errorf("problems %v", p)
		}
	}
}
