package lxc_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/pve"
	"phoenix/tasks/taskstest"
)

// generator draws what a person may ask of a container. What can only grow, or would
// need a new container, is drawn so that it can be had.
type generator struct {
	*rand.Rand
	root float64
	data map[string]float64 // size of the volume at each path
	used map[string]string  // kind of what is mounted at each path
	// origin is where the container comes from.
	origin map[string]any
	// volumes keeps directories of the host out, with which Proxmox takes no snapshot
	// and makes no template.
	volumes, snapshot bool
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 7)), root: 1, data: map[string]float64{}, used: map[string]string{},
		origin: map[string]any{"template": "debian-12-standard", "storage_pool": "local-lvm"}}
}

// parent draws what the container is made of: half of them are clones of a container
// that stands still, is a template, or runs and has a snapshot.
func (g *generator) parent(t *testing.T, m *machine) {
	t.Helper()
	g.volumes = g.some()
	g.snapshot = g.volumes && g.some()
	if g.some() {
		return
	}
	g.root = 2
	m.sh(t, "pct create 800 "+template+" --rootfs local-lvm:1.5 --unprivileged 1 --net0 name=eth0,bridge=vmbr0,ip=dhcp,hwaddr="+parentMAC+
		" --features nesting=1 --tags base --description parent")
	g.origin = map[string]any{"clone_from_ctid": 800}
	switch g.IntN(4) {
	case 0:
		m.sh(t, "pct template 800")
		if g.some() {
			g.origin["clone_mode"] = oneOf(g, "linked", "full")
		}
	case 1:
		m.sh(t, "pct start 800")
		m.sh(t, "pct snapshot 800 base")
		g.origin["clone_from_snapshot"] = "base"
	case 2:
		g.origin["storage_pool"] = "local-lvm"
	}
}

// some is true in half of the cases: a property that is mentioned or not.
func (g *generator) some() bool { return g.IntN(2) == 0 }

func oneOf[T any](g *generator, values ...T) T { return values[g.IntN(len(values))] }

// spec draws a whole spec.
func (g *generator) spec() map[string]any {
	s := map[string]any{"ctid": 900}
	maps.Copy(s, g.origin)
	if g.snapshot {
		s["template_snapshot_name"] = "mine"
	}
	set := func(key string, value any) {
		if g.some() {
			s[key] = value
		}
	}
	set("state", oneOf(g, "running", "running", "stopped"))
	set("name", oneOf(g, "web1", "web2.lan", "A-b"))
	set("description", oneOf(g, "", "one", "a: 100%\nüber\n\n#x", "\n\nlate", "trailing\n\n", "%41 %zz"))
	set("tags", oneOf(g, []string{}, []string{"b", "A", "b"}, []string{"x-1.2"}))
	set("memory_mb", oneOf(g, 64, 512, 1000))
	set("swap_mb", oneOf(g, 0, 512, 100))
	set("cores", oneOf(g, 1, 3))
	set("cpu_limit", oneOf(g, 0, 0.5, 2.25))
	set("cpu_units", oneOf(g, 1, 100, 10000))
	set("nameserver", oneOf(g, "1.1.1.1", "1.1.1.1,9.9.9.9", "fe80::1%eth0 ::1"))
	set("searchdomain", oneOf(g, "lan", "lan; example.org"))
	set("start_at_boot", g.some())
	set("boot_order", g.IntN(3))
	set("boot_delay_s", g.IntN(2)*5)
	set("shutdown_timeout_s", oneOf(g, 0, 180, 30))
	set("protection", g.some())
	set("timezone", oneOf(g, "host", "UTC", "Europe/Berlin"))
	set("console", g.some())
	set("console_mode", oneOf(g, "tty", "shell", "console"))
	set("tty_count", g.IntN(7))
	set("os_type", oneOf(g, "debian", "ubuntu"))
	set("pct_options", g.features())
	set("network_config", g.interfaces())
	set("devices", g.devices())
	set("gpu_assignment", oneOf[any](g, "none", "all", "0", []any{1, "0000:01:00.0"}, uuid2))
	set("lxc_options", oneOf(g, []string{}, []string{"lxc.prlimit.nofile: 4096"},
		[]string{"lxc.cap.drop: sys_time", "lxc.prlimit.nofile = 10"}, []string{"lxc.prlimit.nofile: 10", "lxc.cap.drop: sys_time"}))
	set("apparmor_profile", oneOf(g, "generated", "unconfined", "lxc-container-default-cgns"))
	set("idmap", oneOf(g, []map[string]any{}, g.ids(1000), g.ids(33), []map[string]any{{"container_id": 0, "host_id": 100000, "count": 65536}}))
	set("arch", oneOf(g, "amd64", "i386"))
	set("rootfs", g.flags(map[string]any{}))
	g.root += float64(1+g.IntN(3)) * 0.3
	s["storage_size_gb"] = g.root
	g.mounts(s)
	return s
}

// ids maps one user to another of the host than its neighbours.
func (g *generator) ids(user int) []map[string]any {
	return []map[string]any{
		{"container_id": 0, "host_id": 100000, "count": user},
		{"type": "uid", "container_id": user, "host_id": 160000, "count": 1},
		{"type": "gid", "container_id": user, "host_id": 100000 + user, "count": 50000},
	}
}

// flags draws how a volume is mounted.
func (g *generator) flags(m map[string]any) map[string]any {
	for _, key := range []string{"read_only", "acl", "replicate"} {
		if g.some() {
			m[key] = g.some()
		}
	}
	if g.some() {
		m["quota"] = false
	}
	if g.some() {
		m["mount_options"] = oneOf(g, []string{}, []string{"nosuid", "nodev"}, []string{"noatime"})
	}
	return m
}

func (g *generator) features() map[string]any {
	f := map[string]any{}
	for _, key := range []string{"nesting", "keyctl", "fuse", "mknod", "force_rw_sys"} {
		if g.some() {
			f[key] = g.some()
		}
	}
	if g.some() {
		f["mount"] = oneOf(g, []string{}, []string{"nfs", "cifs"}, []string{"ext4"})
	}
	return f
}

func (g *generator) interfaces() []map[string]any {
	var out []map[string]any
	for _, name := range []string{"eth0", "eth1", "lan"} {
		if g.some() {
			continue
		}
		n := map[string]any{"name": name, "bridge": oneOf(g, "vmbr0", "vmbr1")}
		set := func(key string, value any) {
			if g.some() {
				n[key] = value
			}
		}
		n["ip"] = oneOf(g, "dhcp", "manual", "10.0.0.5/24", "")
		if strings.Contains(fmt.Sprint(n["ip"]), "/") {
			set("gw", "10.0.0.1")
		}
		n["ip6"] = oneOf(g, "auto", "dhcp", "FD00::5/64", "")
		if strings.Contains(fmt.Sprint(n["ip6"]), "/") {
			set("gw6", "fd00:0::1")
		}
		set("mac_address", oneOf(g, "BC:24:11:aa:bb:01", "02:00:00:00:00:0f"))
		set("vlan", oneOf(g, 1, 4094))
		set("trunks", oneOf(g, []int{}, []int{30, 4}, []int{5}))
		set("mtu", oneOf(g, 1400, 1500))
		set("rate_mbs", oneOf(g, 0.5, 12))
		set("firewall", g.some())
		set("link_down", g.some())
		out = append(out, n)
	}
	return out
}

func (g *generator) devices() []map[string]any {
	d := map[string]any{"path": oneOf(g, "/dev/null", "/dev/zero")}
	for key, value := range map[string]any{"mode": oneOf(g, "0660", "0600"), "uid": g.IntN(2) * 5, "gid": g.IntN(2) * 44, "deny_write": g.some()} {
		if g.some() {
			d[key] = value
		}
	}
	return []map[string]any{d}
}

// mounts draws mount points and volumes; a path that has one kind keeps it.
func (g *generator) mounts(s map[string]any) {
	var binds, volumes []map[string]any
	for _, at := range []string{"/a", "/b", "/srv/c"} {
		if g.some() {
			continue
		}
		if g.used[at] == "" {
			g.used[at] = oneOf(g, "bind", "volume")
		}
		if g.volumes {
			g.used[at] = "volume"
		}
		m := g.flags(map[string]any{"container_path": at})
		if g.used[at] == "bind" {
			delete(m, "acl")
			delete(m, "quota")
			if g.some() {
				m["shared"] = g.some()
			}
			m["host_path"], m["create"] = oneOf(g, "/srv/one", "/srv/two")+at, true
			if g.some() {
				m["owner_uid"], m["owner_gid"] = g.IntN(2)*33, g.IntN(2)*33
			}
			binds = append(binds, m)
			continue
		}
		g.data[at] = max(g.data[at], 0.5) + float64(g.IntN(3))*0.1
		m["storage"], m["size_gb"] = "local-lvm", g.data[at]
		if g.some() {
			m["backup"] = g.some()
		}
		volumes = append(volumes, m)
	}
	s["mount_points"], s["volumes"] = binds, volumes
}

// merged is what a container has after both specs were applied, where that is plain.
func merged(first, second map[string]any) map[string]any {
	out := maps.Clone(first)
	for key, value := range second {
		out[key] = value
	}
	return out
}

func encodeSpec(t *testing.T, s map[string]any) string {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestEveryDrawnContainerConverges makes a container after a drawn spec, lets a person
// stage something, and applies a second drawn spec: afterwards nothing differs, nothing
// is sent again, and nothing that was not mentioned is gone.
func TestEveryDrawnContainerConverges(t *testing.T) {
	for seed := range uint64(32) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			g := newGenerator(seed)
			m := gpuMachine(t, oneOf(g, "8.4", "9.1"))
			g.parent(t, m)
			first, second := g.spec(), g.spec()
			m.settle(t, encodeSpec(t, first), tasks.Consent{Restart: true})
			m.drawnChange(t, g)
			before := m.conf(t)
			m.settle(t, encodeSpec(t, second), tasks.Consent{Restart: g.some()})
			m.nothingLost(t, before, second)
			m.settle(t, encodeSpec(t, merged(first, second)), tasks.Consent{Restart: true})
			m.volumesAreThoseOfThePaths(t, g)
			if slices.Contains(macs(m.conf(t)), parentMAC) {
				t.Errorf("it has the address of its parent\n%s", m.conf(t))
			}
			m.becomesATemplate(t, g, merged(first, second))
		})
	}
}

// settle applies a spec and wants that to be all.
func (m *machine) settle(t *testing.T, spec string, consent tasks.Consent) {
	t.Helper()
	begin := m.conf900()
	digest := m.digest(t)
	dry := m.check(t, spec)
	if m.digest(t) != digest {
		t.Fatalf("the check of %s changed the machine", spec)
	}
	res := m.apply(t, spec, consent)
	told := func(format string, what ...any) {
		t.Helper()
		t.Fatalf("%s\nspec %s\nbefore\n%s\nafter\n%s\ndry run %+v\nresult %+v\ncalls %q",
			fmt.Sprintf(format, what...), spec, begin, m.conf900(), dry.Changes, res, m.pct())
	}
	if res.Status == tasks.StatusFailed || dry.Status == tasks.StatusFailed {
		told("failed: %s %s", dry.Why, res.Why)
	}
	m.Recorder = taskstest.NewRecorder(m.sim.Host())
	again := m.apply(t, spec, consent)
	if n := len(m.Changes()); n > 0 {
		told("the second run did %v", m.Changes())
	}
	if again.Status == tasks.StatusSkipped && again.Cause == tasks.CausePending && !consent.Restart {
		return
	}
	if again.Status != tasks.StatusOK {
		told("the second run ended as %+v", again)
	}
}

// becomesATemplate is the end of containers that can be one.
func (m *machine) becomesATemplate(t *testing.T, g *generator, s map[string]any) {
	t.Helper()
	if !g.volumes || g.snapshot {
		return
	}
	s["is_template"], s["start_at_boot"] = true, false
	delete(s, "state")
	m.settle(t, encodeSpec(t, s), tasks.Consent{})
	if !strings.Contains(m.conf(t), "\ntemplate: 1\n") {
		t.Errorf("it is no template\n%s", m.conf(t))
	}
}

func (m *machine) digest(t *testing.T) string {
	t.Helper()
	d, err := m.sim.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (m *machine) conf900() string {
	data, err := m.sim.Host().ReadFile("/etc/pve/lxc/900.conf")
	if err != nil {
		return "(none)"
	}
	return string(data)
}

// drawnChange is what a person does in between, with Proxmox's own program.
func (m *machine) drawnChange(t *testing.T, g *generator) {
	t.Helper()
	lines := []string{
		"pct set 900 --features nesting=1,fuse=yes", "pct set 900 --nameserver 8.8.8.8", "pct set 900 --timezone Asia/Tokyo",
		"pct set 900 --tty 1 --onboot yes --startup 2", "pct set 900 --tags Z,y --memory 700",
		"pct set 900 --net5 name=eth0x,bridge=vmbr0,ip=dhcp,trunks=2;3", "pct set 900 --delete description",
		"pct resize 900 rootfs +100M", "pct set 900 --delete mp0",
	}
	for range g.IntN(3) {
		out, err := m.sim.Host().Run(t.Context(), tasks.Cmd{Argv: strings.Fields(oneOf(g, lines...))})
		if err != nil {
			t.Fatal(err)
		}
		_ = out // some find nothing to do
	}
}

// nothingLost looks for what the second spec does not mention.
func (m *machine) nothingLost(t *testing.T, before string, second map[string]any) {
	t.Helper()
	after := m.conf(t)
	staged := pve.ParseConfig([]byte(before)).Pending().Deletes()
	for l := range strings.Lines(before) {
		if strings.HasPrefix(l, "[") {
			break
		}
		key, value, _ := strings.Cut(strings.TrimSpace(l), ": ")
		if slices.Contains(staged, key) {
			continue // a person takes it away
		}
		if _, managed := second["gpu_assignment"]; managed && strings.HasPrefix(value, "/dev/nvidia") {
			continue
		}
		if strings.HasPrefix(key, "net") || strings.HasPrefix(key, "mp") || strings.HasPrefix(key, "dev") || strings.HasPrefix(key, "unused") {
			if !strings.Contains(after, "\n"+key+": ") && !strings.Contains(after, value) {
				t.Errorf("%s has gone\nbefore\n%s\nafter\n%s", key, before, after)
			}
		}
		_, raw := second["lxc_options"]
		_, profile := second["apparmor_profile"]
		_, ids := second["idmap"]
		raw = raw || profile && key == "lxc.apparmor.profile" || ids && key == "lxc.idmap"
		if strings.HasPrefix(key, "lxc.") && !raw && !strings.Contains(after, l) {
			t.Errorf("%s has gone\nafter\n%s", l, after)
		}
	}
}

// volumesAreThoseOfThePaths looks for a volume that was made twice.
func (m *machine) volumesAreThoseOfThePaths(t *testing.T, g *generator) {
	t.Helper()
	out, err := m.sim.Host().Run(t.Context(), tasks.Cmd{Argv: []string{"pvesm", "list", "local-lvm"}})
	if err != nil || out.Code != 0 {
		t.Fatalf("list volumes: %v %s", err, out.Stderr)
	}
	paths := slices.DeleteFunc(slices.Collect(maps.Keys(g.used)), func(at string) bool { return g.used[at] != "volume" })
	detached := strings.Count(m.conf(t), "\nunused") // by a person; its data is not touched
	if have := strings.Count(string(out.Stdout), "vm-900-disk-"); have > 1+len(paths)+detached {
		t.Errorf("%d volumes for %q and the root\n%s%s", have, paths, out.Stdout, m.conf(t))
	}
}
