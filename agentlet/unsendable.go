package agentlet

import (
	"fmt"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
)

// unsendable is what is sent instead of a message that cannot be: the same outcome,
// without what made it too long.
func unsendable(m wire.Message, why error) wire.Message {
	switch {
	case m.Event != nil && m.Event.Result != nil:
		e := *m.Event
		e.Result = &tasks.Result{
			Status: e.Result.Status, Cause: e.Result.Cause, DurationMS: e.Result.DurationMS,
			Why: fmt.Sprintf("the details could not be sent: %v", why),
		}
		return wire.Message{Event: &e}
	case m.Journal != nil:
		j := *m.Journal
		j.Events = nil
		return wire.Message{Journal: &j}
	case m.Event != nil:
		e := *m.Event
		e.Started, e.Sample, e.Log = nil, nil, logLine(fmt.Sprintf("an event could not be sent: %v", why))
		return wire.Message{Event: &e}
	}
	return wire.Message{Done: &wire.Done{Error: why.Error()}}
}

func isLog(m wire.Message) bool { return m.Event != nil && m.Event.Log != nil }

func logLine(text string) *tasks.Log { return &tasks.Log{Stream: "task", Text: text} }
