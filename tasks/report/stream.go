package report

import (
	"sync"
	"time"
)

// Sink receives the events of a run, one at a time and in order. It must not block
// for long and must not call the Stream back.
type Sink interface {
	Event(e Event)
}

// Stream numbers the events of one run, folds them, and hands each to every sink.
// It is safe for concurrent use.
type Stream struct {
	runID  string
	now    func() time.Time
	redact func(string) string
	sinks  []Sink

	mu      sync.Mutex
	seq     int64
	builder Builder
}

// StreamOptions are what a Stream needs from outside.
type StreamOptions struct {
	// RunID names the run; see NewRunID.
	RunID string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Redact replaces the values of secrets in a text. Every text of every event
	// passes through it before anything else sees it; nil keeps all.
	Redact func(string) string
	// Sinks receive every event.
	Sinks []Sink
}

// NewStream begins a stream. The caller's first event should be a RunStarted.
func NewStream(o StreamOptions) *Stream {
	s := &Stream{runID: o.RunID, now: o.Now, redact: o.Redact, sinks: o.Sinks}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// Emit takes one event: the caller sets Host and one content. Schema, Seq, RunID and
// Kind are filled in, Time too where it is zero, and the status and the time of a
// HostDone. An event without exactly one content is a mistake in the program and is
// dropped.
func (s *Stream) Emit(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emit(e)
}

func (s *Stream) emit(e Event) {
	kinds := e.kinds()
	if len(kinds) != 1 {
		return
	}
	s.seq++
	e.Kind, e.Seq, e.RunID = kinds[0], s.seq, s.runID
	if s.seq == 1 {
		e.Schema = EventSchema
	}
	if e.Time.IsZero() {
		e.Time = s.now()
	}
	e = e.mapText(s.redact)
	s.complete(&e)
	s.builder.Add(e)
	for _, sink := range s.sinks {
		sink.Event(e)
	}
}

// complete fills in what follows from the events so far, so that a reader of the
// stream needs no fold of its own.
func (s *Stream) complete(e *Event) {
	if e.HostDone == nil {
		return
	}
	done := *e.HostDone
	h := s.builder.host(e.Host)
	if done.DurationMS == 0 && !h.host.Started.IsZero() {
		done.DurationMS = e.Time.Sub(h.host.Started).Milliseconds()
	}
	seen := *h
	e.HostDone = &done
	seen.add(*e)
	done.Status = seen.report().Status
}

// Finish ends the stream with a RunDone, whose exit code and duration it fills in,
// and returns the report.
func (s *Stream) Finish(d RunDone) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	after := s.builder // the fold as it will be; RunDone touches the head only
	e := Event{Time: s.now(), RunID: s.runID, Kind: KindRunDone, RunDone: &d}
	after.Add(e)
	r := after.Report()
	d.ExitCode, d.DurationMS = r.ExitCode, r.DurationMS
	s.emit(Event{Time: e.Time, RunDone: &d})
	return s.builder.Report()
}

// Report returns the report of what has happened so far.
func (s *Stream) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.builder.Report()
}
