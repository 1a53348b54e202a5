package ssh

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
)

const (
	// readBuffer only has to hold the version line, which x/crypto reads byte by
	// byte: later reads are larger and go past it.
	readBuffer = 512
	// maxSaid is how much of what a host said first an error may quote.
	maxSaid = 200
)

// netConn is the network connection below SSH. It counts what arrives, remembers why
// it ended and keeps acknowledgements quick.
type netConn struct {
	net.Conn
	reader *bufio.Reader
	quick  func()
	// received counts the bytes that have arrived; keepalives look at it.
	received atomic.Int64
	// dead is closed when there is a failure.
	dead chan struct{}

	mu sync.Mutex
	// first is the beginning of what the host said; nil once SSH is established.
	first []byte
	// failure is the first error of a read, or what killed the connection.
	failure error
}

func newNetConn(c net.Conn) *netConn {
	n := &netConn{Conn: c, quick: quickAck(c), first: make([]byte, 0, maxSaid), dead: make(chan struct{})}
	n.reader = bufio.NewReaderSize(socketReader{n}, readBuffer)
	n.quick()
	return n
}

// socketReader is what fills the buffer.
type socketReader struct{ n *netConn }

// Read reads from the network.
func (r socketReader) Read(p []byte) (int, error) {
	n, err := r.n.Conn.Read(p)
	r.n.quick()
	r.n.received.Add(int64(n))
	r.n.mu.Lock()
	defer r.n.mu.Unlock()
	if r.n.first != nil {
		r.n.first = append(r.n.first, p[:min(n, maxSaid-len(r.n.first))]...)
	}
	r.n.setFailure(err)
	return n, err
}

// Read reads through the buffer.
func (n *netConn) Read(p []byte) (int, error) { return n.reader.Read(p) }

// Write writes, and makes the next acknowledgements quick again.
func (n *netConn) Write(p []byte) (int, error) {
	written, err := n.Conn.Write(p)
	n.quick()
	return written, err
}

// said is the beginning of what the host said, cut at what is not text.
func (n *netConn) said() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, c := range n.first {
		if c == 0 {
			return clean(string(n.first[:i]))
		}
	}
	return clean(string(n.first))
}

// established drops what was kept for errors of the handshake.
func (n *netConn) established() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.first = nil
}

// fail closes the connection for a reason, which is what its users then see.
func (n *netConn) fail(why error) {
	n.mu.Lock()
	n.setFailure(why)
	n.mu.Unlock()
	_ = n.Close() // the reason is what counts
}

// ended is why the connection ended; nil while it lives.
func (n *netConn) ended() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failure
}

// setFailure keeps the first failure; the mutex is held.
func (n *netConn) setFailure(err error) {
	if err != nil && n.failure == nil {
		n.failure = err
		close(n.dead)
	}
}
