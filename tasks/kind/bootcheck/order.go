package bootcheck

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"

	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// sequence lists the containers that are to start at boot, in Proxmox's order: by the
// order of the option startup, those without one last, and by CTID. After each, Proxmox
// waits for its delay `up`; one that did not start has none (PVE::API2::Nodes,
// pve-manager 8.4).
func (m *machine) sequence(guests []*guest.Guest) ([]start, error) {
	var list []*guest.Guest
	for _, g := range guests {
		if on, _ := pve.ParseBool(g.Next()["onboot"]); on {
			list = append(list, g)
		}
	}
	sort.Slice(list, func(i, j int) bool {
		first, _ := startup(list[i].Next()["startup"])
		second, _ := startup(list[j].Next()["startup"])
		return cmp.Or(cmp.Compare(first, second), list[i].CTID-list[j].CTID) < 0
	})
	out := make([]start, len(list))
	waited := m.delay
	for i, g := range list {
		managed, err := guest.HighlyAvailable(m.host, g.CTID)
		if err != nil {
			return nil, err
		}
		s := start{Container: Container{CTID: g.CTID, Name: g.Name(), HA: managed}, guest: g, options: g.Next(), raw: g.Config.Head().Raw()}
		order, up := startup(s.options["startup"])
		if order != math.MaxInt {
			s.Order = &order
		}
		if !managed && !g.Template() {
			s.AfterS = waited
			waited += up
		}
		out[i] = s
	}
	return out, nil
}

// startup reads "order=2,up=30" or "2".
func startup(text string) (order, up int) {
	order = math.MaxInt
	p, err := pve.ParsePropertyString(text, "order")
	if err != nil {
		return order, 0
	}
	if v, ok := p.Get("order"); ok {
		if n, err := strconv.Atoi(v); err == nil {
			order = n
		}
	}
	v, _ := p.Get("up")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		up = n
	}
	return order, up
}

// order compares the sequence with what depends on what.
func order(plan []start, dependsOn map[int][]int, guests []*guest.Guest) {
	at := make(map[int]int)
	for i, s := range plan {
		at[s.CTID] = i
	}
	for i := range plan {
		s := &plan[i]
		for _, before := range dependsOn[s.CTID] {
			here := slices.ContainsFunc(guests, func(g *guest.Guest) bool { return g.CTID == before })
			j, starts := at[before]
			switch {
			case !here: // it is on another host, or is yet to be made
			case !starts:
				s.add(EffectDisturbs, "depends_on", fmt.Sprintf("container %d, which it depends on, does not start at boot", before), fmt.Sprintf("set start_at_boot for %d", before))
			case j > i:
				s.add(EffectDisturbs, "depends_on", fmt.Sprintf("it starts before container %d, which it depends on", before), fmt.Sprintf("give %d a lower boot_order than %d", before, s.CTID))
			case plan[j].answer() == No:
				s.add(EffectDisturbs, "depends_on", fmt.Sprintf("container %d, which it depends on, would not start", before), "")
			}
		}
	}
}
