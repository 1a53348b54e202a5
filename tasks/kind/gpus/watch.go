package gpus

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
)

// watch hands over a sample at once and then one each time the interval has passed, until
// it is asked to end; the last is the answer of the step.
func (t *task) watch(ctx context.Context, h tasks.Host) error {
	every := time.Duration(t.spec.EveryMS) * time.Millisecond
	life, end := context.WithCancel(ctx)
	defer end()
	stop := tasks.ScopeOf(ctx).Stop
	go func() {
		select {
		case <-stop:
			end() // what the driver is asked right now, nobody waits for
		case <-life.Done():
		}
	}()
	s := &stream{h: h, every: every}
	defer s.end()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last *answer
	for {
		f, err := t.gather(life, h, s)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case life.Err() != nil && last != nil:
			return tasks.SetData(ctx, last)
		case life.Err() != nil:
			return life.Err()
		case err != nil:
			return err
		}
		last = f
		if err := tasks.AddSample(ctx, f); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-life.Done():
		}
	}
}

// stream is the probe at work for many samples: one process, which prints a line for each.
type stream struct {
	h     tasks.Host
	every time.Duration
	talk  tasks.Talk
	lines chan []byte // the latest; nil while no probe runs
	// probe and smi are why the sources are left alone for a while.
	probe, smi rest
	// missing is that the probe which failed is not what it is called.
	missing bool
}

// rest is the pause of a source that failed. It grows: a program that hangs in the driver
// cannot be ended, and each that follows would hang beside it.
type rest struct {
	fault *gpufacts.Fault
	pause time.Duration
	until time.Time
}

// longestRest of a source.
const longestRest = time.Minute

// after begins the next pause, or ends them all.
func (r *rest) after(fault *gpufacts.Fault, every time.Duration) {
	if r.fault = fault; fault == nil {
		r.pause = 0
		return
	}
	// The first is over at the next sample.
	r.pause = min(max(2*r.pause, every/2), max(every, longestRest))
	r.until = time.Now().Add(r.pause)
}

func (r *rest) rests() bool { return r.fault != nil && time.Now().Before(r.until) }

// library asks the driver's library; of many samples, unless it failed a moment ago.
func (g *gatherer) library(ctx context.Context) *gpufacts.Fault {
	s := g.stream
	if s == nil {
		return g.nvml(ctx)
	}
	if s.probe.rests() {
		g.f.ProbeMissing = s.missing
		return s.probe.fault
	}
	fault := g.nvml(ctx)
	s.missing = g.f.ProbeMissing
	if fault != nil {
		s.end()
	}
	if fault != nil && (fault.Kind == gpufacts.KindProbeMissing || fault.Kind == gpufacts.KindNoProbe) {
		return fault // nothing was started, and it may come at any moment
	}
	s.probe.after(fault, s.every)
	return fault
}

// secondBest asks nvidia-smi; of many samples, unless it hung a moment ago.
func (g *gatherer) secondBest(ctx context.Context, why string) *gpufacts.Fault {
	s := g.stream
	if s == nil {
		return g.smi(ctx, why)
	}
	if s.smi.rests() {
		return s.smi.fault
	}
	fault := g.smi(ctx, why)
	if fault == nil || fault.Kind == gpufacts.KindTimeout {
		s.smi.after(fault, s.every)
	}
	return fault
}

// ask has the probe take a sample.
func (g *gatherer) ask(ctx context.Context, file string) (out tasks.Output, fault *gpufacts.Fault) {
	if g.stream == nil {
		return g.run(ctx, file, "--deadline", probeDeadline)
	}
	out.Stdout, fault = g.stream.next(ctx, file)
	return out, fault
}

// next is the next line of the probe, which is started where it does not run.
func (s *stream) next(ctx context.Context, file string) ([]byte, *gpufacts.Fault) {
	if s.lines == nil {
		talk, err := tasks.TalkReadOnly(s.h, []string{file, "--deadline", probeDeadline, "--every", s.every.String()})
		if err != nil {
			return nil, faultOf(err, file)
		}
		s.talk, s.lines = talk, make(chan []byte, 1)
		go follow(talk.Stdout, s.lines)
	}
	ctx, cancel := context.WithTimeout(ctx, s.every+deadline)
	defer cancel()
	select {
	case line, ok := <-s.lines:
		if ok {
			return line, nil
		}
		return nil, &gpufacts.Fault{Kind: gpufacts.KindOther, Text: file + " ended: " + firstLine([]byte(s.end()))}
	case <-ctx.Done():
		return nil, faultOf(ctx.Err(), file)
	}
}

// follow reads lines, of which those that nobody takes give way to the next.
func follow(out io.Reader, lines chan []byte) {
	defer close(lines)
	read := bufio.NewScanner(out)
	read.Buffer(nil, tasks.MaxOutput)
	for read.Scan() {
		select {
		case <-lines:
		default:
		}
		lines <- bytes.Clone(read.Bytes()) // there is room: nobody else sends
	}
}

// end ends the probe and its reader, whatever they do, and returns what it said last.
func (s *stream) end() (said string) {
	if s.lines != nil {
		said = s.talk.End()
		s.lines = nil
	}
	return said
}
