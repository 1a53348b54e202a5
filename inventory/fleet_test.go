package inventory

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const fleetYAML = `version: 1
defaults: {user: root, port: 22, vars: {a: default, b: default, c: default}}
groups:
  all_gpu: {children: [gpu], port: 2200, vars: {a: parent, b: parent}}
  gpu: {hosts: ['pve[1-2]'], vars: {b: gpu}}
  web: {port: 2300}
hosts:
  pve1: {vars: {c: host}}
  pve2: {groups: [web]}
  pve3: {address: 10.0.0.3, groups: [web], lxc: lxc.json, containers: [901, '910-912'], vars: {n: 3, who: 'h-${host.name}'}}
  pve4: {lxc: lxc.json}
`

const fleetLXC = `{"version": 1,
  "defaults": {"template": "debian-12-standard", "memory_mb": 512, "pct_options": {"nesting": true}},
  "profiles": {"big": {"memory_mb": 4096, "tags": ["big"]}, "fuse": {"pct_options": {"fuse": true}, "tags": ["fuse"]}},
  "lxc_configs": {
    "912": {"cores": "${vars.n}", "name": "${vars.who}"},
    "901": {"profiles": ["big", "fuse"], "memory_mb": 8192},
    "950": {"host": "pve4", "name": "pinned"}
  }}`

func testFleet(t *testing.T) *Fleet {
	return mustLoad(t, files{"hosts.yaml": fleetYAML, "lxc.json": fleetLXC})
}

func TestHostWinsOverLaterGroupOverEarlierOverParentOverDefaults(t *testing.T) {
	f := testFleet(t)
	for host, want := range map[string]string{
		"pve1": "root 2200 parent gpu host [all_gpu gpu]", "pve2": "root 2300 parent gpu default [all_gpu gpu web]",
		"pve3": "root 2300 default default default [web]", "pve4": "root 22 default default default []",
	} {
		h := f.Host(host)
		if got := fmt.Sprint(h.User, " ", h.Port, " ", h.Vars["a"], " ", h.Vars["b"], " ", h.Vars["c"], " ", h.Groups); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestContainersAreMergedPlacedAndTyped(t *testing.T) {
	f := testFleet(t)
	h := f.Host("pve3")
	if fmt.Sprint(h.CTIDs) != "[901 912]" || fmt.Sprint(f.Host("pve4").CTIDs) != "[950]" {
		t.Fatalf("placed %v and %v", h.CTIDs, f.Host("pve4").CTIDs)
	}
	big := h.Containers[0]
	if s := big.Spec; s.MemoryMB != 8192 || !*s.PctOptions.Nesting || !*s.PctOptions.Fuse || fmt.Sprint(s.Tags) != "[fuse]" || fmt.Sprint(big.Profiles) != "[big fuse]" {
		t.Errorf("merged %+v", s)
	}
	if s := h.Containers[1].Spec; s.Cores != 3 || s.Name != "h-pve3" || s.CTID != 912 {
		t.Errorf("expanded %+v", s)
	}
	if got := h.Containers[1].Origin; got != "lxc.json:5" {
		t.Errorf("origin %s", got)
	}
}

func TestSettingsNameTheLineThatDecided(t *testing.T) {
	got := make(map[string]string)
	for _, s := range testFleet(t).Host("pve2").Settings() {
		got[s.Key] = s.Value + " " + s.Origin
	}
	for key, want := range map[string]string{
		"address": "pve2 default", "user": "root hosts.yaml:2", "port": "2300 hosts.yaml:6",
		"vars.a": "parent hosts.yaml:4", "vars.b": "gpu hosts.yaml:5", "vars.c": "default hosts.yaml:2",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

func TestGraphShowsGroupsHostsAndContainers(t *testing.T) {
	b, err := json.Marshal(testFleet(t).Graph())
	want := `[{"name":"all_gpu","children":["gpu"],"hosts":[{"name":"pve1"},{"name":"pve2"}]},` +
		`{"name":"gpu","hosts":[{"name":"pve1"},{"name":"pve2"}]},` +
		`{"name":"web","hosts":[{"name":"pve2"},{"name":"pve3","containers":[{"ctid":901},{"ctid":912,"name":"h-pve3"}]}]},` +
		`{"name":"","hosts":[{"name":"pve4","containers":[{"ctid":950,"name":"pinned"}]}]}]`
	if err != nil || string(b) != want {
		t.Errorf("got\n%s\nwant\n%s", b, want)
	}
}

func TestLimitsSelectHosts(t *testing.T) {
	f := testFleet(t)
	for limit, want := range map[string]string{
		"": "pve1 pve2 pve3 pve4", "all": "pve1 pve2 pve3 pve4", "pve2": "pve2", "pve4,pve1": "pve1 pve4", "pve*:!pve3": "pve1 pve2 pve4",
		"@gpu": "pve1 pve2", "@gpu:!@web": "pve1", "!@gpu": "pve3 pve4", "pve[34]": "pve3 pve4", "@*gpu,pve4": "pve1 pve2 pve4",
	} {
		hosts, err := f.Select(limit)
		if got := hostNames(&Fleet{Hosts: hosts}); err != nil || got != want {
			t.Errorf("%q selects %q, %v; want %q", limit, got, err, want)
		}
	}
	for limit, want := range map[string]string{
		"pev1": "(did you mean pve1?)", "@gpus": "(did you mean gpu?)", "web1*": `find host "web1*": there is none`, "pve1:!pve1": "no host is left",
		"!pve*": "no host is left", "pve[": "not a glob", "@": "not a glob", "pve1,!pve9": `find host "pve9"`,
	} {
		if hosts, err := f.Select(limit); err == nil || hosts != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", limit, err, want)
		}
	}
}

func TestAWarningStopsNothing(t *testing.T) {
	f := mustLoad(t, files{"hosts.yaml": "version: 1\nhosts: {a: {lxc: l.json}, b: {}}\n", "l.json": `{"version": 1, "lxc_configs": {"900": {"name": "x"}}}`})
	var got []string
	for _, w := range f.Warnings {
		got = append(got, w.Error())
	}
	want := `l.json:1:32: lxc_configs.900: warning: container 900 has no template (it is managed where it exists and cannot be created; set template or clone_from_ctid)
l.json:1:32: lxc_configs.900: warning: container 900 is on no host (list it under containers of a host, or name its host)`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestOneItemStandsForAListOfContainers(t *testing.T) {
	for given, want := range map[string]string{"900": "[900]", "900-901": "[900 901]", "[900-901]": "[900 901]", "all": "[900 901 902]"} {
		f := mustLoad(t, files{
			"hosts.yaml": "version: 1\nhosts:\n  a: {lxc: lxc.json, containers: " + given + "}\n",
			"lxc.json":   `{"version": 1, "defaults": {"template": "t"}, "lxc_configs": {"900": {}, "901": {}, "902": {}}}`,
		})
		if got := fmt.Sprint(f.Host("a").CTIDs); got != want {
			t.Errorf("containers: %s places %s, want %s", given, got, want)
		}
	}
}

func TestACommandOfASecretMayHaveSeveralLines(t *testing.T) {
	f := mustLoad(t, files{"hosts.yaml": "version: 1\nhosts: {a: {}}\nsecrets:\n  s:\n    command:\n      - sh\n      - -c\n      - |\n        cd /\n        pass show s\n"})
	if got := f.Secrets["s"].Command; len(got) != 3 || got[2] != "cd /\npass show s\n" {
		t.Errorf("command %q", got)
	}
}

func TestAKeyFileThatIsMissingIsWarnedOfOnce(t *testing.T) {
	fleet, found := load(t, files{
		"hosts.yaml":    "version: 1\ndefaults: {identity_files: [nosuch, there, agent]}\nhosts:\n  'pve[1-9]': {}\n",
		"there":         "",
		"agent.pub":     "",
		"elsewhere.txt": "",
	})
	if fleet == nil || len(found) != 1 || !strings.HasPrefix(found[0], "hosts.yaml:2:29: defaults.identity_files.0: warning: there is no key file ") {
		t.Errorf("found %q", found)
	}
}

func TestClustersMayRepeatCTIDsAndNames(t *testing.T) {
	lxc := `{"version": 1, "lxc_configs": {"900": {"template": "t", "name": "dns", "network_config": {"name": "eth0", "ip": "${vars.ip}"}}}}`
	hosts := "version: 1\ndefaults: {lxc: l.json, containers: all}\nhosts:\n  a: {cluster: A, vars: {ip: 10.0.0.2/24}}\n  b: {cluster: B, vars: {ip: 10.0.1.2/24}}\n"
	if f := mustLoad(t, files{"hosts.yaml": hosts, "l.json": lxc}); len(f.Warnings) != 0 || len(f.Hosts[1].Containers) != 1 {
		t.Errorf("warnings %v", f.Warnings)
	}
	same := strings.ReplaceAll(hosts, "10.0.1.2", "10.0.0.2")
	if f := mustLoad(t, files{"hosts.yaml": same, "l.json": lxc}); len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0].Summary, "same IP address") {
		t.Errorf("warnings %v", f.Warnings)
	}
}

func TestAThousandHostsLoad(t *testing.T) {
	var entries []string
	for i := 1; i <= 1000; i++ {
		entries = append(entries, fmt.Sprintf(`"%d": {"name": "ct%d", "host": "pve%d", "memory_mb": "${vars.mem}"}`, 1000+i, i, i))
	}
	f := mustLoad(t, files{
		"hosts.yaml": "version: 1\ndefaults: {lxc: l.json, hypervisor: h.json, vars: {mem: 512}}\nhosts: {'pve[1-1000]': {address: '${host.name}.lan'}}\n",
		"l.json":     `{"version": 1, "defaults": {"template": "t"}, "lxc_configs": {` + strings.Join(entries, ",\n") + "}}",
		"h.json":     `{"version": 1, "apt": {"packages": ["curl"]}}`,
	})
	if len(f.Hosts) != 1000 || f.Hosts[999].Containers[0].Spec.MemoryMB != 512 || f.Hosts[0].Hypervisor != f.Hosts[999].Hypervisor {
		t.Errorf("%d hosts", len(f.Hosts))
	}
}
