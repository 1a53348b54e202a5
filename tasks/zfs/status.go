package zfs

import (
	"fmt"
	"regexp"
	"strings"

	"phoenix/tasks"
)

// Pool is one imported pool, as `zpool status -P` shows it.
type Pool struct {
	// Name of the pool.
	Name string
	// State is ONLINE, DEGRADED, FAULTED, UNAVAIL, SUSPENDED, …
	State string
	// Errors is what the line of that name says: "No known data errors".
	Errors string
	// Data are the groups of disks that hold the data.
	Data []Vdev
	// Other are the devices of its logs, caches, spares and special groups.
	Other []string
}

// Vdev is one group of disks, or one disk that stands alone.
type Vdev struct {
	// Name as shown: mirror-0, raidz1-0, or the path of a lone disk.
	Name string
	// Members are its disks.
	Members []Member
}

// Member is one place in a group: usually one device, several while one replaces
// another.
type Member struct {
	// Devices are paths; of a missing device the last one known.
	Devices []string
	// State is that of the place: ONLINE, UNAVAIL, …
	State string
}

// Topology is the kind of the group: single, mirror, raidz1, raidz2, raidz3, or what
// else ZFS calls it.
func (v Vdev) Topology() string {
	if strings.HasPrefix(v.Name, "/") || len(v.Members) == 1 && regexp.MustCompile(`^\d+$`).MatchString(v.Name) {
		return "single"
	}
	kind, _, _ := strings.Cut(v.Name, "-")
	return kind
}

// Topology is the kind of each group: "mirror", or "mirror + mirror".
func (p Pool) Topology() string {
	var kinds []string
	for _, v := range p.Data {
		kinds = append(kinds, v.Topology())
	}
	return strings.Join(kinds, " + ")
}

// Members are the disks of all groups that hold data.
func (p Pool) Members() []Member {
	var out []Member
	for _, v := range p.Data {
		out = append(out, v.Members...)
	}
	return out
}

// Devices are the paths of every device that the pool has.
func (p Pool) Devices() []string {
	var out []string
	for _, m := range p.Members() {
		out = append(out, m.Devices...)
	}
	return append(out, p.Other...)
}

// ParseStatus reads the output of `zpool status -P`: for each pool some "key: value"
// lines, then below "config:" a tree, each level indented by two more blanks behind
// a tab. Lines it does not know are passed over.
func ParseStatus(text string) ([]Pool, error) {
	var pools []Pool
	var tree *tree
	for _, line := range tasks.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		key, value, isKey := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		at := len(pools) - 1
		switch {
		case tree != nil && strings.HasPrefix(line, "\t"):
			if err := tree.line(line[1:]); err != nil {
				return nil, err
			}
		case line == "" || strings.HasPrefix(line, "\t"):
		case isKey && key == "pool" && value != "":
			pools, tree = append(pools, Pool{Name: value}), nil
		case !isKey || at < 0:
		case key == "state":
			pools[at].State = value
		case key == "errors":
			pools[at].Errors, tree = value, nil
		case key == "config":
			tree = newTree(&pools[at])
		}
	}
	for _, p := range pools {
		if p.State == "" || len(p.Data) == 0 {
			return nil, fmt.Errorf("read zpool status: pool %s has no state or no devices in it:\n%s", p.Name, text)
		}
	}
	return pools, nil
}

// tree reads the lines below "config:".
type tree struct {
	pool *Pool
	// data says that the lines belong to the groups that hold data, not to logs,
	// caches, spares.
	data bool
}

func newTree(p *Pool) *tree { return &tree{pool: p} }

// deviceOf is the path in a line: that of a missing device is behind "was".
func deviceOf(fields []string) string {
	for i, f := range fields {
		if f == "was" && i+1 < len(fields) {
			return fields[i+1]
		}
	}
	return fields[0]
}

// isGroup tells mirror-0 or replacing-1 from a device.
func isGroup(name string) bool {
	return regexp.MustCompile(`^(mirror|raidz\d*|draid[^/]*|replacing|spare|indirect|hole|missing)-\d+$`).MatchString(name)
}

func (t *tree) line(line string) error {
	fields := strings.Fields(line)
	if len(fields) == 0 || fields[0] == "NAME" {
		return nil
	}
	depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
	if depth == 0 {
		t.data = fields[0] == t.pool.Name && len(fields) > 1
		return nil
	}
	name, state := deviceOf(fields), ""
	if len(fields) > 1 {
		state = fields[1]
	}
	switch {
	case !t.data && isGroup(fields[0]):
	case !t.data:
		t.pool.Other = append(t.pool.Other, name)
	case depth == 1:
		v := Vdev{Name: fields[0]}
		if !isGroup(fields[0]) {
			v.Members = []Member{{[]string{name}, state}}
		}
		t.pool.Data = append(t.pool.Data, v)
	case len(t.pool.Data) == 0:
		return fmt.Errorf("read zpool status: %q belongs to no group", line)
	default:
		t.member(&t.pool.Data[len(t.pool.Data)-1], depth, fields[0], name, state)
	}
	return nil
}

// member adds what stands below a group. What replaces another stands below both
// the group and a line "replacing-1" or "spare-1", and shares a place.
func (t *tree) member(v *Vdev, depth int, first, device, state string) {
	switch {
	case isGroup(first):
		v.Members = append(v.Members, Member{State: state})
	case depth == 2 || len(v.Members) == 0:
		v.Members = append(v.Members, Member{[]string{device}, state})
	default:
		last := &v.Members[len(v.Members)-1]
		last.Devices = append(last.Devices, device)
	}
}
