package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"phoenix/agentlet/wire"
	"phoenix/tasks/sim"
	"phoenix/transport/deploy"
)

// accept takes connections until the listener is closed.
func (h *Host) accept() {
	for {
		n, err := h.net.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Too many open files, or a peer that left: the next may do, but not at once.
			select {
			case <-h.lab.ctx.Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		h.Connections.Add(1)
		if !h.lab.conns.add(n) {
			_ = n.Close()
			return
		}
		h.lab.wait.Go(func() {
			defer h.lab.conns.remove(n)
			defer h.open.remove(n)
			h.open.add(n)
			defer n.Close()
			h.serve(n)
		})
	}
}

// serve speaks SSH on one connection.
func (h *Host) serve(n net.Conn) {
	if h.hostile.Silent {
		_, _ = io.Copy(io.Discard, n)
		return
	}
	if h.lab.opts.Latency > 0 {
		n = delayed(n, h.lab.opts.Latency)
		defer n.Close()
	}
	conn, channels, requests, err := ssh.NewServerConn(n, h.lab.config)
	if err != nil {
		return // the client says why to its user
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			_ = c.Reject(ssh.Prohibited, "the lab has sessions only")
			continue
		}
		ch, reqs, err := c.Accept()
		if err != nil {
			return
		}
		h.lab.wait.Go(func() { h.session(ch, reqs) })
	}
}

// session takes the one request of a channel that starts something.
func (h *Host) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	for r := range requests {
		var payload struct{ Text string }
		known := (r.Type == "exec" || r.Type == "subsystem") && ssh.Unmarshal(r.Payload, &payload) == nil
		if r.Type == "subsystem" && (payload.Text != "sftp" || h.hostile.NoSFTP) {
			known = false
		}
		if r.WantReply {
			_ = r.Reply(known, nil)
		}
		if !known {
			continue
		}
		go ssh.DiscardRequests(requests)
		h.Sessions.Add(1)
		code := h.start(r.Type, payload.Text, ch)
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(code)}))
		break
	}
	_ = ch.Close()
}

// start runs a subsystem or a command and returns its exit status.
func (h *Host) start(kind, text string, ch ssh.Channel) int {
	m, err := h.machine()
	if err != nil {
		_, _ = io.WriteString(ch.Stderr(), err.Error()+"\n")
		return 255
	}
	if kind == "subsystem" {
		return serveFiles(m.Root, ch)
	}
	if h.hostile.Banner != "" {
		_, _ = io.WriteString(ch, h.hostile.Banner)
	}
	script, args, _, err := deploy.Parse(text)
	if err != nil {
		return m.Exec(h.lab.ctx, []string{"sh", "-c", text}, sim.Streams{Stdin: ch, Stdout: ch, Stderr: ch.Stderr()})
	}
	p := &proc{host: h, root: m.Root, machine: m, args: args, in: ch, out: ch, err: ch.Stderr()}
	return p.run(h.lab.ctx, script)
}

func serveFiles(root string, ch ssh.Channel) int {
	handlers, closeRoot, err := files(root)
	if err != nil {
		return 255
	}
	defer closeRoot()
	s := sftp.NewRequestServer(ch, handlers)
	if err := s.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return 1
	}
	_ = s.Close()
	return 0
}

// garbage greets like a helper and then sends bytes that are no frames, without end.
func (p *proc) garbage(ctx context.Context, nonce, hash string) int {
	hello := wire.Message{Hello: &wire.Hello{Version: wire.Version, SHA256: hash, Hostname: p.host.Name, Arch: "amd64", PID: 1}}
	frame, err := wire.Encode(hello)
	if err != nil {
		return 1
	}
	if _, err := p.out.Write(append(wire.Greeting(nonce), frame...)); err != nil {
		return 1
	}
	block := make([]byte, 32<<10)
	for ctx.Err() == nil {
		_, _ = rand.Read(block)
		block[0] = 0xff // a length beyond every limit
		if _, err := p.out.Write(block); err != nil {
			return 1
		}
	}
	return 1
}
