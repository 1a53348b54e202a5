package guestfirewall

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
	"phoenix/tasks/ruleset"
)

// clusterStep writes the groups, sets and aliases that the rules can name.
const clusterStep = "firewall:cluster"

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// wanted is what is wanted of the file. What Proxmox takes for said where nothing is
// differs between its two daemons for all switches but the first, so those are written
// down also where they are as one of them would have it.
func (t *task) wanted() ruleset.Wanted {
	s := t.spec
	options := ruleset.Switch(nil, "enabled", "enable", s.Enabled, "0")
	options = ruleset.Texts(options, []ruleset.Option{
		{Path: "policy_in", Key: "policy_in", Want: s.PolicyIn, Absent: "DROP"},
		{Path: "policy_out", Key: "policy_out", Want: s.PolicyOut, Absent: "ACCEPT"},
		{Path: "log_level_in", Key: "log_level_in", Want: s.LogLevelIn},
		{Path: "log_level_out", Key: "log_level_out", Want: s.LogLevelOut},
	}...)
	for _, o := range []struct {
		key string
		on  *bool
	}{{"dhcp", s.DHCP}, {"ndp", s.NDP}, {"radv", s.RADV}, {"ipfilter", s.IPFilter}, {"macfilter", s.MACFilter}} {
		options = ruleset.Switch(options, o.key, o.key, o.on, "")
	}
	return ruleset.Wanted{
		Path: ruleset.GuestFile(s.CTID), Lock: ruleset.GuestLock(s.CTID),
		Options: options, Aliases: s.Aliases, IPSets: s.IPSets, Rules: ruleset.Lines(s.Rules, ruleset.Marked),
	}
}

// Check compares every managed value with the file, parsed.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	if _, err := t.here(h); err != nil {
		return nil, err
	}
	w := t.wanted()
	cluster, err := ruleset.Read(h, ruleset.ClusterFile)
	if err != nil {
		return nil, err
	}
	file, err := ruleset.Read(h, w.Path)
	if err != nil {
		return nil, err
	}
	d := w.Diff(file)
	ahead := slices.Contains(tasks.ScopeOf(ctx).Ahead, clusterStep)
	if len(d) > 0 && !ahead && !ruleset.On(cluster) {
		d[0].Note = "the firewall of the cluster is off: the file has no effect until it is on"
	}
	w.Set(file)
	if lost := lost(w, file, cluster); len(lost) > 0 && !ahead {
		return nil, fmt.Errorf("look for what the rules of container %d name: neither %s nor %s has %s; "+
			"say sets and aliases in the container's own firewall (ipsets, aliases), or those and security groups in firewall.cluster of the hypervisor; or take it out", t.spec.CTID, w.Path, ruleset.ClusterFile, strings.Join(lost, ", "))
	}
	return d, nil
}

// here tells whether this node has the container, so that its Proxmox reads the file. It
// fails where the number belongs to a virtual machine, whose rules these are not.
func (t *task) here(h tasks.Host) (bool, error) {
	id := t.spec.CTID
	node, err := pve.Node(h)
	if err != nil {
		return false, fmt.Errorf("find container %d: %w", id, err)
	}
	guests, err := guest.Cluster(h)
	if err != nil {
		return false, fmt.Errorf("find who has CTID %d: %w", id, err)
	}
	g, taken := guests[id]
	if taken && g.Type != "lxc" {
		return false, fmt.Errorf("find who has CTID %d: it belongs to a virtual machine on node %s; give the container another CTID", id, g.Node)
	}
	return taken && g.Node == node, nil
}

// Apply writes the file as a whole.
func (t *task) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	if err := pve.Writable(h); err != nil {
		return err
	}
	here, err := t.here(h)
	if err != nil {
		return err
	}
	w := t.wanted()
	write := w.Write
	if here {
		write = w.WriteChecked
	}
	return write(ctx, h, func(now []byte) ([]byte, error) {
		f := fwfile.Parse(now)
		w.Set(f)
		return f.Bytes(), nil
	})
}

// lost are the groups, sets and aliases that the wanted rules and sets name and nobody
// has. Proxmox looks for a plain name in the file of the guest and then in that of the
// cluster, where it always has the set management and the alias local_network.
func lost(w ruleset.Wanted, own, cluster *fwfile.File) []string {
	var out []string
	look := func(what, name string, has func(f *fwfile.File) bool) {
		_, ofCluster := strings.CutPrefix(name, "dc/")
		_, ofGuest := strings.CutPrefix(name, "guest/")
		if (ofCluster || !has(own)) && (ofGuest || !has(cluster)) && !slices.Contains(out, what+" "+name) {
			out = append(out, what+" "+name)
		}
	}
	address := func(item string) {
		name, isSet := strings.CutPrefix(strings.TrimPrefix(item, "!"), "+")
		plain := strings.TrimPrefix(strings.TrimPrefix(name, "dc/"), "guest/")
		switch {
		case isSet && plain != "management":
			look("set", name, func(f *fwfile.File) bool { _, ok := f.IPSet(plain); return ok })
		case !isSet && fwfile.Name.MatchString(plain) && plain != "local_network":
			look("alias", name, func(f *fwfile.File) bool { _, ok := f.Alias(plain); return ok })
		}
	}
	for _, r := range w.Rules {
		if r.Type == "GROUP" {
			look("security group", r.Action, func(f *fwfile.File) bool { _, ok := f.Group(r.Action); return ok && f == cluster })
		}
		for _, list := range []string{r.Source, r.Dest} {
			for _, item := range strings.Split(list, ",") {
				address(item)
			}
		}
	}
	for _, set := range w.IPSets {
		for _, item := range set {
			address(item)
		}
	}
	slices.Sort(out)
	return out
}
