// Package floor is the bare client that phoenix is measured against: it dials
// hosts with x/crypto/ssh, runs one command on each, and does nothing else.
//
// It checks each host's key against one known value, as any honest client must,
// and sets TCP_QUICKACK, without which every connection on a LAN waits 40 ms for
// nothing. Start reading at Client.
package floor

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"
)

// Host is where to go and whom to expect there.
type Host struct {
	// Addr is "ADDRESS:PORT".
	Addr string
	// HostKey is the public key, "ssh-ed25519 AAAA…".
	HostKey string
}

// Client runs one command on many hosts.
type Client struct {
	// Signer logs in as root.
	Signer ssh.Signer
	// Parallel is how many hosts are worked on at once.
	Parallel int
}

// Run runs the command on every host with the given input and returns the first
// error. The output is read and thrown away.
func (c Client) Run(ctx context.Context, hosts []Host, command string, stdin []byte) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.Parallel)
	for _, h := range hosts {
		g.Go(func() error { return c.one(ctx, h, command, stdin) })
	}
	return g.Wait()
}

func (c Client) one(ctx context.Context, h Host, command string, stdin []byte) error {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(h.HostKey))
	if err != nil {
		return fmt.Errorf("parse host key of %s: %w", h.Addr, err)
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", h.Addr)
	if err != nil {
		return err
	}
	conn, channels, requests, err := ssh.NewClientConn(quickack{raw}, h.Addr, &ssh.ClientConfig{
		User:              "root",
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(c.Signer)},
		HostKeyCallback:   ssh.FixedHostKey(key),
		HostKeyAlgorithms: []string{key.Type()},
	})
	if err != nil {
		return fmt.Errorf("connect to %s: %w", h.Addr, err)
	}
	client := ssh.NewClient(conn, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("open a session on %s: %w", h.Addr, err)
	}
	defer session.Close()
	session.Stdin = bytes.NewReader(stdin)
	if _, err := session.Output(command); err != nil {
		return fmt.Errorf("run %s on %s: %w", command, h.Addr, err)
	}
	return nil
}

// quickack acknowledges what was read at once.
type quickack struct{ net.Conn }

func (q quickack) Read(p []byte) (int, error) {
	n, err := q.Conn.Read(p)
	if tcp, ok := q.Conn.(*net.TCPConn); ok && n > 0 {
		if raw, rawErr := tcp.SyscallConn(); rawErr == nil {
			_ = raw.Control(func(fd uintptr) {
				_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, 0xc /* TCP_QUICKACK */, 1)
			})
		}
	}
	return n, err
}
