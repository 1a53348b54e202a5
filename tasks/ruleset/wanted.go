package ruleset

import (
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
)

// Wanted is what is wanted of one file.
type Wanted struct {
	// At begins the paths of changes: "cluster."; empty where the file is the whole step.
	At string
	// Path of the file, and Proxmox's lock of it.
	Path, Lock string
	Options    []Option
	Aliases    map[string]string
	IPSets     map[string][]string
	Groups     map[string][]fwfile.Rule
	// Rules stand before those of others, and Management before them.
	Rules, Management []fwfile.Rule
}

// Diff lists what differs in a file, in a stable order.
func (w *Wanted) Diff(f *fwfile.File) tasks.Diff {
	var d tasks.Diff
	for _, o := range w.Options {
		have, ok := f.Option(o.Key)
		if !ok {
			have = o.Absent
		}
		d.Add(w.At+o.Path, Canonical(o.Key, have), Canonical(o.Key, o.Want), tasks.EffectLive)
	}
	for _, name := range tasks.Keys(w.Aliases) {
		have, _ := f.Alias(name)
		d.Add(w.At+"aliases."+name, fwfile.CanonicalAddress(have.Address), fwfile.CanonicalAddress(w.Aliases[name]), tasks.EffectLive)
	}
	for _, name := range tasks.Keys(w.IPSets) {
		have := ""
		if entries, ok := f.IPSet(name); ok {
			have = set(addresses(entries))
		}
		d.Add(w.At+"ipsets."+name, have, set(w.IPSets[name]), tasks.EffectLive)
	}
	for _, name := range tasks.Keys(w.Groups) {
		have := ""
		if rr, ok := f.Group(name); ok {
			have = shown(rr)
			if slices.EqualFunc(rr, w.Groups[name], same) {
				continue
			}
		}
		d.Add(w.At+"groups."+name, have, shown(w.Groups[name]), tasks.EffectLive)
	}
	return append(d, w.rulesDiff(f.Rules())...)
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

// same tells whether two rules mean the same.
func same(a, b fwfile.Rule) bool { return a.Canonical() == b.Canonical() }

// shown is a list of rules as they are written, with a word for the empty one.
func shown(rr []fwfile.Rule) string {
	if len(rr) == 0 {
		return "empty"
	}
	var out []string
	for _, r := range rr {
		out = append(out, r.String())
	}
	return strings.Join(out, "; ")
}

// rulesDiff compares our rules one by one, and then where they stand. A rule is
// found wherever it is; what is left of ours is what a wanted one was before it was
// changed by hand, or one that is not wanted any more.
func (w *Wanted) rulesDiff(have []fwfile.Rule) tasks.Diff {
	at := w.At + "rules."
	var d tasks.Diff
	var found, left, present []fwfile.Rule
	for _, r := range have {
		switch c := r.Canonical(); {
		case IsManagement(r):
			found = append(found, c)
		case ours(r):
			left = append(left, r)
		}
	}
	if !slices.Equal(found, w.Management) {
		d.Add(at+"management", text(found), text(w.Management), tasks.EffectLive)
	}
	var missing []int
	for i, r := range w.Rules {
		if j := slices.IndexFunc(left, func(l fwfile.Rule) bool { return same(l, r) }); j >= 0 {
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
		d.Add(fmt.Sprintf("%s%d", at, i), from, w.Rules[i].String(), tasks.EffectLive)
	}
	for i, r := range left {
		d.Add(fmt.Sprintf("%s%d", at, len(w.Rules)+i), r.String(), "", tasks.EffectLive)
	}
	return append(d, w.orderDiff(have, append(found, present...))...)
}

// text is a list of rules; empty for none.
func text(rr []fwfile.Rule) string {
	if len(rr) == 0 {
		return ""
	}
	return shown(rr)
}

// orderDiff compares where those of our rules stand that are there as wanted.
func (w *Wanted) orderDiff(have, wanted []fwfile.Rule) tasks.Diff {
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
		d.Add(w.At+"rules.order", "another order", "the order of the configuration", tasks.EffectLive)
	case before > 0:
		d.Add(w.At+"rules.order", fmt.Sprintf("behind %d other rules", before), "before all others", tasks.EffectLive)
	}
	return d
}
