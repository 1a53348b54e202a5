package render

import (
	"fmt"
	"slices"

	"phoenix/tasks/report"
)

// block is what is said of one thing about a host, such as a step: lines without
// their indentation.
type block string

// hostGroup is hosts of which the same is to be said.
type hostGroup struct {
	hosts []report.Host
	body  []block
}

// group puts hosts together that have the same status, number of steps and text,
// worst first, otherwise in the order given.
func group(hosts []report.Host, body func(report.Host) []block) []hostGroup {
	var out []hostGroup
	at := make(map[string]int)
	for _, h := range hosts {
		blocks := body(h)
		k := fmt.Sprintf("%s %d %q", h.Status, h.Counts.Total, blocks)
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, hostGroup{body: blocks})
		}
		out[i].hosts = append(out[i].hosts, h)
	}
	slices.SortStableFunc(out, func(a, b hostGroup) int {
		return b.hosts[0].Status.Severity() - a.hosts[0].Status.Severity()
	})
	return out
}

// hostClass is groups that ended alike and have some blocks in common.
type hostClass struct {
	groups []hostGroup
	// shared are the blocks that every group has.
	shared []block
}

func (c hostClass) hosts() []report.Host {
	var out []report.Host
	for _, g := range c.groups {
		out = append(out, g.hosts...)
	}
	return out
}

// classes joins groups of the same status and number of steps, as long as there is
// something that all of them share: forty hosts that differ in their name only are
// forty groups, and one class.
func classes(groups []hostGroup) []hostClass {
	var out []hostClass
	for _, g := range groups {
		first := g.hosts[0]
		joined := false
		for i := range out {
			c := &out[i]
			other := c.groups[0].hosts[0]
			if other.Status != first.Status || other.Counts.Total != first.Counts.Total {
				continue
			}
			if both := shared(c.shared, g.body); len(both) > 0 {
				c.groups, c.shared, joined = append(c.groups, g), both, true
				break
			}
		}
		if !joined {
			out = append(out, hostClass{groups: []hostGroup{g}, shared: g.body})
		}
	}
	return out
}

// shared is what of a is also in b.
func shared(a, b []block) []block {
	var out []block
	for _, x := range a {
		if slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

// without is what of a is not in b.
func without(a, b []block) []block {
	var out []block
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}
