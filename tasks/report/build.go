package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"phoenix/tasks"
)

// Build folds a stream of events into its report. It is a pure function: the same
// events give the same report, and so do the same events with those of different
// hosts interleaved in another way. Every prefix of a stream has a report; it says
// of everything under way that its end was not seen.
func Build(events []Event) Report {
	var b Builder
	for _, e := range events {
		b.Add(e)
	}
	return b.Report()
}

// Builder folds events one at a time. The zero value is ready; it is not safe for
// concurrent use.
type Builder struct {
	head  Report
	hosts map[string]*hostFold
	last  time.Time
}

// Add folds one event. An event that is not valid is left out.
func (b *Builder) Add(e Event) {
	if e.Validate() != nil {
		return
	}
	if b.head.RunID == "" {
		b.head.RunID = e.RunID
	}
	if e.Time.After(b.last) {
		b.last = e.Time
	}
	switch {
	case e.RunStarted != nil:
		b.runStarted(e)
	case e.RunDone != nil:
		b.head.Finished, b.head.Ended = true, e.Time
		b.head.Signal, b.head.Stopped, b.head.Error = e.RunDone.Signal, e.RunDone.Stopped, e.RunDone.Error
	case e.Host != "":
		b.host(e.Host).add(e)
	case e.Note != nil:
		b.head.Notes = append(b.head.Notes, *e.Note)
	}
}

func (b *Builder) runStarted(e Event) {
	s := e.RunStarted
	b.head.Command, b.head.Mode, b.head.DryRun = s.Command, s.Mode, s.DryRun
	b.head.Operator, b.head.Version = s.Operator, s.Version
	b.head.Args, b.head.Limit = s.Args, s.Limit
	b.head.Started = e.Time
	for i, name := range s.Hosts {
		b.host(name).place = i + 1
	}
}

func (b *Builder) host(name string) *hostFold {
	if b.hosts == nil {
		b.hosts = make(map[string]*hostFold)
	}
	h, ok := b.hosts[name]
	if !ok {
		h = &hostFold{host: Host{Name: name}}
		b.hosts[name] = h
	}
	return h
}

// Report returns the report of what has been added so far. The Builder may be added
// to afterwards; the report does not change then.
func (b *Builder) Report() Report {
	r := b.head
	r.Schema = Schema
	r.Notes = slices.Clone(r.Notes)
	r.Hosts = make([]Host, 0, len(b.hosts))
	r.DurationMS = b.duration()
	for _, h := range b.ordered() {
		host := h.report()
		r.Hosts = append(r.Hosts, host)
		r.Totals.Hosts.add(host.Status)
		r.Totals.Steps.merge(host.Counts)
	}
	r.ExitCode = ExitCode(r)
	return r
}

func (b *Builder) duration() int64 {
	if b.head.Started.IsZero() {
		return 0
	}
	return b.last.Sub(b.head.Started).Milliseconds()
}

// ordered returns the hosts in the inventory's order; those that it does not name
// come last, by name.
func (b *Builder) ordered() []*hostFold {
	out := make([]*hostFold, 0, len(b.hosts))
	for _, h := range b.hosts {
		out = append(out, h)
	}
	slices.SortFunc(out, func(x, y *hostFold) int {
		if (x.place == 0) != (y.place == 0) {
			return cmp.Compare(y.place, x.place)
		}
		return cmp.Or(cmp.Compare(x.place, y.place), cmp.Compare(x.host.Name, y.host.Name))
	})
	return out
}

// hostFold is what has been seen of one host.
type hostFold struct {
	host    Host
	place   int // in the inventory's order, from 1; 0 when it is not known
	started bool
	done    bool
	steps   stepFold
}

func (h *hostFold) add(e Event) {
	switch {
	case e.HostStarted != nil && h.done: // another turn, for what was agreed to in between
		h.done, h.host.Error = false, nil
		h.steps.turn()
	case e.HostStarted != nil:
		h.started = true
		h.host.Started, h.host.Address = e.Time, e.HostStarted.Address
	case e.HostConnected != nil:
		h.host.ConnectMS += e.HostConnected.DurationMS
		h.host.Uploaded = h.host.Uploaded || e.HostConnected.Uploaded
		h.steps.planned = max(h.steps.planned, e.HostConnected.Steps)
	case e.Step != nil:
		h.started = true
		h.steps.add(*e.Step)
	case e.Journal != nil:
		h.host.Earlier = append(h.host.Earlier, earlier(*e.Journal))
	case e.Note != nil:
		h.host.Notes = append(h.host.Notes, *e.Note)
	case e.HostDone != nil:
		h.done = true
		h.host.Ended, h.host.Error = e.Time, e.HostDone.Error
		h.host.DurationMS += e.HostDone.DurationMS
	}
}

func (h *hostFold) report() Host {
	out := h.host
	out.Notes, out.Earlier = slices.Clone(out.Notes), slices.Clone(out.Earlier)
	out.Steps = h.steps.list()
	out.Planned = max(h.steps.planned, len(out.Steps))
	for _, s := range out.Steps {
		out.Counts.add(s.Status)
	}
	if out.Error == nil {
		out.Error = h.unsaid(out)
	}
	out.Status = h.status(out)
	return out
}

// unsaid is the error of a host that ended badly without anybody saying so.
func (h *hostFold) unsaid(out Host) *Error {
	stopped := 0
	for _, s := range out.Steps {
		if s.Cause == tasks.CauseCanceled {
			stopped++
		}
	}
	switch {
	case h.started && !h.done:
		return &Error{Class: ClassLost, What: "follow " + out.Name, Why: "its end was not seen"}
	case stopped > 0:
		return &Error{Class: ClassCanceled, What: "finish " + out.Name,
			Why: fmt.Sprintf("stopped before its end, %d of %d steps not taken to theirs", stopped, out.Planned)}
	case h.done && len(out.Steps) < out.Planned:
		return &Error{Class: ClassLost, What: "follow " + out.Name,
			Why: fmt.Sprintf("only %d of %d steps were seen", len(out.Steps), out.Planned)}
	}
	return nil
}

func (h *hostFold) status(out Host) HostStatus {
	switch {
	case !h.started && !h.done, out.Error != nil && out.Error.Class == ClassNotStarted:
		return HostNotStarted
	case out.Error != nil && out.Error.Class == ClassUnreachable:
		return HostUnreachable
	case out.Error != nil && out.Error.Class != ClassRefused, out.Counts.Failed > 0, out.Counts.Unknown > 0:
		return HostFailed
	case out.Error != nil, slices.ContainsFunc(out.Steps, differs):
		return HostDrifted
	case out.Counts.Changed > 0:
		return HostChanged
	}
	return HostOK
}

// differs tells whether something is not as wanted after the step.
func differs(s Step) bool {
	return s.Status == tasks.StatusWouldChange || s.Status == tasks.StatusSkipped || len(s.Remaining) > 0
}

func earlier(j Journal) Earlier {
	var f stepFold
	for _, e := range j.Events {
		if e.Validate() == nil {
			f.add(e)
		}
	}
	return Earlier{RunID: j.RunID, Operator: j.Operator, Finished: j.Finished, Steps: f.list()}
}
