package inside

import (
	"context"
	"fmt"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// Save takes a snapshot of a container before something is changed inside.
func (c *Containers) Save(ctx context.Context, ctid int, s tasks.Safety) (func(context.Context) error, error) {
	g, err := guest.Read(c.Machine, ctid)
	if err != nil {
		return nil, err
	}
	storages, err := pve.ReadStorageCfg(c.Machine)
	if err != nil {
		return nil, err
	}
	switch why := guest.Lacking(storages, g.Config.Head().Values(), pve.FeatureSnapshot); {
	case why != "" && s.IfPossible:
		tasks.Logf(ctx, "container %d: changed inside without a snapshot (snapshot_before_change): %s", ctid, why)
		return nil, nil
	case why != "":
		return nil, fmt.Errorf("no snapshot of container %d can be taken before (snapshot_before_change): %s", ctid, why)
	}
	name := g.FreeName(guest.SortBefore, time.Now())
	if err := guest.TakeSnapshot(ctx, c.Machine, ctid, name, guest.SortBefore.Description()); err != nil {
		return nil, err
	}
	tasks.Logf(ctx, "container %d: snapshot %s is taken before the first change inside", ctid, name)
	if err := c.prune(ctx, ctid, s.Keep, name); err != nil {
		tasks.Logf(ctx, "container %d: an old snapshot stays: %v", ctid, err)
	}
	return func(ctx context.Context) error { return c.goBack(ctx, ctid, name) }, nil
}

// prune takes away the oldest snapshots from before changes, but for the fresh one.
func (c *Containers) prune(ctx context.Context, ctid, keep int, fresh string) error {
	g, err := guest.Read(c.Machine, ctid)
	if err != nil {
		return err
	}
	for _, s := range g.Surplus(guest.SortBefore, keep) {
		if s.Name == fresh { // taken in the same second as others
			continue
		}
		if err := guest.DeleteSnapshot(ctx, c.Machine, ctid, s.Name); err != nil {
			return err
		}
	}
	return nil
}

func (c *Containers) goBack(ctx context.Context, ctid int, name string) error {
	ctx, cancel := context.WithTimeout(ctx, guest.GoBackLimit)
	defer cancel()
	tasks.Logf(ctx, "container %d: a step inside has failed; rolling back to %s", ctid, name)
	if _, err := guest.GoBack(ctx, c.Machine, ctid, name, guest.KillSeconds, true); err != nil {
		return err
	}
	return guest.DeleteSnapshot(ctx, c.Machine, ctid, name)
}
