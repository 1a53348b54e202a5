package tasks

import (
	"context"
	"slices"
	"sync"
)

// schedule decides which steps of a job are taken now. All of its fields belong to the
// goroutine that called Runner.Run.
type schedule struct {
	runner *Runner
	job    Job
	total  int
	begun  int
	left   []Step           // in order
	open   map[string]bool  // not ended yet
	bad    map[string]Cause // of those that ended, and not well
	used   map[string]int   // by the steps under way
	ended  chan outcome
	busy   int // steps under way
}

type outcome struct {
	step   Step
	result Result
}

// run takes the steps. Those that use nothing are taken alone, in their order; the
// others side by side as far as the job's limits go. In a check only those inside
// containers are: it reads files, which is over before a second goroutine could have
// helped, while the way into a container takes a program.
func (s *schedule) run(ctx context.Context) {
	for len(s.left) > 0 || s.busy > 0 {
		i := s.next()
		if i < 0 {
			s.end(<-s.ended)
			continue
		}
		step := s.left[i]
		if i == 0 {
			s.left = s.left[1:]
		} else {
			s.left = slices.Delete(s.left, i, i+1)
		}
		s.begun++
		at := Started{Index: s.begun, Total: s.total}
		if s.alone(step) {
			s.busy++
			s.end(outcome{step, s.runner.step(ctx, s.job, step, s.badFor(step), at, func() {})})
			continue
		}
		s.beside(ctx, step, at)
	}
}

func (s *schedule) alone(step Step) bool {
	return len(step.Uses) == 0 || s.job.Mode != ModeRun && step.Inside == nil
}

// next is the step to take now, or -1 when one under way has to end first. Nothing
// overtakes a step that is taken alone.
func (s *schedule) next() int {
	for i, step := range s.left {
		if s.alone(step) {
			if i == 0 && s.busy == 0 {
				return 0
			}
			return -1
		}
		if s.ready(step) {
			return i
		}
	}
	return -1
}

// ready tells whether all that the step needs has ended, and what it uses is free.
func (s *schedule) ready(step Step) bool {
	return !slices.ContainsFunc(step.Needs, func(id string) bool { return s.open[id] }) &&
		!slices.ContainsFunc(step.Uses, func(name string) bool { return s.used[name] >= max(s.job.Limits[name], 1) })
}

// beside takes a step on a goroutine of its own, and returns when the step has ended or
// begins to change something: what is as wanted is told in the order of the steps.
func (s *schedule) beside(ctx context.Context, step Step, at Started) {
	s.busy++
	for _, name := range step.Uses {
		s.used[name]++
	}
	bad := s.badFor(step) // steps that end meanwhile write to s.bad
	changes := make(chan struct{})
	go func() {
		res := s.runner.step(ctx, s.job, step, bad, at, sync.OnceFunc(func() { close(changes) }))
		s.ended <- outcome{step, res}
	}()
	for {
		select {
		case <-changes:
			return
		case o := <-s.ended:
			s.end(o)
			if o.step.ID == step.ID {
				return
			}
		}
	}
}

// badFor is which of a step's needs, which have all ended, keep it from being taken.
func (s *schedule) badFor(step Step) map[string]bool {
	bad := make(map[string]bool, len(step.Needs))
	for _, id := range step.Needs {
		cause, notWell := s.bad[id]
		bad[id] = notWell && !(step.Asks && cause == CauseRefused)
	}
	return bad
}

// root is why a step did not end well in the end: of one that was left out, what its need
// was left out for.
func (s *schedule) root(o outcome) Cause {
	if o.result.Cause != CauseNeed {
		return o.result.Cause
	}
	for _, id := range o.step.Needs {
		if cause, notWell := s.bad[id]; notWell {
			return cause
		}
	}
	return CauseNeed
}

// end takes a step's result.
func (s *schedule) end(o outcome) {
	s.busy--
	if !s.alone(o.step) {
		for _, name := range o.step.Uses {
			s.used[name]--
		}
	}
	delete(s.open, o.step.ID)
	if !o.result.EndedWell() {
		s.bad[o.step.ID] = s.root(o)
	}
	if o.step.Inside != nil {
		s.leave(o.step)
	}
	s.runner.note(o.step, o.result)
	s.runner.emit(Event{Step: o.step.ID, Result: &o.result})
}
