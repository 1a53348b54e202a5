package lxc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/pve"
)

// assign turns differences into options for one pct call: values to set and options
// to delete. base is what the values are built on, so that keys which the spec does
// not mention stay (trunks of an interface, the volume of a mount); now lends an
// interface its MAC address where base has lost it: pct makes a new one for every
// interface that is sent without.
func assign(found []finding, base, now values) (set map[string]string, deletes []string, err error) {
	set = make(map[string]string)
	strs := make(map[string]pve.PropertyString)
	for _, f := range found {
		switch {
		case f.op == opAdd:
			key, err := freeKey(f.entry.prefix, base, now, strs)
			if err != nil {
				return nil, nil, err
			}
			strs[key] = f.entry.property()
		case f.op == opSet && f.sub != "":
			p, ok := strs[f.key]
			if !ok {
				def, _ := shape(f.key)
				if p, err = pve.ParsePropertyString(base[f.key], def); err != nil {
					return nil, nil, fmt.Errorf("change %s: %w", f.key, err)
				}
			}
			p.Set(f.sub, f.value)
			strs[f.key] = p
		case f.op == opSet && f.value == "" && f.key != "description":
			deletes = append(deletes, f.key)
		case f.op == opSet && f.key == "description":
			_, ours := splitDescription(base[f.key])
			set[f.key] = joinDescription(f.value, ours...)
		case f.op == opSet:
			set[f.key] = f.value
		}
	}
	for key, p := range strs {
		if p.Empty() {
			deletes = append(deletes, key)
			continue
		}
		keepMAC(&p, now[key], key)
		if set[key], err = encode(key, p); err != nil {
			return nil, nil, fmt.Errorf("change %s: %w", key, err)
		}
	}
	slices.Sort(deletes)
	return set, deletes, nil
}

// encode writes an option's property string in Proxmox's order.
func encode(key string, p pve.PropertyString) (string, error) {
	def, first := shape(key)
	if key == "startup" { // order=3 says more than a bare 3, and means the same
		def, first = "", []string{def}
	}
	return p.Encode(def, first...)
}

// keepMAC gives an interface the address that it has now, unless it has one already.
func keepMAC(p *pve.PropertyString, present, key string) {
	if !strings.HasPrefix(key, "net") {
		return
	}
	old, err := pve.ParsePropertyString(present, "")
	if _, has := p.Get("hwaddr"); has || err != nil {
		return
	}
	mac, _ := old.Get("hwaddr")
	p.Set("hwaddr", mac)
}

// freeKey is the first option PREFIX0, PREFIX1, … that nothing uses.
func freeKey(prefix string, base, now values, taken map[string]pve.PropertyString) (string, error) {
	limit := 256
	if prefix == "net" {
		limit = maxInterfaces
	}
	for i := range limit {
		key := prefix + strconv.Itoa(i)
		_, a := base[key]
		_, b := now[key]
		_, c := taken[key]
		if !a && !b && !c {
			return key, nil
		}
	}
	return "", fmt.Errorf("find a free %s option: all %d are in use", prefix, limit)
}

// wantedBridges lists the bridges that the differences bring in. An interface that
// is to be added without any bridge gets an empty one.
func wantedBridges(found []finding) []string {
	var out []string
	for _, f := range found {
		switch {
		case f.op == opAdd && f.entry.prefix == "net":
			p := f.entry.property()
			bridge, _ := p.Get("bridge")
			out = append(out, bridge)
		case f.op == opSet && f.sub == "bridge":
			out = append(out, f.value)
		}
	}
	return out
}
