package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	xssh "golang.org/x/crypto/ssh"

	"phoenix/transport"
)

// clientVersion is what hosts see in their logs.
const clientVersion = "SSH-2.0-phoenix"

// handshake is one key exchange and log-in over an open network connection.
type handshake struct {
	trust *trust
	auth  *authentication
	conn  *netConn

	mu sync.Mutex
	// keySeen tells that the key exchange came as far as the host key; keyErr is why
	// the key was refused.
	keySeen bool
	keyErr  error
}

// outcome of a handshake.
type outcome struct {
	client *xssh.Client
	err    error
}

// shake makes an SSH client of a network connection, which it closes when it fails.
func (d *Dialer) shake(b *budget, h *hop, raw net.Conn) (*xssh.Client, *netConn, error) {
	t, err := d.trust(h)
	if err != nil {
		return nil, nil, errors.Join(&transport.DialError{Stage: transport.StageHostKey, Err: err}, raw.Close())
	}
	hs := &handshake{trust: t, auth: &authentication{d: d, hop: h, budget: b}, conn: newNetConn(raw)}
	done := make(chan outcome, 1)
	go func() { done <- hs.run(h) }()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, nil, hs.classify(b.ctx, o.err)
		}
		hs.conn.established()
		return o.client, hs.conn, nil
	case <-b.ctx.Done():
	}
	// Signing may hang in an agent, where closing the connection does not reach; the
	// goroutine ends by itself when the agent does.
	closeErr := hs.conn.Close()
	go func() {
		if o := <-done; o.client != nil {
			_ = o.client.Close() // nobody is left to be told
		}
	}()
	return nil, nil, errors.Join(hs.classify(b.ctx, context.Cause(b.ctx)), ignoreClosed(closeErr))
}

// run does the handshake; x/crypto closes the connection when it fails.
func (hs *handshake) run(h *hop) outcome {
	config := &xssh.ClientConfig{
		User:              h.user,
		Auth:              hs.auth.authMethods(),
		AuthCallback:      hs.auth.observe,
		HostKeyCallback:   hs.checkKey,
		HostKeyAlgorithms: hs.trust.algorithms(),
		BannerCallback:    hs.banner,
		ClientVersion:     clientVersion,
	}
	conn, channels, requests, err := xssh.NewClientConn(hs.conn, h.checkAddress(), config)
	if err != nil {
		return outcome{err: err}
	}
	return outcome{client: xssh.NewClient(conn, channels, requests)}
}

func (hs *handshake) checkKey(_ string, _ net.Addr, key xssh.PublicKey) error {
	err := hs.trust.check(key)
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.keySeen, hs.keyErr = true, err
	return err
}

// banner keeps the beginning of what the host says before the log-in.
func (hs *handshake) banner(text string) error {
	hs.auth.mu.Lock()
	defer hs.auth.mu.Unlock()
	hs.auth.banner = clean(text[:min(len(text), 512)])
	return nil
}

// classify says how far the handshake came.
func (hs *handshake) classify(ctx context.Context, err error) error {
	hs.mu.Lock()
	keySeen, keyErr := hs.keySeen, hs.keyErr
	hs.mu.Unlock()
	hs.auth.mu.Lock()
	begun := hs.auth.begun
	hs.auth.mu.Unlock()
	if keyErr != nil {
		fault := &transport.DialError{Stage: transport.StageHostKey, Err: keyErr}
		if refused, ok := errors.AsType[*HostKeyError](keyErr); ok {
			fault.Hint = refused.Hint()
		}
		return fault
	}
	if begun {
		hint, cause := hs.auth.failure(err)
		return &transport.DialError{Stage: transport.StageAuth, Err: cause, Hint: hint}
	}
	fault := &transport.DialError{Stage: transport.StageHandshake}
	said := hs.conn.said()
	_, timedOut := errors.AsType[timeoutError](err)
	if _, ok := errors.AsType[*xssh.AlgorithmNegotiationError](err); ok {
		err = lastingError{err}
	}
	switch {
	case ctx.Err() != nil && timedOut && said == "":
		fault.Err = fmt.Errorf("the host accepts connections and says nothing: %w", err)
	case keySeen || said == "":
		fault.Err = cleanError{err}
	default:
		fault.Err = fmt.Errorf("%w; the host said %q", cleanError{err}, said)
	}
	return fault
}

// ignoreClosed drops the error of closing what is closed already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
