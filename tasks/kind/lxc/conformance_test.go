package lxc_test

import (
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/taskstest"
)

// full asks for every property at once.
const full = `{"ctid":900,"name":"web1","description":"Web: server 100%\nsecond line","tags":["Web","prod"],` +
	`"template":"debian-12-standard","storage_pool":"local-lvm","storage_size_gb":8,"memory_mb":2048,"swap_mb":0,"cores":2,` +
	`"cpu_limit":1.5,"cpu_units":200,"unprivileged":true,"pct_options":{"nesting":true,"keyctl":true,"fuse":false,"mount":["nfs","cifs"]},` +
	`"network_config":[{"name":"eth0","bridge":"vmbr0","ip":"10.99.99.50/24","gw":"10.99.99.1","ip6":"auto","mac_address":"bc:24:11:00:00:0a","vlan":5,"mtu":1400,"rate_mbs":12.5,"firewall":true},` +
	`{"name":"eth1","bridge":"vmbr1","ip":"dhcp","link_down":true}],"nameserver":"1.1.1.1, 9.9.9.9","searchdomain":"lan",` +
	`"mount_points":[{"host_path":"/srv/data","container_path":"/data","owner_uid":1000,"owner_gid":1000,"read_only":true,"create":true}],` +
	`"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/var/lib/db","backup":true}],` +
	`"devices":[{"path":"/dev/null","mode":"0660","gid":44}],` +
	`"start_at_boot":true,"boot_order":3,"boot_delay_s":5,"shutdown_timeout_s":90,"protection":true,"timezone":"Europe/Berlin",` +
	`"console":false,"console_mode":"shell","tty_count":3,"lxc_options":["lxc.mount.auto: sys:rw","lxc.prlimit.nofile: 4096"]}`

// byHand is a change with Proxmox's own program, or in the file.
func byHand(t *testing.T, h tasks.Host, line string) {
	t.Helper()
	out, err := h.Run(t.Context(), tasks.Cmd{Argv: strings.Fields(line)})
	if err != nil || out.Code != 0 {
		t.Fatalf("%s: %v %d %s", line, err, out.Code, out.Stderr)
	}
}

func drift(name, line string, paths ...string) taskstest.Drift {
	return taskstest.Drift{Name: name, Paths: paths, Make: func(t *testing.T, h tasks.Host) { byHand(t, h, line) }}
}

// TestConformanceOfWhatComesFromAContainerAndWhatOthersComeFrom has a parent at hand
// that a person has made.
func TestConformanceOfWhatComesFromAContainerAndWhatOthersComeFrom(t *testing.T) {
	shared := []taskstest.Drift{
		drift("another name", "pct set 900 --hostname other", "name"),
		drift("less memory", "pct set 900 --memory 64", "memory_mb"),
		drift("another address", "pct set 900 --net0 name=eth0,bridge=vmbr0,ip=10.0.0.7/24", "network_config.eth0.ip"),
	}
	for name, c := range map[string]struct {
		spec, parent string
		drifts       []taskstest.Drift
	}{
		"a copy":         {spec: cloned(""), drifts: append(shared, drift("stopped", "pct stop 900", "state"))},
		"a linked clone": {spec: cloned(`"clone_mode":"linked"`), parent: "pct template 800", drifts: shared},
		"a template":     {spec: cloned(`"is_template":true`), drifts: shared},
		"a clone with a snapshot of its own": {spec: cloned(`"template_snapshot_name":"gpu-snapshot"`), parent: "pct template 800",
			drifts: append(shared, drift("no snapshot", "pct delsnapshot 900 gpu-snapshot", "template_snapshot_name"))},
	} {
		t.Run(name, func(t *testing.T) {
			taskstest.Suite{
				Kind: lxc.Kind(), Spec: c.spec, Consent: tasks.Consent{Restart: true}, Drifts: c.drifts,
				New: func(t *testing.T) taskstest.Machine {
					m := newParent(t, newMachine(t, "8.4"), "local-lvm")
					if c.parent != "" {
						m.sh(t, c.parent)
					}
					return taskstest.Machine{Host: m.sim.Host(), Digest: m.sim.Digest}
				},
			}.Run(t)
		})
	}
}

func TestConformance(t *testing.T) {
	for name, spec := range map[string]string{"a small container": spec(""), "every property": full} {
		t.Run(name, func(t *testing.T) {
			taskstest.Suite{
				Kind: lxc.Kind(), Spec: spec, Consent: tasks.Consent{Restart: true},
				New: func(t *testing.T) taskstest.Machine {
					m := newMachine(t, "8.4")
					return taskstest.Machine{Host: m.sim.Host(), Digest: m.sim.Digest}
				},
			}.Run(t)
		})
	}
}
