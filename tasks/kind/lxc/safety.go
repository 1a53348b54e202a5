package lxc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// Taking says whether phoenix takes a snapshot by itself; empty is no.
type Taking string

// The values of Taking. The first is true in JSON.
const (
	TakeAlways     Taking = "always"
	TakeIfPossible Taking = "if_possible"
)

// UnmarshalJSON reads true, false or "if_possible".
func (t *Taking) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "true":
		*t = TakeAlways
	case "false", "null":
		*t = ""
	case `"if_possible"`:
		*t = TakeIfPossible
	default:
		return fmt.Errorf("read %s: want true, false or %q", data, TakeIfPossible)
	}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (t Taking) MarshalJSON() ([]byte, error) {
	switch t {
	case "":
		return []byte("false"), nil
	case TakeAlways:
		return []byte("true"), nil
	}
	return fmt.Appendf(nil, "%q", string(t)), nil
}

// defaultRetention is how many snapshots of a sort are kept where nothing is said.
const defaultRetention = 3

// retention is how many of the snapshots of each sort stay.
func (s *Spec) retention() int {
	if s.SnapshotRetention == 0 {
		return defaultRetention
	}
	return s.SnapshotRetention
}

// nets tells whether a wish for snapshots holds for the container: a template has none,
// and what has some cannot become one.
func (s *Spec) nets(wish Taking) bool { return wish != "" && !s.template() }

func (s *Spec) validateSafety(p *problems) {
	for at, wish := range map[string]Taking{"snapshot_before_change": s.SnapshotBeforeChange, "enable_lifecycle_snapshots": s.EnableLifecycleSnapshots} {
		p.require(wish != TakeAlways || len(s.MountPoints) == 0 || s.template(), at, `"if_possible", or false`,
			"Proxmox takes no snapshot of a container with directories of the host (mount_points)")
	}
	p.require(!s.RollbackOnFailure || s.SnapshotBeforeChange != "", "rollback_on_failure", "set snapshot_before_change",
		"needs a snapshot to go back to")
	p.require(s.SnapshotRetention >= 0, "snapshot_retention", "0 is the default", "%d is below 0", s.SnapshotRetention)
	for at, name := range map[string]string{"clone_from_snapshot": s.CloneFromSnapshot, "template_snapshot_name": s.TemplateSnapshotName} {
		p.require(!guest.SortBefore.Named(name) && !guest.SortChanged.Named(name), at, "take one with a name of its own",
			"%s is one of those that phoenix takes away again (snapshot_retention)", name)
	}
}

// risky tells whether a snapshot would bring back what making a difference can spoil.
// It knows nothing of directories of the host, and a start spoils nothing.
func (t *task) risky(ctx context.Context, x finding) bool {
	switch x.op {
	case opSet, opAdd, opResize, opRevert, opRaw:
		return x.refused == nil
	case opStaged:
		return t.mayRestart(ctx)
	}
	return false
}

// lacking is what keeps the container from the snapshot; "" when nothing does.
func lacking(h tasks.Host, f *found) (string, error) {
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return "", err
	}
	return guest.Lacking(cfg, f.now, pve.FeatureSnapshot), nil
}

// planNet notes at the first change what the run does before it.
func (t *task) planNet(ctx context.Context, h tasks.Host, f *found, found []finding) error {
	i := slices.IndexFunc(found, func(x finding) bool { return t.risky(ctx, x) })
	if i < 0 || !t.spec.nets(t.spec.SnapshotBeforeChange) {
		return nil
	}
	why, err := lacking(h, f)
	if err != nil {
		return err
	}
	note := "made after a snapshot (snapshot_before_change)"
	switch {
	case why != "" && t.spec.SnapshotBeforeChange == TakeAlways:
		note = tasks.NoteCannot + t.unsafe(why).Error()
	case why != "":
		note = "made without a snapshot (snapshot_before_change): " + why
	}
	found[i].Note = joinLines(found[i].Note, note)
	return nil
}

// unsafe is the error of changes that are not made because no snapshot can be taken.
func (t *task) unsafe(why string) error {
	return fmt.Errorf("change container %d: no snapshot can be taken before (snapshot_before_change), so it is not changed: %s; "+
		`move the volume, or set it to "if_possible" or false`, t.spec.CTID, why)
}

// net is the snapshot that a container can go back to, and what it was like then.
type net struct {
	name  string
	conf  []byte
	start string
}

// catch takes the snapshot before the first change. One that is wanted and cannot be
// taken is an error before anything is changed.
func (a *applier) catch(ctx context.Context) error {
	f, found, err := a.read()
	t := a.task
	if err != nil || a.fresh {
		return err
	}
	a.changed = slices.ContainsFunc(found, func(x finding) bool { return t.risky(ctx, x) })
	if !a.changed || !t.spec.nets(t.spec.SnapshotBeforeChange) {
		return nil
	}
	switch why, err := lacking(a.host, f); {
	case err != nil:
		return err
	case why != "" && t.spec.SnapshotBeforeChange == TakeAlways:
		return t.unsafe(why)
	case why != "": // planNet has said so
		return nil
	}
	name, err := t.take(ctx, a.host, guest.SortBefore)
	if err != nil {
		return fmt.Errorf("change container %d: it was not begun: %w", t.spec.CTID, err)
	}
	if f, err = t.load(a.host); err == nil {
		a.net = &net{name: name, conf: f.conf.Bytes(), start: f.start}
	}
	return err
}

// take takes a snapshot of a sort, under a name that none has.
func (t *task) take(ctx context.Context, h tasks.Host, sort guest.Sort) (string, error) {
	g, err := guest.Read(h, t.spec.CTID)
	if err != nil {
		return "", err
	}
	name := g.FreeName(sort, time.Now())
	for _, s := range g.Snapshots() {
		if s.Incomplete {
			tasks.Logf(ctx, "container %d: snapshot %s is not finished: pct delsnapshot %d %s --force 1 takes it away", g.CTID, s.Name, g.CTID, s.Name)
		}
	}
	return name, guest.TakeSnapshot(ctx, h, t.spec.CTID, name, sort.Description())
}

// fallBack is the error of a container whose changes failed, after it was put back if the
// configuration says so; also when the run was cancelled, so that a container is not left
// half changed. One that is just as it was needs nothing but to be rid of the snapshot.
func (a *applier) fallBack(ctx context.Context, failed error) error {
	t, id := a.task, a.task.spec.CTID
	if a.net == nil {
		return a.stopped(failed)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), guest.GoBackLimit)
	defer cancel()
	byHand := fmt.Sprintf("phoenix rollback %d %s puts it back to before", id, a.net.name)
	f, err := t.load(a.host)
	switch {
	case err != nil:
		return fmt.Errorf("%w; and then: %w; %s", a.stopped(failed), err, byHand)
	case f.start == a.net.start && bytes.Equal(f.conf.Bytes(), a.net.conf):
		err := guest.DeleteSnapshot(ctx, a.host, id, a.net.name)
		return errors.Join(failed, err)
	case !t.spec.RollbackOnFailure:
		return fmt.Errorf("%w; %s", a.stopped(failed), byHand)
	case f.running && !t.mayRestart(ctx):
		return fmt.Errorf("%w; it was not rolled back, which needs a restart, and that is not allowed; %s", failed, byHand)
	}
	tasks.Logf(ctx, "container %d: a change has failed; rolling back to %s", id, a.net.name)
	back, err := guest.GoBack(ctx, a.host, id, a.net.name, guest.KillSeconds, a.net.start != "")
	switch {
	case !back:
		return fmt.Errorf("%w; and it could not be rolled back: %w; once that is mended, %s", failed, err, byHand)
	case err != nil:
		return fmt.Errorf("%w; it was rolled back to %s, but: %w", failed, a.net.name, err)
	}
	failed = fmt.Errorf("%w; it was rolled back to the snapshot taken before (%s)", failed, a.net.name)
	return errors.Join(failed, guest.DeleteSnapshot(ctx, a.host, id, a.net.name))
}

// stopped adds to an error that the container was stopped and not started again.
func (a *applier) stopped(failed error) error {
	if !a.down {
		return failed
	}
	return fmt.Errorf("container %d was stopped for a restart and is stopped now: %w", a.task.spec.CTID, failed)
}

// keep takes the snapshot of a container that was made or changed, and takes away the
// oldest of phoenix's own. It comes after all else has succeeded.
func (a *applier) keep(ctx context.Context) error {
	id, spec := a.task.spec.CTID, &a.task.spec
	if err := a.showMade(ctx); err != nil {
		return err
	}
	g, err := guest.Read(a.host, id)
	if err != nil {
		return err
	}
	var old []guest.Snapshot
	if a.net != nil {
		old = g.Surplus(guest.SortBefore, spec.retention())
	}
	if spec.nets(spec.EnableLifecycleSnapshots) && a.changed {
		old = append(old, g.Surplus(guest.SortChanged, spec.retention())...)
	}
	for _, s := range old {
		tasks.Logf(ctx, "container %d: taking away snapshot %s (snapshot_retention: %d)", id, s.Name, spec.retention())
		if err := guest.DeleteSnapshot(ctx, a.host, id, s.Name); err != nil {
			return fmt.Errorf("container %d is finished, but an old snapshot stays: %w", id, err)
		}
	}
	return nil
}

// showMade takes the snapshot of a container that is finished.
func (a *applier) showMade(ctx context.Context) error {
	if a.task.spec.Stage == StageBegin {
		return a.putOff(ctx)
	}
	a.changed = a.changed || a.diff.Has(pathLifecycle)
	if err := a.lifecycle(ctx); err != nil {
		return fmt.Errorf("container %d is finished, but its snapshot was not taken (enable_lifecycle_snapshots): %w", a.task.spec.CTID, err)
	}
	a.task.kept = true
	return a.mark(ctx, false)
}

// putOff leaves the snapshots to the stage that finishes the container. The step that
// does knows of changes by this one, but not that the container is new.
func (a *applier) putOff(ctx context.Context) error {
	if !a.fresh || !a.task.spec.nets(a.task.spec.EnableLifecycleSnapshots) {
		return nil
	}
	return a.mark(ctx, true)
}

// lifecycle takes the snapshot that shows what a run has made.
func (a *applier) lifecycle(ctx context.Context) error {
	t := a.task
	if !t.spec.nets(t.spec.EnableLifecycleSnapshots) {
		return nil
	}
	f, err := t.load(a.host)
	if err != nil {
		return err
	}
	made := a.fresh || t.unfinished(f)
	if !made && !a.changed {
		return nil
	}
	switch why, err := lacking(a.host, f); {
	case err != nil:
		return err
	case why != "" && t.spec.EnableLifecycleSnapshots == TakeAlways:
		return errors.New(why)
	case why != "":
		tasks.Logf(ctx, "container %d: no snapshot is taken: %s", t.spec.CTID, why)
		return nil
	case !made:
		_, err := t.take(ctx, a.host, guest.SortChanged)
		return err
	case f.conf.Snapshot(guest.Created) != nil:
		return nil
	}
	return guest.TakeSnapshot(ctx, a.host, t.spec.CTID, guest.Created, guest.Sort(guest.Created).Description())
}

// unmake takes away a container that this run has made and could not finish, where the
// configuration says so.
func (t *task) unmake(ctx context.Context, h tasks.Host, failed error) error {
	id := t.spec.CTID
	if !t.spec.RemoveFailed {
		return fmt.Errorf("%w; the container stays, and the next run goes on with it; phoenix destroy %d takes it away", failed, id)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), guest.GoBackLimit)
	defer cancel()
	tasks.Logf(ctx, "container %d: destroying it again, because it was made in this run and is not finished", id)
	f, err := t.load(h)
	if err == nil && f.now["protection"] != "" {
		_, err = t.pct(ctx, h, "set", fmt.Sprint(id), "--protection", "0")
	}
	if err == nil {
		err = t.remove(ctx, h, f)
	}
	if err != nil {
		return fmt.Errorf("%w; and it could not be taken away (remove_failed): %w", failed, err)
	}
	return fmt.Errorf("%w; it was taken away again (remove_failed)", failed)
}
