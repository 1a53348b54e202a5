package inventory

import (
	"strings"
	"testing"
)

func TestAGuestsFirewallItsInterfacesAndItsHostAgree(t *testing.T) {
	const on, filtered = `"firewall": {"enabled": true}`, `"network_config": {"name": "eth0", "firewall": true}`
	at := func(iface string) string {
		return `"firewall": {"rules": [{"type": "in", "action": "DROP", "iface": "` + iface + `"}]}`
	}
	for name, c := range map[string]struct{ first, second, host, want string }{
		"an interface that the firewall sees":    {first: on + "," + filtered},
		"none that it sees":                      {first: on + `, "network_config": {"name": "eth0"}`, want: "warning: lxc_configs.900.firewall: no interface of container 900 has firewall: true, so its firewall has no effect"},
		"no interface":                           {first: on, want: "warning: lxc_configs.900.firewall: no interface of container 900 has firewall: true"},
		"one that is off":                        {first: `"firewall": {"enabled": false}`},
		"one that is not said to be on":          {first: `"firewall": {"policy_in": "DROP"}`},
		"a container that goes":                  {first: on + `, "state": "absent"`},
		"a clone of one that it sees":            {first: filtered + `, "is_template": true`, second: on},
		"a clone that it does not see any more":  {first: filtered + `, "is_template": true`, second: on + `, "network_config": {"name": "eth0", "firewall": false}`, want: "warning: lxc_configs.901.firewall: no interface"},
		"the second of two interfaces":           {first: at("net1") + `, "network_config": [{"name": "eth0"}, {"name": "eth1"}]`},
		"the third of two":                       {first: at("net2") + `, "network_config": [{"name": "eth0"}, {"name": "eth1"}]`, want: "error: lxc_configs.900.firewall.rules.0.iface: container 900 has no interface net2 (its interfaces are counted from net0: eth0, eth1)"},
		"an interface that nobody told of":       {first: at("net7")},
		"the clone's after the parent's":         {first: filtered + `, "is_template": true`, second: at("net1") + `, "network_config": {"name": "eth1"}`},
		"none after the parent's":                {first: filtered + `, "is_template": true`, second: at("net1"), want: "error: lxc_configs.901.firewall.rules.0.iface: container 901 has no interface net1"},
		"a set of addresses of no interface":     {first: filtered + `, "firewall": {"ipsets": {"ipfilter-net1": []}}`, want: "error: lxc_configs.900.firewall.ipsets.ipfilter-net1: container 900 has no interface net1"},
		"a fault in a rule":                      {first: `"firewall": {"rules": [{"type": "in", "action": "DROP", "dport": "22"}]}`, want: "error: lxc_configs.900.firewall.rules.0.dport: ports need a protocol"},
		"a key that is none":                     {first: `"firewall": {"enable": true}`, want: "error: lxc_configs.900.firewall.enable: unknown key"},
		"the cluster's is to be off":             {first: on + "," + filtered, host: `"firewall": {"cluster": {"enabled": false}}`, want: "warning: lxc_configs.900.firewall: the firewall of the cluster is to be off, so that of container 900 has no effect"},
		"the cluster's is to be on":              {first: on + "," + filtered, host: `"firewall": {"cluster": {"enabled": true}}`},
		"a file that another section writes too": {first: `"firewall": {}`, host: `"files": {"/etc/pve/firewall/900.fw": {"content": "x"}}`, want: "error: lxc_configs.900.firewall: the section files of the hypervisor writes /etc/pve/firewall/900.fw as well"},
	} {
		t.Run(name, func(t *testing.T) {
			origin := `"template": "t"`
			second := `, "901": {"clone_from_ctid": 900, ` + c.second + `}`
			if c.second == "" {
				second = ""
			}
			if c.host == "" {
				c.host = `"kernel": {}`
			}
			_, found := loadList(t, files{
				"hosts.yaml": "version: 1\nhosts: {a: {lxc: lxc.json, hypervisor: h.json}}\n",
				"h.json":     `{"version": 1, ` + c.host + `}`,
				"lxc.json":   `{"version": 1, "lxc_configs": {"900": {` + origin + `, ` + c.first + `}` + second + `}}`,
			})
			var got []string
			for _, d := range found {
				got = append(got, string(d.Severity)+": "+d.Path+": "+d.Summary+" ("+d.Hint+")")
			}
			text := strings.Join(got, "\n")
			if c.want == "" && text != "" || !strings.HasPrefix(text, c.want) || len(got) > 1 {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}
