package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/report"
	"phoenix/transport"
)

const (
	// applyTime is how long a host may take to make a change that is to be confirmed.
	applyTime = 3 * time.Minute
	// maxAddresses is how many of a host's own words on where it is are listened to.
	maxAddresses = 8
	// firstAttempt and attempt bound one try to confirm, at first and later: an address
	// at which the host is not any more must not take the time of the one where it is.
	firstAttempt, attempt = 4 * time.Second, 15 * time.Second
)

// confirming is a change that is being confirmed over new connections.
type confirming struct {
	step   string
	limit  time.Duration
	cancel context.CancelFunc
	done   chan struct{}     // closed at the end
	at     *transport.Target // where it worked; valid after done
}

// beginConfirm tries, beside the session, to get to the host again until it has
// worked or the host must have taken its change back.
func (w *watch) beginConfirm(ctx context.Context, step string, c tasks.Confirm) {
	w.endConfirm()
	w.note(report.NoteInfo, "waiting for a new connection to "+w.host.Target.Name)
	limit := time.Duration(c.TimeoutS) * time.Second
	ctx, cancel := context.WithTimeout(ctx, applyTime+limit)
	w.confirms = &confirming{step: step, limit: limit, cancel: cancel, done: make(chan struct{})}
	go func(me *confirming) {
		defer close(me.done)
		me.at = w.fleet.confirm(ctx, w.host.Target, c)
	}(w.confirms)
}

// endConfirm stops trying: the host has said what has become of its change.
func (w *watch) endConfirm() {
	if w.confirms != nil {
		w.confirms.cancel()
		<-w.confirms.done
		w.moved(w.confirms.at)
		w.confirms = nil
	}
}

// moved goes on at the address that the host has now.
func (w *watch) moved(to *transport.Target) {
	if to == nil || to.Instead == w.host.Target.Instead {
		return
	}
	w.host.Target = *to
	w.note(report.NoteWarning, fmt.Sprintf("%s is at %s now, and the inventory has %s: change it there", to.Name, to.Instead, to.Address))
}

// confirm goes round the addresses and returns the one that worked. The first answer after the change is a ticket, and
// only a connection that was opened for it counts.
func (f *Fleet) confirm(ctx context.Context, t transport.Target, c tasks.Confirm) *transport.Target {
	ticket := ""
	for limit := firstAttempt; ; limit = min(2*limit, attempt) {
		for _, target := range reachable(t, c.Addresses) {
			next, err := f.ask(ctx, limit, Host{Target: target, Confirm: &wire.Confirm{Token: c.Token, Ticket: ticket}})
			if err == nil && next == "" {
				return &target
			}
			if err == nil {
				ticket = next
				if _, err := f.ask(ctx, limit, Host{Target: target, Confirm: &wire.Confirm{Token: c.Token, Ticket: ticket}}); err == nil {
					return &target
				}
			}
		}
		pause := time.NewTimer(time.Second)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil
		}
	}
}

// reachable are the ways to a host whose address may be changing: as it is known, and
// at the addresses that it named, which count only if its host key is there.
func reachable(t transport.Target, addresses []string) []transport.Target {
	out := []transport.Target{t}
	for _, a := range addresses[:min(len(addresses), maxAddresses)] {
		if ip, err := netip.ParseAddr(a); err == nil && ip.IsValid() && a != t.Address {
			other := t
			other.Instead = ip.String()
			out = append(out, other)
		}
	}
	return out
}

// ask opens a connection for one confirm, and returns the ticket that it was answered
// with, if any.
func (f *Fleet) ask(ctx context.Context, limit time.Duration, h Host) (ticket string, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := f.Dialer.Dial(ctx, h.Target)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	started, err := f.Start(ctx, conn, h)
	if err != nil {
		return "", err
	}
	defer started.Agent.Close()
	for {
		m, err := started.Agent.Receive()
		switch {
		case err != nil:
			return "", err
		case m.Done != nil && m.Done.Error != "":
			return "", errors.New(m.Done.Error)
		case m.Done != nil:
			return m.Done.Ticket, nil
		}
	}
}
