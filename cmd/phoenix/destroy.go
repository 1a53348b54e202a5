package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
)

// destroyCmd is `phoenix destroy`.
type destroyCmd struct {
	CTID         []string   `arg:"" help:"Containers to destroy, by number."`
	AllowDestroy []flagCTID `placeholder:"CTID" help:"Destroy this container without asking for its name. May be repeated."`
	Reach        reach      `embed:""`
	Out          output     `embed:""`
}

// doomed is one container and the host that it is on.
type doomed struct {
	ctid int
	name string
	host *inventory.Host
}

// Run is called by kong.
func (c *destroyCmd) Run(p *program, g *cli) error {
	ctx := context.Background()
	for _, word := range c.CTID {
		if _, err := checkCTID(word); err != nil {
			return err
		}
	}
	fleet, hosts, err := p.selected(ctx, g)
	if err != nil {
		return err
	}
	list, err := doomedAmong(fleet.Hosts, hosts, c.CTID)
	if err != nil {
		return err
	}
	for _, d := range list {
		for _, line := range dependants(d, list) {
			p.warn(line + ", which is to be destroyed")
		}
		if err := p.agree(ctx, d, ctids(c.AllowDestroy)); err != nil {
			return err
		}
	}
	work, err := destruction(list)
	if err != nil {
		return err
	}
	gone := &missing{}
	rec, err := p.carryOut(ctx, g, fleet, work, request{
		command: "destroy", mode: tasks.ModeRun, reach: &c.Reach, output: c.Out,
		consent: tasks.Consent{Restart: true}, watch: gone,
	})
	if err != nil {
		return err
	}
	gone.tell(rec.stream)
	return rec.finish()
}

// doomedAmong finds the host of every container.
func doomedAmong(all, hosts []*inventory.Host, words []string) ([]doomed, error) {
	var list []doomed
	for _, word := range words {
		id, err := ctid(all, word)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(d doomed) bool { return d.ctid == id }) {
			return nil, &usageError{fmt.Sprintf("container %d is named twice", id)}
		}
		h, err := only(all, hosts, id)
		if err != nil {
			return nil, err
		}
		d := doomed{ctid: id, host: h}
		for _, c := range h.Containers {
			if c.Spec.CTID == id {
				d.name = c.Spec.Name
			}
		}
		list = append(list, d)
	}
	return list, nil
}

// only tells which host has the container: the one that the inventory places it on,
// or the only one selected. CTIDs are unique in a cluster, not in a fleet, so there
// may be several; none of them is taken then.
func only(all, hosts []*inventory.Host, ctid int) (*inventory.Host, error) {
	found := carrying(hosts, ctid)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		var names []string
		for _, h := range found {
			names = append(names, h.Name)
		}
		return nil, &usageError{fmt.Sprintf("there is a container %d on %s; name the host that is meant: --limit HOST", ctid, strings.Join(names, " and on "))}
	case len(hosts) == 1:
		for _, h := range carrying(all, ctid) {
			if h.Cluster == hosts[0].Cluster {
				return nil, &usageError{fmt.Sprintf("container %d is on %s in the inventory, not on %s: --limit %s", ctid, h.Name, hosts[0].Name, h.Name)}
			}
		}
		return hosts[0], nil
	}
	return nil, &usageError{fmt.Sprintf("container %d is in no configuration of the selected hosts; name its host: --limit HOST", ctid)}
}

// carrying keeps the hosts that the inventory places the container on.
func carrying(hosts []*inventory.Host, ctid int) []*inventory.Host {
	var found []*inventory.Host
	for _, h := range hosts {
		if slices.Contains(h.CTIDs, ctid) {
			found = append(found, h)
		}
	}
	return found
}

// dependants says of each container that stays what it loses.
func dependants(d doomed, list []doomed) []string {
	var out []string
	clones := d.host.ClonesOf(d.ctid)
	for _, c := range d.host.Containers {
		id := c.Spec.CTID
		if c.Spec.State == lxc.StateAbsent || slices.ContainsFunc(list, func(o doomed) bool { return o.host == d.host && o.ctid == id }) {
			continue
		}
		if slices.Contains(clones, id) {
			out = append(out, fmt.Sprintf("container %d is a clone of %d", id, d.ctid))
		}
		if slices.Contains(c.Spec.DependsOn, d.ctid) {
			out = append(out, fmt.Sprintf("container %d depends on %d", id, d.ctid))
		}
	}
	return out
}

// agree has the operator type the container's name, unless a flag names it.
func (p *program) agree(ctx context.Context, d doomed, allowed []int) error {
	if slices.Contains(allowed, d.ctid) {
		return nil
	}
	what := fmt.Sprintf("Container %d on %s and all its volumes will be destroyed.", d.ctid, d.host.Name)
	return p.consent(ctx, what, typed(d.name, d.ctid), fmt.Sprintf("destroying container %d", d.ctid), fmt.Sprintf("--allow-destroy %d", d.ctid))
}

// typed is what the operator types for a container: its name, or its number where it
// has none.
func typed(name string, ctid int) string {
	if strings.TrimSpace(name) == "" {
		return strconv.Itoa(ctid)
	}
	return name
}

// destruction makes a step per container, in one job per host. Clones go before what
// they were made of: while a linked one is there, its parent is refused.
func destruction(list []doomed) ([]assignment, error) {
	var work []assignment
	for _, d := range list {
		step, err := tasks.NewStep(lxc.Name, fmt.Sprintf("%s:%d", lxc.Name, d.ctid), &lxc.Spec{CTID: d.ctid, State: "absent"})
		if err != nil {
			return nil, err
		}
		for _, id := range d.host.ClonesOf(d.ctid) {
			if slices.ContainsFunc(list, func(o doomed) bool { return o.host == d.host && o.ctid == id }) {
				step.Needs = append(step.Needs, lxc.StepID(id))
			}
		}
		i := slices.IndexFunc(work, func(a assignment) bool { return a.host == d.host })
		if i < 0 {
			i = len(work)
			work = append(work, assignment{host: d.host})
		}
		work[i].steps = append(work[i].steps, step)
		work[i].agreed.Destroy = append(work[i].agreed.Destroy, d.ctid)
	}
	return work, nil
}
