package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory/diag"
)

// files is a folder of files by name.
type files map[string]string

// load writes the files and loads hosts.yaml; places are relative to the folder.
func load(t *testing.T, fs files, sources ...string) (*Fleet, []string) {
	t.Helper()
	fleet, found := loadList(t, fs, sources...)
	var out []string
	for _, d := range found {
		out = append(out, d.Error())
	}
	return fleet, out
}

func loadList(t *testing.T, fs files, sources ...string) (*Fleet, diag.List) {
	t.Helper()
	t.Chdir(t.TempDir())
	writeFiles(t, fs)
	return Load(context.Background(), Options{Sources: sources, Home: "/home/ann", UID: os.Getuid(), Stdin: strings.NewReader(fs["-"])})
}

// writeFiles writes into the working directory; what starts with #! is executable.
func writeFiles(t *testing.T, fs files) {
	t.Helper()
	for name, text := range fs {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o600)
		if strings.HasPrefix(text, "#!") {
			mode = 0o700
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// mustLoad fails on any fault; warnings of a missing template are expected.
func mustLoad(t *testing.T, fs files, sources ...string) *Fleet {
	t.Helper()
	fleet, found := load(t, fs, sources...)
	if fleet == nil {
		t.Fatalf("load: %s", strings.Join(found, "\n"))
	}
	return fleet
}

func TestTenFaultsGiveTenMessagesInOrder(t *testing.T) {
	fleet, got := load(t, files{
		"hosts.yaml": `version: 1
hosts:
  pve1: {address: 10.0.0.13, hypervisor: hv.json, lxc: lxc.json, containers: [900-905]}
  pve2: {adress: 10.0.0.14}
  pve3: {address: 10.0.0.15, groups: [gpus]}
groups: {gpu: {}}
`,
		"hv.json": `{"version": 1,
  "system": {"ntp": "yes"},
  "files": {"/etc/motd": {"content": {"secret": "motd"}, "mode": "999"}},
  "sevices": {}
}`,
		"lxc.json": `{"version": 1,
  "lxc_configs": {
    "900": {"name": "a", "template": "debian-12-standard", "memory_mb": 40},
    "901": {"name": "a", "template": "debian-12-standard", "network_config": {"name": "eth0", "ip": "10.0.0.9/24", "gw": "10.0.1.1"}},
    "902": {"name": "c", "template": "debian-12-standard", "depends_on": [903]},
  }
}`,
	})
	want := []string{
		`hosts.yaml:4:10: hosts.pve2.adress: unknown key "adress" (did you mean address?)`,
		`hosts.yaml:5:39: hosts.pve3.groups.0: there is no group "gpus" (did you mean gpu?)`,
		`hv.json:2:21: system.ntp: "yes" is a string, not true or false (write true or false, without quotes)`,
		`hv.json:3:49: files./etc/motd.content.secret: there is no secret "motd" (say under secrets in hosts.yaml where its value comes from)`,
		`hv.json:3:66: files./etc/motd.mode: "999" does not have the right form (it must match ^[0-7]{3,4}$)`,
		`hv.json:4:3: sevices: unknown key "sevices" (did you mean services?)`,
		`lxc.json:3:73: lxc_configs.900.memory_mb: 40 is below the minimum of 64 (did you mean 40960?)`,
		`lxc.json:4:21: lxc_configs.901.name: container 901 has the same name as container 900, a (first at lxc.json:3)`,
		`lxc.json:4:122: lxc_configs.901.network_config.gw: the gateway 10.0.1.1 is outside the subnet 10.0.0.0/24 (name a router of that subnet, or widen the prefix of the address)`,
		`lxc.json:5:75: lxc_configs.902.depends_on.0: there is no container 903 on host pve1 (depends_on names containers of the LXC file, also those made by hand)`,
	}
	if fleet != nil || !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// faulty is a set of files and the faults to be found in them.
type faulty struct {
	hosts, hv, lxc string
	want           []string
}

func (c faulty) run(t *testing.T) {
	fleet, got := load(t, files{"hosts.yaml": c.hosts, "hv.json": c.hv, "lxc.json": c.lxc})
	ok := fleet == nil && len(got) == len(c.want)
	for i := range min(len(got), len(c.want)) {
		ok = ok && strings.HasPrefix(got[i], c.want[i])
	}
	if !ok {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
	}
}

func TestFaultsOfTheInventory(t *testing.T) {
	cases := map[string]faulty{
		"a duplicate key": {hosts: "version: 1\nhosts: {a: {}}\nhosts: {b: {}}\n", want: []string{`hosts.yaml:3:1: hosts: duplicate key "hosts" (first at line 2)`}},
		"a host range that runs backwards": {hosts: "version: 1\nhosts: {'pve[3-1]': {}}\n",
			want: []string{`hosts.yaml:2:9: hosts.pve[3-1]: "pve[3-1]" is not a range of names: 3-1 runs backwards (pve[1-3] is pve1, pve2, pve3)`}},
		"two hosts at one address": {hosts: "version: 1\nhosts: {a: {address: x}, b: {address: X}}\n",
			want: []string{`hosts.yaml:2:39: hosts.b.address: hosts a and b have the same address X and the same port 22 (one machine is one host; two behind one address have a port each)`}},
		"two hosts at the address of the defaults": {hosts: "version: 1\ndefaults: {address: x, port: 2222}\nhosts:\n  a: {}\n  b: {}\n  c: {port: 2223}\n",
			want: []string{`hosts.yaml:5:3: hosts.b: hosts a and b have the same address x and the same port 2222`}},
		"a default port and the same one given": {hosts: "version: 1\nhosts: {a: {address: x, port: 22}, b: {address: x}}\n",
			want: []string{`hosts.yaml:2:49: hosts.b.address: hosts a and b have the same address x and the same port 22`}},
		"a word for containers": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json, containers: web}}\n", lxc: `{"version": 1, "lxc_configs": {}}`,
			want: []string{`hosts.yaml:2:40: hosts.a.containers: "web" names no containers (all, a CTID, a range such as 200-201, or a list of these)`}},
		"a word in a list of containers": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json, containers: [web]}}\n", lxc: `{"version": 1, "lxc_configs": {}}`,
			want: []string{`hosts.yaml:2:41: hosts.a.containers.0: "web" names no containers (all, a CTID, a range such as 200-201, or a list of these)`}},
		"a line break in a file's name": {hosts: "version: 1\nhosts: {a: {}}\nsecrets: {s: {file: \"a\\nb\"}}\n",
			want: []string{`hosts.yaml:3:21: secrets.s.file: a line break is not allowed here`}},
		"an unknown variable": {hosts: "version: 1\nhosts:\n  a: {address: '${vars.adr}', vars: {addr: x}}\n",
			want: []string{`hosts.yaml:3:16: hosts.a.address: unknown variable ${vars.adr} on host a (did you mean addr?)`}},
		"a variable of another language": {hosts: "version: 1\nhosts:\n  a: {address: '${HOME}'}\n",
			want: []string{`hosts.yaml:3:16: hosts.a.address: unknown variable ${HOME} (` + variablesHint + ")"}},
		"a variable that needs itself": {hosts: "version: 1\nhosts:\n  a: {vars: {x: '${vars.y}', y: '${vars.x}'}}\n",
			want: []string{"hosts.yaml:3:17: hosts.a.vars.x: ${vars.y} needs itself: vars.y -> vars.x -> vars.y"}},
		"a list inside a text": {hosts: "version: 1\nhosts:\n  a: {user: 'u${vars.l}', vars: {l: [1]}}\n",
			want: []string{"hosts.yaml:3:13: hosts.a.user: ${vars.l} is a list and cannot stand inside a text (use it as the whole value)"}},
		"a variable of the wrong type": {hosts: "version: 1\nhosts:\n  a: {port: '${vars.p}', vars: {p: high}}\n",
			want: []string{`hosts.yaml:3:13: hosts.a.port: "high" is a string, not a whole number`}},
		"a group that is its own grandchild": {hosts: "version: 1\nhosts: {a: {}}\ngroups:\n  x: {children: [y]}\n  y: {children: [x]}\n",
			want: []string{"hosts.yaml:4:3: groups.x: the group is its own descendant (take it out of the children of its own)", "hosts.yaml:5:3: groups.y: the group is its own descendant (take it out of the children of its own)"}},
		"a secret from two places": {hosts: "version: 1\nhosts: {a: {}}\nsecrets:\n  s: {env: A, file: b}\n",
			want: []string{"hosts.yaml:4:3: secrets.s: exactly one of env, file, command and age says where a secret comes from"}},
		"an unknown secret": {hosts: "version: 1\nhosts: {a: {become: sudo, become_password: {secret: suod}}}\nsecrets: {sudo: {env: A}}\n",
			want: []string{`hosts.yaml:2:53: hosts.a.become_password.secret: there is no secret "suod" (did you mean sudo?)`}},
		"a password in plain text": {hosts: "version: 1\nhosts: {a: {become: sudo, become_password: hunter2}}\n",
			want: []string{`hosts.yaml:2:44: hosts.a.become_password: a secret in plain text`, "hosts.yaml:2:44: hosts.a.become_password: the value is a string, not an object"}},
		"variables that multiply": {hosts: "version: 1\nhosts:\n  h:\n    user: '${vars.v40}'\n    vars:\n      v0: xxxxxxxxxxxxxxxxxx\n" + doubling(40),
			want: []string{"hosts.yaml:23:12: hosts.h.vars.v17: ${vars.v16} expands to more than 1048576 characters and values"}},
		"a missing version": {hosts: "hosts: {a: {}}\n", want: []string{`hosts.yaml:1:1: missing "version"`}},
		"a later version": {hosts: "version: 2\nhosts: {a: {}}\n",
			want: []string{"hosts.yaml:1:10: version: version 2 of the format is not known to this phoenix, which reads version 1 (a newer phoenix may read it)"}},
		"no hosts": {hosts: "version: 1\n", want: []string{"the inventory has no hosts (name them under hosts:)"}},
		"a configuration that is not there": {hosts: "version: 1\nhosts: {a: {lxc: no.json}}\n",
			want: []string{"hosts.yaml:2:18: hosts.a.lxc: read no.json: no such file or directory"}},
	}
	for name, c := range cases {
		t.Run(name, c.run)
	}
}

func TestFaultsOfTheConfigurations(t *testing.T) {
	cases := map[string]faulty{
		"a line break in a name": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json}}\n", lxc: `{"version": 1, "lxc_configs": {"900": {"template": "t", "name": "a\nlxc.x: y"}}}`,
			want: []string{"lxc.json:1:65: lxc_configs.900.name: a line break is not allowed here (it would begin a new line of another file)"}},
		"a control character in a description": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json}}\n", lxc: `{"version": 1, "lxc_configs": {"900": {"template": "t", "description": "a\nb\u001b[2J"}}}`,
			want: []string{"lxc.json:1:72: lxc_configs.900.description: the control character U+001B is not allowed here (take it out)"}},
		"a line break from a variable": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json, vars: {n: \"x\\ny\"}}}\n", lxc: `{"version": 1, "lxc_configs": {"900": {"template": "t", "name": "${vars.n}"}}}`,
			want: []string{"lxc.json:1:65: lxc_configs.900.name: a line break is not allowed here (it would begin a new line of another file)"}},
		"a CTID that is none": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json}}\n", lxc: `{"version": 1, "lxc_configs": {"99": {"template": "t"}}}`,
			want: []string{`lxc.json:1:32: lxc_configs.99: "99" cannot be a name here (a CTID, from 100 to 999999999)`}},
		"an unknown profile": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json}}\n", lxc: `{"version": 1, "profiles": {"docker": {}}, "lxc_configs": {"900": {"template": "t", "profiles": ["dokcer"]}}}`,
			want: []string{`lxc.json:1:98: lxc_configs.900.profiles.0: there is no profile "dokcer" (did you mean docker?)`}},
		"a fault in a profile that three containers use": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json}}\n",
			lxc:  `{"version": 1, "defaults": {"profiles": ["p"], "template": "t"}, "profiles": {"p": {"hookscript": "x"}}, "lxc_configs": {"900": {}, "901": {}, "902": {}}}`,
			want: []string{`lxc.json:1:99: profiles.p.hookscript: "x" is not a script on a storage (STORAGE:snippets/FILE)`}},
		"a schema fault does not hide the next": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json}}\n", lxc: "{\"version\": 1, \"lxc_configs\": {\"900\": {\"template\": \"t\",\n\"cores\": \"two\",\n\"name\": \"a_b\"}}}",
			want: []string{`lxc.json:2:10: lxc_configs.900.cores: "two" is a string, not a whole number`, `lxc.json:3:9: lxc_configs.900.name: "a_b" is not a host name`}},
		"a pin to an unknown host": {hosts: "version: 1\nhosts: {pve1: {lxc: lxc.json}}\n", lxc: `{"version": 1, "lxc_configs": {"900": {"template": "t", "host": "pve2"}}}`,
			want: []string{`lxc.json:1:65: lxc_configs.900.host: there is no host "pve2" (did you mean pve1?)`}},
		"a container on two hosts": {hosts: "version: 1\ndefaults: {lxc: lxc.json}\nhosts:\n  a: {containers: [900]}\n  b: {containers: [900-901]}\n",
			lxc:  `{"version": 1, "lxc_configs": {"900": {"template": "t"}, "901": {"template": "t"}}}`,
			want: []string{"hosts.yaml:5:20: hosts.b.containers.0: container 900 is on two hosts, a and b"}},
		"a container that the file lacks": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json, containers: [901]}}\n", lxc: `{"version": 1, "lxc_configs": {"900": {"template": "t", "host": "a"}}}`,
			want: []string{"hosts.yaml:2:41: hosts.a.containers.0: lxc.json has no container 901"}},
		"an address that two containers have": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json, address: 10.0.0.3}}\n",
			lxc: `{"version": 1, "defaults": {"template": "t"}, "lxc_configs": {
"900": {"network_config": [{"name": "eth0", "ip": "10.0.0.2/24", "mac_address": "BC:24:11:00:00:01"}]},
"901": {"network_config": [{"name": "eth0", "ip": "10.0.0.2/16", "mac_address": "bc:24:11:00:00:01"}]},
"902": {"network_config": [{"name": "eth0", "ip": "10.0.0.3/24"}]}}}`,
			want: []string{
				"lxc.json:3:51: lxc_configs.901.network_config.0.ip: container 901 has the same IP address as container 900, 10.0.0.2 (first at lxc.json:2)",
				"lxc.json:3:81: lxc_configs.901.network_config.0.mac_address: container 901 has the same MAC address as container 900, bc:24:11:00:00:01 (first at lxc.json:2)",
				"lxc.json:4:51: lxc_configs.902.network_config.0.ip: container 902 has the same IP address as host a, 10.0.0.3 (first at hosts.yaml:2)",
			}},
		"a cycle, a boot order and keyctl": {hosts: "version: 1\nhosts: {a: {lxc: lxc.json}}\n",
			lxc: `{"version": 1, "defaults": {"template": "t"}, "lxc_configs": {
"900": {"depends_on": [901], "boot_order": 1},
"901": {"depends_on": [902], "boot_order": 2},
"902": {"depends_on": [900], "unprivileged": false, "pct_options": {"keyctl": true}}}}`,
			want: []string{
				"lxc.json:2:23: lxc_configs.900.depends_on: the containers depend on each other: 900 -> 901 -> 902 -> 900",
				"lxc.json:2:24: lxc_configs.900.depends_on.0: container 900 depends on 901 and starts before it: boot_order 1 and 2",
				"lxc.json:4:79: lxc_configs.902.pct_options.keyctl: keyctl is for unprivileged containers (take it out, or set unprivileged to true)",
			}},
	}
	for name, c := range cases {
		t.Run(name, c.run)
	}
}

// doubling is n variables that each use the one before twice.
func doubling(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "      v%d: '${vars.v%d}${vars.v%d}'\n", i, i-1, i-1)
	}
	return b.String()
}

func TestNoDiagnosticShowsAPlaintextSecret(t *testing.T) {
	_, found := loadList(t, files{
		"hosts.yaml": "version: 1\nhosts:\n  a: {become: sudo, become_password: hunter2, hypervisor: hv.json, lxc: lxc.json}\n  b: {become_password: 742617000027}\n",
		"hv.json":    "{\"version\": 1, \"api_token\": \"hunter2\", \"nope\": 1, \"files\": {\"/x\": {\"password\": [\"hunter2\"]}}}",
		"lxc.json":   "{\"version\": 1, \"lxc_configs\": {\"900\": {\"token\": hunter2}}}",
	})
	b, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 4 || strings.Contains(string(b), "hunter2") || strings.Contains(string(b), "742617000027") {
		t.Errorf("%d diagnostics: %s", len(found), b)
	}
}
