// Package zpool makes ZFS pools, and holds those that exist against what is wanted.
//
// A pool that exists is never changed but in its properties: what differs in its
// disks or their arrangement, and a pool that is not healthy, is shown and refused
// with what to do. A new pool takes disks only after each of them was looked at: a
// disk that carries anything needs a consent that names it, and a disk in use is
// refused whatever was agreed to. `zpool create -f` is never used: what zpool still
// complains of is something that nobody has looked at. Start reading at Spec;
// task.go compares, create.go makes a pool.
package zpool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/disk"
	"phoenix/tasks/zfs"
)

// Name of the family in steps and in step IDs.
const Name = "zpool"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Prefixes of the paths of properties.
const (
	poolProperty    = "properties."
	datasetProperty = "dataset_properties."
)

// Check asks zpool for all pools, and for the properties that are wanted. zpool and
// zfs are each asked once more only when the spec has properties of theirs.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	pools, err := zfs.Pools(ctx, h)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(pools, func(p zfs.Pool) bool { return p.Name == t.spec.Name })
	if i < 0 {
		return t.absent(ctx, h, pools)
	}
	d, err := t.disks(h, pools[i])
	if err != nil {
		return nil, err
	}
	if health := health(pools[i]); health != healthy {
		d = append(d, tasks.Change{Path: "health", From: health, To: healthy, Effect: tasks.EffectReplace})
	}
	if state := pools[i].State; state != healthy && state != "DEGRADED" {
		return t.noted(d), nil // its properties cannot be read
	}
	if err := t.properties(ctx, h, pools[i], &d); err != nil {
		return nil, err
	}
	return t.noted(d), nil
}

// healthy is the state of a pool that lacks nothing.
const healthy = "ONLINE"

// health is the state, with what is damaged where something is.
func health(p zfs.Pool) string {
	if p.Errors == "" || p.Errors == "No known data errors" {
		return p.State
	}
	return p.State + ", " + p.Errors
}

func (t *task) properties(ctx context.Context, h tasks.Host, p zfs.Pool, d *tasks.Diff) error {
	if t.spec.Ashift != 0 {
		ashift, err := zfs.Ashift(ctx, h, p)
		if err != nil {
			return err
		}
		d.Add("ashift", ashift, strconv.Itoa(t.spec.Ashift), tasks.EffectReplace)
	}
	if len(t.spec.Properties) > 0 {
		have, err := zfs.PoolProperties(ctx, h, t.spec.Name)
		if err != nil {
			return err
		}
		zfs.Difference(d, poolProperty, have, t.spec.Properties, zfs.PoolTable())
	}
	if len(t.spec.DatasetProperties) > 0 {
		have, there, err := zfs.DatasetProperties(ctx, h, t.spec.Name)
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("read properties of %s: the pool has no file system", t.spec.Name)
		}
		zfs.Difference(d, datasetProperty, have, t.spec.DatasetProperties, zfs.RootTable())
	}
	return nil
}

// disks compares the arrangement and the disks of a pool that exists.
func (t *task) disks(h tasks.Host, p zfs.Pool) (tasks.Diff, error) {
	var d tasks.Diff
	d.Add("topology", p.Topology(), t.spec.Topology, tasks.EffectReplace)
	wanted := make(map[string]string) // by what identifies them on this machine
	for _, path := range t.spec.Disks {
		keys, err := identities(h, path)
		if err != nil {
			return nil, err
		}
		wanted[keys[0]] = path
	}
	var found []string
	for _, m := range p.Members() {
		name, err := t.called(h, m, wanted)
		if err != nil {
			return nil, err
		}
		found = append(found, name)
	}
	slices.Sort(found)
	d.Add("disks", strings.Join(found, ", "), strings.Join(slices.Sorted(slices.Values(t.spec.Disks)), ", "), tasks.EffectReplace)
	return d, nil
}

// called is the name under which the spec has a member of the pool, or the path under
// which the pool has it.
func (t *task) called(h tasks.Host, m zfs.Member, wanted map[string]string) (string, error) {
	for _, device := range m.Devices {
		keys, err := identities(h, device)
		if err != nil {
			return "", err
		}
		for _, key := range keys {
			if path, ok := wanted[key]; ok {
				return path, nil
			}
		}
	}
	if len(m.Devices) == 0 {
		return "(unknown)", nil
	}
	return m.Devices[0], nil
}

// identities are what a device can be recognised by: the kernel's name of it and of
// the disk that it is a partition of, since ZFS puts its data into the first
// partition of a whole disk; and, where the device is gone, its path.
func identities(h tasks.Host, path string) ([]string, error) {
	name, err := "", fs.ErrNotExist // a file, or the number of a disk that is gone
	if strings.HasPrefix(path, "/dev/") {
		name, err = disk.Name(h, path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return []string{path, regexp.MustCompile(`-part\d+$`).ReplaceAllString(path, "")}, nil
	}
	if err != nil {
		return nil, err
	}
	whole, err := disk.Whole(h, name)
	return []string{name, whole}, err
}

// noted says at each change that a run leaves as it is what to do instead.
func (t *task) noted(d tasks.Diff) tasks.Diff {
	for i := range d {
		if d[i].Effect == tasks.EffectReplace {
			d[i].Note = t.fixed(d[i]).Note()
		}
	}
	return d
}

// fixed is the refusal to change what a pool is made of.
func (t *task) fixed(c tasks.Change) *tasks.RefusedError {
	name := t.spec.Name
	switch {
	case c.Path == "health":
		return &tasks.RefusedError{What: "repairing pool " + name, Instead: "see `zpool status -v " + name + "`; a disk that failed is exchanged with `zpool replace`"}
	case c.Path == "disks":
		return &tasks.RefusedError{What: "exchanging disks of pool " + name, Instead: "use `zpool replace " + name + " OLD NEW` or `zpool attach`, or write the disks that it has"}
	case strings.HasPrefix(c.Path, datasetProperty):
		return &tasks.RefusedError{What: "changing " + c.Path + " of pool " + name + " from " + c.From + " to " + c.To, Instead: "it is fixed when the pool is made"}
	}
	return &tasks.RefusedError{
		What:    "changing the " + c.Path + " of pool " + name + " from " + c.From + " to " + c.To,
		Instead: "it is fixed when the pool is made: move its data away, `zpool destroy " + name + "`, and the next run makes it anew",
	}
}
