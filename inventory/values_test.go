package inventory

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestLoad_aWholeNumberIsOneInEveryNotation(t *testing.T) {
	for _, form := range []string{"10", "1e1", "10.0", "100e-1"} {
		fleet := mustLoad(t, files{
			"hosts.yaml": "version: 1\ndefaults: { hypervisor: hv.json, lxc: lxc.json, vars: { release: 10.0 } }\nhosts: { pve1: { max_workers: " + form + " } }\n",
			"hv.json":    `{"version": 1, "kernel": {"sysctl": {"vm.swappiness": ` + form + `}}, "files": {"/etc/motd": {"content": "release ${vars.release}"}}}`,
			"lxc.json": `{"version": 1, "lxc_configs": {"900": {"name": "web", "template": "debian-12-standard", "storage_pool": "local-lvm", "storage_size_gb": 4,
				"boot_order": ` + form + `, "gpu_assignment": [` + form + `], "network_config": {"name": "eth0", "bridge": "vmbr0", "ip": "dhcp"}}}}`,
		})
		h := fleet.Hosts[0]
		c := h.Containers[0].Spec
		if h.MaxWorkers != 10 || c.BootOrder == nil || *c.BootOrder != 10 || strings.Join(c.GPUAssignment, ",") != "10" {
			t.Errorf("%s: %d workers, %+v, %v", form, h.MaxWorkers, c.BootOrder, c.GPUAssignment)
		}
		if got, err := json.Marshal(h.Hypervisor.Kernel); err != nil || !strings.Contains(string(got), `"vm.swappiness":"10"`) && !strings.Contains(string(got), `"vm.swappiness":10`) {
			t.Errorf("%s: %s", form, got)
		}
		if got, err := json.Marshal(h.Hypervisor.Files); err != nil || !strings.Contains(string(got), "release 10.0") {
			t.Errorf("%s: a variable is %s", form, got)
		}
	}
}

func TestLoad_theHintToAValueLeadsToOneThatIsAllowed(t *testing.T) {
	for value, want := range map[string]string{
		`"snapshot_before_change": 1`:                `1 is not allowed here (write true or false, without quotes)`,
		`"snapshot_before_change": 7`:                `7 is not allowed here (true, false or "if_possible")`,
		`"snapshot_before_change": "true"`:           `"true" is not allowed here (write true or false, without quotes)`,
		`"enable_lifecycle_snapshots": "if_posible"`: `"if_posible" is not allowed here (true, false or "if_possible")`,
		`"gpu_assignment": 1.5`:                      `1.5 is a number, not a whole number or a string or a list or an object`,
		`"description": 1`:                           `1 is a number, not a string (write it with quotes)`,
		`"template_snapshot_name": 1`:                `1 is a number, not a string (it must match ^[a-zA-Z][a-zA-Z0-9_-]{1,39}$)`,
	} {
		_, found := load(t, files{
			"hosts.yaml": "version: 1\nhosts: { pve1: { lxc: lxc.json } }\n",
			"lxc.json": `{"version": 1, "lxc_configs": {"900": {"name": "web", "template": "debian-12-standard", "storage_pool": "local-lvm", "storage_size_gb": 4,
				` + value + `}}}`,
		})
		key, _, _ := strings.Cut(strings.Trim(value, `"`), `"`)
		if want := key + ": " + want; len(found) == 0 || !strings.HasSuffix(found[0], want) {
			t.Errorf("%s: got  %s\nwant %s", value, strings.Join(found, "\n"), want)
		}
	}
}
