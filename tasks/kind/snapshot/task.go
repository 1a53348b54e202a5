// Package snapshot takes snapshots of containers, and takes them away.
//
// It is what `phoenix snapshot create` and `phoenix snapshot delete` send. A snapshot
// that is there is left as it is, however the container has changed since; the
// container itself is not stopped for one. Where a storage cannot have snapshots it is
// named. Start reading at Check.
package snapshot

import (
	"context"
	"fmt"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// Name of the family in steps and in step IDs.
const Name = "snapshot"

// The values of Spec.State.
const (
	StatePresent = "present"
	StateAbsent  = "absent"
)

// pathSnapshot is the one change there can be.
const pathSnapshot = "snapshot"

// descriptionLimit is Proxmox's own, in bytes.
const descriptionLimit = 8192

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// StepID is the ID of the step of a snapshot.
func StepID(ctid int, name string) string { return fmt.Sprintf("%s:%d@%s", Name, ctid, name) }

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if s.CTID < 100 || s.CTID > 999999999 {
		out.Add("ctid", fmt.Sprintf("%d is not a CTID: they go from 100 to 999999999", s.CTID), "")
	}
	if !pve.IsSnapshotName(s.Name) {
		out.Add("name", fmt.Sprintf("%q is not the name of a snapshot", s.Name), "a letter, then letters, digits, _ and -, 2 to 40 in all; current, vzdump and pending are Proxmox's own")
	}
	if s.State != StatePresent && s.State != StateAbsent {
		out.Add("state", fmt.Sprintf("%q is neither present nor absent", s.State), "")
	}
	if s.Keep != 0 && (s.Keep < 0 || s.State != StatePresent || !guest.SortManual.Named(s.Name) || s.Description != guest.SortManual.Description()) {
		out.Add("keep", fmt.Sprintf("%d: only snapshots with the name and description that phoenix gives are counted", s.Keep), "")
	}
	switch {
	case len(s.Description) > descriptionLimit:
		out.Add("description", fmt.Sprintf("has %d bytes, more than %d", len(s.Description), descriptionLimit), "")
	case pve.HasControl(s.Description):
		out.Add("description", "has a line break or another control character", "")
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{spec: *s} }

type task struct{ spec Spec }

// Check looks whether the snapshot is there, and whether it could be made.
func (t *task) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	g, err := guest.Read(h, t.spec.CTID)
	if err != nil {
		return nil, err
	}
	s, there, unfinished := g.Snapshot(t.spec.Name)
	if unfinished != nil {
		return nil, unfinished
	}
	if there == (t.spec.State == StatePresent) {
		return nil, nil
	}
	if err := g.Unlocked(); err != nil {
		return nil, err
	}
	if there {
		return tasks.Diff{{Path: pathSnapshot, From: dated(s), Effect: tasks.EffectLive}}, nil
	}
	if g.Template() {
		return nil, fmt.Errorf("take a snapshot of container %d: it is a template, which has none", g.CTID)
	}
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return nil, err
	}
	if why := guest.Lacking(cfg, g.Config.Head().Values(), pve.FeatureSnapshot); why != "" {
		return nil, fmt.Errorf("take a snapshot of container %d: %s", g.CTID, why)
	}
	d := tasks.Diff{{Path: pathSnapshot, To: t.spec.Name, Effect: tasks.EffectLive}}
	for _, s := range t.surplus(g) {
		d = append(d, tasks.Change{Path: "keep." + s.Name, From: dated(s), Effect: tasks.EffectLive})
	}
	return d, nil
}

// dated is the name of a snapshot and its time.
func dated(s guest.Snapshot) string {
	if s.Taken.IsZero() {
		return s.Name
	}
	return s.Name + " of " + s.Taken.Format(guest.TimeFormat)
}

// surplus is what has to go for a new snapshot, beside which keep-1 are left.
func (t *task) surplus(g *guest.Guest) []guest.Snapshot {
	if t.spec.Keep == 0 {
		return nil
	}
	return g.Surplus(guest.SortManual, t.spec.Keep-1)
}

// Apply takes the snapshot, or takes it away, and sees that done. Older ones go only
// when the new one is there.
func (t *task) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	id, name := t.spec.CTID, t.spec.Name
	if err := pve.Writable(h); err != nil {
		return err
	}
	if t.spec.State == StateAbsent {
		return guest.DeleteSnapshot(ctx, h, id, name)
	}
	g, err := guest.Read(h, id)
	if err != nil {
		return err
	}
	if err := guest.TakeSnapshot(ctx, h, id, name, t.spec.Description); err != nil {
		return err
	}
	for _, s := range t.surplus(g) {
		if err := guest.DeleteSnapshot(ctx, h, id, s.Name); err != nil {
			return err
		}
	}
	return nil
}
