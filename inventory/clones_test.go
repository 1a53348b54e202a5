package inventory

import (
	"fmt"
	"strings"
	"testing"
)

// TestAClonesAgreementWithItsParent has the parent 900 and the clone 901 of each case,
// which is on line 3 of the file.
func TestAClonesAgreementWithItsParent(t *testing.T) {
	for name, c := range map[string]struct{ parent, clone, want string }{
		"a template":                        {parent: `"is_template": true`},
		"a parent that stands still":        {parent: `"state": "stopped"`},
		"a snapshot of one that runs":       {parent: `"template_snapshot_name": "base"`, clone: `"clone_from_snapshot": "base"`},
		"a snapshot that a person has made": {clone: `"clone_from_snapshot": "by-hand"`},
		"a larger disk":                     {parent: `"is_template": true, "storage_size_gb": 8`, clone: `"storage_size_gb": 9`},
		"a clone that is to go":             {clone: `"state": "absent"`},
		"an address of its own": {parent: `"is_template": true, "network_config": {"name": "eth0", "ip": "10.0.0.2/24", "ip6": "fd00::2/64"}`,
			clone: `"network_config": {"name": "eth0", "ip": "10.0.0.3/24", "ip6": "auto"}`},
		"linked, on the parent's storage": {parent: `"is_template": true, "storage_pool": "a1"`, clone: `"clone_mode": "linked", "storage_pool": "a1"`},

		"a parent that runs":                 {want: "lxc_configs.901.clone_from_ctid: container 900 runs, and Proxmox clones a container that runs only from a snapshot (set is_template for 900, or template_snapshot_name there and clone_from_snapshot here)"},
		"a parent with a snapshot not named": {parent: `"template_snapshot_name": "base"`, want: `clone_from_ctid: container 900 runs, and Proxmox clones a container that runs only from a snapshot (set clone_from_snapshot to "base")`},
		"a snapshot of a template":           {parent: `"is_template": true`, clone: `"clone_from_snapshot": "base"`, want: "lxc_configs.901.clone_from_snapshot: container 900 is a template, and a template has no snapshots (take it out)"},
		"a parent that is to go":             {parent: `"state": "absent"`, want: "clone_from_ctid: container 900 is to be absent (take clone_from_ctid out"},
		"a parent with directories":          {parent: `"state": "stopped", "mount_points": [{"host_path": "/a", "container_path": "/b"}]`, want: "clone_from_ctid: container 900 has directories of the host, with which Proxmox clones none (give the mount_points to its clones)"},
		"linked, and no template":            {parent: `"state": "stopped"`, clone: `"clone_mode": "linked"`, want: "lxc_configs.901.clone_mode: a linked clone needs a template, and container 900 is none (set is_template for 900, or clone_mode to full)"},
		"linked, on another storage": {parent: `"is_template": true, "storage_pool": "a1"`, clone: `"clone_mode": "linked", "storage_pool": "b1"`,
			want: "lxc_configs.901.storage_pool: a linked clone is on the storage of its parent, a1 (leave it out, or set clone_mode to full)"},
		"another privilege": {parent: `"is_template": true, "unprivileged": false`, clone: `"unprivileged": true`,
			want: "lxc_configs.901.unprivileged: unprivileged is false for container 900, of which this is a clone (a clone has the privilege of its parent: set both alike, or create this one from a template)"},
		"privileged of one that says nothing": {parent: `"is_template": true`, clone: `"unprivileged": false`, want: "lxc_configs.901.unprivileged: unprivileged is true for container 900"},
		"a smaller disk":                      {parent: `"is_template": true, "storage_size_gb": 8`, clone: `"storage_size_gb": 7.5`, want: "lxc_configs.901.storage_size_gb: 7.5 is smaller than the 8 of container 900, of which this is a clone (a volume can only grow)"},
		"a disk below the default":            {parent: `"is_template": true`, clone: `"storage_size_gb": 2`, want: "2 is smaller than the 4 of container 900"},
		"the parent's address": {parent: `"is_template": true, "network_config": {"name": "eth0", "ip": "10.0.0.2/24"}`, clone: `"network_config": {"name": "eth0", "bridge": "vmbr1"}`,
			want: "lxc_configs.901.network_config: container 901 would have the address 10.0.0.2/24 of container 900, of which it is a clone (give its interface eth0 an ip of its own)"},
		"the parent's second address": {parent: `"is_template": true, "network_config": {"name": "eth0", "ip6": "fd00::2/64"}`,
			want: "lxc_configs.901.clone_from_ctid: container 901 would have the address fd00::2/64 of container 900"},
		"itself":              {clone: `"clone_from_ctid": 901`, want: "lxc_configs.901.clone_from_ctid: container 901 cannot be a clone of itself"},
		"none":                {clone: `"clone_from_ctid": 909`, want: "lxc_configs.901.clone_from_ctid: there is no container 909 on host a (the parent of a clone is in the LXC file, too, also when it was made by hand)"},
		"one of another host": {clone: `"clone_from_ctid": 902`, want: "lxc_configs.901.clone_from_ctid: container 902 is on host b (a clone is made on the host of its parent, and this one is on a)"},
		"its own clone":       {parent: `"clone_from_ctid": 901, "state": "stopped"`, clone: `"state": "stopped"`, want: "lxc_configs.900.clone_from_ctid: the containers need each other: 900 -> 901 -> 900"},
		"a parent that waits": {parent: `"is_template": true, "depends_on": [901]`, want: "lxc_configs.900.depends_on: the containers depend on each other: 900 -> 901 -> 900"},
	} {
		t.Run(name, func(t *testing.T) {
			entry := func(keys ...string) string {
				return "{" + strings.Trim(strings.Join(keys, ", "), ", ") + "}"
			}
			parent, clone := []string{c.parent}, []string{c.clone}
			if !strings.Contains(c.parent, "clone_from_ctid") {
				parent = append(parent, `"template": "t"`)
			}
			if !strings.Contains(c.clone, "clone_from_ctid") {
				clone = append(clone, `"clone_from_ctid": 900`)
			}
			_, got := load(t, files{
				"hosts.yaml": "version: 1\ndefaults: {lxc: lxc.json}\nhosts:\n  a: {containers: [900-901]}\n  b: {containers: [902]}\n",
				"lxc.json": fmt.Sprintf("{\"version\": 1, \"lxc_configs\": {\n\"900\": %s,\n\"901\": %s,\n\"902\": {\"template\": \"t\"}}}",
					entry(parent...), entry(clone...)),
			})
			switch text := strings.Join(got, "\n"); {
			case c.want == "" && text != "":
				t.Errorf("got\n%s", text)
			case c.want != "" && (len(got) != 1 || !strings.Contains(text, c.want)):
				t.Errorf("got\n%s\nwant\n%s", text, c.want)
			}
		})
	}
}

func TestFaultsGoUpTheWholeChain(t *testing.T) {
	_, got := load(t, files{
		"hosts.yaml": "version: 1\nhosts: {a: {lxc: lxc.json}}\n",
		"lxc.json": `{"version": 1, "lxc_configs": {
"900": {"template": "t", "is_template": true, "storage_pool": "a1", "storage_size_gb": 20, "unprivileged": false, "network_config": {"name": "eth0", "ip": "10.0.0.2/24"}},
"901": {"clone_from_ctid": 900, "is_template": true, "network_config": {"name": "eth0", "ip": "10.0.0.3/24"}},
"902": {"clone_from_ctid": 901, "clone_mode": "linked", "storage_pool": "b1", "storage_size_gb": 10, "unprivileged": true}}}`,
	})
	want := []string{
		"lxc.json:4:28: lxc_configs.902.clone_from_ctid: container 902 would have the address 10.0.0.3/24 of container 901, of which it is a clone (give its interface eth0 an ip of its own)",
		"lxc.json:4:73: lxc_configs.902.storage_pool: a linked clone is on the storage of its parent, a1",
		"lxc.json:4:98: lxc_configs.902.storage_size_gb: 10 is smaller than the 20 of container 901",
		"lxc.json:4:118: lxc_configs.902.unprivileged: unprivileged is false for container 901",
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestALongRingOfClonesIsSpelledOutOnce(t *testing.T) {
	_, got := load(t, files{
		"hosts.yaml": "version: 1\nhosts: {a: {lxc: lxc.json}}\n",
		"lxc.json":   `{"version": 1, "defaults": {"state": "stopped"}, "lxc_configs": {"900": {"clone_from_ctid": 902}, "901": {"clone_from_ctid": 900}, "902": {"clone_from_ctid": 901}}}`,
	})
	if len(got) != 1 || !strings.HasSuffix(got[0], "lxc_configs.900.clone_from_ctid: the containers need each other: 900 -> 902 -> 901 -> 900 (take one of them out)") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestTheLayerThatIsCloserSaysWhereAContainerComesFrom(t *testing.T) {
	f := mustLoad(t, files{
		"hosts.yaml": "version: 1\nhosts: {a: {lxc: lxc.json}}\n",
		"lxc.json": `{"version": 1, "defaults": {"template": "debian-12-standard", "is_template": true},
  "profiles": {"copy": {"clone_from_ctid": 900, "clone_mode": "full"}},
  "lxc_configs": {"900": {}, "901": {"clone_from_ctid": 900}, "902": {"profiles": ["copy"]}, "903": {"profiles": ["copy"], "template": "alpine-3.20-default"}}}`,
	})
	var got []string
	for _, c := range f.Host("a").Containers {
		got = append(got, fmt.Sprintf("%d %q %d %q", c.Spec.CTID, c.Spec.Template, c.Spec.CloneFromCTID, c.Spec.CloneMode))
	}
	want := `900 "debian-12-standard" 0 "" / 901 "" 900 "" / 902 "" 900 "full" / 903 "alpine-3.20-default" 0 ""`
	if text := strings.Join(got, " / "); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if got := fmt.Sprint(f.Host("a").ClonesOf(900)); got != "[901 902]" {
		t.Errorf("clones of 900: %s", got)
	}
}
