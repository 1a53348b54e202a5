package sim

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// zpool manages pools (OpenZFS 2.2).
func zpool(c *call) int { return c.zfsVerb(zpoolVerbs()) }

func zpoolVerbs() map[string]func(*call, zfsArgs) error {
	return map[string]func(*call, zfsArgs) error{
		"status": zpoolStatus, "create": zpoolCreate, "get": zpoolGet, "set": zpoolSet, "list": zpoolList,
		"destroy": zpoolDestroy, "export": zpoolExport, "import": zpoolImport, "offline": zpoolOffline, "online": zpoolOffline,
	}
}

// zfsArgs are the words of a command: flags, -o and -O in order, and the rest.
type zfsArgs struct {
	flags    string
	o, upper []string
	rest     []string
}

func zfsParse(words []string) zfsArgs {
	var a zfsArgs
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case (w == "-o" || w == "-O") && i+1 < len(words):
			i++
			if w == "-o" {
				a.o = append(a.o, words[i])
			} else {
				a.upper = append(a.upper, words[i])
			}
		case strings.HasPrefix(w, "-") && w != "-":
			a.flags += w[1:]
		default:
			a.rest = append(a.rest, w)
		}
	}
	return a
}

// zfsVerb runs a verb of zpool or zfs.
func (c *call) zfsVerb(verbs map[string]func(*call, zfsArgs) error) int {
	if !c.m.exists("/sys/module/zfs") {
		c.errorf("The ZFS modules cannot be auto-loaded.\nTry running 'modprobe zfs' as root to manually load them.\n")
		return 1
	}
	if len(c.argv) < 2 || verbs[c.argv[1]] == nil {
		c.errorf("unrecognized command\nusage: %s command args ...\n", c.argv[0])
		return 2
	}
	err := c.m.exclusive(func() error { return verbs[c.argv[1]](c, zfsParse(c.argv[2:])) })
	return c.died(err, 1)
}

// state is the pool's own: DEGRADED where a device is missing.
func (p *pool) state() string {
	if len(p.States) == 0 {
		return "ONLINE"
	}
	if p.Topology == "single" {
		return "UNAVAIL"
	}
	return "DEGRADED"
}

func zpoolStatus(c *call, a zfsArgs) error {
	all := c.m.pools()
	shown := 0
	for _, name := range sortedKeys(all) {
		p := all[name]
		if p.Exported || len(a.rest) > 0 && !slices.Contains(a.rest, name) {
			continue
		}
		if shown++; shown > 1 {
			c.printf("\n")
		}
		c.printf("  pool: %s\n state: %s\nconfig:\n\n", name, p.state())
		c.printTree(name, p)
		said := p.Errors
		if said == "" {
			said = "No known data errors"
		}
		c.printf("\nerrors: %s\n", said)
	}
	switch {
	case shown > 0:
	case len(a.rest) > 0:
		return fmt.Errorf("cannot open '%s': no such pool", a.rest[0])
	default:
		c.errorf("no pools available\n")
	}
	return nil
}

func (c *call) printTree(name string, p *pool) {
	width := len(name)
	for _, leaf := range p.Leaves {
		width = max(width, len(leaf)+4)
	}
	row := func(depth int, name, state string) {
		c.printf("\t%-*s  %-8s %5s %5s %5s\n", width, strings.Repeat("  ", depth)+name, state, "0", "0", "0")
	}
	c.printf("\t%-*s  %-8s %5s %5s %5s\n", width, "NAME", "STATE", "READ", "WRITE", "CKSUM")
	row(0, name, p.state())
	depth := 1
	if p.Topology != "single" {
		row(1, p.Topology+"-0", p.state())
		depth = 2
	}
	for _, leaf := range p.Leaves {
		state := p.States[leaf]
		if state == "" {
			state = "ONLINE"
		}
		row(depth, leaf, state)
	}
}

func zpoolCreate(c *call, a zfsArgs) error {
	if len(a.rest) < 2 {
		return errors.New("missing vdev specification")
	}
	all, name, disks := c.m.pools(), a.rest[0], a.rest[1:]
	if p := all[name]; p != nil && !p.Exported {
		return fmt.Errorf("cannot create '%s': pool already exists", name)
	}
	p := &pool{Topology: "single", Props: map[string]string{"ashift": "0"}, Datasets: map[string]*dataset{name: {Local: map[string]string{}, Used: 98304}}}
	if !strings.HasPrefix(disks[0], "/") {
		p.Topology, disks = disks[0], disks[1:]
	}
	if err := c.vacant(all, disks, strings.Contains(a.flags, "f")); err != nil {
		return err
	}
	for _, pair := range a.o {
		key, value, _ := strings.Cut(pair, "=")
		p.Props[key] = value
	}
	for _, pair := range a.upper {
		if err := p.assign(name, pair, true); err != nil {
			return err
		}
	}
	at, _ := p.value(name, "mountpoint")
	if in, err := os.ReadDir(c.m.path(at)); err == nil && len(in) > 0 && p.mountable(name) {
		return fmt.Errorf("mountpoint '%s' exists and is not empty\nuse '-m' option to provide a different default", at)
	}
	if err := c.label(p, name, disks); err != nil {
		return err
	}
	all[name] = p
	if p.mountable(name) {
		if err := c.m.setMounted(p, name, true); err != nil {
			return err
		}
	}
	return c.m.savePools(all)
}

// vacant looks for what is on the disks, in the table's partitions where there is one.
func (c *call) vacant(all pools, disks []string, force bool) error {
	on := c.m.signatures()
	var found []string
	for _, d := range disks {
		name := c.m.device(d)
		if name == "" {
			return fmt.Errorf("cannot open '%s': no such device in /dev\nmust be a full path or shorthand device name", d)
		}
		for _, dev := range append([]string{name}, c.m.parts(name)...) {
			for _, s := range on[dev] {
				owner := all[s.Label]
				switch {
				case s.Type == "gpt" || s.Type == "PMBR":
				case s.Type == "zfs_member" && owner != nil && !owner.Exported:
					found = append(found, fmt.Sprintf("/dev/%s is part of active pool '%s'", dev, s.Label))
				case s.Type == "zfs_member":
					found = append(found, fmt.Sprintf("/dev/%s is part of exported pool '%s'", dev, s.Label))
				default:
					found = append(found, fmt.Sprintf("%s contains a filesystem of type '%s'", d, s.Type))
				}
			}
		}
	}
	if len(found) > 0 && !force {
		return fmt.Errorf("invalid vdev specification\nuse '-f' to override the following errors:\n%s", strings.Join(found, "\n"))
	}
	return nil
}

// label gives each disk a table with the two partitions that ZFS makes.
func (c *call) label(p *pool, pool string, disks []string) error {
	on := c.m.signatures()
	for _, d := range disks {
		name := c.m.device(d)
		if err := c.m.dropParts(name, on); err != nil {
			return err
		}
		for n, sectors := range map[int]int64{1: 1 << 30, 9: 16384} {
			if err := c.m.addPart(name, strings.TrimPrefix(d, "/dev/disk/by-id/"), n, sectors); err != nil {
				return err
			}
		}
		on[name] = []Signature{{Type: "gpt"}, {Type: "PMBR"}}
		on[partName(name, 1)] = []Signature{{Type: "zfs_member", Label: pool}}
		p.Leaves = append(p.Leaves, d+"-part1")
	}
	return c.m.saveSignatures(on)
}

// zpoolProps are the properties of a pool that has none of its own.
func zpoolProps() map[string]string {
	return map[string]string{
		"ashift": "0", "autotrim": "off", "autoexpand": "off", "autoreplace": "off", "comment": "-", "delegation": "on",
		"failmode": "wait", "listsnapshots": "off", "multihost": "off",
	}
}

func zpoolGet(c *call, a zfsArgs) error {
	p := c.m.pools()[a.rest[1]]
	if p == nil || p.Exported {
		return fmt.Errorf("cannot open '%s': no such pool", a.rest[1])
	}
	if len(a.rest) > 2 { // all-vdevs
		c.printf("root-0\t-\n")
		if p.Topology != "single" {
			c.printf("%s-0\t%s\n", p.Topology, p.Props["ashift"])
		}
		for _, leaf := range p.Leaves {
			c.printf("%s\t%s\n", strings.TrimSuffix(path.Base(leaf), "-part1"), p.Props["ashift"])
		}
		return nil
	}
	c.printf("size\t998579896320\t-\nhealth\t%s\t-\n", p.state())
	for _, k := range sortedKeys(zpoolProps()) {
		if v, set := p.Props[k]; set {
			c.printf("%s\t%s\tlocal\n", k, v)
		} else {
			c.printf("%s\t%s\tdefault\n", k, zpoolProps()[k])
		}
	}
	return nil
}

func zpoolSet(c *call, a zfsArgs) error {
	all := c.m.pools()
	p := all[a.rest[1]]
	key, value, _ := strings.Cut(a.rest[0], "=")
	if p == nil || p.Exported {
		return fmt.Errorf("cannot open '%s': no such pool", a.rest[1])
	}
	if _, known := zpoolProps()[key]; !known {
		return fmt.Errorf("cannot set property for '%s': invalid property '%s'", a.rest[1], key)
	}
	p.Props[key] = value
	return c.m.savePools(all)
}

func zpoolList(c *call, _ zfsArgs) error {
	all := c.m.pools()
	for _, name := range sortedKeys(all) {
		if !all[name].Exported {
			c.printf("%s\t998579896320\t98304\t998579798016\t0\t%s\n", name, all[name].state())
		}
	}
	return nil
}

// named is the pool that a command is about.
func (c *call) poolOf(a zfsArgs) (pools, *pool, error) {
	all := c.m.pools()
	if len(a.rest) == 0 || all[a.rest[0]] == nil {
		return nil, nil, fmt.Errorf("cannot open '%s': no such pool", strings.Join(a.rest, " "))
	}
	return all, all[a.rest[0]], nil
}

func zpoolDestroy(c *call, a zfsArgs) error {
	all, p, err := c.poolOf(a)
	if err != nil {
		return err
	}
	for name := range maps.Keys(p.Datasets) {
		if err := c.m.setMounted(p, name, false); err != nil {
			return err
		}
	}
	delete(all, a.rest[0])
	return c.m.savePools(all)
}

func zpoolExport(c *call, a zfsArgs) error {
	all, p, err := c.poolOf(a)
	if err != nil {
		return err
	}
	for name := range p.Datasets {
		if err := c.m.setMounted(p, name, false); err != nil {
			return err
		}
	}
	p.Exported = true
	return c.m.savePools(all)
}

func zpoolImport(c *call, a zfsArgs) error {
	all, p, err := c.poolOf(a)
	if err != nil {
		return err
	}
	p.Exported = false
	for name := range p.Datasets {
		if err := c.m.setMounted(p, name, p.mountable(name)); err != nil {
			return err
		}
	}
	return c.m.savePools(all)
}

func zpoolOffline(c *call, a zfsArgs) error {
	all, p, err := c.poolOf(a)
	if err != nil {
		return err
	}
	for _, leaf := range p.Leaves {
		if !slices.Contains(a.rest[1:], strings.TrimSuffix(leaf, "-part1")) {
			continue
		}
		if c.argv[1] == "online" {
			delete(p.States, leaf)
		} else if p.States == nil {
			p.States = map[string]string{leaf: "OFFLINE"}
		} else {
			p.States[leaf] = "OFFLINE"
		}
	}
	return c.m.savePools(all)
}
