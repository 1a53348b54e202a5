// Package fleet runs one job on each of many hosts, many at once, and turns what
// they send into the events of a run.
//
// A host that fails, hangs or cannot be reached is that host's result; the others
// go on. The package reaches hosts only through the Dialer and the Start function
// it is given, prints nothing, and keeps nothing but the stream's tail. Start
// reading at Fleet.Run.
package fleet

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"phoenix/agentlet/dist"
	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts/findings"
	"phoenix/tasks/report"
	"phoenix/transport"
	"phoenix/transport/deploy"
)

// DefaultForks is how many hosts are worked on at once. It is high because a host
// that is waited for costs 40 kB and no processor, and a low one makes a fleet
// behind a slow line wait for nothing. How many connections are opened at once is
// the Dialer's own limit.
const DefaultForks = 256

// Host is one host and what it is asked to do.
type Host struct {
	Target transport.Target
	Job    tasks.Job
	// Confirm, when set, is all that the helper is asked, in place of the job.
	Confirm *wire.Confirm
	// GPUPolicy says who may have a card, as the configuration has it: "exclusive",
	// "shared", or "" where nothing is said. It may be nil.
	GPUPolicy func(uuid, address string, index int) string
	// GPUBudget is what a container may use of each of its cards, in units of 10^9 bytes; 0
	// is not said. It may be nil.
	GPUBudget func(ctid int) float64
	// GPUGiven are the cards that the configuration gives to containers.
	GPUGiven []findings.Given
}

// Agent is a helper that was started on a host and has been sent its job.
type Agent interface {
	// Receive returns the next message; io.EOF is never a good end: Done is.
	Receive() (wire.Message, error)
	// Send is safe for concurrent use.
	Send(m wire.Message) error
	// Close ends the session: end of input first, then force. It may be called
	// twice.
	Close() error
}

// Started is what became of starting a helper.
type Started struct {
	Agent Agent
	// Uploaded tells whether the helper had to be put on the host first.
	Uploaded bool
}

// StartFunc starts the helper on a host that was connected to, and sends the job.
type StartFunc func(ctx context.Context, conn transport.Conn, h Host) (Started, error)

// Deploy is the StartFunc of real life: it puts the helper on the host where it is
// not there yet, and beside it the GPU probe where the helper asks for it. Options.Job is replaced by each host's own.
func Deploy(o deploy.Options) StartFunc {
	if o.Helper == nil {
		o.Helper = unpackedOnce(dist.Helper)
	}
	if o.GPUProbe == nil {
		o.GPUProbe = unpackedOnce(dist.Probe)
	}
	return func(ctx context.Context, conn transport.Conn, h Host) (Started, error) {
		o := o
		o.Job, o.Confirm = h.Job, h.Confirm
		a, err := deploy.Start(ctx, conn, h.Target, o)
		if err != nil {
			return Started{}, err
		}
		return Started{Agent: withFindings(h, withProbe(ctx, conn, h, o, a)), Uploaded: a.Uploaded}, nil
	}
}

// unpackedOnce is dist.Helper or dist.Probe with its megabytes read once for all hosts.
func unpackedOnce(read func(arch string) ([]byte, string, error)) func(arch string) ([]byte, string, error) {
	type helper struct {
		gz  []byte
		sum string
		err error
	}
	known := map[string]func() helper{}
	for _, arch := range dist.Arches() {
		known[arch] = sync.OnceValue(func() helper {
			gz, sum, err := read(arch)
			return helper{gz, sum, err}
		})
	}
	return func(arch string) ([]byte, string, error) {
		load, ok := known[arch]
		if !ok {
			return read(arch)
		}
		h := load()
		return h.gz, h.sum, h.err
	}
}

// Fleet takes many hosts at once.
type Fleet struct {
	// Dialer opens the connections.
	Dialer transport.Dialer
	// Start starts the helpers.
	Start StartFunc
	// Emit receives what happens, from many goroutines at once.
	Emit func(report.Event)
	// Forks is how many hosts are worked on at once; 0 means DefaultForks.
	Forks int
	// Sample receives what steps that go on have found out so far, from many goroutines at
	// once; nil is a fleet that asks for none, of which one that comes is a fault.
	Sample func(host string, e tasks.Event)
	// HostTimeout bounds one host from dialing to the end, or to the first sample where
	// there are some; 0 is no bound.
	HostTimeout time.Duration
	// MaxFailures is how many hosts may fail or be unreachable before no further
	// one is started; 0 is no limit.
	MaxFailures int
	// Interrupt says when the operator wants it to end.
	Interrupt Interrupt
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	failures atomic.Int64
}

// Interrupt is how an operator ends a run early. A nil context never ends. The
// third step, to leave at once, is the end of Run's own context.
type Interrupt struct {
	// Stop, when done, starts nothing new: no host, and on hosts no step.
	Stop context.Context
	// Cancel, when done, also cancels the steps under way.
	Cancel context.Context
}

// Run works on every host and returns when the last has ended. Its result is the
// rule that kept hosts from being started, empty when none did; all else is in the
// events. Ending ctx leaves at once: the helpers finish their step by themselves.
func (f *Fleet) Run(ctx context.Context, hosts []Host) (stopped string) {
	forks := f.Forks
	if forks <= 0 {
		forks = DefaultForks
	}
	var g errgroup.Group
	g.SetLimit(forks)
	var started atomic.Int64
	for _, h := range hosts {
		g.Go(func() error {
			if f.Over() || ctx.Err() != nil || ended(f.Interrupt.Stop) {
				return nil
			}
			started.Add(1)
			f.host(ctx, h)
			return nil
		})
	}
	_ = g.Wait() // a host's error is data in its events
	if f.Over() && int(started.Load()) < len(hosts) {
		return fmt.Sprintf("--max-failures %d was reached", f.MaxFailures)
	}
	return ""
}

// Over tells whether too many hosts have failed to start another.
func (f *Fleet) Over() bool {
	return f.MaxFailures > 0 && f.failures.Load() >= int64(f.MaxFailures)
}

func (f *Fleet) now() time.Time {
	if f.Now != nil {
		return f.Now()
	}
	return time.Now()
}

func ended(ctx context.Context) bool { return ctx != nil && ctx.Err() != nil }
