// Package flights counts how often a client waits for its host: the round trips that
// a far host costs, whatever the line. It is test support.
package flights

import (
	"net"
	"os"
	"testing"
	"time"
)

// Relay connects to a host for a client, passes on what they say in lockstep, and
// counts the client's flights: what one side sends is collected until it has said
// nothing for quiet, and only then passed on, as over a line so long that nothing
// overlaps. It returns 0 when the host cannot be reached.
func Relay(client net.Conn, address string, quiet time.Duration) int {
	host, err := net.Dial("tcp", address)
	if err != nil {
		return 0
	}
	defer host.Close()
	n := 0
	for {
		sent, err := burst(client, quiet)
		if len(sent) > 0 {
			n++
			_, _ = host.Write(sent)
		}
		if err != nil {
			return n
		}
		answer, err := burst(host, quiet)
		_, _ = client.Write(answer)
		if err != nil {
			return n
		}
	}
}

// burst reads until nothing comes for a while; that is no error.
func burst(c net.Conn, quiet time.Duration) ([]byte, error) {
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

// Fewest runs a client several times, takes what each run's connection counted, and
// returns the smallest: a busy machine can split a flight in two, but never join two.
func Fewest(t *testing.T, counted <-chan int, run func()) int {
	t.Helper()
	best := 0
	for range 3 {
		run()
		select {
		case n := <-counted:
			if n > 0 && (best == 0 || n < best) {
				best = n
			}
		case <-time.After(time.Minute):
			t.Fatal("the connection does not end")
		}
	}
	return best
}
