package ssh

import (
	"fmt"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"phoenix/transport"
)

// maxSilent is how many keepalives may go unanswered, as OpenSSH's
// ServerAliveCountMax.
const maxSilent = 3

// keepalive asks a silent host for a sign of life and closes the connection when none
// comes. It costs one timer; a goroutine exists only while an answer is awaited.
// Whatever arrives counts as a sign of life, so a busy connection is never asked.
type keepalive struct {
	client   *xssh.Client
	conn     *netConn
	interval time.Duration

	mu       sync.Mutex
	timer    *time.Timer
	stopped  bool
	received int64
	silent   int
	waiting  bool
}

// watch starts a keepalive; a negative interval means none.
func watch(client *xssh.Client, conn *netConn, interval time.Duration) *keepalive {
	k := &keepalive{client: client, conn: conn, interval: interval, received: conn.received.Load()}
	if interval < 0 {
		return k
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = time.AfterFunc(interval, k.tick)
	return k
}

// tick looks whether something arrived since the last one.
func (k *keepalive) tick() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped || k.conn.ended() != nil {
		return
	}
	if now := k.conn.received.Load(); now != k.received {
		k.received, k.silent = now, 0
		k.timer.Reset(k.interval)
		return
	}
	if k.silent++; k.silent > maxSilent {
		why := fmt.Errorf("%w: nothing came for %v", transport.ErrPeerGone, time.Duration(k.silent)*k.interval)
		go k.conn.fail(why)
		return
	}
	if !k.waiting {
		k.waiting = true
		go k.ask()
	}
	k.timer.Reset(k.interval)
}

// ask sends one keepalive. Any answer, a refusal too, is read from the network and
// thereby counted; an error means that the connection has ended, which its users see.
func (k *keepalive) ask() {
	_, _, _ = k.client.SendRequest("keepalive@openssh.com", true, nil)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = false
}

// stop ends the watch.
func (k *keepalive) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	if k.timer != nil {
		k.timer.Stop()
	}
}
