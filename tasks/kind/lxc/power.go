package lxc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/ruleset"
)

// restartOrStart brings the container into the wanted state, at the end.
func (a *applier) restartOrStart(ctx context.Context) error {
	f, found, err := a.read()
	if err != nil {
		return err
	}
	if a.task.spec.state() != StateRunning {
		return nil
	}
	if !f.running {
		if indexPath(found, pathState) < 0 && !a.down {
			return nil
		}
		if err := a.task.start(ctx, a.host, f); err != nil {
			return err
		}
		a.down = false
		return nil
	}
	waiting := slices.ContainsFunc(found, func(x finding) bool { return x.op == opStaged })
	if !waiting && !a.restart {
		return nil
	}
	if !a.task.mayRestart(ctx) {
		tasks.Logf(ctx, "container %d: changes wait for a restart, which is not allowed", a.task.spec.CTID)
		return nil
	}
	if err := a.task.startable(a.host, f); err != nil {
		return fmt.Errorf("restart container %d: it would not start again: %w", a.task.spec.CTID, err)
	}
	tasks.Logf(ctx, "container %d: restarting it", a.task.spec.CTID)
	if err := a.task.shutdown(ctx, a.host); err != nil {
		return err
	}
	a.down = true
	if f, err = a.task.load(a.host); err != nil {
		return err
	}
	if err := a.task.start(ctx, a.host, f); err != nil {
		return err
	}
	a.down = false
	return nil
}

// mayRestart tells whether the container and the job both allow a restart.
func (t *task) mayRestart(ctx context.Context) bool { return t.noRestart(ctx) == "" }

// noRestart is what forbids a restart; "" when nothing does.
func (t *task) noRestart(ctx context.Context) string {
	switch {
	case t.spec.Restart == RestartNever:
		return `"restart": "never"`
	case !tasks.ConsentOf(ctx).Restart:
		return "--no-restart"
	}
	return ""
}

// startable looks for what is known to keep a container from starting.
func (t *task) startable(h tasks.Host, f *found) error {
	if err := idsAllowed(h, f.conf.Head().Raw()); err != nil {
		return err
	}
	return guest.Startable(h, f.next, f.conf.Head().Raw())
}

// start starts the container and sees it run.
func (t *task) start(ctx context.Context, h tasks.Host, f *found) error {
	if err := t.startable(h, f); err != nil {
		return fmt.Errorf("start container %d: %w", t.spec.CTID, err)
	}
	return guest.Start(ctx, h, t.spec.CTID)
}

// shutdown stops the container and sees it stopped. One that does not stop by itself
// is stopped by force.
func (t *task) shutdown(ctx context.Context, h tasks.Host) error {
	return guest.Stop(ctx, h, t.spec.CTID, guest.StopSeconds, true)
}

// destroy takes the container and all its volumes away. With --purge, which only a
// wanted absence gets, it is also taken out of backup jobs, replication and high
// availability; a replaced container keeps its place there. Volumes that the
// configuration does not name are left alone.
func (t *task) destroy(ctx context.Context, h tasks.Host, f *found, verb string, extra ...string) error {
	if err := t.consent(ctx, f, fmt.Sprintf("%s container %d", verb, t.spec.CTID)); err != nil {
		return err
	}
	return t.remove(ctx, h, f, extra...)
}

// remove stops and destroys the container, and sees it gone.
func (t *task) remove(ctx context.Context, h tasks.Host, f *found, extra ...string) error {
	id := t.spec.CTID
	if f.running {
		if err := t.shutdown(ctx, h); err != nil {
			return fmt.Errorf("destroy container %d: %w", id, err)
		}
	}
	args := append([]string{"destroy", fmt.Sprint(id)}, extra...)
	out, err := t.pct(ctx, h, args...)
	if err != nil {
		return fmt.Errorf("destroy container %d: %w", id, err)
	}
	if _, err := h.Stat(confPath(id)); !errors.Is(err, fs.ErrNotExist) {
		return guest.NotDone(out, args, "destroy container %d: its configuration is still there", id)
	}
	return nil
}

// replace destroys the container and makes it anew from where it comes from. What is
// needed for the second is looked at before the first. The rules of the firewall, which
// pct destroy takes along, are there again before the container is; a clone gets those
// of its parent over them.
func (t *task) replace(ctx context.Context, h tasks.Host, f *found) error {
	if _, err := t.prepared(ctx, h); err != nil {
		return fmt.Errorf("replace container %d: %w", t.spec.CTID, err)
	}
	rules := tasks.Edit{Verb: tasks.VerbPut, Path: ruleset.GuestFile(t.spec.CTID), Lock: ruleset.GuestLock(t.spec.CTID)}
	var had bool
	var err error
	if rules.Data, had, err = tasks.ReadIfExists(h, rules.Path); err != nil {
		return fmt.Errorf("replace container %d: %w", t.spec.CTID, err)
	}
	tasks.Logf(ctx, "container %d: destroying it to make it anew", t.spec.CTID)
	if err := t.destroy(ctx, h, f, "replacing"); err != nil {
		return err
	}
	if had {
		if err := h.Write(ctx, rules); err != nil {
			return fmt.Errorf("replace container %d: put its rules of the firewall back: %w", t.spec.CTID, err)
		}
	}
	return t.create(ctx, h)
}
