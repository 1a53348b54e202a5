package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Guests leads into the containers of a machine.
type Guests interface {
	// Enter returns the inside of a running container. It may be called for each step, and
	// from several at a time. The error of a container that does not run is an *AwayError.
	// ctx is that of the whole job; view is the machine as the step may see it.
	Enter(ctx context.Context, view Host, ctid int) (Host, error)
	// Save takes a snapshot of a container before something is changed inside. goBack puts
	// it back to that, which needs a restart; it is nil where no snapshot could be taken
	// and none is demanded.
	Save(ctx context.Context, ctid int, s Safety) (goBack func(context.Context) error, err error)
	// Leave ends what Enter began. It may be called for a container that nobody entered.
	Leave(ctid int)
}

func (r *Runner) enter(ctx context.Context, s Step) (Host, error) {
	if r.Guests == nil {
		return nil, errors.New("this machine has no way into containers")
	}
	return r.Guests.Enter(ctx, r.view, s.Inside.CTID)
}

// leave ends the way into a container in which no step is left to be taken.
func (s *schedule) leave(step Step) {
	same := func(o Step) bool { return o.Inside != nil && o.Inside.CTID == step.Inside.CTID && s.open[o.ID] }
	if s.runner.Guests != nil && !slices.ContainsFunc(s.job.Steps, same) {
		s.runner.Guests.Leave(step.Inside.CTID)
	}
}

// saved is the way back of a container.
type saved struct {
	goBack func(context.Context) error
	// undone are the steps that would be undone on it.
	undone []string
}

// save sees to the way back of a step's container, once in a run.
func (r *Runner) save(ctx context.Context, s Step) error {
	if s.Inside == nil || s.Inside.Safety == nil {
		return nil
	}
	r.mu.Lock()
	fresh := slices.Contains(r.made, s.Inside.Safety.Step)
	_, done := r.saved[s.Inside.CTID]
	r.mu.Unlock()
	if fresh || done {
		return nil
	}
	goBack, err := r.Guests.Save(ctx, s.Inside.CTID, *s.Inside.Safety)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.saved == nil {
		r.saved = make(map[int]*saved)
	}
	r.saved[s.Inside.CTID] = &saved{goBack: goBack}
	return nil
}

// goBack puts the container of a step that failed back to before the run's first change
// inside, where the configuration says so. What steps before have made there is gone, too.
func (r *Runner) goBack(ctx context.Context, s Step, res *Result) {
	if s.Inside == nil || s.Inside.Safety == nil {
		return
	}
	r.mu.Lock()
	way := r.saved[s.Inside.CTID]
	r.mu.Unlock()
	switch {
	case way == nil || way.goBack == nil || !s.Inside.Safety.Rollback:
		return
	case !ConsentOf(ctx).Restart:
		res.Why += "; the container was not rolled back, which needs a restart, and that is not allowed"
		return
	}
	r.Guests.Leave(s.Inside.CTID)
	if err := way.goBack(context.WithoutCancel(ctx)); err != nil {
		res.Why += "; and the container could not be rolled back: " + err.Error()
		return
	}
	res.Remaining, res.Changes = append(res.Changes, res.Remaining...), nil
	res.Why += "; the container was rolled back to before the first change inside"
	if len(way.undone) > 0 {
		res.Why += ", which also undid " + strings.Join(way.undone, ", ")
	}
}

// away is the result of a step for which there was no way into its container. One that is
// not to run in the end is as it was made, if that was noted, and is started by a run
// otherwise. What nobody can look at is not guessed.
func (r *Runner) away(mode Mode, s Step, err error) Result {
	var a *AwayError
	wanted := s.Inside.Receipt
	switch {
	case !errors.As(err, &a):
		return Result{Status: StatusFailed, Why: err.Error()}
	case wanted != "" && a.Receipt == wanted:
		r.emit(Event{Step: s.ID, Log: &Log{Stream: "task", Text: a.Error() + ", as it is to be; this was made inside before"}})
		return Result{Status: StatusOK}
	case mode == ModeCheck && (a.Absent || wanted != ""):
		return Result{Status: StatusWouldChange, Changes: Diff{{
			Path: "inside", From: "(" + a.Error() + ")", To: "as configured", Effect: EffectLive,
			Note: "what differs shows when the container runs",
		}}}
	case a.Absent:
		return Result{Status: StatusFailed, Why: fmt.Sprintf("enter container %d: %v", a.CTID, a)}
	}
	return Result{Status: StatusUnknown, Why: a.Error()}
}

// mayChange is the context of an Apply inside a container, which may change the machine,
// too.
func (r *Runner) mayChange(ctx context.Context) context.Context {
	scope := ScopeOf(ctx)
	if scope.Machine == nil {
		return ctx
	}
	scope.Machine = r.Host
	return WithScope(ctx, scope)
}
