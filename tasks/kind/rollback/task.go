// Package rollback puts a container back to one of its snapshots.
//
// It is what `phoenix rollback` sends. All that the container has written since the
// snapshot is lost, its configuration goes back as well, and so it is never done
// without the operator's consent, nor to a protected container. One that runs is
// stopped before and started afterwards, also when the rollback fails. It is made once
// each time it is asked for. Start reading at Check.
package rollback

import (
	"context"
	"fmt"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// Name of the family in steps and in step IDs.
const Name = "rollback"

// pathRollback is the one change there can be.
const pathRollback = "rollback"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// StepID is the ID of the step of a container.
func StepID(ctid int) string { return fmt.Sprintf("%s:%d", Name, ctid) }

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if s.CTID < 100 || s.CTID > 999999999 {
		out.Add("ctid", fmt.Sprintf("%d is not a CTID: they go from 100 to 999999999", s.CTID), "")
	}
	if !pve.IsSnapshotName(s.Snapshot) {
		out.Add("snapshot", fmt.Sprintf("%q is not the name of a snapshot", s.Snapshot), "")
	}
	if s.StopS < 0 {
		out.Add("stop_s", fmt.Sprintf("%d is no time", s.StopS), "0 means 60")
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{spec: *s} }

type task struct {
	spec Spec
	// done tells that this task has made its rollback.
	done bool
}

// Check differs until the container was rolled back. What Proxmox would find out only
// after it has stopped the container is looked at here.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	if t.done {
		return nil, nil
	}
	g, err := guest.Read(h, t.spec.CTID)
	if err != nil {
		return nil, err
	}
	s, err := t.usable(h, g)
	if err != nil {
		return nil, fmt.Errorf("roll back container %d: %w", g.CTID, err)
	}
	change := tasks.Change{Path: pathRollback, From: "now", To: "snapshot " + s.Name, Effect: tasks.EffectRollback,
		Note: "what it has written since is lost"}
	if !s.Taken.IsZero() {
		change.To += " of " + s.Taken.Format(guest.TimeFormat)
	}
	if g.Running() {
		change.Note += "; it is stopped and started again"
	}
	if refused := t.refusal(ctx, g); refused != nil {
		change.Note += "\n" + refused.Note()
	}
	return tasks.Diff{change}, nil
}

// usable finds the snapshot, and what is known to keep the container from going back
// to it.
func (t *task) usable(h tasks.Host, g *guest.Guest) (guest.Snapshot, error) {
	s, there, err := g.Snapshot(t.spec.Snapshot)
	if err != nil {
		return s, err
	}
	if !there {
		names := strings.Join(g.Config.Snapshots(), ", ")
		if names == "" {
			names = "none"
		}
		return s, fmt.Errorf("it has no snapshot %s; there are: %s", t.spec.Snapshot, names)
	}
	if err := g.Unlocked(); err != nil {
		return s, err
	}
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return s, err
	}
	if newer := g.Blockers(cfg, s.Name); len(newer) > 0 {
		return s, fmt.Errorf("ZFS goes back only to the newest snapshot, and there are newer ones: "+
			"take them away first with phoenix snapshot delete %d --name %s", g.CTID, strings.Join(newer, " --name "))
	}
	return s, nil
}

func (t *task) refusal(ctx context.Context, g *guest.Guest) *tasks.RefusedError {
	what := fmt.Sprintf("rolling back container %d", g.CTID)
	switch {
	case g.Protected():
		return &tasks.RefusedError{What: what, Instead: `it is protected: set "protection": false in a run of its own first`}
	case !tasks.ConsentOf(ctx).RollbackAllowed(g.CTID):
		return &tasks.RefusedError{What: what, Allow: []tasks.Allow{{Flag: tasks.AllowRollback, Name: fmt.Sprint(g.CTID), Loss: what + " loses what it has written since"}}}
	}
	return nil
}

// Apply stops the container, puts it back, and starts it again if it ran.
func (t *task) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	id := t.spec.CTID
	if err := pve.Writable(h); err != nil {
		return err
	}
	g, err := guest.Read(h, id)
	if err != nil {
		return err
	}
	if refused := t.refusal(ctx, g); refused != nil {
		return refused
	}
	seconds := t.spec.StopS
	if seconds == 0 {
		seconds = guest.StopSeconds
	}
	t.done, err = guest.GoBack(ctx, h, id, t.spec.Snapshot, seconds, g.Running())
	return err
}
