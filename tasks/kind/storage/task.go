// Package storage adds and updates Proxmox storages of type dir.
//
// It reads /etc/pve/storage.cfg itself and changes it through pvesm, which locks
// and validates. It never removes a storage, never moves one, and leaves storages
// that are not mentioned alone. Start reading at Spec; task.go compares, apply.go
// changes.
package storage

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// Name of the family in steps and in step IDs.
const Name = "storage"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return task{*s} }

type task struct{ spec Spec }

// Check compares every managed property with storage.cfg. Lists are compared as
// sets, because each write by anybody shuffles them.
func (t task) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	if _, err := pve.Node(h); err != nil {
		return nil, err
	}
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return nil, err
	}
	s, ok := cfg.Find(t.spec.ID)
	if !ok {
		return tasks.Diff{{Path: "exists", To: "dir at " + t.spec.Path, Effect: tasks.EffectLive, Note: t.properties()}}, nil
	}
	if s.Type != "dir" {
		return nil, fmt.Errorf("compare storage %s: it exists as type %s, not dir, and a type cannot be changed (choose another ID)", s.ID, s.Type)
	}
	return t.diff(s), nil
}

// fixed is the refusal to move a storage.
func (t task) fixed(c tasks.Change) *tasks.RefusedError {
	return &tasks.RefusedError{
		What:    "moving storage " + t.spec.ID + " from " + c.From + " to " + c.To,
		Instead: "a path is fixed; `pvesm remove " + t.spec.ID + "` forgets the storage, keeps its files and lets the next run add it anew",
	}
}

func (t task) diff(s pve.Storage) tasks.Diff {
	var d tasks.Diff
	d.Add("path", s.Path(), t.spec.Path, tasks.EffectReplace)
	for i := range d {
		d[i].Note = t.fixed(d[i]).Note()
	}
	if len(t.spec.Content) > 0 {
		d.Add("content", joined(s.Content()), joined(t.spec.Content), tasks.EffectLive)
	}
	if len(t.spec.Nodes) > 0 {
		d.Add("nodes", joined(s.Set("nodes")), joined(t.spec.Nodes), tasks.EffectLive)
	}
	for _, b := range t.switches() {
		if b.want != nil {
			d.Add(b.path, strconv.FormatBool(s.Bool(b.key)), strconv.FormatBool(*b.want), tasks.EffectLive)
		}
	}
	if t.spec.PruneBackups != "" {
		have, _ := s.Get("prune-backups")
		d.Add("prune_backups", joined(pve.SplitSet(have)), joined(pve.SplitSet(t.spec.PruneBackups)), tasks.EffectLive)
	}
	return d
}

// toggle is one boolean of the spec: its path, Proxmox's name, and what is wanted.
type toggle struct {
	path, key string
	want      *bool
}

func (t task) switches() []toggle {
	return []toggle{
		{"shared", "shared", t.spec.Shared},
		{"disabled", "disable", t.spec.Disabled},
		{"is_mountpoint", "is_mountpoint", t.spec.IsMountpoint},
	}
}

// properties says what a new storage will have, for the note of its change.
func (t task) properties() string {
	var out []string
	for opt, value := range t.options(nil) {
		out = append(out, strings.TrimPrefix(opt, "--")+" "+value)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func joined(set []string) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(set)))
	return strings.Join(sorted, ",")
}
