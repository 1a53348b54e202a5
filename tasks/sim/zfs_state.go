package sim

import (
	"encoding/json"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// zfsFile holds the pools and what is in them.
const zfsFile = "/.sim/zfs.json"

// pool is one ZFS pool of one group of disks.
type pool struct {
	// Topology is single, mirror, raidz1, …
	Topology string `json:"topology"`
	// Leaves are the paths of its devices; States what each is, where not ONLINE.
	Leaves []string          `json:"leaves"`
	States map[string]string `json:"states,omitempty"`
	// Exported pools are on their disks only.
	Exported bool `json:"exported,omitempty"`
	// Errors is what `zpool status` says, where it is not the usual.
	Errors string `json:"errors,omitempty"`
	// Props are the properties that were set.
	Props map[string]string `json:"props"`
	// Datasets are its file systems by their whole names.
	Datasets map[string]*dataset `json:"datasets"`
}

// dataset is a file system.
type dataset struct {
	// Local are the properties that were set on it.
	Local   map[string]string `json:"local"`
	Mounted bool              `json:"mounted"`
	// Used is its size in bytes.
	Used int64 `json:"used"`
}

type pools map[string]*pool

func (m *Machine) pools() pools {
	all := make(pools)
	if data, err := m.read(zfsFile); err == nil {
		_ = json.Unmarshal(data, &all) // a tree without pools has none
	}
	return all
}

func (m *Machine) savePools(all pools) error {
	data, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	for _, name := range m.glob("/proc/spl/kstat/zfs/*/state") {
		if p := all[path.Base(path.Dir(name))]; p == nil || p.Exported {
			if err := os.RemoveAll(m.path(path.Dir(name))); err != nil {
				return err
			}
		}
	}
	for name, p := range all {
		if p.Exported {
			continue
		}
		if err := m.lays("/proc/spl/kstat/zfs/"+name+"/state", []byte("ONLINE\n"), 0o444); err != nil {
			return err
		}
	}
	return m.write(zfsFile, data, 0o600)
}

// layRpool lays the pool that the installer makes.
func (m *Machine) layRpool(id string) error {
	p := &pool{Topology: "single", Leaves: []string{"/dev/disk/by-id/" + id + "-part3"}, Props: map[string]string{"ashift": "12"}, Datasets: map[string]*dataset{}}
	for name, local := range map[string]map[string]string{
		"rpool": {"compression": "on", "atime": "on", "relatime": "on", "acltype": "posix", "mountpoint": "/rpool"}, "rpool/ROOT": {}, "rpool/ROOT/pve-1": {"mountpoint": "/"},
		"rpool/data": {}, "rpool/var-lib-vz": {"mountpoint": "/var/lib/vz"},
	} {
		p.Datasets[name] = &dataset{Local: local, Mounted: true, Used: 98304}
	}
	return m.savePools(pools{"rpool": p})
}

// find returns a dataset of an imported pool, by its whole name.
func (all pools) find(name string) (*pool, *dataset) {
	top, _, _ := strings.Cut(name, "/")
	p := all[top]
	if p == nil || p.Exported {
		return nil, nil
	}
	return p, p.Datasets[name]
}

// zfsDefaults are the properties of a file system that has none of its own. What
// begins with ! is not inherited; what begins with = is fixed once it is made.
func zfsDefaults() map[string]string {
	out := make(map[string]string)
	for pair := range strings.FieldsSeq(`!quota=0 !refquota=0 !reservation=0 !refreservation=0 !canmount=on !filesystem_limit=18446744073709551615
		!snapshot_limit=18446744073709551615 recordsize=131072 sharenfs=off sharesmb=off checksum=on compression=on atime=on devices=on exec=on setuid=on
		readonly=off zoned=off snapdir=hidden snapdev=hidden aclmode=discard aclinherit=restricted xattr=on copies=1 vscan=off nbmand=off primarycache=all
		secondarycache=all logbias=latency dedup=off sync=standard dnodesize=legacy acltype=off relatime=on redundant_metadata=all overlay=on
		special_small_blocks=0 prefetch=all volmode=default mountpoint=- =casesensitivity=sensitive =normalization=none =utf8only=off =encryption=off`) {
		i := strings.LastIndex(pair, "=")
		out[pair[:i]] = pair[i+1:]
	}
	return out
}

// zfsProperty finds a property by its bare name.
func zfsProperty(name string) (own, fixed, known bool) {
	all := zfsDefaults()
	_, own = all["!"+name]
	_, fixed = all["="+name]
	_, plain := all[name]
	return own || fixed, fixed, own || fixed || plain || strings.Contains(name, ":")
}

// value is a property of a dataset and its source, by the rules of inheritance.
func (p *pool) value(name, prop string) (value, source string) {
	own, fixed, _ := zfsProperty(prop)
	for at := name; at != "."; at = path.Dir(at) {
		d := p.Datasets[at]
		if d == nil {
			break
		}
		v, set := d.Local[prop]
		switch {
		case set && fixed:
			return v, "-"
		case set && at == name:
			return v, "local"
		case set && prop == "mountpoint" && path.IsAbs(v):
			return path.Join(v, strings.TrimPrefix(name, at)), "inherited from " + at
		case set:
			return v, "inherited from " + at
		case own:
			at = "."
		}
	}
	if prop == "mountpoint" {
		return "/" + name, "default"
	}
	for _, mark := range []string{"!", "=", ""} {
		if v, ok := zfsDefaults()[mark+prop]; ok {
			return v, map[bool]string{true: "-", false: "default"}[mark == "="]
		}
	}
	return "-", "-"
}

// zfsCanonical is a value as it is stored.
func zfsCanonical(prop, v string) string {
	switch prop + "=" + v {
	case "acltype=posixacl":
		return "posix"
	case "acltype=noacl":
		return "off"
	case "xattr=dir":
		return "on"
	}
	if sized := []string{"quota", "refquota", "reservation", "refreservation", "recordsize", "special_small_blocks"}; !slices.Contains(sized, prop) {
		return v
	}
	if v == "none" {
		return "0"
	}
	i := strings.Index("KMGTP", strings.ToUpper(v[len(v)-1:]))
	n, err := strconv.ParseInt(strings.TrimRight(v, "KMGTPkmgtp"), 10, 64)
	if err != nil {
		return v
	}
	return itoa(n << (10 * (i + 1)))
}

// setMounted mounts a file system where it belongs, or takes it away, with what is in
// it.
func (m *Machine) setMounted(p *pool, name string, on bool) error {
	d := p.Datasets[name]
	at, _ := p.value(name, "mountpoint")
	was := ""
	lines := slices.DeleteFunc(strings.SplitAfter(m.text("/proc/mounts"), "\n"), func(l string) bool {
		if strings.HasPrefix(l, name+" ") {
			was = strings.Fields(l)[1]
		}
		return strings.HasPrefix(l, name+" ")
	})
	away := "/.sim/datasets/" + strings.ReplaceAll(name, "/", "%")
	if was != "" && (!on || was != at) {
		if err := m.carry(was, away); err != nil {
			return err
		}
	}
	if d.Mounted = on; on {
		if err := m.carry(away, at); err != nil {
			return err
		}
		lines = append(lines, name+" "+at+" zfs rw,relatime,xattr,noacl 0 0\n")
	}
	return m.write("/proc/mounts", []byte(strings.Join(lines, "")), 0o644)
}

// carry moves what a file system holds to another place, and leaves an empty folder.
// What lies there already stays, as below a mount.
func (m *Machine) carry(from, to string) error {
	if err := os.MkdirAll(m.path(to), 0o755); err != nil || !m.exists(from) {
		return err
	}
	if in, err := os.ReadDir(m.path(to)); err != nil || len(in) > 0 {
		return err
	}
	if err := os.Remove(m.path(to)); err != nil {
		return err
	}
	if err := os.Rename(m.path(from), m.path(to)); err != nil || strings.HasPrefix(from, "/.sim/") {
		return err
	}
	return os.Mkdir(m.path(from), 0o755)
}

// mountable tells whether a file system is mounted by itself.
func (p *pool) mountable(name string) bool {
	at, _ := p.value(name, "mountpoint")
	can, _ := p.value(name, "canmount")
	return path.IsAbs(at) && can == "on"
}
