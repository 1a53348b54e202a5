package report

import (
	"encoding/json"
	"slices"

	"phoenix/tasks"
)

// mapText returns the event with f applied to every text that can hold what a host
// or a person wrote. The event itself is left as it was, since its contents may be
// shared.
func (e Event) mapText(f func(string) string) Event {
	if f == nil {
		return e
	}
	if e.Note != nil {
		e.Note = &Note{Level: e.Note.Level, Text: f(e.Note.Text), Hint: f(e.Note.Hint)}
	}
	if e.Step != nil {
		step := mapStep(*e.Step, f)
		e.Step = &step
	}
	if e.Journal != nil {
		j := *e.Journal
		j.Events = make([]tasks.Event, len(e.Journal.Events))
		for i, old := range e.Journal.Events {
			j.Events[i] = mapStep(old, f)
		}
		e.Journal = &j
	}
	if e.HostDone != nil && e.HostDone.Error != nil {
		d, err := *e.HostDone, *e.HostDone.Error
		err.What, err.Why, err.Hint = f(err.What), f(err.Why), f(err.Hint)
		d.Error = &err
		e.HostDone = &d
	}
	if e.RunDone != nil {
		d := *e.RunDone
		d.Error, d.Stopped = f(d.Error), f(d.Stopped)
		e.RunDone = &d
	}
	return e
}

func mapStep(e tasks.Event, f func(string) string) tasks.Event {
	if e.Log != nil {
		e.Log = &tasks.Log{Stream: e.Log.Stream, Text: f(e.Log.Text)}
	}
	if e.Sample != nil {
		e.Sample = mapJSON(e.Sample, f)
	}
	if e.Result != nil {
		r := *e.Result
		r.Why = f(r.Why)
		r.Changes, r.Remaining = mapDiff(r.Changes, f), mapDiff(r.Remaining, f)
		r.Data = mapJSON(r.Data, f)
		r.Warnings = slices.Clone(r.Warnings)
		for i, w := range r.Warnings {
			r.Warnings[i] = f(w)
		}
		r.Allow = slices.Clone(r.Allow)
		for i, a := range r.Allow {
			r.Allow[i] = tasks.Allow{Flag: a.Flag, Name: f(a.Name), Loss: f(a.Loss)}
		}
		e.Result = &r
	}
	return e
}

func mapDiff(d tasks.Diff, f func(string) string) tasks.Diff {
	if d == nil {
		return nil
	}
	out := make(tasks.Diff, len(d))
	for i, c := range d {
		c.Path, c.From, c.To, c.Note = f(c.Path), f(c.From), f(c.To), f(c.Note)
		out[i] = c
	}
	return out
}

// mapJSON applies f to every string of a JSON value, keys included: a value with a
// quote in it is escaped in the JSON text, where a search for it would miss. What is
// not JSON is dropped.
func mapJSON(raw json.RawMessage, f func(string) string) json.RawMessage {
	if len(raw) == 0 {
		return nil
	}
	v, err := decodeNumbers(raw)
	if err != nil {
		return nil
	}
	out, err := json.Marshal(mapValue(v, f))
	if err != nil {
		return nil
	}
	return out
}

func mapValue(v any, f func(string) string) any {
	switch v := v.(type) {
	case string:
		return f(v)
	case []any:
		for i := range v {
			v[i] = mapValue(v[i], f)
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[f(k)] = mapValue(x, f)
		}
		return out
	}
	return v
}
