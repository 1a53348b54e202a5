package inventory

import (
	"maps"
	"testing"
)

func TestEachContainerKnowsTheOtherHostsOfItsCluster(t *testing.T) {
	f := mustLoad(t, files{
		"hosts.yaml": `version: 1
defaults: {lxc: lxc.json}
hosts:
  pve1.lan: {cluster: c, containers: 900}
  second: {cluster: c, hypervisor: hv.json}
  pve3: {cluster: d, containers: 901}
  pve4: {containers: 902}
  pve5: {}
`,
		"hv.json":  `{"version": 1, "system": {"hostname": "pve2"}}`,
		"lxc.json": `{"version": 1, "defaults": {"template": "t"}, "lxc_configs": {"900": {}, "901": {}, "902": {}, "903": {"host": "second"}}}`,
	})
	for host, want := range map[string]map[string]string{
		"pve1.lan": {"pve2": "second"}, "second": {"pve1": "pve1.lan"}, "pve3": {}, "pve4": {},
	} {
		if got := f.Host(host).Containers[0].Spec.Nodes; !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
	}
}
