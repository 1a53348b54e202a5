package inventory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"phoenix/inventory/diag"
)

func hostNames(f *Fleet) string {
	var out []string
	for _, h := range f.Hosts {
		out = append(out, h.Name)
	}
	return strings.Join(out, " ")
}

func TestSourcesAreMerged(t *testing.T) {
	one := "version: 1\nhosts: {a: {}}\n"
	for name, c := range map[string]struct {
		fs      files
		sources []string
		want    string
	}{
		"the default is hosts.yaml":   {files{"hosts.yaml": one}, nil, "a"},
		"two files":                   {files{"x.yaml": one, "y.yaml": "version: 1\nhosts: {b: {}}\n"}, []string{"x.yaml", "y.yaml"}, "a b"},
		"a directory, sorted":         {files{"d/2.yml": one, "d/1.json": `{"version": 1, "hosts": {"b": {}}}`, "d/.x.yaml": "?", "d/README": "?", "d/old.yaml~": "?", "d/edge.json": `{"lxc_configs": {}}`}, []string{"d"}, "b a"},
		"configurations beside it":    {files{"d/1.json": `{"version": 1, "hosts": {"b": {}}}`, "d/k.json": `{"version": 1, "kernel": {}}`, "d/n.json": `{"network": {}}`, "d/f.json": `{"$schema": "x", "firewall": {}}`, "d/m.json": `{"nvidia": {}, "nfs": {}, "samba": {}}`}, []string{"d"}, "b"},
		"standard input":              {files{"-": one}, []string{"-"}, "a"},
		"an executable":               {files{"inv": "#!/bin/sh\necho '{\"version\": 1, \"hosts\": {\"dyn\": {}}}'\n"}, []string{"inv"}, "dyn"},
		"an executable in a folder":   {files{"d/inv": "#!/bin/sh\necho '{\"version\": 1, \"hosts\": {\"dyn\": {}}}'\n", "d/x.yaml": one}, []string{"d"}, "dyn a"},
		"a range":                     {files{"hosts.yaml": "version: 1\nhosts: {'r[a,c]-[08-10]': {}}\n"}, nil, "ra-08 ra-09 ra-10 rc-08 rc-09 rc-10"},
		"a data file with a mode bit": {files{"hosts.yaml": "#!x\nversion: 1\nhosts: {a: {}}\n"}, nil, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := hostNames(mustLoad(t, c.fs, c.sources...)); got != c.want {
				t.Errorf("hosts %q, want %q", got, c.want)
			}
		})
	}
}

func TestSourcesThatCannotBeTrustedOrRead(t *testing.T) {
	one := "version: 1\nhosts: {a: {}}\n"
	for name, c := range map[string]struct {
		fs      files
		sources []string
		prepare func() error
		want    string
	}{
		"a file that anybody can write":        {files{"x.yaml": one}, []string{"x.yaml"}, func() error { return os.Chmod("x.yaml", 0o666) }, "x.yaml: anybody can write to the file (chmod o-w x.yaml)"},
		"an executable that anybody can write": {files{"x": "#!/bin/sh\ntouch ran\n"}, []string{"x"}, func() error { return os.Chmod("x", 0o777) }, "x: anybody can write to the file (chmod o-w x)"},
		"a file that is not there":             {nil, []string{"x.yaml"}, nil, "x.yaml: no such file or directory"},
		"no inventory at all":                  {nil, nil, nil, "hosts.yaml: no such file or directory (name the inventory with -i FILE)"},
		"an empty directory":                   {files{"d/x": ""}, []string{"d"}, nil, "d: the directory holds no inventory (*.yaml, *.yml, *.json and executables are read)"},
		"a host in two files":                  {files{"x.yaml": one, "y.yaml": one}, []string{"x.yaml", "y.yaml"}, nil, "y.yaml:2:9: hosts.a: host a is said twice (first at x.yaml:2)"},
		"defaults in two files":                {files{"x.yaml": one + "defaults: {port: 1}\n", "y.yaml": "version: 1\ndefaults: {port: 2}\n"}, []string{"x.yaml", "y.yaml"}, nil, "y.yaml:2:12: defaults.port: defaults.port is said twice (first at x.yaml:3)"},
		"an executable that fails":             {files{"x": "#!/bin/sh\necho no cloud >&2\nexit 3\n"}, []string{"x"}, nil, "x: run dynamic inventory: exit status 3: no cloud"},
		"an executable that prints nothing":    {files{"x": "#!/bin/sh\n"}, []string{"x"}, nil, "x: run dynamic inventory: it printed nothing"},
		"an executable that prints rubbish":    {files{"x": "#!/bin/sh\necho hello\n"}, []string{"x"}, nil, "x:1:1: the document is a string, not an object (`phoenix schema inventory` prints what it may hold)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			dir, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			writeFiles(t, c.fs)
			if c.prepare != nil {
				if err := c.prepare(); err != nil {
					t.Fatal(err)
				}
			}
			fleet, found := Load(t.Context(), Options{Sources: c.sources, UID: os.Getuid()})
			if fleet != nil || len(found) != 1 || found[0].Error() != c.want {
				t.Errorf("got %v, want %s", found, c.want)
			}
			if _, err := os.Stat(dir + "/ran"); err == nil {
				t.Error("the executable was run")
			}
		})
	}
}

func TestAFileOfSomebodyElseIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFiles(t, files{"hosts.yaml": "version: 1\nhosts: {a: {}}\n"})
	uid := os.Getuid()
	if uid == 0 { // root's own files are fine for everybody
		uid = 4711
		if err := os.Chown("hosts.yaml", uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	_, found := Load(t.Context(), Options{UID: uid + 1})
	if len(found) != 1 || found[0].Summary != fmt.Sprintf("the file belongs to user %d, neither to you nor to root", uid) {
		t.Errorf("got %v", found)
	}
	if fleet, found := Load(t.Context(), Options{UID: uid}); fleet == nil {
		t.Errorf("the owner is refused: %v", found)
	}
}

func TestADynamicInventoryThatHangsIsEnded(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFiles(t, files{"inv": "#!/bin/sh\n"})
	synctest.Test(t, func(t *testing.T) {
		_, found := Load(t.Context(), Options{Sources: []string{"inv"}, UID: os.Getuid(), Run: func(ctx context.Context, argv []string) ([]byte, error) {
			if !strings.HasPrefix(argv[0], "/") {
				return nil, errors.New("the program would be looked up in PATH")
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		if len(found) != 1 || found[0].Error() != "inv: run dynamic inventory: no end after 30s" {
			t.Errorf("got %v", found)
		}
	})
}

func TestOldFormatsAreRecognised(t *testing.T) {
	for name, c := range map[string]struct{ key, text, want string }{
		"containers of generation 3":  {"lxc", `{"$schema": "x", "nvidia_driver_version": "580", "lxc_configs": {"900": {"features": "nesting=1"}}}`, "container file, generation 3 (August 2025)"},
		"containers of generation 4":  {"lxc", `{"lxc_configs": {"900": {"features": ["base_setup"]}}}`, "container file, generation 4 or 5"},
		"containers of generation 9":  {"lxc", `{"lxc_configs": {"950": {"features": ["vllm"], "vllm_engine_config": {}}}}`, "container file, generation 9 or later"},
		"a hypervisor, generation 3":  {"hypervisor", `{"version": "0.01.01", "core_paths": {}, "proxmox_defaults": {}}`, "hypervisor file, generation 3"},
		"a host set-up file":          {"hypervisor", `{"nvidia": {}, "zfs": {"pools": []}}`, "host set-up file"},
		"a file of virtual machines":  {"lxc", `{"vm_defaults": {}, "vms": []}`, "file of virtual machines"},
		"a password in such a file":   {"hypervisor", `{"proxmox_defaults": {}, "portainer_api": {"admin_password": "hunter2"}}`, "hypervisor file, generation 9 or later"},
		"a version that is a string":  {"lxc", `{"version": "1", "lxc_configs": {}}`, `version: "1" is not 1`},
		"a version that is forgotten": {"lxc", `{"lxc_configs": {"900": {"template": "t"}}}`, `missing "version"`},
	} {
		t.Run(name, func(t *testing.T) {
			fleet, found := load(t, files{"hosts.yaml": "version: 1\nhosts: {a: {" + c.key + ": old.json}}\n", "old.json": c.text})
			got := strings.Join(found, "\n")
			if fleet != nil || !strings.Contains(got, c.want) || strings.Contains(got, "hunter2") || strings.Count(got, "old.json:") != 1 {
				t.Errorf("got %s", got)
			}
		})
	}
}

func FuzzInventory(f *testing.F) {
	f.Add("version: 1\nhosts: {'pve[1-3]': {address: '${host.name}.x', vars: {a: '${vars.b}', b: [1]}}}\ngroups: {g: {children: [h]}, h: {hosts: ['pve*']}}\n")
	f.Add("version: 1\ndefaults: {containers: all, lxc: hosts.yaml}\nhosts: {a: null, b: {jump: [x], port: '${vars.p}'}}\nsecrets: {s: {env: A}}\n")
	f.Add(`{"version": 1, "hosts": {"a": {"hypervisor": "hosts.yaml", "become_password": {"secret": "x"}}}}`)
	f.Fuzz(func(t *testing.T, text string) { // the property: no panic, and errors or a fleet
		run := func(context.Context, []string) ([]byte, error) { return nil, errors.New("run nothing") }
		fleet, found := Load(t.Context(), Options{Sources: []string{"-"}, Stdin: strings.NewReader(text), Run: run, UID: os.Getuid()})
		if (fleet == nil) != found.HasErrors() {
			t.Fatalf("fleet %v, errors %v", fleet, found)
		}
	})
}

func FuzzConfigs(f *testing.F) {
	f.Add(`{"version": 1, "defaults": {"profiles": ["p"]}, "profiles": {"p": {"network_config": {"name": "e", "ip": "${vars.n}"}}}, "lxc_configs": {"900": {"depends_on": [900, 901]}}}`)
	f.Add(`{"version": 1, "system": {"ntp": "${vars.n}"}, "files": {"/x": {"content": {"secret": "s"}}}, "storage": {"d": {"type": "dir", "path": "/d"}}, "templates": [{}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		t.Chdir(t.TempDir())
		writeFiles(t, files{"hosts.yaml": "version: 1\nhosts: {a: {lxc: c.json, vars: {n: 1}}, b: {hypervisor: c.json}}\n", "c.json": text})
		fleet, found := Load(t.Context(), Options{UID: os.Getuid()})
		if (fleet == nil) != found.HasErrors() {
			t.Fatalf("fleet %v, errors %v", fleet, found)
		}
		if !slices.IsSortedFunc(found, func(a, b diag.Diagnostic) int { return strings.Compare(a.File, b.File) }) {
			t.Fatal("the faults are not sorted")
		}
	})
}
