// Package dataset makes ZFS file systems and keeps their properties and mount points.
//
// Only properties that are mentioned are looked at, and each must be set on the
// dataset itself: one that only happens to be inherited is set. A dataset is never
// destroyed, renamed or made anew, volumes are left to Proxmox, and nothing is
// mounted over files that would be hidden by it. Start reading at Spec; task.go
// compares, apply.go changes.
package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/zfs"
)

// Name of the family in steps.
const Name = "dataset"

// StepID is the ID of a dataset's step.
func StepID(name string) string { return "zfs:" + name }

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

const property = "properties."

// Check asks zfs once for all properties of the dataset.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	have, there, err := zfs.DatasetProperties(ctx, h, t.spec.Name)
	if err != nil {
		return nil, err
	}
	if !there {
		return t.absent(h)
	}
	if kind := have["type"].Value; kind != "filesystem" {
		return nil, fmt.Errorf("compare dataset %s: it is a %s, not a file system (choose another name)", t.spec.Name, kind)
	}
	var d tasks.Diff
	if err := t.mount(h, have, &d); err != nil {
		return nil, err
	}
	zfs.Difference(&d, property, have, t.spec.Properties, zfs.DatasetTable())
	for i, c := range d {
		if refused := t.refusal(c, have); refused != nil {
			d[i].Note = refused.Note()
		}
	}
	return d, nil
}

// absent is the change that makes the dataset.
func (t *task) absent(h tasks.Host) (tasks.Diff, error) {
	c := tasks.Change{Path: "exists", To: "file system", Effect: tasks.EffectLive}
	lines := zfs.Pairs(t.spec.Properties, property, nil, zfs.DatasetTable())
	if t.spec.Mountpoint != "" {
		lines = append([]string{"mountpoint=" + t.spec.Mountpoint}, lines...)
	}
	refused, err := t.creation(h)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		lines = append([]string{refused.Note()}, lines...)
	}
	c.Note = strings.Join(lines, "\n")
	return tasks.Diff{c}, nil
}

// mounts tells whether the dataset is to be seen at a path.
func (t *task) mounts(canmount string) bool {
	if own, ok := t.spec.Properties["canmount"]; ok {
		canmount = own
	}
	return path.IsAbs(t.spec.Mountpoint) && canmount != "off" && canmount != "noauto"
}

// mount compares where the dataset is mounted and whether it is. Where it comes from
// does not matter here: setting the same mount point again would mount it anew.
func (t *task) mount(h tasks.Host, have zfs.Properties, d *tasks.Diff) error {
	if t.spec.Mountpoint == "" {
		return nil
	}
	d.Add("mountpoint", have["mountpoint"].Value, t.spec.Mountpoint, tasks.EffectLive)
	if !d.Has("mountpoint") && t.mounts(have["canmount"].Value) {
		d.Add("mounted", have["mounted"].Value, "yes", tasks.EffectLive)
	}
	if len(*d) == 0 || !t.mounts(have["canmount"].Value) {
		return nil
	}
	refused, err := t.covered(h)
	if err == nil && refused != nil {
		(*d)[0].Effect, (*d)[0].Note = tasks.EffectReplace, refused.Note()
	}
	return err
}

// covered is the refusal to mount over files: they would still be there, and nobody
// would see them.
func (t *task) covered(h tasks.Host) (*tasks.RefusedError, error) {
	names, err := h.ReadDir(t.spec.Mountpoint)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at mount point %s: %w", t.spec.Mountpoint, err)
	}
	return &tasks.RefusedError{
		What:    fmt.Sprintf("mounting %s over %s, which holds %d entries (%s, …),", t.spec.Name, t.spec.Mountpoint, len(names), names[0]),
		Instead: "move them away first, or choose another mountpoint",
	}, nil
}

// refusal is why a run leaves a difference as it is; nil when it does not.
func (t *task) refusal(c tasks.Change, have zfs.Properties) *tasks.RefusedError {
	name, _ := strings.CutPrefix(c.Path, property)
	if c.Effect == tasks.EffectReplace && name != c.Path {
		return &tasks.RefusedError{
			What:    "changing " + name + " of dataset " + t.spec.Name + " from " + c.From + " to " + c.To,
			Instead: "it is fixed when a dataset is made: make another one and move the files",
		}
	}
	used := map[string]string{"quota": "used", "refquota": "referenced"}[name]
	if used == "" || name == c.Path || c.To == "0" {
		return nil
	}
	limit, err := strconv.ParseUint(c.To, 10, 64)
	now, err2 := strconv.ParseUint(have[used].Value, 10, 64)
	if err != nil || err2 != nil || now <= limit {
		return nil
	}
	return &tasks.RefusedError{
		What:    fmt.Sprintf("setting %s of dataset %s to %d bytes", name, t.spec.Name, limit),
		Instead: fmt.Sprintf("%d bytes are in use: remove files, or allow more", now),
	}
}

// creation is why the dataset cannot be made; nil when it can.
func (t *task) creation(h tasks.Host) (*tasks.RefusedError, error) {
	if e := t.spec.Properties["encryption"]; e != "" && e != "off" {
		return &tasks.RefusedError{
			What:    "making encrypted dataset " + t.spec.Name,
			Instead: "its key is yours: `zfs create -o encryption=" + e + " -o keyformat=passphrase " + t.spec.Name + "`, and the next run manages the rest",
		}, nil
	}
	if !t.mounts("on") {
		return nil, nil
	}
	return t.covered(h)
}
