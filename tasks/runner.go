package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Runner takes the steps of a job in dependency order, those that say what they use
// side by side. A failed step stops only those that need it.
type Runner struct {
	// Host is the machine.
	Host Host
	// Guests leads into the machine's containers; nil where nothing does.
	Guests Guests
	// Registry decodes the steps.
	Registry Registry
	// Emit receives every event, one at a time, in order.
	Emit func(Event)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Peer and Helper are handed to the steps in their Scope.
	Peer, Helper string
	// Stop, when closed, makes the runner start no further step; the one under way
	// goes on to its end.
	Stop <-chan struct{}

	mu      sync.Mutex // one event at a time; guards waiting, ahead
	waiting []string   // for a reboot; see Scope
	ahead   []string   // steps of which a run would change something
	changed []string   // steps of this run that have changed something
	made    []string   // and those that have made what was not there
	saved   map[int]*saved
	view    Host // what every Check gets
}

// Run takes the job's steps. The error is about the job itself; outcomes of steps
// are events. Cancelling ctx cancels the step under way and starts none after it.
func (r *Runner) Run(ctx context.Context, job Job) error {
	steps, err := Order(job.Steps)
	if err != nil {
		return err
	}
	r.view = ReadOnly(r.Host)
	if job.Mode == ModeCheck {
		r.view = &tables{readOnly: readOnly{r.Host}, read: make(map[string][]byte)}
	}
	s := schedule{
		runner: r, job: job, total: len(steps), left: steps,
		open: make(map[string]bool, len(steps)), bad: make(map[string]Cause), used: make(map[string]int), ended: make(chan outcome),
	}
	for _, step := range steps {
		s.open[step.ID] = true
	}
	s.run(ctx)
	return nil
}

// place is where a step is taken: what its Check gets, and what its Apply.
type place struct{ view, host Host }

// note remembers what a step leaves to a reboot, and in a check to a run.
func (r *Runner) note(s Step, res Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if res.Status == StatusWouldChange && !res.Changes.held() {
		r.ahead = append(r.ahead, s.ID)
	}
	if res.Status != StatusWouldChange && len(res.Changes) > 0 {
		r.changed = append(r.changed, s.ID)
		if s.Inside != nil && r.saved[s.Inside.CTID] != nil {
			way := r.saved[s.Inside.CTID]
			way.undone = append(way.undone, s.ID)
		}
	}
	if res.Changes.Has("exists") {
		r.made = append(r.made, s.ID)
	}
	for _, d := range []Diff{res.Changes, res.Remaining} {
		for _, c := range d.With(EffectReboot) {
			if what := s.ID + " " + c.Path; !slices.Contains(r.waiting, what) {
				r.waiting = append(r.waiting, what)
			}
		}
	}
}

// known adds to a scope what the steps before have left to a reboot, which that the step
// needs have changed or would change, and which would at all.
func (r *Runner) known(s Step, into *Scope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	among := func(steps []string) []string {
		return slices.DeleteFunc(slices.Clone(s.Needs), func(id string) bool { return !slices.Contains(steps, id) })
	}
	into.Waiting, into.Ahead, into.Earlier, into.Changed = slices.Clone(r.waiting), among(r.ahead), slices.Clone(r.ahead), among(r.changed)
}

// step runs one step to its result, without announcing the result. It calls changes, at
// most once, before it changes anything.
func (r *Runner) step(ctx context.Context, job Job, s Step, bad map[string]bool, at Started, changes func()) Result {
	if i := slices.IndexFunc(s.Needs, func(id string) bool { return bad[id] }); i >= 0 {
		return Result{Status: StatusSkipped, Cause: CauseNeed, Why: s.Needs[i] + " did not end well"}
	}
	if ctx.Err() != nil || r.stopped() {
		return Result{Status: StatusSkipped, Cause: CauseCanceled, Why: "the run was stopped"}
	}
	r.emit(Event{Step: s.ID, Started: &at})
	begin := r.now()
	res := r.converge(ctx, job, s, changes)
	res.DurationMS = r.now().Sub(begin).Milliseconds()
	return res
}

// converge decodes, checks, applies and checks again.
func (r *Runner) converge(ctx context.Context, job Job, s Step, changes func()) Result {
	spec, err := r.Registry.Decode(s)
	if err != nil {
		return Result{Status: StatusFailed, Why: err.Error()}
	}
	limit, life := job.timeout(s), ctx
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	quiet := listen(time.Duration(job.QuietAfterS)*time.Second, func(text string) {
		r.emit(Event{Step: s.ID, Log: &Log{Stream: "quiet", Text: text}})
	})
	defer quiet.end()
	var data json.RawMessage
	var warnings []string
	scope := Scope{
		Consent: job.Consent,
		Secrets: job.Secrets,
		Peer:    r.Peer,
		Helper:  r.Helper,
		Log:     func(l Log) { quiet.heard(); r.emit(Event{Step: s.ID, Log: &l}) },
		Running: quiet.runs,
		Confirm: func(c Confirm) { r.emit(Event{Step: s.ID, Confirm: &c}) },
		Reboot:  func(b Reboot) { r.emit(Event{Step: s.ID, Reboot: &b}) },
		Data:    func(raw json.RawMessage) { data = raw },
		Sample:  func(raw json.RawMessage) { quiet.heard(); r.emit(Event{Step: s.ID, Sample: raw}) },
		Stop:    r.Stop,
		Warn: func(text string) {
			if !slices.Contains(warnings, text) {
				warnings = append(warnings, text)
			}
		},
	}
	r.known(s, &scope)
	at := place{r.view, r.Host}
	if s.Inside != nil {
		changes() // it starts a program in a container, which may hang: others need not wait
		inside, err := r.enter(life, s)
		if err != nil {
			return r.away(job.Mode, s, err)
		}
		at = place{ReadOnly(inside), inside}
		scope.CTID, scope.Machine = s.Inside.CTID, r.view
	}
	ctx = WithScope(ctx, scope)
	res := r.attempt(ctx, job.Mode, s, spec, at, changes)
	res.Data, res.Warnings = data, warnings
	if res.Status == StatusFailed && len(res.Changes)+len(res.Remaining) > 0 {
		r.goBack(ctx, s, &res)
	}
	if res.Status == StatusFailed && ctx.Err() != nil {
		res.Cause = CauseCanceled
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			res.Cause = CauseTimeout
			res.Why = fmt.Sprintf("took longer than %s: %s", limit, res.Why)
		}
	}
	return res
}

// leaderTime is how long a step waits for the machine that makes it for the cluster. A
// leader that has not come to it by then may have failed, or be busy with something
// else: then this machine makes it, and the leader will find it made. Both want the same,
// and Proxmox has locks of the cluster for what two machines must not write at once.
const leaderTime = time.Minute

// follow waits until the leader has made what differs, as far as a run makes it at all.
func (r *Runner) follow(ctx context.Context, leader string, t Task, at place) {
	deadline := time.NewTimer(leaderTime)
	defer deadline.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for said := false; ; said = true {
		if d, err := t.Check(ctx, at.view); err != nil || d.held() {
			return
		}
		if !said {
			Logf(ctx, "waiting for %s, which makes this for the cluster", leader)
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// attempt is the heart: check, apply, check again. A panic of a family is that
// step's failure, not the end of the session.
func (r *Runner) attempt(ctx context.Context, mode Mode, s Step, spec Spec, at place, changes func()) (res Result) {
	defer func() {
		if p := recover(); p != nil {
			res = Result{Status: StatusFailed, Why: fmt.Sprintf("internal error: %v", p)}
		}
	}()
	t := spec.Task()
	if s.Leader != "" && mode == ModeRun {
		r.follow(ctx, s.Leader, t, at)
	}
	diff, err := t.Check(ctx, at.view)
	switch {
	case err != nil:
		return notTold(err)
	case len(diff) == 0:
		return Result{Status: StatusOK}
	case mode == ModeCheck && diff.cannot() != "":
		return Result{Status: StatusFailed, Remaining: diff, Why: diff.cannot()}
	case mode == ModeCheck:
		return Result{Status: StatusWouldChange, Changes: diff}
	}
	changes()
	if err := r.save(ctx, s); err != nil {
		return Result{Status: StatusFailed, Remaining: diff, Why: "it was not begun: " + err.Error()}
	}
	applyErr := apply(r.mayChange(ctx), t, at.host, diff)
	after, err := recheck(ctx, t, at)
	if applyErr != nil && err == nil && len(after) == 0 && s.Leader != "" {
		return Result{Status: StatusOK} // the leader came to it at the same moment
	}
	if err != nil && applyErr == nil {
		return Result{Status: StatusFailed, Changes: diff, Why: "check after applying: " + err.Error()}
	}
	if err != nil {
		after = diff // nothing is known to have been made
	}
	return verdict(diff, after, applyErr)
}

// apply calls Apply. A panic is its error, so that what was made before it is still
// looked at and told.
func apply(ctx context.Context, t Task, h Host, d Diff) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	return t.Apply(ctx, h, d)
}

// recheckLimit bounds the check after an Apply that was cut short.
const recheckLimit = 30 * time.Second

// recheck finds out what an Apply has made. Also after one that was cancelled or took
// too long: what it made by then is made, and has to be told.
func recheck(ctx context.Context, t Task, at place) (Diff, error) {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), recheckLimit)
		defer cancel()
	}
	return t.Check(ctx, at.view)
}

func notTold(err error) Result {
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		return Result{Status: StatusUnknown, Why: err.Error()}
	}
	return Result{Status: StatusFailed, Why: err.Error()}
}

// verdict compares what differed before with what differs after an Apply.
func verdict(before, after Diff, applyErr error) Result {
	res := Result{Status: StatusChanged, Remaining: after}
	for _, c := range before {
		if !slices.ContainsFunc(after, func(a Change) bool { return a.Path == c.Path && (a.Effect == c.Effect || !a.waits()) }) {
			res.Changes = append(res.Changes, c)
		}
	}
	refused, isRefused := asRefused(applyErr)
	if isRefused && len(after) > 0 {
		res.Allow = refused.Allow
	}
	waits := len(after.With(EffectPending))+len(after.With(EffectReboot)) == len(after)
	switch {
	case isRefused && (!waits || len(refused.Allow) == 0):
		res.Status, res.Cause, res.Why = StatusSkipped, CauseRefused, refused.Error()
	case applyErr != nil && !isRefused:
		res.Status, res.Why = StatusFailed, applyErr.Error()
	case len(after) == 0:
	case waits: // a reboot that was not agreed to is no refusal: all that may be is made
		res.Cause, res.Why = CausePending, "written, and waits for a restart"
		if len(after.With(EffectReboot)) > 0 {
			res.Why = "it waits for a reboot"
		} else if why := after.byHand(); why != "" {
			res.Why = why
		}
		if len(res.Changes) == 0 {
			res.Status = StatusSkipped
		}
	default:
		res.Status, res.Cause = StatusFailed, CauseNotApplied
		res.Why = fmt.Sprintf("%s still differs after applying", after[0].Path)
	}
	return res
}

func (r *Runner) emit(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Time = r.now()
	if r.Emit != nil {
		r.Emit(e)
	}
}

func (r *Runner) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Runner) stopped() bool {
	select {
	case <-r.Stop:
		return true
	default:
		return false
	}
}
