package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/inventory"
	"phoenix/inventory/plan"
	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
)

// named are the containers of commands that change what they do: which ones is always
// said.
type named struct {
	CTID []string `arg:"" optional:"" help:"Containers, by number, range (900-910) or name."`
}

// check refuses a choice that says nothing, or two things.
func (n named) check(all bool) error {
	switch {
	case len(n.CTID) == 0 && !all:
		return &usageError{"no container is named; name some, by number or by name, or take all with --all"}
	case len(n.CTID) > 0 && all:
		return &usageError{"--all takes every container; leave it out, or the containers that are named"}
	}
	return checkWords(n.CTID)
}

// checkWords refuses numbers that no container can have, before anything is read.
func checkWords(words []string) error {
	for _, word := range words {
		if _, err := checkCTID(word); err != nil {
			return err
		}
	}
	return nil
}

// chosen is a container that a command is about, and the host that it is on.
type chosen struct {
	ctid int
	host *inventory.Host
	// is is what the configuration says of it; nil when it says nothing.
	is *inventory.Container
}

// name is what its configuration calls it.
func (c chosen) name() string {
	if c.is == nil {
		return ""
	}
	return c.is.Spec.Name
}

// runs tells whether its configuration has it run, template whether it is to be one.
func (c chosen) runs() bool { return c.is != nil && c.is.Spec.Runs() }
func (c chosen) template() bool {
	return c.is != nil && c.is.Spec.IsTemplate != nil && *c.is.Spec.IsTemplate
}

// everyContainer lists the containers that are to be there. Templates are among them.
func everyContainer(hosts []*inventory.Host) []chosen {
	var out []chosen
	for _, h := range hosts {
		for i := range h.Containers {
			if c := &h.Containers[i]; c.Spec.State != lxc.StateAbsent {
				out = append(out, chosen{c.Spec.CTID, h, c})
			}
		}
	}
	return out
}

// chooseContainers finds each container that is named, and its host.
func chooseContainers(all, hosts []*inventory.Host, words []string) ([]chosen, error) {
	var out []chosen
	words, err := expand(hosts, words)
	if err != nil {
		return nil, err
	}
	for _, word := range words {
		c, err := chooseContainer(all, hosts, word)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o chosen) bool { return o.ctid == c.ctid && o.host == c.host }) {
			return nil, &usageError{fmt.Sprintf("container %d is named twice", c.ctid)}
		}
		out = append(out, c)
	}
	return out, nil
}

// expand takes words apart as an inventory has them: "900-910,920" is those containers of the
// selected hosts that have these numbers. In a range, some may be missing.
func expand(hosts []*inventory.Host, words []string) ([]string, error) {
	if len(words) == 0 {
		return nil, nil
	}
	form := regexp.MustCompile(`^([0-9]+)(?:-([0-9]+))?$`)
	var out []string
	for _, part := range strings.Split(strings.Join(words, ","), ",") {
		m := form.FindStringSubmatch(part)
		if m == nil || m[2] == "" {
			out = append(out, part)
			continue
		}
		from, errFrom := strconv.Atoi(m[1])
		to, errTo := strconv.Atoi(m[2])
		if errors.Join(errFrom, errTo) != nil {
			return nil, &usageError{fmt.Sprintf(noCTID, part)}
		}
		found := false
		for _, c := range everyContainer(hosts) {
			if id := strconv.Itoa(c.ctid); c.ctid >= from && c.ctid <= to && !slices.Contains(out, id) {
				found, out = true, append(out, id)
			}
		}
		if !found {
			return nil, &usageError{fmt.Sprintf("no container of the selected hosts has a number from %d to %d", from, to)}
		}
	}
	return out, checkWords(out)
}

func chooseContainer(all, hosts []*inventory.Host, word string) (chosen, error) {
	id, err := strconv.Atoi(word)
	if err != nil {
		return byName(all, hosts, word)
	}
	h, err := only(all, hosts, id)
	if err != nil {
		return chosen{}, err
	}
	c := chosen{ctid: id, host: h}
	for i := range h.Containers {
		if h.Containers[i].Spec.CTID == id {
			c.is = &h.Containers[i]
		}
	}
	return c, nil
}

// byName finds the one container of the selected hosts that is called so. Names are
// not unique over clusters.
func byName(all, hosts []*inventory.Host, name string) (chosen, error) {
	called := func(list []*inventory.Host) []chosen {
		return slices.DeleteFunc(everyContainer(list), func(c chosen) bool { return !strings.EqualFold(c.name(), name) })
	}
	where := func(list []chosen) string {
		var words []string
		for _, c := range list {
			words = append(words, fmt.Sprintf("%d on %s", c.ctid, c.host.Name))
		}
		return strings.Join(words, " and ")
	}
	found := called(hosts)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return chosen{}, &usageError{fmt.Sprintf("%q is the name of container %s; say which by its number, with --limit HOST where that is the same", name, where(found))}
	}
	if elsewhere := called(all); len(elsewhere) > 0 {
		return chosen{}, &usageError{fmt.Sprintf("%q is container %s, which --limit leaves out", name, where(elsewhere))}
	}
	return chosen{}, &usageError{fmt.Sprintf("no container of the inventory is called %q", name)}
}

// byHost makes an assignment for each host that has any of the containers. make returns
// the steps of one of them.
func byHost(list []chosen, make func(chosen) ([]tasks.Step, error)) ([]assignment, error) {
	var work []assignment
	for _, c := range list {
		steps, err := make(c)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(work, func(a assignment) bool { return a.host == c.host })
		if i < 0 {
			i = len(work)
			work = append(work, assignment{host: c.host})
		}
		work[i].steps = append(work[i].steps, steps...)
	}
	for i := range work {
		work[i].secrets = plan.Secrets(work[i].steps)
	}
	return work, nil
}

// sortByBoot puts containers into the order in which Proxmox starts them: those with a
// boot order first, then by number. What depends on another follows by its needs.
func sortByBoot(list []chosen) {
	order := func(c chosen) int {
		if c.is == nil || c.is.Spec.BootOrder == nil {
			return 1 << 30
		}
		return *c.is.Spec.BootOrder
	}
	slices.SortStableFunc(list, func(a, b chosen) int { return cmp.Or(order(a)-order(b), a.ctid-b.ctid) })
}

// dependsOn tells whether a needs b, which is on the same host.
func dependsOn(a, b chosen) bool {
	return a.host == b.host && a.is != nil && slices.Contains(a.is.Spec.DependsOn, b.ctid)
}
