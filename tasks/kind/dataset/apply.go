package dataset

import (
	"context"
	"slices"

	"phoenix/tasks"
	"phoenix/tasks/zfs"
)

// Apply makes the dataset, or sets in one call what differs and mounts it. What is
// refused comes last.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if d.Has("exists") {
		return t.create(ctx, h)
	}
	var refused *tasks.RefusedError
	have, _, err := zfs.DatasetProperties(ctx, h, t.spec.Name)
	if err != nil {
		return err
	}
	var pairs []string
	for _, c := range d {
		r := t.refusal(c, have)
		if c.Effect == tasks.EffectReplace && r == nil {
			if r, err = t.covered(h); err != nil {
				return err
			}
		}
		switch {
		case r != nil:
			refused = r
		case c.Path == "mountpoint":
			pairs = append(pairs, "mountpoint="+t.spec.Mountpoint)
		default:
			pairs = append(pairs, zfs.Pairs(t.spec.Properties, property, tasks.Diff{c}, zfs.DatasetTable())...)
		}
	}
	if err := t.set(ctx, h, pairs); err != nil {
		return err
	}
	if c := d.With(tasks.EffectLive); c.Has("mounted") || c.Has("mountpoint") {
		if err := t.ensureMounted(ctx, h); err != nil {
			return err
		}
	}
	if refused != nil {
		return refused
	}
	return nil
}

// ensureMounted mounts the dataset, unless setting its mount point has done so.
func (t *task) ensureMounted(ctx context.Context, h tasks.Host) error {
	have, _, err := zfs.DatasetProperties(ctx, h, t.spec.Name)
	if err != nil || have["mounted"].Value != "no" || !t.mounts(have["canmount"].Value) {
		return err
	}
	_, err = zfs.Run(ctx, h, tasks.Cmd{Argv: []string{"zfs", "mount", t.spec.Name}})
	return err
}

func (t *task) set(ctx context.Context, h tasks.Host, pairs []string) error {
	if len(pairs) == 0 {
		return nil
	}
	_, err := zfs.Run(ctx, h, tasks.Cmd{Argv: slices.Concat([]string{"zfs", "set"}, pairs, []string{t.spec.Name})})
	return err
}

// create makes the dataset with everything at once. Those above it are not made on
// the way: they would be datasets that nobody has asked for.
func (t *task) create(ctx context.Context, h tasks.Host) error {
	refused, err := t.creation(h)
	if err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	argv := []string{"zfs", "create"}
	if t.spec.Mountpoint != "" {
		argv = append(argv, "-o", "mountpoint="+t.spec.Mountpoint)
	}
	for _, pair := range zfs.Pairs(t.spec.Properties, property, nil, zfs.DatasetTable()) {
		argv = append(argv, "-o", pair)
	}
	_, err = zfs.Run(ctx, h, tasks.Cmd{Argv: append(argv, t.spec.Name)})
	return err
}
