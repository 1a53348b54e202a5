// Package storage adds and updates Proxmox storages: dir, zfspool, lvmthin, btrfs, nfs
// and cifs.
//
// It reads /etc/pve/storage.cfg itself and changes it through pvesm, which locks
// and validates. It never removes a storage, never changes what one is made of, and
// leaves storages that are not mentioned alone. Start reading at Spec; types.go has
// what each type knows, task.go compares, apply.go changes.
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
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check compares every managed property with storage.cfg, and the password with the
// file that Proxmox keeps it in. Lists are compared as sets, because each write by
// anybody shuffles them.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	if _, err := pve.Node(h); err != nil {
		return nil, err
	}
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return nil, err
	}
	s, ok := cfg.Find(t.spec.ID)
	if !ok {
		return tasks.Diff{{Path: "exists", To: t.spec.Type + " at " + t.where(), Effect: tasks.EffectLive, Note: t.properties()}}, nil
	}
	if s.Type != t.spec.Type {
		return nil, fmt.Errorf("compare storage %s: it exists as type %s, not %s, and a type cannot be changed (choose another ID)", s.ID, s.Type, t.spec.Type)
	}
	d := t.diff(s)
	err = t.password(ctx, h, &d)
	return d, err
}

// where is what a new storage is made of, for people.
func (t *task) where() string {
	s := t.spec
	switch s.Type {
	case "zfspool":
		return s.Pool
	case "lvmthin":
		return s.VGName + "/" + s.ThinPool
	case "nfs":
		return s.Server + ":" + s.Export
	case "cifs":
		return "//" + s.Server + "/" + s.Share
	}
	return s.Path
}

// fixed is the refusal to change what a storage is made of.
func (t *task) fixed(c tasks.Change) *tasks.RefusedError {
	what := "changing the " + c.Path + " of storage " + t.spec.ID
	if c.Path == "path" {
		what = "moving storage " + t.spec.ID
	}
	return &tasks.RefusedError{
		What:    what + " from " + c.From + " to " + c.To,
		Instead: "a " + c.Path + " is fixed; `pvesm remove " + t.spec.ID + "` forgets the storage, keeps its files and lets the next run add it anew",
	}
}

func (t *task) diff(s pve.Storage) tasks.Diff {
	var d tasks.Diff
	kind := kinds()[t.spec.Type]
	for _, w := range t.spec.words() {
		if w.want != "" && kind.isFixed(w.path) {
			d.Add(w.path, w.found(s), w.want, tasks.EffectReplace)
		}
	}
	for i := range d {
		d[i].Note = t.fixed(d[i]).Note()
	}
	if len(t.spec.Content) > 0 {
		d.Add("content", joined(s.Content()), joined(t.spec.Content), tasks.EffectLive)
	}
	if len(t.spec.Nodes) > 0 {
		d.Add("nodes", joined(s.Set("nodes")), joined(t.spec.Nodes), tasks.EffectLive)
	}
	for _, b := range t.spec.switches() {
		if b.want != nil {
			d.Add(b.path, strconv.FormatBool(s.Bool(b.key)), strconv.FormatBool(*b.want), tasks.EffectLive)
		}
	}
	for _, w := range t.spec.words() {
		if w.want != "" && !kind.isFixed(w.path) {
			d.Add(w.path, w.canonical(w.found(s)), w.canonical(w.want), tasks.EffectLive)
		}
	}
	if t.spec.PruneBackups != "" {
		have, _ := s.Get("prune-backups")
		d.Add("prune_backups", joined(pve.SplitSet(have)), joined(pve.SplitSet(t.spec.PruneBackups)), tasks.EffectLive)
	}
	return d
}

// password compares what Proxmox mounts a share with (pve-storage, CIFSPlugin). No
// value gets into the change.
func (t *task) password(ctx context.Context, h tasks.Host, d *tasks.Diff) error {
	if t.spec.Password == nil {
		return nil
	}
	want, err := secretLine(ctx, t.spec.Password.Name)
	if err != nil {
		return err
	}
	have, there, err := tasks.ReadIfExists(h, "/etc/pve/priv/storage/"+t.spec.ID+".pw")
	if err != nil {
		return err
	}
	value, _ := strings.CutPrefix(strings.TrimRight(string(have), "\n"), "password=")
	if there && value == want {
		return nil
	}
	d.Add("password", map[bool]string{true: "another one"}[there], "that of secret "+t.spec.Password.Name, tasks.EffectLive)
	return nil
}

// secretLine is the value of a secret that must be one line: pvesm reads no more, and
// a second one would be an option of the mount.
func secretLine(ctx context.Context, name string) (string, error) {
	v, err := tasks.SecretValue(ctx, name)
	if err == nil && unprintable(v) {
		err = fmt.Errorf("use secret %q as a password: it has a line break or a control character", name)
	}
	return v, err
}

// properties says what a new storage will have, for the note of its change.
func (t *task) properties() string {
	var out []string
	for opt, value := range t.options(nil) {
		out = append(out, strings.TrimPrefix(opt, "--")+" "+value)
	}
	if t.spec.Password != nil {
		out = append(out, "password of secret "+t.spec.Password.Name)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func joined(set []string) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(set)))
	return strings.Join(sorted, ",")
}
