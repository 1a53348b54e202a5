package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"phoenix/transport"
)

// jumpPool shares one connection to each jump host among all hosts behind it.
type jumpPool struct {
	idle  time.Duration
	width int

	mu    sync.Mutex
	jumps map[string]*jump
}

// jump is a connection to a jump host, being opened or open.
type jump struct {
	pool *jumpPool
	key  string
	// dials bounds the handshakes through it.
	dials slots
	// ready is closed when conn and err are set.
	ready chan struct{}
	conn  *Conn
	err   error
	// cancel ends the opening.
	cancel context.CancelFunc

	// The pool's mutex guards the rest.
	users int
	timer *time.Timer
}

// open connects to the last of hops, through those before it.
func (d *Dialer) open(b *budget, hops []*hop) (*Conn, error) {
	last := hops[len(hops)-1]
	if len(hops) == 1 {
		return d.openDirect(b, last)
	}
	j, err := d.acquire(b, hops[:len(hops)-1])
	if err != nil {
		return nil, jumpFault(hops[len(hops)-2], err)
	}
	conn, err := d.openThrough(b, j, last)
	if err != nil {
		j.release()
		return nil, err
	}
	conn.onClose = j.release
	return conn, nil
}

// openDirect connects over TCP.
func (d *Dialer) openDirect(b *budget, h *hop) (*Conn, error) {
	release, err := d.state.slots.take(b)
	if err != nil {
		return nil, &transport.DialError{Stage: transport.StageConnect, Err: err}
	}
	defer release()
	raw, err := d.netDial(b.ctx, h.address())
	if err != nil {
		return nil, connectFault(b.ctx, err)
	}
	return d.finish(b, h, raw)
}

// openThrough connects over a channel of the jump host's connection.
func (d *Dialer) openThrough(b *budget, j *jump, h *hop) (*Conn, error) {
	release, err := j.dials.take(b)
	if err != nil {
		return nil, &transport.DialError{Stage: transport.StageJump, Err: err}
	}
	defer release()
	raw, err := await(b.ctx, j.conn,
		func() (net.Conn, error) { return j.conn.client.Dial("tcp", h.address()) },
		func(c net.Conn) { _ = c.Close() }) // nobody is left to be told
	if err != nil {
		return nil, throughFault(j, err)
	}
	return d.finish(b, h, raw)
}

// finish makes a Conn of a network connection.
func (d *Dialer) finish(b *budget, h *hop, raw net.Conn) (*Conn, error) {
	client, conn, err := d.shake(b, h, raw)
	if err != nil {
		return nil, err
	}
	return newConn(client, conn, orDefault(d.Timeouts.Keepalive, DefaultKeepalive)), nil
}

// connectFault classifies what kept a TCP connection from coming about.
func connectFault(ctx context.Context, err error) error {
	stage := transport.StageConnect
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsTimeout {
		stage = transport.StageResolve
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", err, context.Cause(ctx))
	}
	return &transport.DialError{Stage: stage, Err: err}
}

// throughFault classifies what a jump host says to a connection it is to make.
func throughFault(j *jump, err error) error {
	refused, answered := errors.AsType[*xssh.OpenChannelError](err)
	switch {
	case answered && refused.Reason == xssh.ConnectionFailed:
		return &transport.DialError{Stage: transport.StageConnect, Err: fmt.Errorf("connect through %s: %w", j.name(), cleanError{err})}
	case answered:
		return &transport.DialError{
			Stage: transport.StageJump,
			Err:   lastingError{fmt.Errorf("connect through %s: %w", j.name(), cleanError{err})},
			Hint:  "# the jump host forbids forwarding; its sshd_config needs: AllowTcpForwarding yes",
		}
	}
	return &transport.DialError{Stage: transport.StageJump, Err: fmt.Errorf("connect through %s: %w", j.name(), cleanError{err})}
}

// jumpFault makes the fault of a jump host one of the host behind it. A stage that
// another attempt cannot mend stays as it is.
func jumpFault(h *hop, err error) error {
	fault := transport.DialError{Stage: transport.StageJump, Err: err}
	if inner, ok := errors.AsType[*transport.DialError](err); ok {
		fault = *inner
		if inner.Temporary() {
			fault.Stage = transport.StageJump
		}
		fault.Err = fmt.Errorf("jump host %s: %s: %w", h.name, inner.Stage, inner.Err)
	}
	return &fault
}

func (j *jump) name() string { return "jump host " + j.key }

// acquire returns the shared connection to the last of hops, opening it if nobody
// has. Who acquires releases.
func (d *Dialer) acquire(b *budget, hops []*hop) (*jump, error) {
	p := &d.state.jumps
	key := ""
	for i, h := range hops {
		if i > 0 {
			key += " > "
		}
		key += h.id()
	}
	p.mu.Lock()
	j := p.jumps[key]
	if j == nil {
		j = d.startJump(b.ctx, key, hops)
	}
	j.users++
	if j.timer != nil {
		j.timer.Stop()
	}
	p.mu.Unlock()
	// The opening has a time-out of its own, and perhaps a question to the operator.
	resume := b.pause()
	defer resume()
	select {
	case <-j.ready:
	case <-b.ctx.Done():
		j.release()
		return nil, context.Cause(b.ctx)
	}
	if j.err != nil {
		j.release()
		return nil, j.err
	}
	return j, nil
}

// startJump begins to open a jump connection; the pool is locked. Its context is not
// the first host's: that one may give up while others wait.
func (d *Dialer) startJump(ctx context.Context, key string, hops []*hop) *jump {
	p := &d.state.jumps
	j := &jump{pool: p, key: key, dials: make(slots, p.width), ready: make(chan struct{})}
	ctx, j.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if p.jumps == nil {
		p.jumps = make(map[string]*jump)
	}
	p.jumps[key] = j
	go func() {
		b := newBudget(ctx, hops[len(hops)-1].timeout(orDefault(d.Timeouts.Dial, DefaultDialTimeout)))
		defer b.stop()
		j.conn, j.err = d.open(b, hops)
		if j.err != nil {
			p.drop(j)
			close(j.ready)
			return
		}
		close(j.ready)
		_ = j.conn.client.Wait() // why it ended is told to those who use it
		p.drop(j)
	}()
	return j
}

// drop makes the next user open another connection.
func (p *jumpPool) drop(j *jump) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.jumps[j.key] == j {
		delete(p.jumps, j.key)
	}
}

// release ends one use; the last one starts the idle time.
func (j *jump) release() {
	p := j.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	j.users--
	if j.users > 0 {
		return
	}
	if p.idle < 0 || !j.opened() {
		p.end(j)
		return
	}
	j.timer = time.AfterFunc(p.idle, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if j.users == 0 {
			p.end(j)
		}
	})
}

// opened tells whether the connection is open.
func (j *jump) opened() bool {
	select {
	case <-j.ready:
		return j.err == nil
	default:
		return false
	}
}

// end closes an unused jump connection, or stops opening it; the pool is locked.
func (p *jumpPool) end(j *jump) {
	if p.jumps[j.key] == j {
		delete(p.jumps, j.key)
	}
	j.cancel()
	go func() {
		// Closing may wait for the network, and for the jump before it.
		if <-j.ready; j.err == nil {
			_ = j.conn.Close() // nobody is left to be told
		}
	}()
}

// closeIdle closes every connection that nobody uses, and lets no other be idle.
func (p *jumpPool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = -1
	for _, j := range p.jumps {
		if j.users == 0 {
			p.end(j)
		}
	}
}
