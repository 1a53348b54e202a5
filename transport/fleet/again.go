package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/report"
	"phoenix/transport"
)

// How long a machine may be away. One that boots checks memory, disks and RAID
// controllers first.
const (
	rebootLimit = 20 * time.Minute
	changeLimit = 5 * time.Minute
	// retryPause is the time between two tries to get to a machine that is away.
	retryPause = 2 * time.Second
	// maxSessions bounds how often one run goes back to a host.
	maxSessions = 5
)

// away is a machine that goes down because a step rebooted it.
type away struct {
	step   string
	reboot tasks.Reboot
}

// goesAway is a reboot announced.
func (w *watch) goesAway(e tasks.Event) {
	w.away = &away{step: e.Step, reboot: *e.Reboot}
	w.made[e.Step], w.rebooter = e.Reboot.Changes, e.Step
	w.note(report.NoteWarning, w.host.Target.Name+" reboots now")
	w.note(report.NoteInfo, "waiting for "+w.host.Target.Name+" to come back")
}

// note says what becomes of the host, beside its steps.
func (w *watch) note(level report.NoteLevel, text string) {
	w.fleet.emit(w.host, report.Event{Kind: report.KindNote, Note: &report.Note{Level: level, Text: text}})
}

// error is that of a session that the reboot ends, should nobody go back.
func (a *away) error(t transport.Target) *report.Error {
	return &report.Error{Class: report.ClassLost, What: "follow the job on " + t.Name, Why: "the machine reboots"}
}

// result is that of a step which finds, after a reboot, that what it made before holds.
// A machine that needs another reboot would need one after that, too.
func (w *watch) result(step string, r *tasks.Result, made tasks.Diff) *tasks.Result {
	if left := r.Remaining.With(tasks.EffectReboot); step == w.rebooter && len(left) > 0 {
		all := *r
		all.Status, all.Cause, all.Changes = tasks.StatusFailed, tasks.CauseNotApplied, made
		reason, _, _ := strings.Cut(left[0].Note, "\n")
		all.Why = "the machine was rebooted, and needs it still: " + reason
		return &all
	}
	if r.Status != tasks.StatusOK && r.Status != tasks.StatusChanged {
		return r
	}
	all := *r
	all.Status, all.Changes = tasks.StatusChanged, append(slices.Clone(made), r.Changes...)
	return &all
}

// reopen has the steps looked at again that left something to the reboot.
func (w *watch) reopen() {
	for id := range w.waiting {
		w.steps[id] = true
	}
}

// returns tells whether the host is to be gone back to after a session that broke: a
// step took it away, and steps are left. Where a change of the network did, it is first
// waited for what becomes of it.
func (w *watch) returns(ctx context.Context) bool {
	switch {
	case ctx.Err() != nil, ended(w.fleet.Interrupt.Stop), w.sessions >= maxSessions:
		return false
	case w.away != nil:
		return true
	case w.confirms == nil:
		return false
	}
	c := w.confirms
	<-c.done // it has a limit of its own
	if c.at != nil {
		w.moved(c.at)
		return true
	}
	w.tell(tasks.Event{Time: w.fleet.now(), Step: c.step, Result: &tasks.Result{
		Status: tasks.StatusFailed,
		Why:    "the connection was lost and no new one could be made within " + c.limit.String() + ", so the machine takes the change back",
	}})
	return true
}

// again goes back to the host with the steps that are left, and tries until a session
// says something of them or the time is over.
func (w *watch) again(ctx context.Context) *report.Error {
	w.skip()
	limit := changeLimit
	if w.away != nil {
		limit = rebootLimit
		w.reopen()
	}
	job := w.rest()
	w.away, w.confirms = nil, nil
	w.left = w.fleet.now()
	deadline := w.left.Add(limit)
	for {
		if err := w.pause(ctx); err != nil {
			return err
		}
		tries := w.sessions
		err := w.session(ctx, job, w.fleet.now())
		if err == nil || w.heard || err.Class == report.ClassProtocol || w.fleet.now().After(deadline) || ctx.Err() != nil {
			return err
		}
		w.sessions = tries // one that did not come about
	}
}

func (w *watch) pause(ctx context.Context) *report.Error {
	t := time.NewTimer(retryPause)
	defer t.Stop()
	var stop <-chan struct{}
	if w.fleet.Interrupt.Stop != nil {
		stop = w.fleet.Interrupt.Stop.Done()
	}
	select {
	case <-t.C:
		return nil
	case <-stop:
	case <-ctx.Done():
	}
	return timedOut(ctx, &report.Error{Class: report.ClassCanceled, What: "wait for " + w.host.Target.Name, Why: "the run was stopped"})
}

// skip ends the steps that need one that did not end well, as the runner would have.
func (w *watch) skip() {
	for again := true; again; {
		again = false
		for _, s := range w.host.Job.Steps {
			i := slices.IndexFunc(s.Needs, func(id string) bool { return w.bad[id] })
			if i < 0 || !w.steps[s.ID] {
				continue
			}
			again = true
			w.tell(tasks.Event{Time: w.fleet.now(), Step: s.ID, Result: &tasks.Result{
				Status: tasks.StatusSkipped, Cause: tasks.CauseNeed, Why: s.Needs[i] + " did not end well",
			}})
		}
	}
}

// rest is the job of the steps that have no result yet, under an ID of its own: the
// record of each session is a folder on the machine.
func (w *watch) rest() tasks.Job {
	job := w.host.Job
	job.RunID = fmt.Sprintf("%s-%d", w.host.Job.RunID, w.sessions+1)
	job.Steps = nil
	for _, s := range w.host.Job.Steps {
		if !w.steps[s.ID] {
			continue
		}
		s.Needs = slices.DeleteFunc(slices.Clone(s.Needs), func(id string) bool { return !w.steps[id] })
		job.Steps = append(job.Steps, s)
	}
	if w.away != nil {
		job.AfterBoot = w.away.reboot.BootID
	}
	if w.rebooter != "" {
		job.Consent.Reboot = false // once is what was agreed to
	}
	return job
}

// ownRun tells whether a record is that of an earlier session of this run.
func (w *watch) ownRun(id string) bool {
	own := w.host.Job.RunID
	return w.sessions > 1 && (id == own || strings.HasPrefix(id, own+"-"))
}

// catchUp tells the results that an earlier session had and nobody heard. What the
// machine's going down was the end of has none yet, and neither has what waited for it,
// or was left out since it needs one of these.
func (w *watch) catchUp(events []tasks.Event) {
	undecided := make(map[string]bool)
	for _, e := range events {
		r := e.Result
		if r == nil || !w.steps[e.Step] {
			continue
		}
		left := r.Cause == tasks.CauseNeed && slices.ContainsFunc(w.needs(e.Step), func(id string) bool { return undecided[id] })
		if left || r.Cause == tasks.CauseCanceled || w.made[e.Step] != nil {
			undecided[e.Step] = true
			continue
		}
		w.tell(e)
		w.caught[e.Step] = true
	}
}

// needs are those of a step of the job.
func (w *watch) needs(step string) []string {
	i := slices.IndexFunc(w.host.Job.Steps, func(s tasks.Step) bool { return s.ID == step })
	return w.host.Job.Steps[i].Needs
}

// told leaves out what was between the machine and whoever followed the run.
func told(events []tasks.Event) []tasks.Event {
	return slices.DeleteFunc(events, func(e tasks.Event) bool { return e.Confirm != nil || e.Reboot != nil || e.Sample != nil })
}
