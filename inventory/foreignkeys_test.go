package inventory

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The parts of the schema that have names of Proxmox.
var partsWithForeignNames = []string{"container", "interface", "container/properties/network_config", "mount_flags", "volume", "mount_point", "device", "firewall", "firewall_rule", "health_check"}

func TestNamesOfProxmoxLeadToKeysThatTheSchemaHas(t *testing.T) {
	s := compileSchemas()
	for _, part := range partsWithForeignNames {
		address := schemaURL("lxc") + "#/$defs/" + part
		keys, _ := s.known(address)
		names := foreignNames(address)
		if len(keys) == 0 || len(names) == 0 {
			t.Errorf("%s has %d keys and %d names", part, len(keys), len(names))
		}
		for name, c := range names {
			if slices.Contains(keys, name) {
				t.Errorf("%s: %s is a key of the schema", part, name)
			}
			if c.key == "" && c.note == "" || c.key != "" && !slices.Contains(keys, c.key) {
				t.Errorf("%s: %s leads to %q, %q", part, name, c.key, c.note)
			}
		}
	}
}

func TestAKeyOfProxmoxIsToldWithOurs(t *testing.T) {
	for key, hint := range map[string]string{
		`"hostname": "a"`:       `900.hostname: unknown key "hostname" (did you mean name?)`,
		`"onboot": 1`:           `(did you mean start_at_boot?)`,
		`"ostemplate": "x"`:     `(did you mean template?)`,
		`"net0": "x"`:           `(did you mean network_config? a list of interfaces, net0 first)`,
		`"mp12": "x"`:           `(did you mean mount_points? directories of the host; what is allocated on a storage stands under volumes)`,
		`"lxc.cap.drop": "x"`:   `(did you mean lxc_options? a list of lines, "lxc.KEY: VALUE")`,
		`"lxc.idmap": "x"`:      `(did you mean idmap? a list of ranges)`,
		`"pool": "x"`:           `unknown key "pool" (phoenix has no such key: membership of a pool is left as it is)`,
		`"rootfs": "local:8"`:   `rootfs: "local:8" is a string, not an object (storage_pool and storage_size_gb say where it lies and how large it is)`,
		`"rootfs": {"size": 8}`: `900.rootfs.size: unknown key "size" (phoenix has no such key: storage_size_gb of the container is its size)`,
		`"network_config": {"name": "eth0", "bridge": "b", "hwaddr": "x"}`: `(did you mean mac_address?)`,
		`"network_config": [{"name": "eth0", "bridge": "b", "tag": 3}]`:    `(did you mean vlan?)`,
		`"volumes": [{"mp": "/a", "storage": "a", "size_gb": 1}]`:          `(did you mean container_path?)`,
		`"health_checks": {"a": {"cmd": "true"}}`:                          `(did you mean command?)`,
		`"memry_mb": 3`: `(did you mean memory_mb?)`,
	} {
		t.Run(key, func(t *testing.T) {
			_, found := load(t, files{
				"hosts.yaml": "version: 1\nhosts: { pve1: { lxc: l.json, containers: all } }\n",
				"l.json":     fmt.Sprintf(`{"version": 1, "lxc_configs": {"900": {%s}}}`, key),
			})
			if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, hint) }) {
				t.Errorf("got\n%s\nwant %s", strings.Join(found, "\n"), hint)
			}
		})
	}
}

func TestFilesThatAreSwappedAreToldOnceEach(t *testing.T) {
	_, found := load(t, files{
		"hosts.yaml": "version: 1\nhosts: { pve1: { lxc: h.json, hypervisor: l.json, containers: all } }\n",
		"l.json":     `{"version": 1, "defaults": {"cores": 1}, "lxc_configs": {"900": {"name": "a"}}}`,
		"h.json":     `{"version": 1, "apt": {"packages": ["jq"]}, "storage": {}, "sevices": {}}`,
	})
	want := []string{
		"h.json:1:1: is a file for hypervisor, not for lxc (name it under hypervisor in the inventory; are the two swapped?)",
		"l.json:1:1: is a file for lxc, not for hypervisor (name it under lxc in the inventory; are the two swapped?)",
	}
	if !slices.Equal(found, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
}
