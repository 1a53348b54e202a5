package lxc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

type task struct {
	spec Spec
	// end is what is wanted when all is done; spec may be less, see begin.
	end Spec
	// kept tells that the snapshot of what was changed inside is taken.
	kept bool
	// failed tells that Apply has failed; the Check after it tells what was made all the same.
	failed bool
	// looked tells that the driver was made to look at its cards.
	looked bool
}

// Paths of changes that are about the container as a whole.
const (
	pathExists = "exists"
	pathState  = "state"
)

// Check compares the container with the spec. It reads files and starts no program but
// nvidia-smi, where only that tells which card has a UUID.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	f, err := t.load(h)
	if err != nil {
		return nil, err
	}
	if t.spec.Stage == StageFinish {
		return t.checkFinish(ctx, h, f)
	}
	if f.node != "" {
		return t.checkMoved(h, f)
	}
	if t.spec.state() == StateAbsent {
		return t.checkAbsent(ctx, h, f)
	}
	if err := t.findGPUs(ctx, h); err != nil {
		return nil, err
	}
	if !f.exists {
		if err := t.spec.passed.created(&t.spec); err != nil {
			return nil, err
		}
		return t.checkMissing(ctx, h), nil
	}
	if f.template() && t.spec.IsTemplate == nil && t.spec.state() == StateRunning {
		return nil, fmt.Errorf("check container %d: it is a template, which cannot run: set is_template to true, or state to %q", t.spec.CTID, StateStopped)
	}
	if err := t.findGroups(ctx, h, f); err != nil && !t.failed {
		return nil, err
	}
	if err := t.tellStrays(ctx, f); err != nil {
		return nil, err
	}
	found, err := t.findings(h, f)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(found, func(x finding) bool { return x.op != opByHand }) {
		found = append(t.cutOff(h, f), found...)
	}
	if len(found) > 0 && f.lock != "" {
		return t.holdLocked(f, found), nil
	}
	if err := t.planNet(ctx, h, f, found); err != nil {
		return nil, err
	}
	if err := t.foresee(ctx, h, f, found); err != nil {
		return nil, err
	}
	var d tasks.Diff
	for _, x := range found {
		if x.refused != nil {
			x.Note = joinLines(x.Note, x.refused.Note())
		}
		d = append(d, x.Change)
	}
	return d, t.hold(ctx, h, f, d)
}

// hold notes what a run would leave as it is, and why.
func (t *task) hold(ctx context.Context, h tasks.Host, f *found, d tasks.Diff) error {
	if err := t.findClones(h, f, d); err != nil {
		return err
	}
	if i := slices.IndexFunc(d, func(c tasks.Change) bool { return c.Effect == tasks.EffectReplace }); i >= 0 && len(f.conf.Snapshots()) > 0 {
		d[i].Note = joinLines(d[i].Note, f.lost())
	}
	for i := range d {
		c := &d[i]
		switch c.Effect {
		case tasks.EffectReplace, tasks.EffectDestroy:
			if refused := t.consent(ctx, f, ""); refused != nil {
				refused.Instead = orElse(refused.Instead, instead(*c))
				c.Note = joinLines(c.Note, refused.Note())
			}
		case tasks.EffectPending:
			if !c.Held() {
				t.awaits(ctx, f, c)
			}
		case tasks.EffectRestart:
			if why := t.noRestart(ctx); why != "" {
				c.Note = joinLines(c.Note, "it is written, and then waits for the next start ("+why+")")
			}
		}
	}
	return nil
}

// awaits tells of what is written already whether a run brings the start that it waits for.
func (t *task) awaits(ctx context.Context, f *found, c *tasks.Change) {
	brings := func(effect tasks.Effect, note string) {
		c.Effect, c.Note = effect, strings.Replace(c.Note, noteStaged, note, 1)
	}
	switch why := t.noRestart(ctx); {
	case t.spec.state() != StateRunning:
		c.Note = joinLines(c.Note, tasks.NoteNoRestart+fmt.Sprintf(` ("state": %q)`, t.spec.state()))
	case !f.running:
		brings(tasks.EffectLive, "written already; the run starts it")
	case why != "":
		c.Note = joinLines(c.Note, tasks.NoteNoRestart+" ("+why+")")
	default:
		brings(tasks.EffectRestart, "written already; the run restarts it")
	}
}

func joinLines(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "\n" + b
}

// holdLocked are the differences of a container that Proxmox itself is busy with, such as
// with the backup of each night: they are told, and no run makes them now.
func (t *task) holdLocked(f *found, found []finding) tasks.Diff {
	var d tasks.Diff
	refused := t.lockedOut(f)
	for _, x := range found {
		x.Note = joinLines(x.Note, refused.Note())
		d = append(d, x.Change)
		refused.Instead = "the container is locked" // once is enough for the way out
	}
	return d
}

// cutOff tells of a lock that a snapshot has left which was cut off: nothing can be
// changed, backed up or started until somebody takes it off.
func (t *task) cutOff(h tasks.Host, f *found) []finding {
	if f.lock == "" || len(guest.Unfinished(f.conf)) == 0 || guest.Holder(h, t.spec.CTID) != "" {
		return nil
	}
	return []finding{{Change: tasks.Change{Path: "lock", From: f.lock, To: "(none)", Effect: tasks.EffectLive}}}
}

// lockedOut refuses to change a container that is locked.
func (t *task) lockedOut(f *found) *tasks.RefusedError {
	return &tasks.RefusedError{What: fmt.Sprintf("changing container %d", t.spec.CTID), Instead: t.locked(f.lock, f.conf).Error()}
}

// locked is the error of a container that Proxmox itself is busy with. It is never
// unlocked here: only the one who locked it knows whether the work is over.
func (t *task) locked(lock string, c *pve.Config) error {
	return fmt.Errorf("container %d is locked (%s): %s", t.spec.CTID, lock, guest.LockAdvice(t.spec.CTID, lock, c))
}

func (t *task) checkAbsent(ctx context.Context, h tasks.Host, f *found) (tasks.Diff, error) {
	if !f.exists {
		return nil, nil
	}
	gone := tasks.Change{Path: pathExists, From: "container " + f.now["hostname"], Effect: tasks.EffectDestroy,
		Note: f.lost()}
	if f.lock != "" {
		return t.holdLocked(f, []finding{{Change: gone}}), nil
	}
	d := tasks.Diff{gone}
	return d, t.hold(ctx, h, f, d)
}

func (t *task) checkMissing(ctx context.Context, h tasks.Host) tasks.Diff {
	to := "created from " + orElse(t.spec.Template, "(no template is given)")
	if t.spec.CloneFromCTID != 0 {
		to = "cloned from " + t.spec.origin()
	}
	c := tasks.Change{Path: pathExists, To: to, Effect: tasks.EffectLive, Note: t.createNote(ctx, h)}
	t.foreseeNew(ctx, h, &c)
	return tasks.Diff{c}
}

// Apply makes the given differences true. It reads the container again first, so that
// what somebody else has mended in the meantime is not sent a second time.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) (err error) {
	defer func() { t.failed = err != nil }()
	f, err := t.load(h)
	if err != nil {
		return err
	}
	if f.node != "" {
		return t.moved(f)
	}
	if err := pve.Writable(h); err != nil {
		return err
	}
	if f.lock != "" {
		return t.lockedOut(f)
	}
	if err := t.findClones(h, f, d); err != nil {
		return err
	}
	if err := t.findGPUs(ctx, h); err != nil {
		return err
	}
	if d.Has(pathExists) {
		return t.applyExistence(ctx, h, f)
	}
	if !f.exists {
		return fmt.Errorf("change container %d: it has gone since it was checked", t.spec.CTID)
	}
	refused := t.refusal(ctx, f, d.With(tasks.EffectReplace))
	if len(d.With(tasks.EffectReplace)) > 0 && refused == nil {
		return t.replace(ctx, h, f)
	}
	a := applier{task: t, host: h, diff: d}
	err = a.run(ctx)
	var less *tasks.RefusedError
	if err != nil && (refused == nil || !errors.As(err, &less)) {
		return err
	}
	return refused
}

// applyExistence creates or destroys.
func (t *task) applyExistence(ctx context.Context, h tasks.Host, f *found) error {
	absent := t.spec.state() == StateAbsent
	switch {
	case absent && f.exists:
		return t.destroy(ctx, h, f, "destroying", "--purge", "1")
	case absent, f.exists: // mended in the meantime; the check that follows tells the rest
		return nil
	}
	return t.create(ctx, h)
}

// refusal is the error for differences that only a new container could mend, unless
// the job allows that; nil when there are none, or it does.
func (t *task) refusal(ctx context.Context, f *found, d tasks.Diff) error {
	if len(d) == 0 {
		return nil
	}
	c := d[0]
	what := fmt.Sprintf("%s %s -> %s needs container %d to be destroyed and made anew (its data would be lost), which", c.Path, c.From, c.To, t.spec.CTID)
	refused := t.consent(ctx, f, what)
	if refused == nil {
		return nil
	}
	refused.Instead = orElse(refused.Instead, instead(c))
	for i := range refused.Allow {
		refused.Allow[i].Loss += ", and it is made anew:"
		for _, c := range d {
			refused.Allow[i].Loss += fmt.Sprintf("\n%s %s -> %s", c.Path, orNothing(c.From), orNothing(c.To))
		}
	}
	return refused
}

// instead is how the configuration could say what there is. Sizes are what people
// take back most, and the one that is there may not be a round one.
func instead(c tasks.Change) string {
	if !strings.HasSuffix(c.Path, "size_gb") {
		return ""
	}
	return "set " + c.Path + " to " + c.From
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// consent refuses to destroy what is protected, what others are made of, or what the
// job does not name.
func (t *task) consent(ctx context.Context, f *found, what string) *tasks.RefusedError {
	if on, _ := pve.ParseBool(f.now["protection"]); on {
		return &tasks.RefusedError{What: what, Instead: `it is protected: set "protection": false in a run of its own first`}
	}
	if len(f.clones) > 0 {
		return &tasks.RefusedError{What: what, Instead: "linked clones share its volumes: destroy " + joinNumbers(f.clones) + " first"}
	}
	if !tasks.ConsentOf(ctx).DestroyAllowed(t.spec.CTID) {
		id := fmt.Sprint(t.spec.CTID)
		return &tasks.RefusedError{What: what, Allow: []tasks.Allow{{
			Flag: tasks.AllowDestroy, Name: id, Loss: fmt.Sprintf("container %s (%s) and all its %s are destroyed", id, f.now["hostname"], f.contents()),
		}}}
	}
	return nil
}
