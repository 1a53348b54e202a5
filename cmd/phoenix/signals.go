package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"phoenix/transport/fleet"
)

// leaveGrace is how long hosts get, once --timeout was reached and their steps were
// canceled, to say how those ended.
const leaveGrace = 10 * time.Second

// interrupts turns the operator's signals into the three steps of ending a run:
// start nothing new; cancel what is under way; leave at once.
type interrupts struct {
	fleet.Interrupt
	// leave ends when the operator does not want to wait any longer.
	leave context.Context
	// release gives the signals back to their default, and ends everything.
	release func()

	signals chan os.Signal

	say   func(string)
	mu    sync.Mutex
	steps []endStep // that are left
	first string
}

// endStep is one of the steps of ending a run.
type endStep struct {
	do   context.CancelFunc
	tell string
}

// watchSignals begins to take SIGINT and SIGTERM. say tells the operator what
// happens and what the next signal would do.
func watchSignals(ctx context.Context, say func(string)) *interrupts {
	i := newInterrupts(ctx, say)
	signal.Notify(i.signals, os.Interrupt, syscall.SIGTERM)
	// A reader of our output that leaves (| head) would end the process in the middle
	// of what hosts are doing. Taken, the signal becomes an error of that one write.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	end := i.release
	i.release = func() {
		signal.Stop(i.signals)
		end()
	}
	go i.follow(i.signals)
	return i
}

func newInterrupts(ctx context.Context, say func(string)) *interrupts {
	stop, stopNow := context.WithCancel(ctx)
	hard, cancelNow := context.WithCancel(ctx)
	leave, leaveNow := context.WithCancel(ctx)
	return &interrupts{
		Interrupt: fleet.Interrupt{Stop: stop, Cancel: hard},
		leave:     leave,
		signals:   make(chan os.Signal, 8),
		say:       say,
		steps: []endStep{
			{stopNow, "stopping after the steps under way (Ctrl-C again: cancel them)"},
			{cancelNow, "canceling the steps under way (Ctrl-C again: leave at once)"},
			{leaveNow, "leaving: the hosts finish their step by themselves"},
		},
		release: func() {
			leaveNow()
			cancelNow()
			stopNow()
		},
	}
}

// follow acts on signals until the run is left. A first SIGTERM counts as two
// interrupts: whoever sends it is not going to press a key again.
func (i *interrupts) follow(signals <-chan os.Signal) {
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGTERM {
				i.press("terminated", 2)
			} else {
				i.press("interrupt", 1)
			}
		case <-i.leave.Done():
			return
		}
	}
}

// aside calls f with a context that a Ctrl-C ends in place of the run: a question at
// which nothing is under way. What ends the run otherwise ends the context, too.
func (i *interrupts) aside(f func(context.Context)) {
	ctx, stop := signal.NotifyContext(i.Stop, os.Interrupt, syscall.SIGTERM)
	defer stop()
	signal.Stop(i.signals)
	signal.Notify(i.signals, syscall.SIGTERM)
	defer signal.Notify(i.signals, os.Interrupt)
	f(ctx)
}

// press takes the next steps of ending the run. name is what ends it where that is
// a signal.
func (i *interrupts) press(name string, steps int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.first == "" {
		i.first = name
	}
	if tell := i.take(steps); tell != "" {
		i.say(tell)
	}
}

// take takes the next steps of ending the run and returns what to tell of the last.
// The mutex is held.
func (i *interrupts) take(steps int) (tell string) {
	for ; steps > 0 && len(i.steps) > 0; steps-- {
		next := i.steps[0]
		i.steps = i.steps[1:]
		next.do()
		tell = next.tell
	}
	return tell
}

// signal is "interrupt" or "terminated" once one came, else empty.
func (i *interrupts) signal() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.first
}

// within ends the run in the operator's place when its time is over: what runs is
// canceled, and hosts that do not even end then are left. reached tells whether that
// has happened; stop takes the bound back.
func (i *interrupts) within(d time.Duration, tell string) (reached func() bool, stop func()) {
	if d <= 0 {
		return func() bool { return false }, func() {}
	}
	over := make(chan struct{})
	var grace *time.Timer
	var mu sync.Mutex
	stopped := false
	timer := time.AfterFunc(d, func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		close(over)
		i.mu.Lock()
		// Not the last one, even where the operator has taken one already.
		i.take(min(2, len(i.steps)-1))
		i.mu.Unlock()
		i.say(tell + ": canceling the steps under way")
		grace = time.AfterFunc(leaveGrace, func() { i.press("", 3) })
	})
	reached = func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	}
	return reached, func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		if grace != nil {
			grace.Stop()
		}
	}
}
