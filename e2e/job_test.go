package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/e2e/realhost"
)

// hypervisor and containers use every family at least once.
const hypervisor = `{
  "version": 1,
  "system": { "timezone": "Europe/Berlin", "ntp": true },
  "apt": { "packages": ["curl", "-nano"], "hold": ["pve-manager"] },
  "files": {
    "/etc/phoenix-demo": { "state": "directory", "mode": "0750" },
    "/etc/phoenix-demo/motd": { "content": "one\ntwo\n", "mode": "0640", "owner": "root" },
    "/etc/phoenix-demo/old": { "state": "absent" },
  },
  "services": { "chrony": { "enabled": true, "active": true }, "cron": { "enabled": true, "active": true } },
  "storage": { "tank": { "type": "dir", "path": "/srv/tank", "content": ["rootdir", "images"] } },
  "templates": [{ "name": "debian-12-standard", "storage": "local" }],
}
`

const containers = `{
  "version": 1,
  "lxc_configs": {
    "900": {
      "name": "web", "template": "debian-12-standard", "storage_pool": "tank", "storage_size_gb": 4,
      "memory_mb": 512, "swap_mb": 0, "cores": 1, "unprivileged": true, "tags": ["prod", "web"], "description": "line one\nline two",
      "pct_options": { "nesting": true },
      "network_config": { "name": "eth0", "bridge": "vmbr0", "ip": "10.0.0.50/24", "gw": "10.0.0.1", "firewall": true },
      "start_at_boot": true, "boot_order": 2,
    },
    "901": {
      "name": "db", "template": "debian-12-standard", "storage_pool": "tank", "storage_size_gb": 2, "memory_mb": 256, "state": "stopped", "depends_on": [900],
      "volumes": [{ "storage": "tank", "size_gb": 1, "container_path": "/data" }],
      "mount_points": [{ "host_path": "/srv/share", "container_path": "/share", "create": true, "owner_uid": 1000, "owner_gid": 1000 }],
      "lxc_options": ["lxc.cgroup2.devices.allow: c 10:200 rwm"],
    },
  },
}
`

func (r *rig) configure(t *testing.T, hypervisor, containers string) {
	t.Helper()
	r.inventory(t, "")
	r.write(t, "hypervisor.json", hypervisor)
	r.write(t, "lxc.json", containers)
}

func TestTheMainJob(t *testing.T) {
	r := newRig(t, 2, realhost.Options{})
	r.configure(t, hypervisor, containers)

	before := r.digests(t)
	first := r.phoenix(t, "check", "-o", "json").want(t, 2).report(t)
	if got := first.statuses(); got != "pve1 drifted, pve2 drifted" {
		t.Errorf("a fresh fleet is %s", got)
	}
	r.phoenix(t, "run", "--dry-run").want(t, 2).says(t, "would change")
	if after := r.digests(t); !slices.Equal(before, after) {
		t.Errorf("a check or a dry run wrote on a host:\n%s", diff(before, after))
	}

	run := r.phoenix(t, "run", "-o", "json").want(t, 0).report(t)
	if got := run.statuses(); got != "pve1 changed, pve2 changed" {
		t.Errorf("after the run the fleet is %s", got)
	}
	converged := r.digests(t)
	r.phoenix(t, "check").want(t, 0)
	again := r.phoenix(t, "run", "-o", "json").want(t, 0).report(t)
	if got := again.changes(); len(got) > 0 || again.statuses() != "pve1 ok, pve2 ok" {
		t.Errorf("a second run changed %v: %s", got, again.statuses())
	}
	if after := withoutRecords(r.digests(t)); !slices.Equal(withoutRecords(converged), after) {
		t.Errorf("a second run wrote on a host:\n%s", diff(converged, after))
	}
	conf := r.read(t, 0, "/etc/pve/lxc/900.conf")
	for _, line := range []string{"hostname: web", "memory: 512", "swap: 0", "tags: prod;web", "onboot: 1", "startup: order=2", "features: nesting=1"} {
		if !strings.Contains(conf, line+"\n") {
			t.Errorf("900.conf lacks %q:\n%s", line, conf)
		}
	}
}

func TestAValueChangedByHandShowsAsExactlyThatProperty(t *testing.T) {
	r := newRig(t, 1, realhost.Options{})
	r.configure(t, hypervisor, containers)
	r.phoenix(t, "run").want(t, 0)
	cases := []struct {
		name string
		by   []string
		want string
	}{
		{"memory", []string{"pct", "set", "900", "--memory", "768"}, "pve1 lxc:900 memory_mb"},
		{"tags", []string{"pct", "set", "900", "--tags", "prod"}, "pve1 lxc:900 tags"},
		{"description", []string{"pct", "set", "900", "--description", "other"}, "pve1 lxc:900 description"},
		{"a stopped container", []string{"pct", "stop", "900"}, "pve1 lxc:900 state"},
		{"boot", []string{"pct", "set", "900", "--onboot", "0"}, "pve1 lxc:900 start_at_boot"},
		{"a raw option", []string{"sed", "-i", "s/10:200/10:201/", "/etc/pve/lxc/901.conf"}, "pve1 lxc:901 lxc_options"},
		{"content of a file", []string{"sh", "-c", "echo three >> /etc/phoenix-demo/motd"}, "pve1 file:/etc/phoenix-demo/motd content"},
		{"mode of a file", []string{"chmod", "0600", "/etc/phoenix-demo/motd"}, "pve1 file:/etc/phoenix-demo/motd mode"},
		{"storage content", []string{"pvesm", "set", "tank", "--content", "rootdir"}, "pve1 storage:tank content"},
		{"time zone", []string{"timedatectl", "set-timezone", "Etc/UTC"}, "pve1 system:time timezone"},
		{"a stopped service", []string{"systemctl", "stop", "cron"}, "pve1 service:cron active"},
		{"a hold taken back", []string{"apt-mark", "unhold", "pve-manager"}, "pve1 apt:packages hold.pve-manager"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := r.Hosts[0].Exec(t.Context(), c.by...); err != nil {
				t.Fatal(err)
			}
			got := r.phoenix(t, "check", "-o", "json").want(t, 2).report(t).changes()
			if !slices.Equal(got, []string{c.want}) {
				t.Errorf("the check shows %v, want %s alone", got, c.want)
			}
			fixed := r.phoenix(t, "run", "-o", "json").want(t, 0).report(t).changes()
			if !slices.Equal(fixed, []string{c.want}) {
				t.Errorf("the run changed %v, want %s alone", fixed, c.want)
			}
			r.phoenix(t, "check").want(t, 0)
		})
	}
}

// withoutRecords leaves out phoenix's own records of runs, which every run adds to.
func withoutRecords(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(l, " /var/lib/phoenix/runs") })
}

// read is the content of a file on a host.
func (r *rig) read(t *testing.T, host int, path string) string {
	t.Helper()
	data, err := os.ReadFile(r.Hosts[host].Path(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// digests lists path, mode, owner and content hash of everything on every host that
// a run could change, sorted. Phoenix's own helper is the one thing that a check
// may put there.
func (r *rig) digests(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, h := range r.Hosts {
		for _, top := range []string{"/etc", "/var/lib/vz", "/var/lib/dpkg", "/var/lib/apt", "/var/lib/pve-manager", "/var/lib/lxc", "/var/lib/phoenix", "/srv", "/run", "/root/.ssh", "/home", "/boot", "/proc", "/sys", "/.sim"} {
			err := filepath.WalkDir(h.Path(top), func(path string, d fs.DirEntry, err error) error {
				if os.IsNotExist(err) {
					return nil
				}
				if err != nil {
					return err
				}
				line, err := describe(path, d)
				rel := strings.TrimPrefix(path, h.Path("/"))
				if err == nil && line != "" && !strings.HasPrefix(rel, "/var/lib/phoenix/agentlet-") && rel != "/var/lib/phoenix" {
					out = append(out, h.Name+" "+rel+" "+line)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(out)
	return out
}

func describe(path string, d fs.DirEntry) (string, error) {
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	switch {
	case d.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		return "-> " + target, err
	case d.Type().IsRegular():
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		// Volumes are sparse files of gigabytes; their size and beginning will do.
		h := sha256.New()
		_, err = io.Copy(h, io.LimitReader(f, 1<<20))
		return fmt.Sprintf("%s %d %s", info.Mode(), info.Size(), hex.EncodeToString(h.Sum(nil)[:8])), err
	case d.IsDir():
		return info.Mode().String(), nil
	}
	return "", nil
}

// diff lists what is in one list only.
func diff(a, b []string) string {
	var out []string
	for _, line := range a {
		if !slices.Contains(b, line) {
			out = append(out, "- "+line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			out = append(out, "+ "+line)
		}
	}
	return strings.Join(out, "\n")
}
