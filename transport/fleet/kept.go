package fleet

import (
	"context"
	"sync"

	"phoenix/transport"
)

// Kept is a Dialer that keeps connections open from one Run to the next, for questions
// that are asked again every few seconds. A connection that was closed with a command at
// work on it is not kept: that is how a host is left which does not answer.
type Kept struct {
	// Dialer opens the connections.
	Dialer transport.Dialer

	mu   sync.Mutex
	open map[string]*keptConn // by the name of the target
}

// Dial is transport.Dialer's.
func (k *Kept) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	k.mu.Lock()
	c := k.open[t.Name]
	k.mu.Unlock()
	if c != nil {
		return c, nil
	}
	conn, err := k.Dialer.Dial(ctx, t)
	if err != nil {
		return nil, err
	}
	c = &keptConn{Conn: conn, drop: func() { k.Drop(t.Name) }}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open == nil {
		k.open = make(map[string]*keptConn)
	}
	k.open[t.Name] = c
	return c, nil
}

// Drop closes a host's connection, so that the next Run dials again. It may be called for
// a host that has none.
func (k *Kept) Drop(name string) {
	k.mu.Lock()
	c := k.open[name]
	delete(k.open, name)
	k.mu.Unlock()
	if c != nil {
		_ = c.Conn.Close()
	}
}

// Close closes all connections. It may be called twice.
func (k *Kept) Close() {
	k.mu.Lock()
	open := k.open
	k.open = nil
	k.mu.Unlock()
	for _, c := range open {
		_ = c.Conn.Close()
	}
}

// keptConn is a connection that outlives its Close.
type keptConn struct {
	transport.Conn
	drop func()

	mu   sync.Mutex
	busy int // sessions that are not closed
}

// Start is transport.Conn's.
func (c *keptConn) Start(ctx context.Context, command string) (transport.Session, error) {
	s, err := c.Conn.Start(ctx, command)
	if err != nil {
		return nil, err
	}
	c.count(1)
	return &keptSession{Session: s, ended: sync.OnceFunc(func() { c.count(-1) })}, nil
}

func (c *keptConn) count(n int) (busy int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy += n
	return c.busy
}

// Close is transport.Conn's: the connection stays, unless a command is at work on it.
func (c *keptConn) Close() error {
	if c.count(0) > 0 {
		c.drop()
	}
	return nil
}

type keptSession struct {
	transport.Session
	ended func()
}

// Close is transport.Session's.
func (s *keptSession) Close() error {
	s.ended()
	return s.Session.Close()
}
