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
	`"cpu_limit":1.5,"cpu_units":200,"unprivileged":true,"arch":"amd64","pct_options":{"nesting":true,"keyctl":true,"fuse":false,"force_rw_sys":true,"mount":["nfs","cifs"]},` +
	`"rootfs":{"acl":true,"replicate":false,"mount_options":["noatime","discard"]},` +
	`"network_config":[{"name":"eth0","bridge":"vmbr0","ip":"10.99.99.50/24","gw":"10.99.99.1","ip6":"auto","mac_address":"bc:24:11:00:00:0a","vlan":5,"trunks":[7,6],"mtu":1400,"rate_mbs":12.5,"firewall":true},` +
	`{"name":"eth1","bridge":"vmbr1","ip":"dhcp","link_down":true}],"nameserver":"1.1.1.1, 9.9.9.9","searchdomain":"lan",` +
	`"mount_points":[{"host_path":"/srv/data","container_path":"/data","owner_uid":1000,"owner_gid":1000,"read_only":true,"create":true,"shared":true,"replicate":false,"mount_options":["nodev"]}],` +
	`"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/var/lib/db","backup":true,"acl":false,"quota":false,"replicate":false,"mount_options":["noatime"]}],` +
	`"devices":[{"path":"/dev/null","mode":"0660","gid":44}],` +
	`"start_at_boot":true,"boot_order":3,"boot_delay_s":5,"shutdown_timeout_s":90,"protection":true,"timezone":"Europe/Berlin",` +
	`"console":false,"console_mode":"shell","tty_count":3,"lxc_options":["lxc.mount.auto: sys:rw","lxc.prlimit.nofile: 4096"],"apparmor_profile":"unconfined",` +
	`"idmap":[{"container_id":0,"host_id":100000,"count":1000},{"type":"uid","container_id":1000,"host_id":150000,"count":1},{"type":"gid","container_id":1000,"host_id":101000,"count":64536}]}`

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
	const root = "pct set 900 --rootfs local-lvm:vm-900-disk-0,size=8G"
	drifts := map[string][]taskstest.Drift{"every property": {
		drift("another root volume's options", root+",acl=1,mountoptions=nosuid", "rootfs.replicate", "rootfs.mount_options"),
		drift("no access lists", root+",acl=0,replicate=0,mountoptions=discard;noatime", "rootfs.acl"),
		drift("another architecture", "pct set 900 --arch i386", "arch"),
		drift("another description", "pct set 900 --description other", "description"),
		edited("another /sys", "force_rw_sys=1,", "", "pct_options.force_rw_sys"),
		edited("other VLANs", "trunks=6;7,", "trunks=7,", "network_config.eth0.trunks"),
		edited("access lists of a volume", "acl=0,", "acl=1,", "volumes./var/lib/db.acl"),
		edited("a replicated volume", ",replicate=0,size=1G", ",size=1G", "volumes./var/lib/db.replicate"),
		edited("a mount of one node", ",shared=1", "", "mount_points./data.shared"),
		edited("a mount with devices", "mountoptions=nodev,", "", "mount_points./data.mount_options"),
		edited("another profile", "lxc.apparmor.profile: unconfined\n", "", "apparmor_profile"),
		edited("another map", "lxc.idmap: u 1000 150000 1\n", "", "idmap"),
	}}
	for name, spec := range map[string]string{"a small container": spec(""), "every property": full} {
		t.Run(name, func(t *testing.T) {
			taskstest.Suite{
				Kind: lxc.Kind(), Spec: spec, Consent: tasks.Consent{Restart: true}, Drifts: drifts[name],
				New: func(t *testing.T) taskstest.Machine {
					m := newMachine(t, "8.4")
					return taskstest.Machine{Host: m.sim.Host(), Digest: m.sim.Digest}
				},
			}.Run(t)
		})
	}
}
