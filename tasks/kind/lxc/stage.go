package lxc

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
)

// The stages of a container in which something is made inside (Spec.Stage).
const (
	// StageBegin has it run, with all of its properties.
	StageBegin = "begin"
	// StageFinish stops it where it is not to run, makes it a template, and takes the
	// snapshots of what it then is.
	StageFinish = "finish"
)

// FinishID is the ID of the step that finishes a container after all inside it was made.
func FinishID(ctid int) string { return StepID(ctid) + "/finish" }

// pathInside is the path of what is made inside a container that does not run in the end.
const pathInside = "inside"

// Finishes tells whether there is anything to do after all inside was made.
func (s *Spec) Finishes() bool {
	return !s.Runs() || s.TemplateSnapshotName != "" || s.EnableLifecycleSnapshots != ""
}

// Safety is the way back for what is changed inside; nil where none is wanted, or a
// template is to be made, which can have no snapshots.
func (s *Spec) Safety() *tasks.Safety {
	if !s.nets(s.SnapshotBeforeChange) {
		return nil
	}
	return &tasks.Safety{Step: StepID(s.CTID), IfPossible: s.SnapshotBeforeChange == TakeIfPossible, Rollback: s.RollbackOnFailure, Keep: s.retention()}
}

// load reads the state, and sets what is wanted in this stage.
func (t *task) load(h tasks.Host) (*found, error) {
	f, err := t.read(h)
	if err == nil && t.spec.Stage == StageBegin {
		t.begin(f)
	}
	return f, err
}

// begin makes of what is wanted in the end what is wanted before anything is made inside:
// a container that runs, unless all is made already.
func (t *task) begin(f *found) {
	s, end := &t.spec, &t.end
	s.TemplateSnapshotName, s.State, s.IsTemplate = "", end.State, end.IsTemplate
	if end.template() { // a template has no snapshots
		s.SnapshotBeforeChange, s.EnableLifecycleSnapshots = "", ""
	}
	if end.Runs() || f.exists && (f.template() || t.settled(f) && !f.running) {
		return
	}
	s.State, s.IsTemplate = StateRunning, nil
}

// staleReceipt is the difference of a note that does not hold any more while something is
// made inside, or while the container runs and anybody may change it.
func (t *task) staleReceipt(f *found) []finding {
	noted := guest.Receipt(f.now["description"], t.spec.CTID)
	if t.spec.Stage != StageBegin || t.end.Runs() || f.template() || noted == "" || t.settled(f) && !f.running {
		return nil
	}
	c := tasks.Change{Path: pathInside, From: noted, Effect: tasks.EffectLive, Note: "the container is looked into again; that is noted when it is finished"}
	return []finding{{Change: c, op: opReceipt}}
}

// settled tells whether the description notes that all inside was made.
func (t *task) settled(f *found) bool {
	return guest.Receipt(f.now["description"], t.spec.CTID) == t.spec.Inside
}

// sealed is the difference of a template in which something else was made than what is
// wanted: nothing can be changed in it.
func (t *task) sealed(f *found) []finding {
	if t.spec.Stage != StageBegin || !f.template() || !t.end.template() || t.settled(f) {
		return nil
	}
	from, to := insideDiff(guest.Receipt(f.now["description"], t.spec.CTID), t.spec.Inside)
	x := replacing(pathInside, from, to)
	x.Note = joinLines("a template cannot be looked into or changed inside", x.Note)
	return []finding{x}
}

// insideDiff names what of two notes differs, NAME=DIGEST each.
func insideDiff(noted, wanted string) (from, to string) {
	have, want := strings.Split(noted, ","), strings.Split(wanted, ",")
	only := func(list, other []string) string {
		return strings.Join(slices.DeleteFunc(list, func(part string) bool { return slices.Contains(other, part) }), ", ")
	}
	return only(slices.Clone(have), want), only(want, have)
}

// checkFinish compares what is left to do when all inside was made.
func (t *task) checkFinish(ctx context.Context, h tasks.Host, f *found) (tasks.Diff, error) {
	if f.node != "" {
		return nil, nil // the step before tells
	}
	if !f.exists {
		return t.ahead(), nil
	}
	found, err := t.findings(h, f)
	if err != nil {
		return nil, err
	}
	if len(tasks.ScopeOf(ctx).Changed) > 0 && !t.kept && !t.unfinished(f) && t.spec.nets(t.spec.EnableLifecycleSnapshots) {
		found = append(found, finding{Change: tasks.Change{Path: pathLifecycle, To: string(guest.SortChanged), Effect: tasks.EffectLive}, op: opKept})
	}
	var d tasks.Diff
	for _, x := range found {
		if x.op == opKept && slices.Contains(tasks.ScopeOf(ctx).Changed, StepID(t.spec.CTID)) {
			x.Note = "" // the run that made it is this one
		}
		if t.finishes(x) {
			if x.refused != nil {
				x.Note = joinLines(x.Note, x.refused.Note())
			}
			d = append(d, x.Change)
		}
	}
	return d, nil
}

// finishes tells whether a difference is one of the last stage.
func (t *task) finishes(x finding) bool {
	switch x.op {
	case opReceipt, opTemplate, opSnapshot:
		return true
	case opState:
		return x.To == StateStopped
	case opKept:
		return x.Path == pathLifecycle
	}
	return false
}

// ahead is what the last stage will do with a container that is not there yet.
func (t *task) ahead() tasks.Diff {
	var d tasks.Diff
	s := &t.spec
	if !s.Runs() {
		d.Add(pathState, StateRunning, s.state(), tasks.EffectLive)
	}
	if s.template() {
		d.Add(pathTemplate, "false", "true", tasks.EffectLive)
	}
	if s.TemplateSnapshotName != "" {
		d.Add(pathSnapshot, "", s.TemplateSnapshotName, tasks.EffectLive)
	}
	if s.nets(s.EnableLifecycleSnapshots) {
		d.Add(pathLifecycle, "", guest.Created, tasks.EffectLive)
	}
	return d
}

// receiptFinding is the difference of a container that does not run in the end and whose
// description does not yet note what was made inside.
func (t *task) receiptFinding(f *found) []finding {
	if t.spec.Stage != StageFinish || t.spec.Runs() || f.template() || t.settled(f) {
		return nil
	}
	from, to := insideDiff(guest.Receipt(f.now["description"], t.spec.CTID), t.spec.Inside)
	return []finding{{Change: tasks.Change{Path: pathInside, From: from, To: to, Effect: tasks.EffectLive}, op: opReceipt}}
}

// receipt notes in the description what was made inside.
func (a *applier) receipt(ctx context.Context) error {
	f, found, err := a.read()
	if err != nil || !slices.ContainsFunc(found, func(x finding) bool { return x.op == opReceipt }) {
		return err
	}
	id := a.task.spec.CTID
	text, own := splitDescription(f.now["description"])
	own = slices.DeleteFunc(own, func(l string) bool { return guest.Receipt(l, id) != "" })
	wanted := ""
	if a.task.spec.Stage == StageFinish {
		wanted = a.task.spec.Inside
		own = append(own, guest.ReceiptLine(id, wanted))
	}
	args := []string{"set", fmt.Sprint(id), "--delete", "description"}
	if text = joinDescription(text, own...); text != "" {
		args = []string{"set", fmt.Sprint(id), "--description", text}
	}
	out, err := a.task.pct(ctx, a.host, args...)
	if err != nil {
		return fmt.Errorf("note in container %d what was made inside: %w", id, err)
	}
	if f, err = a.task.load(a.host); err != nil {
		return err
	}
	if guest.Receipt(f.now["description"], id) != wanted {
		return guest.NotDone(out, args, "note in container %d what was made inside: the description has no room for it", id)
	}
	return nil
}
