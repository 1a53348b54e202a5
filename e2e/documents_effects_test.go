package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The container of the test, before and after every property was changed.
const (
	effectsBefore = `{"version": 1, "lxc_configs": {"900": {
  "name": "a", "template": "debian-12-standard", "storage_pool": "local-lvm", "storage_size_gb": 8,
  "memory_mb": 512, "cores": 1, "unprivileged": false, "rootfs": {"quota": true},
  "network_config": {"name": "eth0", "bridge": "vmbr0", "ip": "10.0.0.2/24", "gw": "10.0.0.1", "mac_address": "BC:24:11:00:00:01"},
  "mount_points": [{"host_path": "/srv/a", "container_path": "/a", "create": true, "owner_uid": 0, "owner_gid": 0}],
  "volumes": [{"storage": "local-lvm", "size_gb": 1, "container_path": "/v", "quota": true}],
  "devices": [{"path": "/dev/fuse", "mode": "0660"}]}}}`
	effectsAfter = `{"version": 1, "lxc_configs": {"900": {
  "name": "b", "template": "debian-12-standard", "storage_pool": "local", "storage_size_gb": 9,
  "memory_mb": 1024, "swap_mb": 0, "cores": 2, "cpu_limit": 1, "cpu_units": 200, "unprivileged": true,
  "description": "d", "tags": ["t"], "os_type": "alpine", "arch": "i386", "nameserver": "10.0.0.1", "searchdomain": "lan",
  "pct_options": {"nesting": true, "keyctl": true, "fuse": true, "mknod": true, "force_rw_sys": true, "mount": ["nfs"]},
  "rootfs": {"read_only": true, "acl": true, "quota": false, "replicate": false, "mount_options": ["noatime"]},
  "apparmor_profile": "unconfined", "idmap": [{"container_id": 0, "host_id": 100000, "count": 1000}],
  "start_at_boot": true, "boot_order": 1, "boot_delay_s": 5, "shutdown_timeout_s": 90, "protection": true,
  "timezone": "Europe/Berlin", "console": false, "console_mode": "shell", "tty_count": 3,
  "hookscript": "local:snippets/hook.sh", "lxc_options": ["lxc.cap.drop: sys_time"], "state": "stopped",
  "network_config": {"name": "eth0", "bridge": "vmbr1", "ip": "10.0.1.2/24", "gw": "10.0.1.1", "ip6": "fd00::2/64",
    "gw6": "fd00::1", "mac_address": "BC:24:11:00:00:02", "vlan": 7, "trunks": [8], "mtu": 1400, "rate_mbs": 5, "firewall": true, "link_down": true},
  "mount_points": [{"host_path": "/srv/b", "container_path": "/a", "read_only": true, "create": true, "owner_uid": 1, "owner_gid": 1,
    "mount_options": ["nodev"], "shared": true, "replicate": false}],
  "volumes": [{"storage": "local-lvm", "size_gb": 2, "container_path": "/v", "read_only": true, "backup": true,
    "acl": true, "quota": false, "replicate": false, "mount_options": ["noatime"]}],
  "devices": [{"path": "/dev/fuse", "mode": "0666", "uid": 1, "gid": 1, "deny_write": true}]}}}`
)

// TestEffectsInTheTablesAreThoseOfACheck changes every property of a running
// container, and holds what a check says of each to docs/configuration.md.
func TestEffectsInTheTablesAreThoseOfACheck(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before.json", effectsBefore)
	write("after.json", effectsAfter)
	write("script", `cp ../before.json phoenix_lxc_configs.json
mkdir -p hosts/pve1/dev hosts/pve1/var/lib/vz/snippets && touch hosts/pve1/dev/fuse
echo '#!/bin/sh' >hosts/pve1/var/lib/vz/snippets/hook.sh && chmod +x hosts/pve1/var/lib/vz/snippets/hook.sh
sed -i '/^dir: local$/,/^$/s/content .*/&,rootdir/' hosts/pve1/etc/pve/storage.cfg
phoenix run -q --tags lxc,template -o text=/dev/stderr || exit 9
cp ../after.json phoenix_lxc_configs.json
exec phoenix check -q --tags lxc -o json
`)
	o := finish(t, documentCommand(t.Context(), dir, "phoenix", "lab", "--hosts", "1", "--dir", "lab", "--", "bash", "../script")).want(t, 2)
	seen := map[string]bool{}
	effects := effectColumns(t)
	for _, h := range o.report(t).Hosts {
		for _, s := range h.Steps {
			for _, c := range s.Changes {
				key := tableKey(c.Path)
				seen[key] = true
				if want := effects[key]; want == "" || !strings.HasPrefix(strings.TrimPrefix(want, "grow: "), c.Effect) {
					t.Errorf("%s: a check says %q, the table %q", c.Path, c.Effect, want)
				}
			}
		}
	}
	// Not seen in a comparison: how things are known by, what only creating uses, what
	// is no property, and what cannot be with a directory of the host; the family's own
	// tests have those.
	unseen := " container.template container.template_storage container.profiles container.host container.depends_on container.restart " +
		"container.clone_from_ctid container.clone_mode container.clone_from_snapshot container.is_template container.template_snapshot_name " +
		"container.pct_options container.rootfs container.network_config container.firewall container.mount_points container.volumes container.devices container.gpu_assignment container.gpu_memory_gb " +
		"container.snapshot_before_change container.rollback_on_failure container.enable_lifecycle_snapshots container.snapshot_retention container.remove_failed " +
		"container.health_checks device.group " +
		"container.features container.packages container.files container.application_script container.portainer_role container.base_setup container.docker " +
		"container.nvidia container.trusted_ca container.portainer container.python_service container.vllm container.ollama " +
		"interface.name mount_point.container_path mount_point.create volume.container_path volume.storage device.path " +
		"id_range.type id_range.container_id id_range.host_id id_range.count "
	for key := range effects {
		if !seen[key] && !strings.Contains(unseen, " "+key+" ") {
			t.Errorf("%s has an effect in the table, and the test does not change it", key)
		}
	}
}

// tableKey turns a path of a change into "TABLE.KEY".
func tableKey(path string) string {
	key := path[strings.LastIndex(path, ".")+1:]
	section, _, _ := strings.Cut(path, ".")
	table := map[string]string{
		"pct_options": "features", "network_config": "interface", "mount_points": "mount_point", "volumes": "volume", "devices": "device", "rootfs": "mount_flags",
	}[section]
	if table == "" {
		table = "container"
	}
	return table + "." + key
}

// effectColumns reads the effects from the tables of the LXC file.
func effectColumns(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repositoryRoot, "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, text := range strings.Split(string(data), "<!-- schema: lxc #/$defs/")[1:] {
		name, table, _ := strings.Cut(text, " -->\n")
		rows, _, _ := strings.Cut(table, "\n\n")
		if !strings.Contains(rows, "| effect |") {
			continue // all of it is live; its family's own tests have that
		}
		for _, row := range strings.Split(rows, "\n")[2:] {
			cells := strings.Split(strings.ReplaceAll(row, `\|`, ""), " | ")
			out[name+"."+strings.Trim(cells[0], "|` ")] = cells[3]
		}
	}
	if len(out) < 50 {
		t.Fatalf("the tables have %d effects: the search is broken", len(out))
	}
	return out
}
