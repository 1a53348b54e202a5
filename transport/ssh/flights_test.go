package ssh

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"
)

// quiet is how long a side must be silent for its flight to be over.
const quiet = 15 * time.Millisecond

// countFlights relays one connection in lockstep and counts the client's flights:
// what one side sends is collected until it is quiet, and only then passed on, as
// over a line so long that nothing overlaps.
func countFlights(client, host net.Conn) int {
	flights := 0
	for {
		sent, err := burst(client)
		if len(sent) > 0 {
			flights++
			host.Write(sent)
		}
		if err != nil {
			return flights
		}
		answer, err := burst(host)
		client.Write(answer)
		if err != nil {
			return flights
		}
	}
}

// burst reads until nothing comes for a while; a time-out is no error.
func burst(c net.Conn) ([]byte, error) {
	var all []byte
	buf := make([]byte, 64<<10)
	for {
		if err := c.SetReadDeadline(time.Now().Add(quiet)); err != nil {
			return all, err
		}
		n, err := c.Read(buf)
		all = append(all, buf[:n]...)
		if os.IsTimeout(err) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// fewest is the smallest number of flights of several runs: a busy machine can split
// a flight in two but never join two.
func fewest(t *testing.T, address string, run func(t *testing.T, proxy string)) int {
	t.Helper()
	best := 0
	for range 3 {
		counted := make(chan int, 1)
		target, _ := listen(t, func(c net.Conn, _ int64) {
			host, err := net.Dial("tcp", address)
			if err != nil {
				counted <- 0
				return
			}
			defer host.Close()
			counted <- countFlights(c, host)
		})
		run(t, (&hop{host: target.Address, port: strconv.Itoa(target.Port)}).address())
		if n := <-counted; n > 0 && (best == 0 || n < best) {
			best = n
		}
	}
	return best
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
