package e2e

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"phoenix/e2e/flights"
	"phoenix/e2e/floor"
	"phoenix/e2e/realhost"
)

// quiet is how long a side must say nothing for its flight to be over. The helper
// reads hundreds of files within it.
const quiet = 60 * time.Millisecond

// counter is a proxy before a host that tells how many flights each connection took.
type counter struct {
	*listener
	counted chan int
}

func (r *rig) counter(t *testing.T, host int) counter {
	t.Helper()
	h := r.Hosts[host]
	counted := make(chan int, 16)
	l := listen(t, func(c net.Conn) {
		defer c.Close()
		counted <- flights.Relay(c, net.JoinHostPort(h.Address, strconv.Itoa(h.Port)), quiet)
	})
	r.known(t, "127.2.0.1", l.port(), h.HostKey)
	return counter{l, counted}
}

// manyFiles is a hypervisor configuration of that many properties.
func manyFiles(properties int) string {
	var b strings.Builder
	b.WriteString(`{"version": 1, "files": {`)
	for i := range properties / 3 {
		fmt.Fprintf(&b, "%q: {\"content\": \"number %d\\n\", \"mode\": \"0644\", \"owner\": \"root\"},", fmt.Sprintf("/etc/phoenix-demo-%d", i), i)
	}
	b.WriteString(`}}`)
	return b.String()
}

func TestAWarmCheckTakesNoMoreRoundTripsThanABareClientAndOne(t *testing.T) {
	r := newRig(t, 1, realhost.Options{})
	c := r.counter(t, 0)
	pem, err := os.ReadFile(r.IdentityFile)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	bare := flights.Fewest(t, c.counted, func() {
		client := floor.Client{Signer: signer, Parallel: 1}
		if err := client.Run(t.Context(), []floor.Host{{Addr: c.Addr().String(), HostKey: r.Hosts[0].HostKey}}, "true", nil); err != nil {
			t.Fatal(err)
		}
	})
	r.write(t, "lxc.json", `{"version": 1}`)
	ours := map[int]int{}
	for _, properties := range []int{3, 30, 300} {
		r.inventory(t, "")
		r.write(t, "hypervisor.json", manyFiles(properties))
		r.phoenix(t, "run").want(t, 0)
		r.write(t, "hosts.yaml", fmt.Sprintf("version: 1\nhosts:\n  far: {address: 127.2.0.1, port: %d, user: root, hypervisor: hypervisor.json, identity_files: [%s]}\n", c.port(), r.IdentityFile))
		ours[properties] = flights.Fewest(t, c.counted, func() {
			r.phoenix(t, "check").want(t, 0).says(t, strconv.Itoa(properties/3)+" step")
		})
	}
	t.Logf("flights of the client: bare %d, a check of 3, 30 and 300 properties %d, %d, %d", bare, ours[3], ours[30], ours[300])
	for properties, n := range ours {
		if bare < 5 || n > bare+1 {
			t.Errorf("a check of %d properties takes %d flights, a bare client %d", properties, n, bare)
		}
	}
	if ours[300] > ours[3] {
		t.Errorf("300 properties take %d flights, 3 take %d", ours[300], ours[3])
	}
}
