package ssh

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	xssh "golang.org/x/crypto/ssh"

	"phoenix/transport"
)

// newKey makes an ed25519 key.
func newKey(t testing.TB) xssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatalf("generate key: %v", err)
	}
	signer, err := xssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatalf("make signer: %v", err)
	}
	return signer
}

// writeKey makes a key and writes it, with a passphrase if there is one.
func writeKey(t testing.TB, path, passphrase string) xssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatalf("generate key: %v", err)
	}
	block, err := xssh.MarshalPrivateKey(private, "test")
	if passphrase != "" {
		block, err = xssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatalf("marshal key: %v", err)
	}
	signer, err := xssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatalf("make signer: %v", err)
	}
	writeFile(t, path, string(pem.EncodeToMemory(block)))
	return signer
}

// rawKey makes a key as an agent takes it.
func rawKey() (ed25519.PrivateKey, xssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, err
	}
	signer, err := xssh.NewSignerFromKey(private)
	return private, signer, err
}

// copyKey copies ~/.ssh/id_ed25519 from one home to another.
func copyKey(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(from, ".ssh", "id_ed25519"))
	if err != nil {
		t.Fatalf("read key: %v", err)
	}
	writeFile(t, filepath.Join(to, ".ssh", "id_ed25519"), string(data))
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatalf("make folder: %v", err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatalf("write file: %v", err)
	}
}

// server is an SSH server on loopback.
type server struct {
	config  *xssh.ServerConfig
	hostKey xssh.Signer
	address string

	noSFTP bool
	// forward allows direct-tcpip; command serves an exec request and returns its
	// status, or -1 to say nothing about it.
	forward bool
	command func(command string, ch xssh.Channel) int

	connections, forwarded atomic.Int64
	mu                     sync.Mutex
	open                   []net.Conn
}

// prepare makes a server that takes any of the keys.
func prepare(t testing.TB, s *server, users ...xssh.PublicKey) *server {
	t.Helper()
	if s.hostKey == nil {
		s.hostKey = newKey(t)
	}
	if s.config == nil {
		s.config = &xssh.ServerConfig{}
	}
	if s.config.PublicKeyCallback == nil && len(users) > 0 {
		s.config.PublicKeyCallback = func(_ xssh.ConnMetadata, key xssh.PublicKey) (*xssh.Permissions, error) {
			for _, u := range users {
				if sameKey(u, key) {
					return nil, nil
				}
			}
			return nil, errors.New("not this key")
		}
	}
	s.config.AddHostKey(s.hostKey)
	return s
}

// queuedConn does not block in Write: over a net.Pipe both sides would wait for the
// other to read their version line.
type queuedConn struct {
	net.Conn
	queue chan []byte
	done  chan struct{}
}

func (c queuedConn) Write(p []byte) (int, error) {
	select {
	case c.queue <- slices.Clone(p):
		return len(p), nil
	case <-c.done:
		return 0, net.ErrClosed
	}
}

func (c queuedConn) pump() {
	for {
		select {
		case p := <-c.queue:
			c.Conn.Write(p)
		case <-c.done:
			return
		}
	}
}

// piped connects the rig to a prepared server without the network, so that a test in
// a synctest bubble decides what time it is.
func (r *rig) piped(t testing.TB, s *server, wrap func(net.Conn) net.Conn) transport.Target {
	t.Helper()
	s.address = "127.0.0.1:2222"
	r.know(t, s)
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	r.dialer.NetDial = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		queue := queuedConn{far, make(chan []byte, 1024), make(chan struct{})}
		running.Go(queue.pump)
		running.Go(func() {
			defer close(queue.done)
			s.handle(queue)
		})
		return wrap(near), nil
	}
	return s.target("pve1")
}

// serve starts a server on loopback that takes any of the keys.
func serve(t testing.TB, s *server, users ...xssh.PublicKey) *server {
	t.Helper()
	prepare(t, s, users...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	s.address = listener.Addr().String()
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.connections.Add(1)
			s.mu.Lock()
			s.open = append(s.open, c)
			s.mu.Unlock()
			running.Go(func() { s.handle(c) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.drop()
		running.Wait()
	})
	return s
}

// drop closes every connection.
func (s *server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		c.Close()
	}
}

func (s *server) handle(c net.Conn) {
	defer c.Close()
	conn, channels, requests, err := xssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	defer conn.Close()
	go xssh.DiscardRequests(requests)
	var running sync.WaitGroup
	defer running.Wait()
	for n := range channels {
		switch {
		case n.ChannelType() == "session":
			ch, requests, err := n.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.session(ch, requests) })
		case n.ChannelType() == "direct-tcpip" && s.forward:
			running.Go(func() { s.tunnel(n) })
		default:
			if n.Reject(xssh.Prohibited, "not here\x1b[31m") != nil {
				return
			}
		}
	}
}

func (s *server) session(ch xssh.Channel, requests <-chan *xssh.Request) {
	defer ch.Close()
	for r := range requests {
		var m struct{ Text string }
		if xssh.Unmarshal(r.Payload, &m) != nil {
			continue
		}
		switch {
		case r.Type == "subsystem" && m.Text == "sftp" && !s.noSFTP:
			r.Reply(true, nil)
			if srv, err := sftp.NewServer(ch); err == nil {
				srv.Serve()
			}
			return
		case r.Type == "exec" && s.command != nil:
			r.Reply(true, nil)
			if code := s.command(m.Text, ch); code >= 0 {
				ch.SendRequest("exit-status", false, xssh.Marshal(struct{ Code uint32 }{uint32(code)}))
			}
			return
		default:
			r.Reply(false, nil)
		}
	}
}

func (s *server) tunnel(n xssh.NewChannel) {
	var m struct {
		Host     string
		Port     uint32
		From     string
		FromPort uint32
	}
	if xssh.Unmarshal(n.ExtraData(), &m) != nil {
		return
	}
	c, err := net.Dial("tcp", net.JoinHostPort(m.Host, fmt.Sprint(m.Port)))
	if err != nil {
		n.Reject(xssh.ConnectionFailed, "no route")
		return
	}
	defer c.Close()
	s.forwarded.Add(1)
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	go xssh.DiscardRequests(requests)
	var done sync.WaitGroup
	done.Go(func() { io.Copy(ch, c); ch.CloseWrite() })
	io.Copy(c, ch)
	c.Close()
	done.Wait()
	ch.Close()
}

// host and port of the server.
func (s *server) host() (string, int) {
	host, port, _ := net.SplitHostPort(s.address)
	n := 0
	fmt.Sscan(port, &n)
	return host, n
}

func (s *server) target(name string) transport.Target {
	host, port := s.host()
	return transport.Target{Name: name, Address: host, Port: port, User: "root"}
}

// knownLine is the server's line for known_hosts.
func (s *server) knownLine() string {
	host, port := s.host()
	return hostName(host, fmt.Sprint(port)) + " " + authorizedKey(s.hostKey.PublicKey()) + "\n"
}

// rig is a home directory with a key, and the Dialer that uses it.
type rig struct {
	home   string
	key    xssh.Signer
	dialer *Dialer
	warned *log
}

// log collects warnings.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, s)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// newRig makes a home with ~/.ssh/id_ed25519; the servers that are to be known are
// added with know.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{home: t.TempDir(), warned: &log{}}
	r.key = writeKey(t, filepath.Join(r.home, ".ssh", "id_ed25519"), "")
	r.dialer = &Dialer{
		Home: r.home, ConfigFile: Never, Log: r.warned.add,
		Env:        func(string) string { return "" },
		KnownHosts: []string{r.knownHosts()},
		Sleep:      func(context.Context, time.Duration) error { return nil },
	}
	t.Cleanup(func() { r.dialer.Close() })
	return r
}

func (r *rig) knownHosts() string { return filepath.Join(r.home, ".ssh", "known_hosts") }

func (r *rig) know(t testing.TB, servers ...*server) {
	t.Helper()
	var lines strings.Builder
	for _, s := range servers {
		lines.WriteString(s.knownLine())
	}
	writeFile(t, r.knownHosts(), lines.String())
}

// dial dials and closes at the end of the test.
func (r *rig) dial(t testing.TB, target transport.Target) transport.Conn {
	t.Helper()
	conn, err := r.dialer.Dial(t.Context(), target)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// refused dials and wants a fault of a stage that says each of the texts.
func (r *rig) refused(t testing.TB, target transport.Target, stage transport.Stage, texts ...string) *transport.DialError {
	t.Helper()
	conn, err := r.dialer.Dial(t.Context(), target)
	if err == nil {
		conn.Close()
		t.Fatalf("dial succeeded; want a fault of stage %q", stage)
	}
	fault, ok := errors.AsType[*transport.DialError](err)
	if !ok {
		t.Fatalf("dial: %T %v; want a DialError", err, err)
	}
	if fault.Stage != stage {
		t.Errorf("stage %q; want %q: %v", fault.Stage, stage, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error()+"\n"+fault.Hint, text) {
			t.Errorf("error %q with hint %q lacks %q", err, fault.Hint, text)
		}
	}
	if strings.ContainsAny(err.Error(), "\x1b\x07\r") {
		t.Errorf("error has control characters: %q", err)
	}
	return fault
}
