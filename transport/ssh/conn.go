package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"phoenix/transport"
)

// Conn is an open connection to a host.
type Conn struct {
	client *xssh.Client
	net    *netConn
	alive  *keepalive
	// onClose gives the jump connection back.
	onClose func()

	closing  sync.Once
	closeErr error
}

var _ transport.Conn = (*Conn)(nil)

func newConn(client *xssh.Client, n *netConn, interval time.Duration) *Conn {
	return &Conn{client: client, net: n, alive: watch(client, n, interval)}
}

// Close ends the connection and everything on it.
func (c *Conn) Close() error {
	c.closing.Do(func() {
		c.alive.stop()
		if err := ignoreClosed(c.client.Close()); err != nil && c.net.ended() == nil {
			c.closeErr = fmt.Errorf("close connection: %w", err)
		}
		if c.onClose != nil {
			c.onClose()
		}
	})
	return c.closeErr
}

// await runs call, which waits for an answer of the host, for as long as ctx and the
// connection last. x/crypto cannot give up waiting by itself, and waits for ever if
// the connection ends in the moment between the two halves of an opening; call then
// stays behind. abandoned is called with what still comes.
func await[T any](ctx context.Context, c *Conn, call func() (T, error), abandoned func(T)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	result := make(chan answer, 1)
	go func() {
		value, err := call()
		result <- answer{value, err}
	}()
	var why error
	select {
	case a := <-result:
		return a.value, c.explain(a.err)
	case <-ctx.Done():
		why = context.Cause(ctx)
	case <-c.net.dead:
		// The answer may have come before the end, and be on its way through x/crypto.
		grace := time.NewTimer(deathGrace)
		defer grace.Stop()
		select {
		case a := <-result:
			return a.value, c.explain(a.err)
		case <-grace.C:
			why = lost(c.net.ended())
		}
	}
	go func() {
		if a := <-result; a.err == nil {
			abandoned(a.value)
		}
	}()
	var none T
	return none, why
}

// deathGrace is how long an answer may take to come to light after the connection
// has ended.
const deathGrace = 100 * time.Millisecond

// channel is a session channel with its requests.
type channel struct {
	xssh.Channel
	requests <-chan *xssh.Request
}

// openChannel opens a session channel.
func (c *Conn) openChannel(ctx context.Context) (channel, error) {
	open := func() (ch channel, err error) {
		ch.Channel, ch.requests, err = c.client.OpenChannel("session", nil)
		return ch, err
	}
	return await(ctx, c, open, func(ch channel) {
		go xssh.DiscardRequests(ch.requests)
		_ = ch.Close() // nobody is left to be told
	})
}

// request sends a channel request and waits for its answer.
func (c *Conn) request(ctx context.Context, ch channel, name string, payload []byte) (bool, error) {
	send := func() (bool, error) { return ch.SendRequest(name, true, payload) }
	return await(ctx, c, send, func(bool) {})
}

// explain puts the reason why the connection ended in front of what x/crypto makes
// of it, which is mostly EOF.
func (c *Conn) explain(err error) error {
	if err == nil {
		return nil
	}
	if why := c.net.ended(); why != nil {
		return lost(why)
	}
	return cleanError{err}
}

// lost is the error of everything that a connection's end cut off.
func lost(why error) error {
	if errors.Is(why, transport.ErrPeerGone) {
		return why
	}
	if errors.Is(why, io.EOF) {
		return errors.New("the host closed the connection")
	}
	return fmt.Errorf("the connection broke: %w", why)
}
