package firewall_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
	"phoenix/tasks/kind/firewall"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	clusterFile = "/etc/pve/firewall/cluster.fw"
	hostFile    = "/etc/pve/nodes/pve/host.fw"
)

// foreign is what somebody else has written, in the words of Proxmox's own writer.
const foreign = `[OPTIONS]

policy_in: ACCEPT
log_ratelimit: burst=9,enable=1

[ALIASES]

Printer 10.0.0.7 # the old one

[RULES]

IN ACCEPT -source dc/printer -p tcp -dport 9100 -log nolog # printer

[group theirs]

IN DROP

`

const clusterSpec = `{
 "cluster": {
  "enabled": true, "policy_in": "DROP", "policy_out": "ACCEPT", "options": {"log_ratelimit": "enable=1,rate=1/second,burst=5"},
  "aliases": {"Lan": "10.0.0.0/24"},
  "ipsets": {"management": ["10.0.0.0/24", "!10.0.0.9", "dc/lan"]},
  "groups": {"web": [{"type": "in", "action": "ACCEPT", "macro": "HTTPS"}, {"type": "in", "action": "ACCEPT", "proto": "tcp", "dport": "8000:8010,80", "comment": "more"}]},
  "rules": [
   {"type": "group", "action": "web", "iface": "vmbr0"},
   {"type": "in", "action": "ACCEPT", "macro": "Ping", "source": "+management", "comment": "ping"},
   {"type": "out", "action": "REJECT", "dest": "192.0.2.1-192.0.2.9", "proto": "udp", "sport": "53", "log": "info", "enabled": false}
  ]
 },
 "management_from": ["10.0.0.0/24", "fd00::5"]
}`

const hostSpec = `{
 "host": {"options": {"nosmurfs": "1", "log_level_in": "nolog"}, "rules": [{"type": "in", "action": "DROP", "proto": "icmp", "icmp_type": "echo-request"}]},
 "management_from": ["10.0.0.0/24", "fd00::5"]
}`

func machine(t *testing.T) *taskstest.Tree {
	tr := taskstest.NewTree(t, map[string]string{
		"/etc/pve/nodes/pve/": "", "/etc/pve/local": "-> nodes/pve", clusterFile: foreign,
		"/etc/ssh/sshd_config":             "Include /etc/ssh/sshd_config.d/*.conf\n#Port 1\nPermitRootLogin yes\n",
		"/etc/ssh/sshd_config.d/port.conf": "port=2222\nListenAddress [::]:2200\nListenAddress 10.0.0.1\n",
		"/etc/ssh/sshd_config.d/README":    "Port 1\n",
	})
	tr.Programs["pve-firewall"], tr.Programs["systemd-run"] = pveFirewall, taskstest.SystemdRun
	return tr
}

// pveFirewall complains of what it cannot read, as the real one with status 0.
func pveFirewall(_ context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
	var out tasks.Output
	if c.Argv[1] == "status" {
		out.Stdout = []byte("Status: enabled/running\n")
	}
	for _, path := range []string{clusterFile, hostFile} {
		data, _ := h.ReadFile(path)
		for _, r := range fwfile.Parse(data).Rules() {
			if c.Argv[1] == "compile" && (r.Unread != "" || r.Macro == "Nonsense") {
				out.Stderr = append(out.Stderr, (path + " (line 12) - errors in rule parameters: " + r.String() + "\n")...)
			}
		}
	}
	return out
}

func drift(name, path, old, new string, paths ...string) taskstest.Drift {
	return taskstest.Drift{Name: name, Make: taskstest.Edited(path, old, new), Paths: paths}
}

func TestFirewall_theClustersConforms(t *testing.T) {
	taskstest.Suite{
		Kind: firewall.Kind(), Spec: clusterSpec,
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t)} },
		// Package guard has its own tests for a watchdog that does not come.
		Tolerates: []string{"systemd-run"},
		Drifts: []taskstest.Drift{
			drift("it was switched off", clusterFile, "enable: 1", "enable: 0", "cluster.enabled"),
			drift("it was switched on for a minute", clusterFile, "enable: 1", "enable: 1700000000", "cluster.enabled"),
			drift("another policy", clusterFile, "policy_in: DROP", "policy_in: ACCEPT", "cluster.policy_in"),
			drift("a policy that is not the default", clusterFile, "policy_in: DROP", "policy_in: DROP\npolicy_out: DROP", "cluster.policy_out"),
			drift("another option", clusterFile, "burst=5", "burst=6", "cluster.options.log_ratelimit"),
			drift("another alias", clusterFile, "Lan 10.0.0.0/24", "lan 10.0.0.0/16", "cluster.aliases.Lan"),
			drift("an entry less", clusterFile, "!10.0.0.9\n", "", "cluster.ipsets.management"),
			drift("a rule of the group", clusterFile, "IN HTTPS(ACCEPT)", "IN HTTPS(DROP)", "cluster.groups.web"),
			drift("a rule was changed", clusterFile, "IN Ping(ACCEPT)", "IN Ping(DROP)", "cluster.rules.1"),
			drift("a rule was switched on", clusterFile, "|OUT", "OUT", "cluster.rules.2"),
			drift("a rule was removed", clusterFile, "GROUP web -i vmbr0 # phoenix\n", "", "cluster.rules.0"),
			drift("a rule was added under our name", clusterFile, "GROUP web", "IN DROP # phoenix: more\nGROUP web", "cluster.rules.3"),
			drift("a rule came before ours", clusterFile, "[RULES]\n", "[RULES]\nIN DROP # theirs\n", "cluster.rules.order"),
			drift("two rules changed places", clusterFile, "GROUP web -i vmbr0 # phoenix\nIN Ping(ACCEPT) -source +management # phoenix: ping\n",
				"IN Ping(ACCEPT) -source +management # phoenix: ping\nGROUP web -i vmbr0 # phoenix\n", "cluster.rules.order"),
			drift("the rule that keeps people in", clusterFile, "-dport 22,2200,2222,8006", "-dport 22", "cluster.rules.management"),
		},
		Faults: []taskstest.Fault{
			{Name: "the daemon does not run", Op: "pve-firewall status", Output: tasks.Output{Stdout: []byte("Status: enabled/stopped\n")}},
			{Name: "the compiler cannot start", Op: "pve-firewall compile", Output: tasks.Output{Code: 255, Stderr: []byte("ipcc_send_rec[1] failed: Connection refused\n")}},
		},
	}.Run(t)
}

func TestFirewall_theHostsConforms(t *testing.T) {
	taskstest.Suite{
		Kind: firewall.Kind(), Spec: hostSpec,
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t)} },
		Drifts: []taskstest.Drift{
			drift("an option of the host", hostFile, "nosmurfs: 1", "nosmurfs: 0", "host.options.nosmurfs"),
			drift("another option of the host", hostFile, "log_level_in: nolog\n", "", "host.options.log_level_in"),
			drift("a rule of the host", hostFile, "IN DROP", "|IN DROP", "host.rules.0"),
			drift("the host's rule that keeps people in", hostFile, "IN ACCEPT -source fd00::5", "IN DROP -source fd00::5", "host.rules.management"),
			{Name: "everything", Make: func(t *testing.T, h tasks.Host) {
				if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: hostFile}); err != nil {
					t.Fatal(err)
				}
			}, Paths: []string{"host.options.log_level_in", "host.options.nosmurfs", "host.rules.management", "host.rules.0"}},
		},
	}.Run(t)
}

func TestFirewall_filesAreWrittenAsBefore(t *testing.T) {
	m := machine(t)
	taskstest.Run(t, firewall.Kind(), clusterSpec, m)
	taskstest.Run(t, firewall.Kind(), hostSpec, m)
	for golden, path := range map[string]string{"testdata/cluster.fw": clusterFile, "testdata/host.fw": hostFile} {
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got := taskstest.Get(t, m, path); got != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s", path, got, want)
		}
	}
}

func TestFirewall_whatProxmoxWritesAnewIsStillAsWanted(t *testing.T) {
	m := machine(t)
	taskstest.Run(t, firewall.Kind(), clusterSpec, m)
	text := taskstest.Get(t, m, clusterFile)
	for _, change := range [][2]string{
		{"policy_in: DROP\nlog_ratelimit: enable=1,rate=1/second,burst=5\nenable: 1", "enable: 1\n\nlog_ratelimit: burst=5,enable=1,rate=1/second\npolicy_in: DROP"},
		{"10.0.0.0/24\n!10.0.0.9\ndc/lan\n", "dc/lan # x\n10.0.0.0/24\n!10.0.0.9/32\n"},
		{"-p tcp -dport 80,8000:8010", "-dport 80,8000:8010 -p tcp"}, {"[IPSET management]", "[ipset Management] # x"},
	} {
		text = strings.Replace(text, change[0], change[1], 1)
	}
	taskstest.Put(t, m, clusterFile, text)
	if res := taskstest.Check(t, firewall.Kind(), clusterSpec, m); res.Status != tasks.StatusOK {
		t.Errorf("%+v\n%s", res, text)
	}
}

func TestFirewall_aFileThatProxmoxDoesNotUnderstandIsTakenBack(t *testing.T) {
	m := machine(t)
	nonsense := `{"cluster":{"rules":[{"type":"in","action":"DROP","macro":"Nonsense"}]}}`
	res := taskstest.Run(t, firewall.Kind(), nonsense, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "the old file is back: /etc/pve/firewall/cluster.fw - errors in rule parameters: IN Nonsense(DROP)") {
		t.Errorf("%+v", res)
	}
	if got := taskstest.Get(t, m, clusterFile); got != foreign {
		t.Errorf("the file is\n%s", got)
	}
	host := `{"host":{"rules":[{"type":"in","action":"DROP","macro":"Nonsense"}]}}`
	taskstest.Run(t, firewall.Kind(), host, m)
	if _, err := m.Stat(hostFile); err == nil {
		t.Error("a file that was not there before stays")
	}
}

func TestFirewall_whatOthersDidWrongStopsNothing(t *testing.T) {
	m := machine(t)
	taskstest.Put(t, m, clusterFile, foreign+"[RULES]\nstray\n")
	if res := taskstest.Run(t, firewall.Kind(), clusterSpec, m); res.Status != tasks.StatusChanged {
		t.Errorf("%+v", res)
	}
}

// from runs a check, and where apply says so a change, as an operator with that
// address.
func from(t *testing.T, peer, text string, h tasks.Host, apply bool) tasks.Diff {
	t.Helper()
	s := new(firewall.Spec)
	if err := tasks.UnmarshalStrict([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Peer: peer})
	d, err := s.Task().Check(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	if apply && len(d) > 0 {
		if err := s.Task().Apply(ctx, h, d); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestFirewall_theOperatorsAddressStaysIn(t *testing.T) {
	const plain = `{"host":{}}`
	for _, tc := range []struct {
		name  string
		peers []string
		want  []string
	}{
		{"an address", []string{"10.0.0.5"}, []string{"10.0.0.5"}},
		{"an address in IPv6's clothes", []string{"::ffff:10.0.0.5"}, []string{"10.0.0.5"}},
		{"an address of one interface", []string{"fe80::1%vmbr0"}, []string{"fe80::1"}},
		{"nobody knows", []string{""}, []string{""}},
		{"two, one after the other", []string{"10.0.0.5", "192.0.2.1"}, []string{"10.0.0.5,192.0.2.1"}},
		{"both families", []string{"10.0.0.5", "fd00::1", "10.0.0.5"}, []string{"10.0.0.5", "fd00::1"}},
		{"then nobody knows", []string{"10.0.0.5", ""}, []string{"10.0.0.5"}},
		{"open to all, then an address", []string{"", "10.0.0.5"}, []string{""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t)
			for _, peer := range tc.peers {
				from(t, peer, plain, m, true)
			}
			var got []string
			for _, r := range fwfile.Parse([]byte(taskstest.Get(t, m, hostFile))).Rules() {
				if r.Action != "ACCEPT" || r.Type != "IN" || r.Proto != "tcp" || r.Dport != "22,2200,2222,8006" || r.Disabled {
					t.Errorf("rule %s", r)
				}
				got = append(got, r.Source)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("open to %q, want %q", got, tc.want)
			}
			if d := from(t, tc.peers[len(tc.peers)-1], plain, m, false); len(d) > 0 {
				t.Errorf("a second run would change %+v", d)
			}
		})
	}
}

// The hosts of a cluster share the rule, and their SSH servers may listen elsewhere.
func TestFirewall_portsThatWereOpenStayOpen(t *testing.T) {
	m := machine(t)
	from(t, "10.0.0.5", `{"cluster":{"enabled":false}}`, m, true)
	taskstest.Edited("/etc/ssh/sshd_config.d/port.conf", "port=2222", "port=2022")(t, m)
	from(t, "10.0.0.5", `{"cluster":{"enabled":false}}`, m, true)
	taskstest.Edited("/etc/ssh/sshd_config.d/port.conf", "port=2022", "port=2222")(t, m)
	if d := from(t, "10.0.0.5", `{"cluster":{"enabled":false}}`, m, false); len(d) > 0 {
		t.Errorf("%+v", d)
	}
	if text := taskstest.Get(t, m, clusterFile); !strings.Contains(text, "-dport 2022,22,2200,2222,8006 ") && !strings.Contains(text, "-dport 22,2022,2200,2222,8006 ") {
		t.Errorf("the file is now\n%s", text)
	}
}

func TestFirewall_aNetworkThatHoldsTheAddressIsEnough(t *testing.T) {
	m := machine(t)
	from(t, "10.0.0.5", `{"host":{}}`, m, true)
	taskstest.Edited(hostFile, "-source 10.0.0.5", "-source 10.0.0.0/24")(t, m)
	if d := from(t, "10.0.0.7", `{"host":{}}`, m, false); len(d) > 0 {
		t.Errorf("%+v", d)
	}
}

func TestFirewall_onForAMinuteIsOff(t *testing.T) {
	m := machine(t)
	taskstest.Put(t, m, clusterFile, "[OPTIONS]\nenable: 1700000000\n")
	for _, c := range from(t, "", `{"cluster":{"enabled":false}}`, m, false) {
		if c.Path == "cluster.enabled" {
			t.Errorf("%+v", c)
		}
	}
}

func TestFirewall_nothingIsChangedFromWhereNobodyGetsIn(t *testing.T) {
	m := machine(t)
	d := from(t, "192.0.2.1", clusterSpec, m, false)
	if len(d) == 0 || !d[0].Held() || !strings.Contains(d[0].Note, "192.0.2.1") {
		t.Fatalf("%+v", d)
	}
	s := new(firewall.Spec)
	if err := tasks.UnmarshalStrict([]byte(clusterSpec), s); err != nil {
		t.Fatal(err)
	}
	err := s.Task().Apply(tasks.WithScope(t.Context(), tasks.Scope{Peer: "192.0.2.1"}), m, d)
	if _, refused := err.(*tasks.RefusedError); !refused || taskstest.Get(t, m, clusterFile) != foreign {
		t.Errorf("got %v", err)
	}
	for _, peer := range []string{"10.0.0.77", "127.0.0.1", ""} {
		if d := from(t, peer, clusterSpec, m, false); len(d) == 0 || d[0].Held() {
			t.Errorf("from %q: %+v", peer, d)
		}
	}
}

func TestFirewall_theRuleCanBeWaived(t *testing.T) {
	m := machine(t)
	from(t, "10.0.0.5", `{"host":{}}`, m, true)
	const waived = `{"host":{},"keep_management_open":false}`
	if d := from(t, "10.0.0.5", waived, m, true); len(d) != 1 || d[0].Path != "host.rules.management" || d[0].To != "" {
		t.Fatalf("%+v", d)
	}
	if got := taskstest.Get(t, m, hostFile); strings.Contains(got, "ACCEPT") {
		t.Errorf("the rule stays:\n%s", got)
	}
}

func TestFirewall_offNothingIsStarted(t *testing.T) {
	m := machine(t)
	rec := taskstest.NewRecorder(m)
	off := `{"cluster":{"enabled":false,"policy_in":"DROP"}}`
	if res := taskstest.Run(t, firewall.Kind(), off, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got := rec.Commands(); slices.Contains(got, "pve-firewall restart") {
		t.Errorf("ran %q", got)
	}
}

func TestFirewall_itWaitsForTheRulesToBeInEffect(t *testing.T) {
	m := machine(t)
	asked := 0
	m.Programs["pve-firewall"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		out := pveFirewall(ctx, h, c)
		if c.Argv[1] == "status" {
			if asked++; asked == 1 {
				out.Stdout = []byte("Status: enabled/running (pending changes)\n")
			}
		}
		return out
	}
	if res := taskstest.Run(t, firewall.Kind(), clusterSpec, m); res.Status != tasks.StatusChanged || asked < 2 {
		t.Errorf("asked %d times: %+v", asked, res)
	}
}

func TestFirewall_withoutTheClusterFileSystemNothingIsSaid(t *testing.T) {
	tr := taskstest.NewTree(t, map[string]string{"/etc/pve/": ""})
	if res := taskstest.Check(t, firewall.Kind(), clusterSpec, tr); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "not mounted") {
		t.Errorf("%+v", res)
	}
}

func TestFirewall_withoutQuorumNothingIsTried(t *testing.T) {
	for _, spec := range []string{clusterSpec, hostSpec} {
		taskstest.Suite{Kind: firewall.Kind(), Spec: spec}.WithoutQuorum(t, machine(t))
	}
}

func TestFirewall_onTheSimulatedHost(t *testing.T) {
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{clusterSpec, hostSpec} {
		if res := taskstest.Run(t, firewall.Kind(), s, m.Host()); res.Status != tasks.StatusChanged {
			t.Fatalf("%+v", res)
		}
		rec := taskstest.NewRecorder(m.Host())
		if res := taskstest.Run(t, firewall.Kind(), s, rec); res.Status != tasks.StatusOK || len(rec.Changes()) > 0 {
			t.Errorf("again: %+v, which did %v", res, rec.Changes())
		}
	}
	before := taskstest.Get(t, m.Host(), hostFile)
	nogroup := strings.Replace(hostSpec, `"rules": [`, `"rules": [{"type": "group", "action": "nosuch"}, `, 1)
	res := taskstest.Run(t, firewall.Kind(), nogroup, m.Host())
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "no such security group 'nosuch'") || taskstest.Get(t, m.Host(), hostFile) != before {
		t.Errorf("%+v", res)
	}
}
