package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"phoenix/transport"
)

// jumps writes a server as a jump host.
func jumps(servers ...*server) []string {
	var out []string
	for _, s := range servers {
		out = append(out, "root@"+s.address)
	}
	return out
}

func TestHostsShareOneConnectionToAJumpHost(t *testing.T) {
	r := newRig(t)
	outer := serve(t, &server{forward: true}, r.key.PublicKey())
	inner := serve(t, &server{forward: true}, r.key.PublicKey())
	hosts := []*server{outer, inner}
	for range 6 {
		hosts = append(hosts, serve(t, &server{}, r.key.PublicKey()))
	}
	r.know(t, hosts...)
	var wg sync.WaitGroup
	conns := make(chan transport.Conn, len(hosts))
	for _, s := range hosts[2:] {
		wg.Go(func() {
			target := s.target("x")
			target.Jump = jumps(outer, inner)
			conn, err := r.dialer.Dial(t.Context(), target)
			if err != nil {
				t.Errorf("dial: %v", err)
				return
			}
			conns <- conn
		})
	}
	wg.Wait()
	close(conns)
	if a, b := outer.connections.Load(), inner.connections.Load(); a != 1 || b != 1 {
		t.Errorf("%d and %d connections to the jump hosts; want 1 each", a, b)
	}
	if a, b := outer.forwarded.Load(), inner.forwarded.Load(); a != 1 || b != 6 {
		t.Errorf("%d and %d tunnels; want 1 and 6", a, b)
	}
	for c := range conns {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

func TestAWayThatTheInventoryNamesTakesTheInventorysKeys(t *testing.T) {
	d, _ := configured(t, "Host pve1\nProxyJump config.lan\n")
	for _, c := range []struct {
		name string
		jump []string
		hops int
		keys int
	}{
		{"the configuration's way", nil, 2, 0},
		{"a way of the inventory", []string{"inventory.lan"}, 2, 1},
		{"none, whatever the configuration says", []string{"none"}, 1, 0},
	} {
		hops, err := d.route(t.Context(), transport.Target{Address: "pve1", IdentityFiles: []string{"~/k"}, Jump: c.jump})
		if err != nil || len(hops) != c.hops || len(hops[0].extra) != c.keys {
			t.Errorf("%s: %d hops, first %+v, error %v", c.name, len(hops), hops[0], err)
		}
	}
}

func TestAJumpConnectionIsClosedWhenNobodyUsesIt(t *testing.T) {
	r := newRig(t)
	r.dialer.JumpIdle = -1
	outer := serve(t, &server{forward: true}, r.key.PublicKey())
	s := serve(t, &server{}, r.key.PublicKey())
	r.know(t, outer, s)
	target := s.target("pve1")
	target.Jump = jumps(outer)
	for n := int64(1); n <= 2; n++ {
		conn := r.dial(t, target)
		conn.Close()
		if got := outer.connections.Load(); got != n {
			t.Errorf("%d connections after %d dials one after another without idle time", got, n)
		}
	}
	r.dialer.state.jumps.mu.Lock()
	defer r.dialer.state.jumps.mu.Unlock()
	if n := len(r.dialer.state.jumps.jumps); n != 0 {
		t.Errorf("%d jump connections are still held", n)
	}
}

func TestAJumpHostIsCheckedLikeAnyOther(t *testing.T) {
	r := newRig(t)
	outer := serve(t, &server{forward: true}, r.key.PublicKey())
	s := serve(t, &server{}, r.key.PublicKey())
	target := s.target("pve1")
	target.Jump = jumps(outer)
	r.know(t, s)
	r.refused(t, target, transport.StageHostKey, "jump host 127.0.0.1", "not known")
	if outer.connections.Load() != 1 || s.connections.Load() != 0 {
		t.Errorf("%d and %d connections; want 1 to the jump host and none beyond", outer.connections.Load(), s.connections.Load())
	}

	behind := newRig(t)
	copyKey(t, r.home, behind.home)
	behind.know(t, outer)
	fault := behind.refused(t, target, transport.StageHostKey, "pve1", "not known")
	if fault.Host != "pve1" {
		t.Errorf("the fault is %s's; want pve1's", fault.Host)
	}

	stranger := newRig(t)
	stranger.know(t, outer, s)
	stranger.refused(t, target, transport.StageAuth, "jump host 127.0.0.1", "id_ed25519")
}

func TestFaultsOfAJumpHost(t *testing.T) {
	r := newRig(t)
	down := &server{address: "127.0.0.1:1"}
	closed := serve(t, &server{}, r.key.PublicKey())
	open := serve(t, &server{forward: true}, r.key.PublicKey())
	s := serve(t, &server{}, r.key.PublicKey())
	r.know(t, closed, open, s)
	for title, c := range map[string]struct {
		target transport.Target
		jump   *server
		stage  transport.Stage
		text   string
	}{
		"a jump host that is down":          {s.target("pve1"), down, transport.StageJump, "jump host 127.0.0.1: connect: "},
		"a jump host that forbids tunnels":  {s.target("pve1"), closed, transport.StageJump, "AllowTcpForwarding yes"},
		"a host that the jump cannot reach": {transport.Target{Name: "pve1", Address: "127.0.0.1", Port: 1}, open, transport.StageConnect, "no route"},
	} {
		t.Run(title, func(t *testing.T) {
			c.target.Jump = jumps(c.jump)
			r.refused(t, c.target, c.stage, c.text)
		})
	}
}

func TestASilentJumpHostEndsWithTheTimeout(t *testing.T) {
	r := newRig(t)
	r.dialer.Timeouts.Dial = 100 * time.Millisecond
	silent, _ := listen(t, holdOpen)
	target := transport.Target{Name: "pve1", Address: "127.0.0.1", Jump: []string{fmt.Sprintf("root@127.0.0.1:%d", silent.Port)}}
	r.refused(t, target, transport.StageJump, "says nothing")
}

// jumpUsers counts the uses of all jump connections.
func (r *rig) jumpUsers() int {
	p := &r.dialer.state.jumps
	p.mu.Lock()
	defer p.mu.Unlock()
	users := 0
	for _, j := range p.jumps {
		users += j.users
	}
	return users
}

func TestOneHostGivingUpDoesNotStopTheOthers(t *testing.T) {
	r := newRig(t)
	outer := serve(t, &server{forward: true}, r.key.PublicKey())
	s := serve(t, &server{}, r.key.PublicKey())
	r.know(t, outer, s)
	target := s.target("pve1")
	r.dialer.Attempts = 1
	proceed := make(chan struct{})
	slow, _ := listen(t, slowRelay(proceed, outer.address))
	target.Jump = []string{fmt.Sprintf("root@127.0.0.1:%d", slow.Port)}
	writeFile(t, r.knownHosts(), outer.knownLine()+s.knownLine()+fmt.Sprintf("[127.0.0.1]:%d %s\n", slow.Port, authorizedKey(outer.hostKey.PublicKey())))

	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := r.dialer.Dial(ctx, target); first <- err }()
	waitFor(t, func() bool { return r.jumpUsers() == 1 })
	go func() {
		conn, err := r.dialer.Dial(t.Context(), target)
		if err == nil {
			err = conn.Close()
		}
		second <- err
	}()
	waitFor(t, func() bool { return r.jumpUsers() == 2 })
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first host's error is %v; want context.Canceled", err)
	}
	close(proceed)
	if err := <-second; err != nil {
		t.Errorf("the second host's error is %v", err)
	}
	r.dialer.Close()
}

func TestNoMoreHandshakesRunThroughOneJumpHostThanAllowed(t *testing.T) {
	r := newRig(t)
	r.dialer.MaxJumpDials = 2
	s := serve(t, &server{}, r.key.PublicKey())
	lines := s.knownLine()
	both := make(chan struct{}) // closed when each jump host has led somebody to its end
	var led atomic.Int64
	most := make([]atomic.Int64, 2)
	var targets []transport.Target
	for i := range most {
		outer := serve(t, &server{forward: true}, r.key.PublicKey())
		var now atomic.Int64
		behind, _ := listen(t, func(c net.Conn, n int64) {
			if n == 1 && led.Add(1) == 2 {
				close(both)
			}
			select {
			case <-both:
			case <-time.After(5 * time.Second):
				t.Error("the two jump hosts have one limit together")
			}
			if n := now.Add(1); n > most[i].Load() {
				most[i].Store(n)
			}
			<-time.After(20 * time.Millisecond) // for others to come, if they may
			now.Add(-1)
			relay(c, s.address)
		})
		behind.Jump = jumps(outer)
		lines += outer.knownLine() + fmt.Sprintf("[127.0.0.1]:%d %s\n", behind.Port, authorizedKey(s.hostKey.PublicKey()))
		targets = append(targets, slices.Repeat([]transport.Target{behind}, 8)...)
	}
	writeFile(t, r.knownHosts(), lines)
	var wg sync.WaitGroup
	for _, target := range targets {
		wg.Go(func() {
			conn, err := r.dialer.Dial(t.Context(), target)
			if err != nil {
				t.Errorf("dial: %v", err)
				return
			}
			conn.Close()
		})
	}
	wg.Wait()
	for i := range most {
		if n := most[i].Load(); n > 2 {
			t.Errorf("%d at once; want 2", n)
		}
	}
}

func TestJumpHostsComeFromTheConfiguration(t *testing.T) {
	r := newRig(t)
	outer := serve(t, &server{forward: true}, r.key.PublicKey())
	inner := serve(t, &server{forward: true}, r.key.PublicKey())
	s := serve(t, &server{}, r.key.PublicKey())
	r.know(t, outer, inner, s)
	_, outerPort := outer.host()
	_, innerPort := inner.host()
	r.dialer.ConfigFile = filepath.Join(r.home, "config")
	writeFile(t, r.dialer.ConfigFile, fmt.Sprintf(`
Host outer
  HostName 127.0.0.1
  Port %d
Host inner
  HostName 127.0.0.1
  Port %d
  ProxyJump outer
Host 127.0.0.1
  ProxyJump inner
Host *
  User root
`, outerPort, innerPort))
	target := s.target("pve1")
	target.User = ""
	r.dial(t, target)
	if outer.forwarded.Load() != 1 || inner.forwarded.Load() != 1 {
		t.Errorf("tunnels: %d and %d; want one through each", outer.forwarded.Load(), inner.forwarded.Load())
	}
}
