package plan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"phoenix/tasks/kind/lxc"
)

// drawing draws an LXC file: containers from templates and clones of them, which are
// parents of others, with cards and whatever else can be said of them. It draws nothing
// that validation would refuse, which has tests of its own.
type drawing struct {
	*rand.Rand
	containers map[string]map[string]any
	parents    []parent
	next       int
}

// parent is a container that clones can be made of.
type parent struct {
	ctid     int
	snapshot string
	size     float64
}

func draw(seed uint64) *drawing {
	d := &drawing{Rand: rand.New(rand.NewPCG(seed, 11)), containers: map[string]map[string]any{}, next: 900}
	for range 3 + d.IntN(3) {
		d.container()
	}
	return d
}

func (d *drawing) some() bool { return d.IntN(2) == 0 }

func pick[T any](d *drawing, values ...T) T { return values[d.IntN(len(values))] }

// file is the whole document. What is shared comes from the defaults and a profile.
func (d *drawing) file() string {
	doc := map[string]any{
		"version":     1,
		"defaults":    d.settings(),
		"profiles":    map[string]any{"one": d.settings(), "two": map[string]any{"pct_options": map[string]any{"nesting": true}}},
		"lxc_configs": d.containers,
	}
	text, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		panic(err) // maps of plain values
	}
	return string(text)
}

// settings are those that any container can have, whatever it is made of.
func (d *drawing) settings() map[string]any {
	s := map[string]any{}
	set := func(key string, value any) {
		if d.some() {
			s[key] = value
		}
	}
	set("description", pick(d, "", "one", "a: 100%\nüber"))
	set("tags", pick(d, []string{}, []string{"b", "A"}, []string{"x-1.2"}))
	set("memory_mb", pick(d, 64, 512, 1000))
	set("swap_mb", pick(d, 0, 512, 100))
	set("cores", pick(d, 1, 3))
	set("cpu_limit", pick(d, 0, 0.5, 2.25))
	set("cpu_units", pick(d, 1, 100, 1000))
	set("nameserver", pick(d, "1.1.1.1", "1.1.1.1 9.9.9.9"))
	set("searchdomain", pick(d, "lan", "lan example.org"))
	set("boot_delay_s", d.IntN(3)*5)
	set("shutdown_timeout_s", pick(d, 30, 180))
	set("timezone", pick(d, "host", "UTC", "Europe/Berlin"))
	set("console", d.some())
	set("console_mode", pick(d, "tty", "shell"))
	set("tty_count", d.IntN(7))
	set("pct_options", map[string]any{"nesting": d.some(), pick(d, "keyctl", "fuse"): d.some()})
	return s
}

// container adds one. Half of those that can be are clones.
func (d *drawing) container() {
	ctid := d.next
	d.next += 1 + d.IntN(3)
	s := d.settings()
	s["name"] = fmt.Sprintf("ct%d", ctid)
	s["profiles"] = pick(d, []string{}, []string{"one"}, []string{"one", "two"})
	size := d.origin(s)
	role := d.IntN(4)
	switch role {
	case 0:
		s["is_template"] = true
		d.parents = append(d.parents, parent{ctid: ctid, size: size})
	case 1:
		s["template_snapshot_name"] = "base"
		s["state"] = pick(d, lxc.StateStopped, lxc.StateRunning)
		d.parents = append(d.parents, parent{ctid, "base", size})
	default:
		s["state"] = pick(d, lxc.StateRunning, lxc.StateRunning, lxc.StateStopped)
		s["start_at_boot"], s["boot_order"] = d.some(), ctid
		d.mounts(s, ctid)
	}
	d.network(s, ctid, role > 1)
	if d.some() {
		s["gpu_assignment"] = pick[any](d, "none", "all", 0, "1", "0,1")
	}
	if d.some() {
		s["devices"] = []map[string]any{{"path": pick(d, "/dev/null", "/dev/zero"), "mode": pick(d, "0660", "0600"), "gid": 5}}
	}
	if d.some() {
		s["lxc_options"] = pick(d, []string{}, []string{"lxc.prlimit.nofile: 4096"})
	}
	d.containers[fmt.Sprint(ctid)] = s
}

// origin says what the container is made of, and returns its size.
func (d *drawing) origin(s map[string]any) float64 {
	if len(d.parents) == 0 || d.IntN(4) == 0 {
		s["template"], s["storage_pool"], s["storage_size_gb"] = "debian-12-standard", "local-lvm", 1.5
		return 1.5
	}
	p := d.parents[d.IntN(len(d.parents))]
	s["clone_from_ctid"] = p.ctid
	if p.snapshot != "" {
		s["clone_from_snapshot"] = p.snapshot
	}
	if d.some() {
		p.size += 0.5
		s["storage_size_gb"] = p.size
	}
	return p.size
}

// network gives each container addresses of its own.
func (d *drawing) network(s map[string]any, ctid int, second bool) {
	n := map[string]any{"name": "eth0", "bridge": "vmbr0", "ip": fmt.Sprintf("10.99.98.%d/24", ctid-800), "gw": "10.99.98.1"}
	for key, value := range map[string]any{"vlan": 7, "mtu": 1400, "rate_mbs": 12.5, "firewall": d.some(), "mac_address": fmt.Sprintf("BC:24:11:00:%02X:%02X", ctid/256, ctid%256)} {
		if key[0]%2 == byte(ctid%2) { // not drawn: the order of a map is drawn anew each time
			n[key] = value
		}
	}
	list := []map[string]any{n}
	if second && d.some() {
		list = append(list, map[string]any{"name": "lan", "bridge": "vmbr0", "ip": "dhcp", "ip6": "auto"})
	}
	s["network_config"] = list
}

// mounts gives a container that nobody is made of a volume and a directory of the host.
func (d *drawing) mounts(s map[string]any, ctid int) {
	if d.some() {
		s["volumes"] = []map[string]any{{"storage": "local-lvm", "size_gb": 0.5, "container_path": fmt.Sprintf("/vol%d", ctid), "backup": d.some()}}
	}
	if d.some() {
		s["mount_points"] = []map[string]any{{"host_path": fmt.Sprintf("/srv/ct%d", ctid), "container_path": "/data", "read_only": d.some(),
			"create": true, "owner_uid": 33, "owner_gid": 33}}
	}
}
