package ssh

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"phoenix/transport"
)

// listen serves plain TCP connections with what to do for each, and returns a target.
func listen(t *testing.T, handle func(c net.Conn, n int64)) (transport.Target, *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	var count atomic.Int64
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			n := count.Add(1)
			running.Go(func() {
				defer c.Close()
				handle(c, n)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	s := &server{address: listener.Addr().String()}
	return s.target("pve1"), &count
}

func TestARefusedConnectionIsTriedThreeTimes(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	s := &server{address: listener.Addr().String()}
	listener.Close()
	r := newRig(t)
	var pauses []time.Duration
	r.dialer.Rand = func() float64 { return 0.5 }
	r.dialer.Sleep = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
	fault := r.refused(t, s.target("pve1"), transport.StageConnect, "connect pve1", "refused")
	if !fault.Temporary() {
		t.Error("the fault is not temporary")
	}
	if len(pauses) != 2 || pauses[0] != 125*time.Millisecond || pauses[1] != 250*time.Millisecond {
		t.Errorf("pauses %v; want 125ms and 250ms, half of what is allowed", pauses)
	}
}

func TestAHostThatIsFullIsTriedAgain(t *testing.T) {
	r := newRig(t)
	s := serve(t, &server{}, r.key.PublicKey())
	target, count := listen(t, func(c net.Conn, n int64) {
		if n < 3 {
			io.WriteString(c, "Exceeded MaxStartups\r\n")
			return
		}
		relay(c, s.address)
	})
	target.HostKey = authorizedKey(s.hostKey.PublicKey())
	r.dial(t, target)
	if n := count.Load(); n != 3 {
		t.Errorf("%d connections; want 3", n)
	}
}

// relay copies between a connection and an address until either ends.
func relay(c net.Conn, address string) {
	far, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		io.Copy(far, c)
		far.Close()
	}()
	io.Copy(c, far)
}

func TestWhatAHostSaysInsteadOfSSHIsQuoted(t *testing.T) {
	r := newRig(t)
	target, count := listen(t, func(c net.Conn, _ int64) { io.WriteString(c, "Exceeded \x1b[31mMaxStartups\r\n") })
	r.refused(t, target, transport.StageHandshake, `the host said "Exceeded [31mMaxStartups"`)
	if n := count.Load(); n != DefaultAttempts {
		t.Errorf("%d connections; want %d", n, DefaultAttempts)
	}
}

func TestASilentHostEndsWithTheTimeout(t *testing.T) {
	r := newRig(t)
	r.dialer.Timeouts.Dial = 100 * time.Millisecond
	target, count := listen(t, func(c net.Conn, _ int64) { io.Copy(io.Discard, c) })
	fault := r.refused(t, target, transport.StageHandshake, "accepts connections and says nothing", "timed out after 100ms")
	if count.Load() != 1 {
		t.Errorf("%d connections; a spent time-out is not tried again", count.Load())
	}
	if !fault.Temporary() {
		t.Error("the fault is not temporary")
	}
}

func TestADialEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	target, _ := listen(t, func(c net.Conn, _ int64) {
		cancel()
		io.Copy(io.Discard, c)
	})
	_, err := r.dialer.Dial(ctx, target)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want context.Canceled", err)
	}
}

func TestAddressesThatAreNoneAreRefusedBeforeTheNetwork(t *testing.T) {
	r := newRig(t)
	r.dialer.NetDial = func(context.Context, string, string) (net.Conn, error) {
		t.Error("the network was used")
		return nil, errors.New("no network")
	}
	for title, target := range map[string]transport.Target{
		"empty":                  {},
		"an option":              {Address: "-oProxyCommand=x"},
		"a line break":           {Address: "pve1\nevil"},
		"a list for known_hosts": {Address: "pve1,pve2"},
		"a pattern":              {Address: "*"},
		"a port that is none":    {Address: "pve1", Port: 70000},
		"a user that is none":    {Address: "pve1", User: "-l"},
		"a jump that is none":    {Address: "pve1", Jump: []string{"root@:22"}},
		"a chain without end":    {Address: "pve1", Jump: strings.Split(strings.Repeat("a,", 9)+"a", ",")},
	} {
		t.Run(title, func(t *testing.T) { r.refused(t, target, transport.StageResolve) })
	}
}

func TestANameThatDoesNotExistIsNotTriedAgain(t *testing.T) {
	r := newRig(t)
	dials := 0
	r.dialer.NetDial = func(context.Context, string, string) (net.Conn, error) {
		dials++
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "pve9", IsNotFound: true}}
	}
	r.refused(t, transport.Target{Address: "pve9"}, transport.StageResolve, "resolve pve9", "no such host")
	if dials != 1 {
		t.Errorf("%d dials; want 1", dials)
	}
}

func TestNoMoreHandshakesRunAtOnceThanAllowed(t *testing.T) {
	r := newRig(t)
	s := serve(t, &server{}, r.key.PublicKey())
	r.know(t, s)
	r.dialer.MaxDials = 2
	var now, most atomic.Int64
	r.dialer.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			conn, err := r.dialer.Dial(t.Context(), s.target("x"))
			if err != nil {
				t.Errorf("dial: %v", err)
				return
			}
			conn.Close()
		})
	}
	wg.Wait()
	if most.Load() > 2 {
		t.Errorf("%d at once; want 2", most.Load())
	}
}

// holdOpen accepts and says nothing.
func holdOpen(c net.Conn, _ int64) { io.Copy(io.Discard, c) }

// slowRelay relays to an address once it may.
func slowRelay(proceed <-chan struct{}, address string) func(net.Conn, int64) {
	return func(c net.Conn, _ int64) {
		<-proceed
		relay(c, address)
	}
}

// waitFor waits until a condition holds, for at most ten seconds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the condition did not come about within ten seconds")
		}
	}
}
