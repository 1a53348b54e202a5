package lxc

import (
	"context"
	"fmt"
	"slices"

	"phoenix/tasks"
	"phoenix/tasks/guest"
)

const pathLifecycle = "enable_lifecycle_snapshots"

// unfinishedLine is in the description of a container whose making failed before its
// first snapshot was taken. Nothing else would tell a later run that it still is to be.
func (s *Spec) unfinishedLine() string { return s.madeFrom("unfinished") }

// unfinished tells whether the first snapshot of the container still is to be taken.
func (t *task) unfinished(f *found) bool {
	_, own := splitDescription(f.now["description"])
	return t.spec.nets(t.spec.EnableLifecycleSnapshots) && slices.Contains(own, t.spec.unfinishedLine()) && f.conf.Snapshot(guest.Created) == nil
}

// unfinishedFinding is the difference of a container that is not finished.
func (t *task) unfinishedFinding(f *found) []finding {
	if t.spec.Stage == StageBegin || !t.unfinished(f) {
		return nil
	}
	c := tasks.Change{Path: pathLifecycle, To: guest.Created, Effect: tasks.EffectLive, Note: "the run that made the container failed before it"}
	return []finding{{Change: c, op: opKept}}
}

// begun notes at a new container that could not be finished what is still to be done,
// also when the run was cancelled, and returns why it failed.
func (a *applier) begun(ctx context.Context, failed error) error {
	if failed == nil || !a.fresh || !a.task.spec.nets(a.task.spec.EnableLifecycleSnapshots) {
		return failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), guest.GoBackLimit)
	defer cancel()
	if err := a.mark(ctx, true); err != nil {
		tasks.Logf(ctx, "container %d: the next run will not take %s: %v", a.task.spec.CTID, guest.Created, err)
	}
	return failed
}

// mark puts the line of an unfinished container into its description, or takes it out.
func (a *applier) mark(ctx context.Context, on bool) error {
	f, err := a.task.load(a.host)
	if err != nil || !f.exists {
		return err
	}
	line := a.task.spec.unfinishedLine()
	text, own := splitDescription(f.now["description"])
	if slices.Contains(own, line) == on || on && f.conf.Snapshot(guest.Created) != nil {
		return nil
	}
	own = slices.DeleteFunc(own, func(l string) bool { return l == line })
	if on {
		own = append(own, line)
	}
	id := fmt.Sprint(a.task.spec.CTID)
	args := []string{"set", id, "--delete", "description"}
	if text = joinDescription(text, own...); text != "" {
		args = []string{"set", id, "--description", text}
	}
	if _, err := a.task.pct(ctx, a.host, args...); err != nil {
		return fmt.Errorf("note in container %s whether it is finished: %w", id, err)
	}
	return nil
}
