// Package firewall keeps Proxmox's firewall of the cluster and of the host: options,
// aliases, sets, security groups and rules.
//
// It reads /etc/pve/firewall/cluster.fw and the node's host.fw and writes each as a
// whole under Proxmox's own lock, with every line that is not its own as it was. An
// alias, a set, a group is ours by its name, a rule by its comment, which begins with
// "phoenix": Proxmox's writers keep nothing else. Our rules stand before all others;
// before them the one that lets SSH and the web interface in. A change of a firewall
// that is on, or goes on, is taken back by the machine itself unless somebody who
// still gets in confirms it (tasks/guard). It never removes what others wrote, and
// never touches the firewalls of guests.
// Start reading at Spec; want.go has the rule that keeps people in, task.go compares,
// apply.go changes. The grammar of the files is in tasks/fwfile.
package firewall

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
	"phoenix/tasks/pve"
)

// Name of the family in steps and in step IDs.
const Name = "firewall"

const clusterFile = "/etc/pve/firewall/cluster.fw"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return task{*s} }

type task struct{ spec Spec }

// part is what is wanted of one file.
type part struct {
	// at is the key of the spec: "cluster".
	at         string
	path, lock string
	options    []option
	aliases    map[string]string
	ipsets     map[string][]string
	groups     map[string][]fwfile.Rule
	rules      []fwfile.Rule
	management []fwfile.Rule
}

// parts are the files that the spec is about. The rules that keep people in are
// missing yet: they depend on the file.
func (t task) parts(node string) []part {
	var out []part
	if c := t.spec.Cluster; c != nil {
		groups := make(map[string][]fwfile.Rule, len(c.Groups))
		for name, rr := range c.Groups {
			groups[name] = lines(rr, func(comment string) string { return comment })
		}
		out = append(out, part{
			at: "cluster", path: clusterFile, lock: "/etc/pve/priv/lock/firewall-cluster",
			options: c.options(), aliases: c.Aliases, ipsets: c.IPSets, groups: groups, rules: lines(c.Rules, marked),
		})
	}
	if s := t.spec.Host; s != nil {
		out = append(out, part{
			at: "host", path: "/etc/pve/nodes/" + node + "/host.fw", lock: "/etc/pve/priv/lock/firewall-host-" + node,
			options: named(s.Options, map[string]string{"enable": "1"}), rules: lines(s.Rules, marked),
		})
	}
	return out
}

func lines(rr []Rule, comment func(string) string) []fwfile.Rule {
	var out []fwfile.Rule
	for _, r := range rr {
		out = append(out, r.line(comment(r.Comment)))
	}
	return out
}

// Check compares every managed value with the files, parsed.
func (t task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	node, err := pve.Node(h)
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	for _, p := range t.parts(node) {
		file, err := readFile(h, p.path)
		if err != nil {
			return nil, err
		}
		if p.management, err = t.spec.management(ctx, h, file); err != nil {
			return nil, err
		}
		d = append(d, p.diff(file)...)
	}
	if refused := t.spec.shutOut(ctx); refused != nil {
		for i := range d {
			d[i].Note = refused.Note()
		}
	}
	return d, nil
}

// readFile parses a file; a missing one is empty.
func readFile(h tasks.Host, path string) (*fwfile.File, error) {
	data, _, err := tasks.ReadIfExists(h, path)
	return fwfile.Parse(data), err
}

func (p part) diff(f *fwfile.File) tasks.Diff {
	var d tasks.Diff
	for _, o := range p.options {
		have, ok := f.Option(o.key)
		if !ok {
			have = o.absent
		}
		d.Add(p.at+"."+o.path, canonical(o.key, have), canonical(o.key, o.want), tasks.EffectLive)
	}
	for _, name := range slices.Sorted(maps.Keys(p.aliases)) {
		have, _ := f.Alias(name)
		d.Add(p.at+".aliases."+name, fwfile.CanonicalAddress(have.Address), fwfile.CanonicalAddress(p.aliases[name]), tasks.EffectLive)
	}
	for _, name := range slices.Sorted(maps.Keys(p.ipsets)) {
		have := ""
		if entries, ok := f.IPSet(name); ok {
			have = set(addresses(entries))
		}
		d.Add(p.at+".ipsets."+name, have, set(p.ipsets[name]), tasks.EffectLive)
	}
	for _, name := range slices.Sorted(maps.Keys(p.groups)) {
		have := ""
		if rr, ok := f.Group(name); ok {
			have = shown(rr)
		}
		d.Add(p.at+".groups."+name, have, shown(p.groups[name]), tasks.EffectLive)
	}
	return append(d, p.rulesDiff(f.Rules())...)
}

func addresses(entries []fwfile.Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Address)
	}
	return out
}

// set is a set of addresses in canonical form, with a word for the empty one.
func set(entries []string) string {
	if len(entries) == 0 {
		return "empty"
	}
	return fwfile.CanonicalAddresses(strings.Join(entries, ","))
}

// shown is a list of rules in canonical form, with a word for the empty one.
func shown(rr []fwfile.Rule) string {
	if len(rr) == 0 {
		return "empty"
	}
	var out []string
	for _, r := range rr {
		out = append(out, r.Canonical().String())
	}
	return strings.Join(out, "; ")
}

// rulesDiff compares our rules one by one, and then where they stand. A rule is
// found wherever it is; what is left of ours is what a wanted one was before it was
// changed by hand, or one that is not wanted any more.
func (p part) rulesDiff(have []fwfile.Rule) tasks.Diff {
	at := p.at + ".rules."
	var d tasks.Diff
	var found, left, present []fwfile.Rule
	for _, r := range have {
		switch c := r.Canonical(); {
		case isManagement(r):
			found = append(found, c)
		case ours(r):
			left = append(left, c)
		}
	}
	if !slices.Equal(found, p.management) {
		d.Add(at+"management", text(found), text(p.management), tasks.EffectLive)
	}
	var missing []int
	for i, r := range p.rules {
		if j := slices.Index(left, r.Canonical()); j >= 0 {
			left = slices.Delete(left, j, j+1)
			present = append(present, r.Canonical())
		} else {
			missing = append(missing, i)
		}
	}
	for _, i := range missing {
		from := ""
		if len(left) > 0 {
			from, left = left[0].String(), left[1:]
		}
		d.Add(fmt.Sprintf("%s%d", at, i), from, p.rules[i].Canonical().String(), tasks.EffectLive)
	}
	for i, r := range left {
		d.Add(fmt.Sprintf("%s%d", at, len(p.rules)+i), r.String(), "", tasks.EffectLive)
	}
	return append(d, p.orderDiff(have, append(found, present...))...)
}

// text is a list of rules; empty for none.
func text(rr []fwfile.Rule) string {
	if len(rr) == 0 {
		return ""
	}
	return shown(rr)
}

// orderDiff compares where those of our rules stand that are there as wanted.
func (p part) orderDiff(have, wanted []fwfile.Rule) tasks.Diff {
	var d tasks.Diff
	i, before := 0, 0
	for _, r := range have {
		switch c := r.Canonical(); {
		case i < len(wanted) && c == wanted[i]:
			i++
		case i < len(wanted) && !slices.Contains(wanted, c) && !ours(r):
			before++
		}
	}
	switch {
	case i < len(wanted):
		d.Add(p.at+".rules.order", "another order", "the order of the configuration", tasks.EffectLive)
	case before > 0:
		d.Add(p.at+".rules.order", fmt.Sprintf("behind %d other rules", before), "before all others", tasks.EffectLive)
	}
	return d
}
