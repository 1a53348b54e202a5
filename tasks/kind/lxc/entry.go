package lxc

import (
	"net/netip"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// entry is one of several things of a kind: an interface, a mount, a device. It is
// known by a name inside its property string, never by the number of its option.
type entry struct {
	path   string // of the Spec: "network_config.eth0"
	prefix string // of the option: "net"
	sub    string // the key that holds the name
	name   string
	// fresh is the whole property string of a new one, and what it is called in a plan.
	fresh  []pair
	effect tasks.Effect // of adding one while the container runs
	fields []field      // without their key
	// volume is set for what is allocated on a storage.
	volume *Volume
	// bind is set for a directory of the host.
	bind *MountPoint
	// note is shown where it is added.
	note string
}

type pair struct{ key, value string }

// locate finds the option that holds the entry, "net0", or "".
func (e *entry) locate(v values) string {
	def, _ := shape(e.prefix)
	for _, key := range indexedKeys(v, e.prefix) {
		p, err := pve.ParsePropertyString(v[key], def)
		if err != nil {
			continue
		}
		name, _ := p.Get(e.sub)
		if e.prefix == "mp" { // Proxmox takes data, /data and /data/ for the same
			name = path.Clean("/" + name)
		}
		if name == e.name {
			return key
		}
	}
	return ""
}

// indexedKeys lists PREFIX0, PREFIX1, … by number.
func indexedKeys(v values, prefix string) []string { return pve.IndexedKeys(v, prefix) }

// entries lists all that the spec wants of each kind.
func (s *Spec) entries() []entry {
	var out []entry
	for _, n := range s.NetworkConfig {
		out = append(out, n.entry())
	}
	for _, m := range s.MountPoints {
		out = append(out, m.entry())
	}
	for _, v := range s.Volumes {
		out = append(out, v.entry())
	}
	for _, d := range s.Devices {
		out = append(out, d.entryAt("devices."+d.Path))
	}
	out = append(out, s.passed.entries()...)
	return out
}

func (n Interface) entry() entry {
	at := "network_config." + n.Name
	e := entry{path: at, prefix: "net", sub: "name", name: n.Name, effect: tasks.EffectLive}
	var l fieldList
	add := func(name, sub, want string, canon func(string) string) {
		if want != "" {
			l = append(l, field{path: at + "." + name, sub: sub, want: want, canon: canon, effect: tasks.EffectLive})
		}
	}
	add("bridge", "bridge", n.Bridge, nil)
	add("ip", "ip", canonPrefix(n.IP), canonPrefix)
	add("gw", "gw", canonAddr(n.GW), canonAddr)
	add("ip6", "ip6", canonPrefix(n.IP6), canonPrefix)
	add("gw6", "gw6", canonAddr(n.GW6), canonAddr)
	l.dropGateway(at+".gw", "gw", n.IP)
	l.dropGateway(at+".gw6", "gw6", n.IP6)
	add("mac_address", "hwaddr", strings.ToUpper(n.MACAddress), strings.ToUpper)
	if n.VLAN > 0 {
		add("vlan", "tag", strconv.Itoa(n.VLAN), canonNumber)
	}
	if n.MTU > 0 {
		add("mtu", "mtu", strconv.Itoa(n.MTU), canonNumber)
		l[len(l)-1].effect = tasks.EffectRestart // update_net sets all but the MTU
	}
	if n.Trunks != nil {
		l = append(l, field{path: at + ".trunks", sub: "trunks", want: canonTrunks(joinNumbers(n.Trunks)), canon: canonTrunks, effect: tasks.EffectRestart}) // nor these
	}
	if n.RateMBs > 0 {
		add("rate_mbs", "rate", strconv.FormatFloat(n.RateMBs, 'f', -1, 64), canonNumber)
	}
	l.boolean(at+".firewall", "", "firewall", n.Firewall, false, tasks.EffectLive)
	l.boolean(at+".link_down", "", "link_down", n.LinkDown, false, tasks.EffectLive)
	e.fields = l
	e.fresh = append([]pair{{"name", n.Name}}, freshPairs(l)...)
	return e
}

// dropGateway takes a gateway away when the address becomes one of the words, with
// which a gateway has no meaning.
func (l *fieldList) dropGateway(path, sub, ip string) {
	if isWord(ip) {
		*l = append(*l, field{path: path, sub: sub, canon: canonAddr, effect: tasks.EffectLive})
	}
}

func (m MountPoint) entry() entry {
	at := "mount_points." + m.ContainerPath
	e := entry{path: at, prefix: "mp", sub: "mp", name: m.ContainerPath, effect: tasks.EffectLive, bind: &m}
	l := fieldList{{path: at + ".host_path", sub: "volume", want: m.HostPath, effect: tasks.EffectRestart}}
	l.mountFlags(at+".", "", MountFlags{ReadOnly: m.ReadOnly, Replicate: m.Replicate, MountOptions: m.MountOptions})
	l.boolean(at+".shared", "", "shared", m.Shared, false, tasks.EffectRestart)
	e.fields = l
	e.fresh = append([]pair{{"mp", m.ContainerPath}}, freshPairs(l)...)
	return e
}

func (v Volume) entry() entry {
	at := "volumes." + v.ContainerPath
	e := entry{path: at, prefix: "mp", sub: "mp", name: v.ContainerPath, effect: tasks.EffectLive, volume: &v}
	var l fieldList
	l.mountFlags(at+".", "", MountFlags{v.ReadOnly, v.ACL, v.Quota, v.Replicate, v.MountOptions})
	l.boolean(at+".backup", "", "backup", v.Backup, false, tasks.EffectRestart)
	e.fields = l
	e.fresh = append([]pair{{"volume", v.Storage + ":" + formatGB(v.SizeGB)}, {"mp", v.ContainerPath}}, freshPairs(l)...)
	return e
}

func (d Device) entryAt(at string) entry {
	e := entry{path: at, prefix: "dev", sub: "path", name: d.Path, effect: tasks.EffectRestart}
	var l fieldList
	if d.Mode != "" {
		l = append(l, field{path: at + ".mode", sub: "mode", want: d.Mode, effect: tasks.EffectRestart})
	}
	l.number(at+".uid", "", "uid", d.UID, "0", tasks.EffectRestart)
	gid, note := at+".gid", ""
	if d.Group != "" {
		gid, note = groupPath(&d), "group "+d.Group+" of the container"
	}
	if l.number(gid, "", "gid", d.GID, "0", tasks.EffectRestart); d.GID != nil {
		l[len(l)-1].note = note
	}
	l.boolean(at+".deny_write", "", "deny-write", d.DenyWrite, false, tasks.EffectRestart)
	e.fields = l
	e.fresh = append([]pair{{"path", d.Path}}, freshPairs(l)...)
	return e
}

// freshPairs are the fields that are not at their default.
func freshPairs(fields []field) []pair {
	var out []pair
	for _, f := range fields {
		if f.want != f.def {
			out = append(out, pair{f.sub, f.written()})
		}
	}
	return out
}

// written is what is handed to pct.
func (f *field) written() string {
	if f.write != "" {
		return f.write
	}
	return f.want
}

// property is the whole property string of a new entry.
func (e *entry) property() pve.PropertyString {
	var p pve.PropertyString
	for _, kv := range e.fresh {
		p.Set(kv.key, kv.value)
	}
	return p
}

// label is how a new entry is shown in a plan.
func (e *entry) label() string {
	s, err := encode(e.prefix, e.property())
	if err != nil {
		return e.name
	}
	return s
}

func canonPrefix(s string) string {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.String()
	}
	return s
}

func canonAddr(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String()
	}
	return s
}

// canonTrunks orders a set of VLANs by number.
func canonTrunks(s string) string {
	numbers := pve.ParseList(s)
	sort.Slice(numbers, func(i, j int) bool {
		a, b := numbers[i], numbers[j]
		return len(a) < len(b) || len(a) == len(b) && a < b
	})
	return strings.Join(slices.Compact(numbers), ";")
}

func formatGB(gb float64) string { return strconv.FormatFloat(gb, 'f', -1, 64) }

func sortUnique(s *[]string) {
	slices.Sort(*s)
	*s = slices.Compact(*s)
}
