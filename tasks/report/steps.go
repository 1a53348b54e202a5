package report

import (
	"slices"
	"strings"

	"phoenix/tasks"
)

// unseen is why a step that has begun, maybe not for the first time, is unknown.
const unseen = "its end was not seen"

// stepFold is what has been seen of the steps of one machine.
type stepFold struct {
	order   []string
	steps   map[string]*Step
	planned int
	// before are the results of the host's earlier turns, by step.
	before map[string]tasks.Result
}

// turn begins another turn of the host: what a step makes in it adds to what it made.
func (f *stepFold) turn() {
	f.before = make(map[string]tasks.Result, len(f.steps))
	for id, s := range f.steps {
		f.before[id] = s.Result
	}
}

// whole is the result of a step together with what it made in earlier turns.
func (f *stepFold) whole(id string, r tasks.Result) tasks.Result {
	was := f.before[id]
	r.DurationMS += was.DurationMS
	if len(was.Changes) == 0 {
		return r
	}
	r.Changes = slices.Concat(was.Changes, r.Changes)
	if r.Status == tasks.StatusOK {
		r.Status = tasks.StatusChanged
	}
	return r
}

func (f *stepFold) add(e tasks.Event) {
	s := f.step(e.Step)
	switch {
	case e.Started != nil:
		f.planned = max(f.planned, e.Started.Total)
		s.Result = tasks.Result{Status: tasks.StatusUnknown, Why: unseen, Changes: s.Changes, DurationMS: s.DurationMS}
	case e.Log != nil:
		s.Log = append(s.Log, *e.Log)
		if len(s.Log) >= 2*OutputLines {
			s.Log = tail(s.Log, OutputLines)
		}
	case e.Result != nil:
		s.Result = f.whole(e.Step, *e.Result)
		s.Log = tail(unsaid(s.Log, s.Result), logLines(s.Result))
	}
}

// logLines is how many lines of its log a step with this result keeps.
func logLines(r tasks.Result) int {
	switch {
	case len(r.Data) > 0:
		return OutputLines
	case r.Status == tasks.StatusFailed, r.Status == tasks.StatusUnknown:
		return LogLines
	}
	return 0
}

// unsaid is the log of a step without what does not belong to its failure: lines that the
// reason quotes, and where no program failed (a *tasks.CommandError has its status), what
// programs printed that ended well. A step that was cut short keeps all.
func unsaid(log []tasks.Log, r tasks.Result) []tasks.Log {
	if r.Status != tasks.StatusFailed || r.Cause == tasks.CauseTimeout || r.Cause == tasks.CauseCanceled || len(r.Data) > 0 {
		return log
	}
	program := strings.Contains(r.Why, "exit status")
	quoted := strings.Split(r.Why, "\n")
	return slices.DeleteFunc(slices.Clone(log), func(l tasks.Log) bool {
		printed := l.Stream == "stdout" || l.Stream == "stderr"
		text := strings.TrimSpace(l.Text)
		return printed && (!program || slices.ContainsFunc(quoted, func(q string) bool {
			q = strings.TrimSpace(q)
			return q == text || strings.HasSuffix(q, ": "+text)
		}))
	})
}

// tail is a copy of the last n lines, so that the others can be freed.
func tail(lines []tasks.Log, n int) []tasks.Log {
	if n == 0 || len(lines) == 0 {
		return nil
	}
	return slices.Clone(lines[max(0, len(lines)-n):])
}

// step finds or begins a step. Until its result is seen it counts as unknown.
func (f *stepFold) step(id string) *Step {
	if s, ok := f.steps[id]; ok {
		return s
	}
	if f.steps == nil {
		f.steps = make(map[string]*Step)
	}
	s := &Step{ID: id, Result: tasks.Result{Status: tasks.StatusUnknown, Why: unseen}}
	f.steps[id] = s
	f.order = append(f.order, id)
	return s
}

func (f *stepFold) list() []Step {
	out := make([]Step, 0, len(f.order))
	for _, id := range f.order {
		s := *f.steps[id]
		s.Log = tail(s.Log, OutputLines)
		out = append(out, s)
	}
	return out
}
