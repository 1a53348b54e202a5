package ssh

import (
	"context"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"phoenix/e2e/flights"
)

// quiet is how long a side must be silent for its flight to be over.
const quiet = 15 * time.Millisecond

// fewest is the smallest number of flights that a run costs behind a proxy that counts
// them.
func fewest(t *testing.T, address string, run func(t *testing.T, proxy string)) int {
	t.Helper()
	counted := make(chan int, 16)
	target, _ := listen(t, func(c net.Conn, _ int64) { counted <- flights.Relay(c, address, quiet) })
	proxy := (&hop{host: target.Address, port: strconv.Itoa(target.Port)}).address()
	return flights.Fewest(t, counted, func() { run(t, proxy) })
}

func TestDialAndStartCostNoMoreFlightsThanABareClient(t *testing.T) {
	r := newRig(t)
	s := serve(t, &server{command: func(string, xssh.Channel) int { return 0 }}, r.key.PublicKey())
	bare := fewest(t, s.address, func(t *testing.T, proxy string) {
		client, err := xssh.Dial("tcp", proxy, &xssh.ClientConfig{
			User: "root", Auth: []xssh.AuthMethod{xssh.PublicKeys(r.key)}, HostKeyCallback: xssh.FixedHostKey(s.hostKey.PublicKey()),
		})
		if err != nil {
			t.Fatalf("dial: %v", err)
		}
		session, err := client.NewSession()
		if err != nil {
			t.Fatalf("open session: %v", err)
		}
		if err := session.Run("true"); err != nil {
			t.Fatalf("run: %v", err)
		}
		client.Close()
	})
	ours := fewest(t, s.address, func(t *testing.T, proxy string) {
		target := s.target("pve1")
		target.HostKey = authorizedKey(s.hostKey.PublicKey())
		r.dialer.NetDial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, proxy)
		}
		conn := r.dial(t, target)
		session := start(t, conn, "true")
		if _, err := io.ReadAll(session.Stdout()); err != nil {
			t.Fatalf("read: %v", err)
		}
		if err := session.Wait(); err != nil {
			t.Fatalf("run: %v", err)
		}
		conn.Close()
	})
	t.Logf("flights of the client until it hangs up: bare %d, ours %d", bare, ours)
	if bare < 5 || ours > bare {
		t.Errorf("%d flights; a bare client needs %d", ours, bare)
	}
}
