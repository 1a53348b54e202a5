package lxc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// resize grows volumes. pct exits 0 even when it failed, and says only in a line of
// text that the file system did not grow with the volume (pve-container 5.3.5).
func (a *applier) resize(ctx context.Context) error {
	_, found, err := a.read()
	if err != nil {
		return err
	}
	for _, x := range found {
		if x.op != opResize {
			continue
		}
		args := []string{"resize", fmt.Sprint(a.task.spec.CTID), x.key, pve.FormatSize(x.bytes)}
		out, err := a.task.pct(ctx, a.host, args...)
		if err != nil {
			err = a.takeUp(ctx, x, err)
		}
		if err != nil {
			return fmt.Errorf("grow %s of container %d: %w", x.key, a.task.spec.CTID, err)
		}
		if said := string(out.Stdout) + string(out.Stderr); strings.Contains(said, "Failed to update the container's filesystem") {
			return guest.NotDone(out, args, "grow %s of container %d: the volume has grown, its file system has not", x.key, a.task.spec.CTID)
		}
		if err := a.verify(out, args, []finding{x}); err != nil {
			return err
		}
		if err := a.stageSize(ctx, x.key); err != nil {
			return err
		}
	}
	return nil
}

// takeUp writes down the size of a volume that has it already, for which pct resize only
// has an error: ZFS keeps the size of a data set when it goes back to a snapshot, while
// the configuration goes back to the smaller one. pct rescan would write it, too, and much
// else: the size 0 at directories of the host, and volumes that nothing names.
func (a *applier) takeUp(ctx context.Context, x finding, failed error) error {
	id := a.task.spec.CTID
	var said *tasks.CommandError
	switch {
	case !errors.As(failed, &said):
		return failed
	case strings.Contains(said.Stderr, "unable to shrink disk size"):
		return fmt.Errorf("the volume is larger than the configuration says: pct rescan --vmid %d writes its size down: %w", id, failed)
	case !strings.Contains(said.Stderr, "disk is already at specified size"):
		return failed
	}
	tasks.Logf(ctx, "container %d: the volume of %s has %s already; only its size is written down", id, x.key, pve.FormatSize(x.bytes))
	return a.edit(ctx, "write the size of "+x.key+" of", func(c *pve.Config) error {
		value, _ := c.Head().Get(x.key)
		p, err := pve.ParsePropertyString(value, "volume")
		if err != nil {
			return err
		}
		p.Set("size", pve.FormatSize(x.bytes))
		if value, err = encode(x.key, p); err != nil {
			return err
		}
		return c.Head().Replace(x.key, value)
	})
}
