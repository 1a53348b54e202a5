package guest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// NotReady says what a container lacks to be used: that it runs, that every interface
// that is to have an address has one, and that it can be entered. Empty when it is
// ready. It is for checks as well: what it runs inside is `true`.
func (g *Guest) NotReady(ctx context.Context, h tasks.Host) (string, error) {
	if !g.Running() {
		return "it does not run", nil
	}
	lacking, err := g.Unaddressed(h)
	if err != nil || lacking != "" {
		return lacking, err
	}
	out, err := h.Run(ctx, tasks.Cmd{Argv: []string{"lxc-attach", "-n", strconv.Itoa(g.CTID), "--clear-env", "--", "true"}, ReadOnly: true})
	if err != nil {
		return "", fmt.Errorf("enter container %d: %w", g.CTID, err)
	}
	const cannotRun, notThere = 126, 127 // was entered, and has no such program
	if out.Code != 0 && out.Code != cannotRun && out.Code != notThere {
		said, _, _ := strings.Cut(strings.TrimSpace(string(out.Stderr)), "\n")
		return "it cannot be entered: " + said, nil
	}
	return "", nil
}

// Unaddressed names the interfaces of a running container that are to have an address
// and have none.
func (g *Guest) Unaddressed(h tasks.Host) (string, error) {
	wanted := g.interfaces()
	if len(wanted) == 0 {
		return "", nil
	}
	pid, err := g.FirstProcess(h)
	if errors.Is(err, ErrNoProcess) {
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	have, err := Addresses(h, pid)
	if err != nil {
		return "", fmt.Errorf("look for the addresses of container %d: %w", g.CTID, err)
	}
	var lacking []string
	for _, i := range wanted {
		if !i.among(have) {
			lacking = append(lacking, i.name+" ("+i.how+")")
		}
	}
	if len(lacking) == 0 {
		return "", nil
	}
	return "no address on " + strings.Join(lacking, ", "), nil
}

// Reachable lists the addresses of the interfaces that Proxmox gave the container, in
// their order: not those of bridges that the container made itself.
func (g *Guest) Reachable(h tasks.Host, pid int) ([]netip.Addr, error) {
	have, err := Addresses(h, pid)
	if err != nil {
		return nil, fmt.Errorf("look for the addresses of container %d: %w", g.CTID, err)
	}
	var out []netip.Addr
	for _, name := range append(g.names(), "") {
		for _, a := range have {
			if a.Interface == name {
				out = append(out, a.IP)
			}
		}
	}
	return out, nil
}

// iface is an interface that is to have an address.
type iface struct {
	name, how string
	fixed     []netip.Addr
}

// among tells whether the interface has any address. One whose interface the kernel
// does not tell is known by being the one that was given.
func (i iface) among(have []Address) bool {
	return slices.ContainsFunc(have, func(a Address) bool {
		return a.Interface == i.name || a.Interface == "" && slices.Contains(i.fixed, a.IP)
	})
}

// interfaces lists those that are plugged in and get an address.
func (g *Guest) interfaces() []iface {
	var out []iface
	for _, p := range g.nets() {
		i := iface{}
		i.name, _ = p.Get("name")
		down, _ := p.Get("link_down")
		if off, _ := pve.ParseBool(down); off {
			continue
		}
		var how []string
		for _, family := range []string{"ip", "ip6"} {
			given, _ := p.Get(family)
			if given == "" || given == "manual" {
				continue
			}
			how = append(how, given)
			if prefix, err := netip.ParsePrefix(given); err == nil {
				i.fixed = append(i.fixed, prefix.Addr())
			}
		}
		if i.how = strings.Join(how, ", "); i.how != "" {
			out = append(out, i)
		}
	}
	return out
}

func (g *Guest) names() []string {
	var out []string
	for _, p := range g.nets() {
		name, _ := p.Get("name")
		out = append(out, name)
	}
	return out
}

// nets are the interfaces of the configuration, net0 first.
func (g *Guest) nets() []pve.PropertyString {
	indexed := g.Config.Head().Indexed("net")
	var out []pve.PropertyString
	for _, n := range slices.Sorted(maps.Keys(indexed)) {
		if p, err := pve.ParsePropertyString(indexed[n], ""); err == nil {
			out = append(out, p)
		}
	}
	return out
}
