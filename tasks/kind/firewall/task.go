// Package firewall keeps Proxmox's firewall of the cluster and of the host: options,
// aliases, sets, security groups and rules.
//
// It reads /etc/pve/firewall/cluster.fw and the node's host.fw and writes each as a
// whole under Proxmox's own lock, with every line that is not its own as it was. Before
// our rules stands the one that lets SSH and the web interface in. A change of a firewall
// that is on, or goes on, is taken back by the machine itself unless somebody who
// still gets in confirms it (tasks/guard). It never removes what others wrote, and
// never touches the firewalls of guests, which tasks/kind/guestfirewall does.
// Start reading at Spec; want.go has the rule that keeps people in, apply.go changes.
// What is ours, and how files are compared and written, is in tasks/ruleset.
package firewall

import (
	"context"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
	"phoenix/tasks/pve"
	"phoenix/tasks/ruleset"
)

// Name of the family in steps and in step IDs.
const Name = "firewall"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// parts are the files that the spec is about. The rules that keep people in are
// missing yet: they depend on the file.
func (t *task) parts(node string) []ruleset.Wanted {
	var out []ruleset.Wanted
	if c := t.spec.Cluster; c != nil {
		groups := make(map[string][]fwfile.Rule, len(c.Groups))
		for name, rr := range c.Groups {
			groups[name] = ruleset.Lines(rr, func(comment string) string { return comment })
		}
		out = append(out, ruleset.Wanted{
			At: "cluster.", Path: ruleset.ClusterFile, Lock: "/etc/pve/priv/lock/firewall-cluster",
			Options: c.options(), Aliases: c.Aliases, IPSets: c.IPSets, Groups: groups, Rules: ruleset.Lines(c.Rules, ruleset.Marked),
		})
	}
	if s := t.spec.Host; s != nil {
		out = append(out, ruleset.Wanted{
			At: "host.", Path: "/etc/pve/nodes/" + node + "/host.fw", Lock: "/etc/pve/priv/lock/firewall-host-" + node,
			Options: named(s.Options, map[string]string{"enable": "1"}), Rules: ruleset.Lines(s.Rules, ruleset.Marked),
		})
	}
	return out
}

// Check compares every managed value with the files, parsed.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	node, err := pve.Node(h)
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	for _, p := range t.parts(node) {
		file, err := ruleset.Read(h, p.Path)
		if err != nil {
			return nil, err
		}
		if p.Management, err = t.spec.management(ctx, h, file); err != nil {
			return nil, err
		}
		d = append(d, p.Diff(file)...)
	}
	if refused := t.spec.shutOut(ctx); refused != nil {
		for i := range d {
			d[i].Note = refused.Note()
		}
	}
	return d, nil
}
