package sim

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// zfs manages file systems (OpenZFS 2.2).
func zfs(c *call) int {
	return c.zfsVerb(map[string]func(*call, zfsArgs) error{
		"get": zfsGet, "set": zfsSet, "create": zfsCreate, "inherit": zfsInherit, "mount": zfsMount, "unmount": zfsMount,
		"umount": zfsMount, "list": zfsList, "destroy": zfsDestroy,
	})
}

func zfsGet(c *call, a zfsArgs) error {
	p, d := c.m.pools().find(a.rest[1])
	name := a.rest[1]
	if d == nil {
		return fmt.Errorf("cannot open '%s': dataset does not exist", name)
	}
	c.printf("type\tfilesystem\t-\nused\t%d\t-\nreferenced\t%d\t-\navailable\t966367543296\t-\n", d.Used, d.Used)
	c.printf("mounted\t%s\t-\n", map[bool]string{true: "yes", false: "no"}[d.Mounted])
	for _, marked := range sortedKeys(zfsDefaults()) {
		prop := strings.TrimLeft(marked, "!=")
		value, source := p.value(name, prop)
		c.printf("%s\t%s\t%s\n", prop, value, source)
	}
	for _, own := range sortedKeys(d.Local) {
		if strings.Contains(own, ":") {
			c.printf("%s\t%s\tlocal\n", own, d.Local[own])
		}
	}
	return nil
}

// assign sets NAME=VALUE on a dataset; fixed properties only while it is made.
func (p *pool) assign(name, pair string, fresh bool) error {
	prop, value, _ := strings.Cut(pair, "=")
	d := p.Datasets[name]
	cannot := fmt.Sprintf("cannot set property for '%s'", name)
	if fresh {
		cannot = fmt.Sprintf("cannot create '%s'", name)
	}
	_, fixed, known := zfsProperty(prop)
	value = zfsCanonical(prop, value)
	switch {
	case !known:
		return fmt.Errorf("%s: invalid property '%s'", cannot, prop)
	case fixed && !fresh:
		return fmt.Errorf("%s: '%s' is readonly", cannot, prop)
	case prop == "quota" || prop == "refquota":
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n != 0 && n < d.Used {
			return fmt.Errorf("%s: size is less than current used or reserved space", cannot)
		}
	}
	d.Local[prop] = value
	return nil
}

func zfsSet(c *call, a zfsArgs) error {
	all := c.m.pools()
	name := a.rest[len(a.rest)-1]
	p, d := all.find(name)
	if d == nil {
		return fmt.Errorf("cannot open '%s': dataset does not exist", name)
	}
	for _, pair := range a.rest[:len(a.rest)-1] {
		if err := p.assign(name, pair, false); err != nil {
			return err
		}
		if strings.HasPrefix(pair, "mountpoint=") {
			if err := c.m.setMounted(p, name, p.mountable(name)); err != nil {
				return err
			}
		}
	}
	return c.m.savePools(all)
}

func zfsCreate(c *call, a zfsArgs) error {
	all, name := c.m.pools(), a.rest[0]
	top, _, _ := strings.Cut(name, "/")
	p, there := all.find(name)
	switch {
	case p == nil:
		return fmt.Errorf("cannot create '%s': no such pool '%s'", name, top)
	case there != nil:
		return fmt.Errorf("cannot create '%s': dataset already exists", name)
	case p.Datasets[path.Dir(name)] == nil:
		return fmt.Errorf("cannot create '%s': parent does not exist", name)
	}
	p.Datasets[name] = &dataset{Local: map[string]string{}, Used: 98304}
	for _, pair := range a.o {
		if err := p.assign(name, pair, true); err != nil {
			return err
		}
	}
	if p.mountable(name) {
		if err := c.m.setMounted(p, name, true); err != nil {
			return err
		}
	}
	return c.m.savePools(all)
}

func zfsInherit(c *call, a zfsArgs) error {
	all := c.m.pools()
	_, d := all.find(a.rest[1])
	if d == nil {
		return fmt.Errorf("cannot open '%s': dataset does not exist", a.rest[1])
	}
	delete(d.Local, a.rest[0])
	return c.m.savePools(all)
}

func zfsMount(c *call, a zfsArgs) error {
	all, name := c.m.pools(), a.rest[0]
	p, d := all.find(name)
	on := c.argv[1] == "mount"
	switch {
	case d == nil:
		return fmt.Errorf("cannot open '%s': dataset does not exist", name)
	case d.Mounted && on:
		return fmt.Errorf("cannot mount '%s': filesystem already mounted", name)
	case !d.Mounted && !on:
		return fmt.Errorf("cannot unmount '%s': not currently mounted", name)
	}
	if err := c.m.setMounted(p, name, on); err != nil {
		return err
	}
	return c.m.savePools(all)
}

func zfsList(c *call, _ zfsArgs) error {
	all := c.m.pools()
	for _, pool := range sortedKeys(all) {
		for _, name := range sortedKeys(all[pool].Datasets) {
			at, _ := all[pool].value(name, "mountpoint")
			c.printf("%s\t%d\t966367543296\t%d\t%s\tfilesystem\n", name, all[pool].Datasets[name].Used, all[pool].Datasets[name].Used, at)
		}
	}
	return nil
}

func zfsDestroy(c *call, a zfsArgs) error {
	all, name := c.m.pools(), a.rest[0]
	p, d := all.find(name)
	if d == nil {
		return fmt.Errorf("cannot open '%s': dataset does not exist", name)
	}
	if d.Mounted {
		if err := c.m.setMounted(p, name, false); err != nil {
			return err
		}
	}
	delete(p.Datasets, name)
	return c.m.savePools(all)
}
