package guestfirewall_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
	"phoenix/tasks/kind/guestfirewall"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	file        = "/etc/pve/firewall/950.fw"
	clusterFile = "/etc/pve/firewall/cluster.fw"
	vmlist      = "/etc/pve/.vmlist"
)

// foreign is what somebody else has written, in the words of Proxmox's own writer.
const foreign = `[OPTIONS]

policy_out: REJECT
ips: 1

[ALIASES]

Printer 10.0.0.7 # the old one

[IPSET theirs]

10.9.0.0/16

[RULES]

IN ACCEPT -source printer -p tcp -dport 9100 -log nolog # printer

`

const cluster = "[OPTIONS]\nenable: 1\n[ALIASES]\nlan 10.0.0.0/24\n[IPSET trusted]\n10.1.0.0/16\n[group web]\nIN HTTP(ACCEPT)\n"

const full = `{
 "ctid": 950, "enabled": true, "policy_in": "REJECT", "policy_out": "ACCEPT", "log_level_in": "info", "log_level_out": "nolog",
 "dhcp": false, "ndp": true, "radv": false, "ipfilter": true, "macfilter": true,
 "aliases": {"Db": "10.0.0.5"},
 "ipsets": {"ipfilter-net0": ["10.0.0.50", "fd00::50"], "admins": ["10.0.0.0/24", "!10.0.0.9", "dc/lan", "db"]},
 "rules": [
  {"type": "group", "action": "web", "iface": "net0"},
  {"type": "in", "action": "ACCEPT", "macro": "ssh", "source": "+admins", "log": "info", "comment": "ours"},
  {"type": "in", "action": "ACCEPT", "proto": "tcp", "dport": "5432,8000:8010", "source": "guest/db"},
  {"type": "out", "action": "REJECT", "dest": "+dc/trusted", "proto": "udp", "sport": "53", "enabled": false}
 ]
}`

func machine(t *testing.T) *taskstest.Tree {
	tr := taskstest.NewTree(t, map[string]string{
		"/etc/pve/nodes/pve/": "", "/etc/pve/local": "-> nodes/pve", clusterFile: cluster, file: foreign,
		vmlist: `{"version": 1, "ids": {"950": {"node": "pve", "type": "lxc", "version": 3}}}`,
	})
	tr.Programs["pve-firewall"] = compile
	return tr
}

// compile complains of what it cannot read, as the real one with status 0.
func compile(_ context.Context, h tasks.Host, _ tasks.Cmd) tasks.Output {
	var out tasks.Output
	data, _ := h.ReadFile(file)
	for _, r := range fwfile.Parse(data).Rules() {
		if r.Unread != "" || r.Proto == "nosuch" {
			out.Stderr = append(out.Stderr, (file + " (line 12) - errors in rule parameters: " + r.String() + "\n")...)
		}
	}
	return out
}

func TestGuestFirewall_conforms(t *testing.T) {
	drift := func(name, old, new string, paths ...string) taskstest.Drift {
		return taskstest.Drift{Name: name, Make: taskstest.Edited(file, old, new), Paths: paths}
	}
	taskstest.Suite{
		Kind: guestfirewall.Kind(), Spec: full,
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t)} },
		Drifts: []taskstest.Drift{
			drift("it was switched off", "enable: 1", "enable: 0", "enabled"),
			drift("the switch is gone", "enable: 1\n", "", "enabled"),
			drift("another policy for what comes in", "policy_in: REJECT", "policy_in: ACCEPT", "policy_in"),
			drift("another policy for what goes out", "policy_out: ACCEPT", "policy_out: DROP", "policy_out"),
			drift("another level for what comes in", "log_level_in: info", "log_level_in: err", "log_level_in"),
			drift("another level for what goes out", "log_level_out: nolog\n", "", "log_level_out"),
			drift("dhcp was allowed", "dhcp: 0", "dhcp: 1", "dhcp"),
			drift("neighbours are not found", "ndp: 1", "ndp: 0", "ndp"),
			drift("router advertisements may go out", "radv: 0", "radv: 1", "radv"),
			drift("other addresses may go out", "ipfilter: 1\n", "", "ipfilter"),
			drift("other MAC addresses may go out", "macfilter: 1", "macfilter: 0", "macfilter"),
			drift("another alias", "Db 10.0.0.5", "db 10.0.0.6", "aliases.Db"),
			drift("an entry less", "fd00::50\n", "", "ipsets.ipfilter-net0"),
			drift("an entry more", "!10.0.0.9\n", "!10.0.0.9\n10.0.0.10\n", "ipsets.admins"),
			drift("a rule was changed", "IN ssh(ACCEPT)", "IN ssh(DROP)", "rules.1"),
			drift("a rule was switched on", "|OUT", "OUT", "rules.3"),
			drift("a rule was removed", "GROUP web -i net0 # phoenix\n", "", "rules.0"),
			drift("a rule was added under our name", "GROUP web", "IN DROP # phoenix: more\nGROUP web", "rules.4"),
			drift("a rule came before ours", "[RULES]\n", "[RULES]\nIN DROP # theirs\n", "rules.order"),
			{Name: "the file is gone", Make: func(t *testing.T, h tasks.Host) {
				if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: file}); err != nil {
					t.Fatal(err)
				}
			}, Paths: []string{
				"enabled", "policy_in", "log_level_in", "log_level_out", "dhcp", "ndp", "radv", "ipfilter", "macfilter",
				"aliases.Db", "ipsets.admins", "ipsets.ipfilter-net0", "rules.0", "rules.1", "rules.2", "rules.3",
			}},
		},
		Faults: []taskstest.Fault{
			{Name: "the compiler cannot start", Op: "pve-firewall compile", Output: tasks.Output{Code: 255, Stderr: []byte("ipcc_send_rec[1] failed: Connection refused\n")}},
		},
	}.Run(t)
}

func TestGuestFirewall_theFileIsWrittenAsBefore(t *testing.T) {
	m := machine(t)
	taskstest.Run(t, guestfirewall.Kind(), full, m)
	want, err := os.ReadFile("testdata/950.fw")
	if err != nil {
		t.Fatal(err)
	}
	if got := taskstest.Get(t, m, file); got != string(want) {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
}

func TestGuestFirewall_whatProxmoxWritesAnewIsStillAsWanted(t *testing.T) {
	m := machine(t)
	taskstest.Run(t, guestfirewall.Kind(), full, m)
	text := taskstest.Get(t, m, file)
	for _, change := range [][2]string{
		{"IN ssh(ACCEPT)", "IN SSH(ACCEPT)"}, {"-dport 5432,8000:8010", "-dport 8000:8010,5432"}, {"Db 10.0.0.5", "db 10.0.0.5 # x"},
		{"enable: 1\n", "\nenable: 1\n"}, {"10.0.0.50\nfd00::50\n", "fd00::50 # x\n10.0.0.50/32\n"},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("%q is not in\n%s", change[0], text)
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	taskstest.Put(t, m, file, text)
	if res := taskstest.Check(t, guestfirewall.Kind(), full, m); res.Status != tasks.StatusOK {
		t.Errorf("%+v\n%s", res, text)
	}
}

func TestGuestFirewall_isWrittenBeforeThereIsAContainer(t *testing.T) {
	m := machine(t)
	taskstest.Put(t, m, vmlist, `{"version": 1, "ids": {}}`)
	delete(m.Programs, "pve-firewall") // it looks at no such file, and is not asked
	if err := m.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: file}); err != nil {
		t.Fatal(err)
	}
	if res := taskstest.Run(t, guestfirewall.Kind(), full, m); res.Status != tasks.StatusChanged {
		t.Errorf("%+v", res)
	}
}

func TestGuestFirewall_neverWritesTheRulesOfAVirtualMachine(t *testing.T) {
	m := machine(t)
	taskstest.Put(t, m, vmlist, `{"version": 1, "ids": {"950": {"node": "pve", "type": "qemu", "version": 3}}}`)
	res := taskstest.Run(t, guestfirewall.Kind(), full, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "virtual machine") || taskstest.Get(t, m, file) != foreign {
		t.Errorf("%+v", res)
	}
}

func TestGuestFirewall_aNameThatNobodyHasIsAnError(t *testing.T) {
	for rule, want := range map[string]string{
		`{"type":"group","action":"nosuch"}`:                                           "security group nosuch",
		`{"type":"in","action":"DROP","source":"+nosuch"}`:                             "set nosuch",
		`{"type":"in","action":"DROP","source":"+guest/trusted"}`:                      "set guest/trusted",
		`{"type":"in","action":"DROP","source":"+dc/theirs"}`:                          "set dc/theirs",
		`{"type":"in","action":"DROP","dest":"nosuch"}`:                                "alias nosuch",
		`{"type":"in","action":"DROP","dest":"guest/lan"}`:                             "alias guest/lan",
		`{"type":"in","action":"DROP","dest":"dc/printer"}`:                            "alias dc/printer",
		`{"type":"in","action":"DROP","source":"+theirs","dest":"printer"}`:            "",
		`{"type":"in","action":"DROP","source":"+trusted","dest":"LAN"}`:               "",
		`{"type":"in","action":"DROP","source":"+management","dest":"local_network"}`:  "",
		`{"type":"in","action":"DROP","source":"fd00::1,fd01::/64","dest":"10.0.0.5"}`: "",
	} {
		m := machine(t)
		res := taskstest.Run(t, guestfirewall.Kind(), `{"ctid":950,"rules":[`+rule+`]}`, m)
		switch {
		case want == "" && res.Status != tasks.StatusChanged:
			t.Errorf("%s: %+v", rule, res)
		case want != "" && (res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "has "+want+";") || taskstest.Get(t, m, file) != foreign):
			t.Errorf("%s: %+v", rule, res)
		}
	}
	m := machine(t)
	if res := taskstest.Run(t, guestfirewall.Kind(), `{"ctid":950,"ipsets":{"mine":["!dc/nosuch"]}}`, m); !strings.Contains(res.Why, "alias dc/nosuch") {
		t.Errorf("an entry of a set: %+v", res)
	}
}

// checkAhead checks as a run would in which these steps come first and would change.
func checkAhead(t *testing.T, h tasks.Host, spec string, ahead ...string) (tasks.Diff, error) {
	t.Helper()
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Ahead: ahead})
	return decode(t, spec).Task().Check(ctx, h)
}

func TestGuestFirewall_aCheckWaitsForWhatTheClusterGetsFirst(t *testing.T) {
	m := machine(t)
	taskstest.Put(t, m, clusterFile, "")
	if d, err := checkAhead(t, m, full, "firewall:cluster"); err != nil || len(d) == 0 || d[0].Note != "" {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := checkAhead(t, m, full, "lxc:950"); err == nil || !strings.Contains(err.Error(), "alias dc/lan, security group web, set dc/trusted") {
		t.Errorf("got %v", err)
	}
}

func TestGuestFirewall_aFirewallThatIsOffIsTold(t *testing.T) {
	m := machine(t)
	taskstest.Put(t, m, clusterFile, strings.Replace(cluster, "enable: 1", "enable: 0", 1))
	d, err := checkAhead(t, m, full)
	if err != nil || len(d) < 2 || !strings.Contains(d[0].Note, "the firewall of the cluster is off") || d[1].Note != "" || d[0].Held() {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestGuestFirewall_aFileThatProxmoxDoesNotUnderstandIsTakenBack(t *testing.T) {
	m := machine(t)
	res := taskstest.Run(t, guestfirewall.Kind(), `{"ctid":950,"rules":[{"type":"in","action":"DROP","proto":"nosuch"}]}`, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "the old file is back") || taskstest.Get(t, m, file) != foreign {
		t.Errorf("%+v", res)
	}
}

func TestGuestFirewall_theRulesOfTheParentGoFromTheClone(t *testing.T) {
	m := machine(t)
	taskstest.Put(t, m, file, foreign+"[RULES]\nIN DROP # phoenix: the parent's\n")
	res := taskstest.Run(t, guestfirewall.Kind(), `{"ctid":950,"rules":[{"type":"in","action":"ACCEPT"}]}`, m)
	got := taskstest.Get(t, m, file)
	if res.Status != tasks.StatusChanged || strings.Contains(got, "parent") || !strings.Contains(got, "# printer") || !strings.Contains(got, "IN ACCEPT # phoenix\n") {
		t.Errorf("%+v\n%s", res, got)
	}
}

func TestGuestFirewall_withoutQuorumNothingIsTried(t *testing.T) {
	taskstest.Suite{Kind: guestfirewall.Kind(), Spec: full}.WithoutQuorum(t, machine(t))
}

func TestGuestFirewall_onTheSimulatedHost(t *testing.T) {
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	taskstest.Put(t, h, clusterFile, cluster)
	exec := func(argv ...string) {
		t.Helper()
		if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: argv}); err != nil {
			t.Fatal(err)
		}
	}
	for _, when := range []string{"before there is a container", "when there is one"} {
		if res := taskstest.Run(t, guestfirewall.Kind(), full, h); res.Status != tasks.StatusChanged {
			t.Fatalf("%s: %+v", when, res)
		}
		rec := taskstest.NewRecorder(h)
		if res := taskstest.Run(t, guestfirewall.Kind(), full, rec); res.Status != tasks.StatusOK || len(rec.Changes()) > 0 {
			t.Errorf("%s, again: %+v, which did %v", when, res, rec.Changes())
		}
		if when == "when there is one" {
			break
		}
		exec("pct", "create", "950", "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst", "--rootfs", "local-lvm:1")
		if res := taskstest.Check(t, guestfirewall.Kind(), full, h); res.Status != tasks.StatusOK {
			t.Errorf("pct create changed the file: %+v", res)
		}
		taskstest.Put(t, h, file, foreign)
	}
}

func TestGuestFirewall_everyServiceIsOneThatProxmoxKnows(t *testing.T) {
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	taskstest.Put(t, h, clusterFile, cluster)
	if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: []string{"pct", "create", "950", "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst", "--rootfs", "local-lvm:1"}}); err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, macro := range []string{"SSH", "Ping", "HTTPS", "HTTP/3", "PPtP", "Whois", "NeighborDiscovery", "SMBswat"} {
		rules = append(rules, `{"type":"in","action":"ACCEPT","macro":"`+macro+`"}`)
	}
	if res := taskstest.Run(t, guestfirewall.Kind(), `{"ctid":950,"rules":[`+strings.Join(rules, ",")+`]}`, h); res.Status != tasks.StatusChanged {
		t.Errorf("%+v", res)
	}
}

// TestAPlanHasRulesAsTheyAreWritten: not in the form in which they are compared.
func TestAPlanHasRulesAsTheyAreWritten(t *testing.T) {
	const s = `{"ctid": 950, "rules": [{"type": "in", "action": "ACCEPT", "macro": "SSH"}, {"type": "in", "action": "ACCEPT", "proto": "tcp", "dport": "80,443"}]}`
	d, err := checkAhead(t, machine(t), s, "")
	if err != nil || len(d) != 2 || d[0].To != "IN SSH(ACCEPT) # phoenix" || d[1].To != "IN ACCEPT -p tcp -dport 80,443 # phoenix" {
		t.Errorf("%v %+v", err, d)
	}
}

// TestASetThatIsMissingCanBeOfTheContainer, and so says the error.
func TestASetThatIsMissingCanBeOfTheContainer(t *testing.T) {
	_, err := checkAhead(t, machine(t), `{"ctid": 950, "rules": [{"type": "in", "action": "ACCEPT", "source": "+nosuch"}]}`, "")
	if err == nil || !strings.Contains(err.Error(), "has set nosuch; say sets and aliases in the container's own firewall (ipsets, aliases), or ") {
		t.Errorf("%v", err)
	}
}
