package inventory

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A clone's own list and that of its parent become one: what the clone lists before a
// feature that both have comes before it there, too.
func TestAClonesFeaturesComeInTheOrderOfBothLists(t *testing.T) {
	const cards = `, "gpu_assignment": "0"`
	for name, one := range map[string]struct{ parent, clone, more, want string }{
		"what is new comes after what is there":              {`"base_setup", "docker"`, `"portainer"`, ``, "base_setup docker portainer"},
		"a repeated one keeps the place that the parent has": {`"base_setup", "docker"`, `"base_setup"`, ``, "base_setup docker"},
		"what a repeated one builds on is put before it":     {`"base_setup", "docker"`, `"nvidia", "docker"`, cards, "base_setup nvidia docker"},
		"what is listed after a repeated one stays behind":   {`"base_setup", "docker"`, `"base_setup", "trusted_ca"`, ``, "base_setup docker trusted_ca"},
		"nvidia comes before what the parent builds on it":   {`"base_setup", "docker", "ollama"`, `"nvidia"`, cards, "base_setup nvidia docker ollama"},
		"also where the clone lists it last":                 {`"vllm"`, `"base_setup", "nvidia"`, cards, "nvidia vllm base_setup"},
		"nvidia stays where it is before all of that":        {`"base_setup", "docker"`, `"nvidia", "base_setup"`, cards, "nvidia base_setup docker"},
		"portainer_role none takes out what the parent has":  {`"docker", "portainer"`, `"base_setup"`, `, "portainer_role": "none"`, "docker base_setup"},
		"the clone decides where both say something else":    {`"trusted_ca", "base_setup", "docker"`, `"base_setup", "trusted_ca"`, ``, "base_setup trusted_ca docker"},
	} {
		t.Run(name, func(t *testing.T) {
			fleet, found := load(t, files{
				"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, lxc: lxc.json}\n",
				"lxc.json": fmt.Sprintf(`{"version": 1, "defaults": {"storage_pool": "local-lvm", "pct_options": {"nesting": true, "keyctl": true}}, "lxc_configs": {
					"900": {"template": "t", "is_template": true, "features": [%s]}, "901": {"clone_from_ctid": 900, "features": [%s]%s}}}`, one.parent, one.clone, one.more),
			})
			if len(found) > 0 {
				t.Fatalf("%q", found)
			}
			var got []string
			clone := fleet.Host("pve1").Containers[1]
			for _, i := range clone.Inside {
				got = append(got, i.Name)
				if own := i.from == 901; own != strings.Contains(one.clone, `"`+i.Name+`"`) {
					t.Errorf("%s is of container %d", i.Name, i.from)
				}
			}
			if !slices.Equal(got, strings.Fields(one.want)) {
				t.Errorf("got %q, want %s", got, one.want)
			}
		})
	}
}

// The profile of the first has Portainer, and the container says that it has none.
func TestPortainerRoleNoneTakesPortainerOutOfAContainer(t *testing.T) {
	for role, want := range map[string]string{"none": "docker", "agent": "docker portainer"} {
		fleet, found := load(t, files{
			"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, lxc: lxc.json}\n",
			"lxc.json": fmt.Sprintf(`{"version": 1, "profiles": {"apps": {"template": "t", "storage_pool": "local-lvm", "pct_options": {"nesting": true, "keyctl": true},
				"features": ["docker", "portainer"], "portainer": {"agent_port": 9002}}}, "lxc_configs": {"900": {"profiles": ["apps"], "portainer_role": %q}}}`, role),
		})
		if len(found) > 0 {
			t.Fatalf("%s: %q", role, found)
		}
		var got []string
		for _, i := range fleet.Hosts[0].Containers[0].Inside {
			got = append(got, i.Name)
		}
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: got %q, want %s", role, got, want)
		}
	}
}

// Who gives a container cards, NVIDIA's libraries and Docker wants them in Docker; what the
// parent has of Docker stays its own.
func TestDockerHasTheCardsOfAContainerThatHasNVIDIAsLibraries(t *testing.T) {
	fleet, found := load(t, files{
		"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, lxc: lxc.json}\n",
		"lxc.json": `{"version": 1, "defaults": {"storage_pool": "local-lvm", "pct_options": {"nesting": true, "keyctl": true}}, "lxc_configs": {
			"900": {"template": "t", "is_template": true, "features": ["nvidia", "docker"], "docker": {"log_driver": "journald"}},
			"901": {"clone_from_ctid": 900, "gpu_assignment": "0"},
			"902": {"clone_from_ctid": 900, "gpu_assignment": "1", "features": ["docker"], "docker": {"nvidia": {"mode": "legacy"}}},
			"903": {"template": "t", "is_template": true, "features": ["docker"], "gpu_assignment": "2"},
			"904": {"clone_from_ctid": 903, "features": ["nvidia"]},
			"905": {"clone_from_ctid": 903, "features": ["nvidia"], "gpu_assignment": "none"},
			"906": {"template": "t", "features": ["nvidia", "docker"], "gpu_assignment": "3", "docker": {"nvidia": {}}},
			"907": {"clone_from_ctid": 900}}}`,
	})
	if fleet == nil {
		t.Fatalf("%q", found)
	}
	for ctid, want := range map[int]string{
		900: `{"log_driver":"journald"}`, 901: `{"log_driver":"journald","nvidia":{}}`, 902: `{"nvidia":{"mode":"legacy"}}`, 903: `{}`,
		904: `{"nvidia":{}}`, 905: `{}`, 906: `{"nvidia":{}}`, 907: `{"log_driver":"journald"}`,
	} {
		c := fleet.Hosts[0].Containers[ctid-900]
		got, err := json.Marshal(c.Inside[c.at("docker")].Spec)
		if err != nil || string(got) != want {
			t.Errorf("%d: got %s, want %s, %v", ctid, got, want, err)
		}
	}
}
