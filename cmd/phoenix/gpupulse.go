package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/report"
	"phoenix/transport/fleet"
)

// gpuPulse is the latest that was heard of a host.
type gpuPulse struct {
	result *tasks.Result
	fault  *report.Error
	// sampled is when the result came as a sample; zero where it is none.
	sampled time.Time
}

// longestPause before a host that broke is dialed again.
const longestPause = 30 * time.Second

// attend follows one host, and asks it again when it broke: after a pause that grows until
// there is a sample.
func (w *gpuWatch) attend(ctx context.Context, h fleet.Host) {
	stop := w.fleet.Interrupt.Stop
	for pause := w.every; stop.Err() == nil; pause = min(2*pause, max(w.every, longestPause)) {
		if w.session(ctx, h) {
			pause = w.every
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-stop.Done():
			timer.Stop()
		}
	}
}

// session asks a host once, and tells whether it has sent a sample.
func (w *gpuWatch) session(ctx context.Context, h fleet.Host) (sampled bool) {
	id, err := report.NewRunID(w.p.now(), rand.Reader)
	if err != nil {
		w.hear(h.Target.Name, gpuPulse{fault: &report.Error{Class: report.ClassNotStarted, What: "ask " + h.Target.Name, Why: err.Error()}})
		return false
	}
	h.Job.RunID = id
	select {
	case w.slots <- struct{}{}:
	case <-w.fleet.Interrupt.Stop.Done():
		return false
	}
	begun := sync.OnceFunc(func() { <-w.slots })
	defer begun()
	f := fleet.Fleet{
		Dialer: w.fleet.Dialer, Start: w.fleet.Start, HostTimeout: w.fleet.HostTimeout, Interrupt: w.fleet.Interrupt, Now: w.fleet.Now,
		Sample: func(host string, e tasks.Event) {
			sampled = true
			begun()
			w.hear(host, gpuPulse{result: &tasks.Result{Status: tasks.StatusOK, Data: e.Sample}, sampled: w.p.now()})
		},
		Emit: func(e report.Event) {
			switch {
			case e.Step != nil && e.Step.Result != nil && e.Step.Result.Status != tasks.StatusOK:
				w.hear(e.Host, gpuPulse{result: e.Step.Result})
			case e.HostDone != nil && e.HostDone.Error != nil:
				w.hear(e.Host, gpuPulse{fault: e.HostDone.Error})
			}
		},
	}
	f.Run(ctx, []fleet.Host{h})
	return sampled
}

// hear takes note of the latest of a host.
func (w *gpuWatch) hear(host string, p gpuPulse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, before := w.pulse[host]
	w.pulse[host] = p
	if !before && len(w.pulse) == len(w.hosts) {
		close(w.heard)
	}
}

// report is what is known of all hosts, and what is to be said of those whose sample is
// old, or who have not said anything yet.
func (w *gpuWatch) report() (report.Report, map[string]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, err := report.NewRunID(w.p.now(), rand.Reader)
	if err != nil {
		return report.Report{}, nil, err
	}
	var names []string
	for _, h := range w.hosts {
		names = append(names, h.Target.Name)
	}
	marks := make(map[string]string)
	stream := report.NewStream(report.StreamOptions{RunID: id, Now: w.p.now, Redact: w.redact})
	stream.Emit(report.Event{RunStarted: &report.RunStarted{Command: "gpus", Mode: tasks.ModeCheck, Operator: w.p.operator, Version: w.p.version, Hosts: names, Limit: w.g.Limit}})
	for _, h := range w.hosts {
		name := h.Target.Name
		p, heard := w.pulse[name]
		if !heard {
			marks[name] = "connecting"
			continue
		}
		stream.Emit(report.Event{Host: name, HostStarted: &report.HostStarted{Address: h.Target.Address}})
		if p.result != nil {
			stream.Emit(report.Event{Host: name, Step: &tasks.Event{Step: h.Job.Steps[0].ID, Result: p.result}})
		}
		stream.Emit(report.Event{Host: name, HostDone: &report.HostDone{Error: p.fault}})
		if age := w.p.now().Sub(p.sampled); !p.sampled.IsZero() && age > 2*w.every {
			marks[name] = fmt.Sprintf("stale, %s old", age.Round(time.Second))
		}
	}
	return stream.Finish(report.RunDone{Signal: w.intr.signal()}), marks, nil
}
