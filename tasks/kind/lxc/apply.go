package lxc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
)

// applier makes differences true on a container that exists, one after the other,
// and reads the configuration again after each.
type applier struct {
	task *task
	host tasks.Host
	// diff limits what is mended; nil mends all.
	diff tasks.Diff
	// restart is set by a change that shows only after one.
	restart bool
	// down is set while a container that is to run is stopped for its changes.
	down bool
	// fresh tells that the container was made just now; changed, that one that was there
	// gets changes that a snapshot knows.
	fresh, changed bool
	// net is what it can go back to; nil where no snapshot was taken.
	net *net
}

// read returns the state and the differences that are to be mended.
func (a *applier) read() (*found, []finding, error) {
	f, err := a.task.load(a.host)
	if err != nil {
		return nil, nil, err
	}
	if !f.exists {
		return nil, nil, fmt.Errorf("change container %d: it has gone", a.task.spec.CTID)
	}
	all, err := a.task.findings(a.host, f)
	if err != nil {
		return nil, nil, err
	}
	return f, slices.DeleteFunc(all, func(x finding) bool {
		return x.op == opReplace || x.refused != nil || a.diff != nil && !a.diff.Has(x.Path)
	}), nil
}

// run mends in an order that disturbs least: what is to stop is stopped first, so
// that nothing has to wait for a restart; what is to run is started after all changes,
// and what the container is made for, a snapshot of it, is taken last.
func (a *applier) run(ctx context.Context) error {
	err := a.each(ctx, a.receipt, a.strays, a.catch, a.directories, a.stop, a.giveWay, a.revert, a.unprotect, a.set, a.resize, a.raw, a.protect, a.withoutGPUs, a.convert, a.up)
	switch {
	case err != nil && a.fresh:
		return a.begun(ctx, a.task.unmake(ctx, a.host, a.stopped(err)))
	case err != nil:
		return a.fallBack(ctx, err)
	}
	if err := a.begun(ctx, a.each(ctx, a.snapshot, a.keep)); err != nil {
		return err
	}
	return a.refused(ctx)
}

// each takes the steps until one fails.
func (a *applier) each(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("change container %d: %w", a.task.spec.CTID, err)
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) directories(ctx context.Context) error {
	_, found, err := a.read()
	if err != nil {
		return err
	}
	return a.task.prepare(ctx, a.host, found)
}

func (a *applier) stop(ctx context.Context) error {
	f, found, err := a.read()
	if err != nil || !f.running || indexPath(found, pathState) < 0 {
		return err
	}
	return a.task.shutdown(ctx, a.host)
}

// revert takes back what is staged against the spec.
func (a *applier) revert(ctx context.Context) error {
	_, found, err := a.read()
	if err != nil {
		return err
	}
	var keys []string
	for _, x := range found {
		if x.op == opRevert {
			keys = append(keys, x.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	sortUnique(&keys)
	_, err = a.task.pct(ctx, a.host, "set", fmt.Sprint(a.task.spec.CTID), "--revert", strings.Join(keys, ","))
	if err != nil {
		return fmt.Errorf("take back staged changes of container %d: %w", a.task.spec.CTID, err)
	}
	return nil
}

// unprotect switches the protection off in a call of its own: in one call with other
// changes the old value still counts (pve-container 5.3.5).
func (a *applier) unprotect(ctx context.Context) error {
	return a.send(ctx, func(x finding) bool { return x.key == "protection" && x.value == "0" })
}

// set sends all other options in one call.
func (a *applier) set(ctx context.Context) error {
	return a.send(ctx, func(x finding) bool { return x.key != "protection" })
}

// protect switches the protection on, last.
func (a *applier) protect(ctx context.Context) error {
	return a.send(ctx, func(x finding) bool { return x.key == "protection" })
}

// send changes the options of the chosen differences in one pct set, and looks at
// the configuration afterwards.
func (a *applier) send(ctx context.Context, choose func(finding) bool) error {
	f, found, err := a.read()
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(x finding) bool { return x.op != opSet && x.op != opAdd || !choose(x) })
	if len(found) == 0 {
		return nil
	}
	id := a.task.spec.CTID
	if err := guest.BridgesExist(a.host, wantedBridges(found)); err != nil {
		return fmt.Errorf("change container %d: %w", id, err)
	}
	if err := a.task.zoneThere(a.host, found); err != nil {
		return fmt.Errorf("change container %d: %w", id, err)
	}
	set, deletes, err := assign(found, f.next, f.now)
	if err != nil {
		return fmt.Errorf("change container %d: %w", id, err)
	}
	if err := guest.MTUsFit(a.host, set); err != nil {
		return fmt.Errorf("change container %d: %w", id, err)
	}
	args := append([]string{"set", fmt.Sprint(id)}, options(set)...)
	if len(deletes) > 0 {
		args = append(args, "--delete", strings.Join(deletes, ","))
	}
	out, err := a.task.pct(ctx, a.host, args...)
	if err != nil {
		return fmt.Errorf("change container %d: %w", id, errors.Join(err, a.unstage(ctx, f)))
	}
	// What Proxmox writes down at once although the interface takes it at its next start.
	a.restart = a.restart || f.running && slices.ContainsFunc(found, func(x finding) bool {
		return x.op == opSet && x.entry != nil && x.entry.prefix == "net" && x.Effect == tasks.EffectRestart
	})
	return a.verify(out, args, found)
}

// verify looks whether what was sent has arrived, at once or staged.
func (a *applier) verify(out tasks.Output, args []string, sent []finding) error {
	_, left, err := a.read()
	if err != nil {
		return err
	}
	for _, x := range left {
		if x.op != opStaged && indexPath(sent, x.Path) >= 0 {
			return guest.NotDone(out, args, "change container %d: %s is still %s", a.task.spec.CTID, x.Path, orNothing(x.From))
		}
	}
	return nil
}

// unstage takes back what a failed pct set has left staged: a bad interface there
// would keep the container from starting again. Values that were staged before stay.
func (a *applier) unstage(ctx context.Context, before *found) error {
	after, err := a.task.load(a.host)
	if err != nil || !after.exists {
		return err
	}
	var keys []string
	for _, key := range after.conf.Pending().Keys() {
		old, had := before.conf.Pending().Get(key)
		if now, _ := after.conf.Pending().Get(key); !had || now != old {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	tasks.Logf(ctx, "container %d: taking back what the failed change left staged: %s", a.task.spec.CTID, strings.Join(keys, ", "))
	_, err = a.task.pct(ctx, a.host, "set", fmt.Sprint(a.task.spec.CTID), "--revert", strings.Join(keys, ","))
	return err
}
