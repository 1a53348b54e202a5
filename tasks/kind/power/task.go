// Package power starts and stops containers.
//
// It is what `phoenix start`, `stop`, `restart` and `up` send. A container that is as
// wanted is left alone, but for a restart, which is made once each time it is asked
// for. Templates, locked containers and those of other nodes are errors. A container of
// Proxmox's high availability is started and stopped by the cluster's manager, which
// pct only asks. Start reading at Check.
package power

import (
	"context"
	"fmt"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guest"
)

// Name of the family in steps and in step IDs.
const Name = "power"

// The values of Spec.State.
const (
	StateRunning = "running"
	StateStopped = "stopped"
)

// Paths of changes.
const (
	pathState   = "state"
	pathRestart = "restart"
	pathReady   = "ready"
)

// readyPause is how long to wait between two looks at whether a container is ready.
const readyPause = 500 * time.Millisecond

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// StepID is the ID of the step of a container.
func StepID(ctid int) string { return fmt.Sprintf("%s:%d", Name, ctid) }

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	require := func(ok bool, path, hint, summary string, args ...any) {
		if !ok {
			out.Add(path, fmt.Sprintf(summary, args...), hint)
		}
	}
	require(s.CTID >= 100 && s.CTID <= 999999999, "ctid", "", "%d is not a CTID: they go from 100 to 999999999", s.CTID)
	require(s.State == StateRunning || s.State == StateStopped, "state", "", "%q is neither running nor stopped", s.State)
	require(!s.Restart || s.State == StateRunning, "restart", "set state to running", "a container that is to be stopped is not restarted")
	require(s.ReadyS >= 0, "ready_s", "0 does not wait", "%d is no time", s.ReadyS)
	require(s.ReadyS == 0 || s.State == StateRunning, "ready_s", "leave it out", "a container that is to be stopped is never ready")
	require(s.StopS >= 0, "stop_s", "0 means 60", "%d is no time", s.StopS)
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{spec: *s} }

type task struct {
	spec Spec
	// restarted tells that this task has made its restart.
	restarted bool
}

// Check compares what the container does with what it is to do.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	g, err := guest.Read(h, t.spec.CTID)
	if err != nil {
		return nil, err
	}
	if t.spec.State == StateRunning && g.Template() {
		return nil, fmt.Errorf("start container %d: it is a template, which cannot run; make a clone of it", g.CTID)
	}
	d, err := t.differs(ctx, h, g)
	if err != nil || len(d) == 0 {
		return nil, err
	}
	if err := g.Unlocked(); err != nil && !onlyReady(d) {
		return nil, err
	}
	managed, err := guest.HighlyAvailable(h, g.CTID)
	if err != nil {
		return nil, err
	}
	if managed && !onlyReady(d) {
		d[0].Note = "Proxmox's high availability does it, some rounds of 10 s later"
	}
	return d, nil
}

func onlyReady(d tasks.Diff) bool { return len(d) == 1 && d[0].Path == pathReady }

func (t *task) differs(ctx context.Context, h tasks.Host, g *guest.Guest) (tasks.Diff, error) {
	have := StateStopped
	if g.Running() {
		have = StateRunning
	}
	switch {
	case have != t.spec.State:
		return tasks.Diff{{Path: pathState, From: have, To: t.spec.State, Effect: tasks.EffectLive}}, nil
	case t.spec.Restart && !t.restarted:
		return tasks.Diff{{Path: pathRestart, From: have, To: "restarted", Effect: tasks.EffectRestart}}, nil
	case t.spec.ReadyS == 0:
		return nil, nil
	}
	why, err := g.NotReady(ctx, h)
	if err != nil || why == "" {
		return nil, err
	}
	return tasks.Diff{{Path: pathReady, From: "no: " + why, To: "yes", Effect: tasks.EffectLive}}, nil
}

// Apply starts or stops the container, and waits until one that runs is ready.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	ctid := t.spec.CTID
	seconds := t.spec.StopS
	if seconds == 0 {
		seconds = guest.StopSeconds
	}
	switch {
	case d.Has(pathState) && t.spec.State == StateStopped:
		return guest.Stop(ctx, h, ctid, seconds, t.spec.Force)
	case d.Has(pathState):
		if err := guest.Start(ctx, h, ctid); err != nil {
			return err
		}
		t.restarted = true // what was stopped has nothing to be restarted
	case d.Has(pathRestart):
		if err := t.restart(ctx, h, seconds); err != nil {
			return err
		}
	}
	return t.awaitReady(ctx, h)
}

// restart stops and starts, but only where nothing is known to keep the container from
// starting again.
func (t *task) restart(ctx context.Context, h tasks.Host, seconds int) error {
	g, err := guest.Read(h, t.spec.CTID)
	if err != nil {
		return err
	}
	if err := guest.Startable(h, g.Next(), g.Config.Head().Raw()); err != nil {
		return fmt.Errorf("restart container %d: it would not start again: %w", g.CTID, err)
	}
	if err := guest.Stop(ctx, h, g.CTID, seconds, t.spec.Force); err != nil {
		return err
	}
	if err := guest.Start(ctx, h, g.CTID); err != nil {
		return fmt.Errorf("container %d was stopped for a restart and is stopped now: %w", g.CTID, err)
	}
	t.restarted = true
	return nil
}

// awaitReady waits until the container is ready. It is read anew each time: one that
// starts may also stop again.
func (t *task) awaitReady(ctx context.Context, h tasks.Host) error {
	if t.spec.ReadyS == 0 {
		return nil
	}
	limit := time.Duration(t.spec.ReadyS) * time.Second
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(readyPause)
	defer tick.Stop()
	for said := ""; ; {
		g, err := guest.Read(h, t.spec.CTID)
		if err != nil {
			return err
		}
		why, err := g.NotReady(ctx, h)
		if err != nil || why == "" {
			return err
		}
		if why != said {
			tasks.Logf(ctx, "container %d: not ready yet: %s", t.spec.CTID, why)
			said = why
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("wait for container %d: it is not ready after %s: %s", t.spec.CTID, limit, why)
		case <-ctx.Done():
			return fmt.Errorf("wait for container %d, which is not ready (%s): %w", t.spec.CTID, why, ctx.Err())
		}
	}
}
