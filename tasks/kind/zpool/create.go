package zpool

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/disk"
	"phoenix/tasks/zfs"
)

// usualAshift is what Proxmox gives to new pools: 4096 bytes. Many disks claim 512
// and are slow with it, and it cannot be changed later.
const usualAshift = 12

// absent is the change that makes the pool, with what is on each disk.
func (t *task) absent(ctx context.Context, h tasks.Host, pools []zfs.Pool) (tasks.Diff, error) {
	disks, err := t.look(ctx, h, pools)
	if err != nil {
		return nil, err
	}
	c := tasks.Change{Path: "exists", To: fmt.Sprintf("%s, disks: %d", t.spec.Topology, len(t.spec.Disks)), Effect: tasks.EffectLive}
	var lines []string
	if refused := t.refusal(disks, tasks.ConsentOf(ctx)); refused != nil {
		lines = append(lines, refused.Note())
	}
	for _, d := range disks {
		if !d.Empty() {
			c.Effect = tasks.EffectReplace
		}
		lines = append(lines, d.String())
	}
	c.Note = strings.Join(lines, "\n")
	return tasks.Diff{c}, nil
}

// look looks at the disks; that a pool uses one is not known to the kernel's other
// parts, so it is added here.
func (t *task) look(ctx context.Context, h tasks.Host, pools []zfs.Pool) ([]disk.Disk, error) {
	disks, err := disk.Look(ctx, h, t.spec.Disks)
	if err != nil {
		return nil, err
	}
	for i, d := range disks {
		if j := slices.IndexFunc(disks[:i], func(o disk.Disk) bool { return o.Name == d.Name }); j >= 0 {
			return nil, fmt.Errorf("look at disk %s: it is the same disk as %s", d.Path, disks[j].Path)
		}
	}
	for _, p := range pools {
		for _, device := range p.Devices() {
			keys, err := identities(h, device)
			if err != nil {
				return nil, err
			}
			for i := range disks {
				if slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(disks[i].Devices(), k) }) {
					disks[i].Uses = append(disks[i].Uses, "is in pool "+p.Name)
				}
			}
		}
	}
	return disks, nil
}

// refusal is why the disks are not taken; nil when they may be.
func (t *task) refusal(disks []disk.Disk, consent tasks.Consent) *tasks.RefusedError {
	var used, full []string
	var allow []tasks.Allow
	for _, d := range disks {
		if slices.ContainsFunc(d.Content, func(c disk.Content) bool { return c.Type == "zfs_member" && c.Label == t.spec.Name }) && len(d.Uses) == 0 {
			return &tasks.RefusedError{
				What:    "making pool " + t.spec.Name,
				Instead: "a pool of this name is on " + d.Path + " and is not imported; `zpool import " + t.spec.Name + "` brings it back, and the next run takes it as it is",
			}
		}
		switch {
		case len(d.Uses) > 0:
			used = append(used, d.Path+" ("+strings.Join(d.Uses, "; ")+")")
		case !d.Empty() && !slices.Contains(consent.Wipe, d.Path):
			full = append(full, d.String())
			allow = append(allow, tasks.Allow{Flag: tasks.AllowWipe, Name: d.Path, Loss: "a disk is wiped for pool " + t.spec.Name + ", and all that is on it is lost:\n" + d.String()})
		}
	}
	switch {
	case len(used) > 0:
		return &tasks.RefusedError{What: "taking disks for pool " + t.spec.Name, Instead: "free them first, no consent allows it: " + strings.Join(used, ", ")}
	case len(full) > 0:
		return &tasks.RefusedError{What: "wiping " + strings.Join(full, ", "), Allow: allow}
	}
	return nil
}

// Apply makes the pool, or sets the properties that differ. What a pool is made of
// is refused after everything else.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if d.Has("exists") {
		return t.create(ctx, h)
	}
	for _, pair := range zfs.Pairs(t.spec.Properties, poolProperty, d, zfs.PoolTable()) {
		// zpool takes one property at a time.
		if _, err := zfs.Run(ctx, h, tasks.Cmd{Argv: []string{"zpool", "set", pair, t.spec.Name}}); err != nil {
			return err
		}
	}
	if pairs := zfs.Pairs(t.spec.DatasetProperties, datasetProperty, d, zfs.RootTable()); len(pairs) > 0 {
		if _, err := zfs.Run(ctx, h, tasks.Cmd{Argv: slices.Concat([]string{"zfs", "set"}, pairs, []string{t.spec.Name})}); err != nil {
			return err
		}
	}
	for _, c := range d.With(tasks.EffectReplace) {
		return t.fixed(c)
	}
	return nil
}

// create looks again, since disks are given away only by what is on them now, clears
// those that were agreed to, and makes the pool.
func (t *task) create(ctx context.Context, h tasks.Host) error {
	pools, err := zfs.Pools(ctx, h)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(pools, func(p zfs.Pool) bool { return p.Name == t.spec.Name }) {
		return nil // made by somebody since the check; the next check compares it
	}
	disks, err := t.look(ctx, h, pools)
	if err != nil {
		return err
	}
	if refused := t.refusal(disks, tasks.ConsentOf(ctx)); refused != nil {
		return refused
	}
	for _, d := range disks {
		if err := wipe(ctx, h, d); err != nil {
			return err
		}
	}
	_, err = zfs.Run(ctx, h, tasks.Cmd{Argv: t.argv()})
	return err
}

// wipe takes the signatures off the partitions first: zpool looks for those that the
// disk's table names, and a new table can bring them back at the same places.
func wipe(ctx context.Context, h tasks.Host, d disk.Disk) error {
	if d.Empty() {
		return nil
	}
	tasks.Logf(ctx, "wiping %s", d)
	argv := []string{"wipefs", "--all"}
	for _, device := range d.Devices() {
		argv = append(argv, "/dev/"+device)
	}
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: argv})
	return err
}

// argv is the command that makes the pool, with all its properties at once.
func (t *task) argv() []string {
	ashift := t.spec.Ashift
	if ashift == 0 {
		ashift = usualAshift
	}
	argv := []string{"zpool", "create", "-o", fmt.Sprintf("ashift=%d", ashift)}
	for _, pair := range zfs.Pairs(t.spec.Properties, poolProperty, nil, zfs.PoolTable()) {
		argv = append(argv, "-o", pair)
	}
	for _, pair := range zfs.Pairs(t.spec.DatasetProperties, datasetProperty, nil, zfs.RootTable()) {
		argv = append(argv, "-O", pair)
	}
	argv = append(argv, t.spec.Name)
	if t.spec.Topology != "single" {
		argv = append(argv, t.spec.Topology)
	}
	return append(argv, t.spec.Disks...)
}
