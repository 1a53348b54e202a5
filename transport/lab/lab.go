// Package lab is a fleet to try things on: real SSH servers on loopback, each in
// front of one simulated Proxmox VE host (tasks/sim) that keeps its state in a
// folder.
//
// Everything on the way is real, up to the machine itself: keys, channels, SFTP, the
// upload of the helper, the check of its hash, the protocol, the lock, the journal.
// Only the shell scripts of transport/deploy are carried out by this package, and a
// helper whose hash is right is served in this process, by the agentlet.Server that it
// would run. The package never listens on anything but 127.0.0.1, never starts a
// program, and writes only below its folder. Start reading at Start.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"phoenix/tasks/sim"
)

// MaxHosts is the largest fleet: beyond it, the ports of one address run out.
const MaxHosts = 10000

// Options says what the fleet is like.
type Options struct {
	// Dir keeps everything: the hosts' trees in hosts/NAME, the inventory, both
	// configurations, the key. It is made when it is missing; what an earlier lab left
	// there is taken up again.
	Dir string
	// Hosts is their number; 0 means 3.
	Hosts int
	// GPUs is the number of NVIDIA devices on each host.
	GPUs int
	// Latency is added to everything sent, in each direction; a round trip takes
	// twice as long.
	Latency time.Duration
	// Release is the Proxmox VE release, "8.4" (also when empty) or "9.1".
	Release string
	// Hostile makes hosts misbehave, by name.
	Hostile map[string]Hostility
}

// Hostility is how a host misbehaves.
type Hostility struct {
	// NoSFTP refuses the sftp subsystem.
	NoSFTP bool
	// Banner is printed by the login shell in front of every command's output.
	Banner string
	// Silent accepts connections and then says nothing.
	Silent bool
	// Garbage greets as the helper does and then sends bytes without end.
	Garbage bool
	// NoExec mounts /var/lib/phoenix so that nothing there can be executed.
	NoExec bool
	// Full leaves no space below /var/lib/phoenix.
	Full bool
}

// Lab is a fleet that is being served.
type Lab struct {
	// Hosts in the order of their numbers.
	Hosts []*Host

	dir    string
	lock   *os.File        // says that the folder is being served
	ctx    context.Context // of everything that is served
	stop   context.CancelFunc
	config *ssh.ServerConfig
	opts   Options
	wait   sync.WaitGroup
	conns  conns
	hashes hashes
	loads  uploads
	pids   atomic.Int64
}

// Host is one host of the lab.
type Host struct {
	// Name of the host and node: pve1.
	Name string
	// Addr is where its SSH server listens.
	Addr *net.TCPAddr

	lab     *Lab
	hostile Hostility
	net     net.Listener
	machine func() (*sim.Machine, error)
	open    conns // its connections
	// Connections is how many were accepted.
	Connections atomic.Int64
	// Sessions is how many programs and subsystems were started over them.
	Sessions atomic.Int64
}

// Machine returns the simulated machine.
func (h *Host) Machine() (*sim.Machine, error) { return h.machine() }

// Start serves a fleet until ctx ends or Close is called.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if o.Hosts == 0 {
		o.Hosts = 3
	}
	if o.Hosts < 0 || o.Hosts > MaxHosts {
		return nil, fmt.Errorf("start lab: %d hosts are not from 1 to %d", o.Hosts, MaxHosts)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("start lab: %w", err)
	}
	if err := refuseForeign(dir); err != nil {
		return nil, fmt.Errorf("start lab: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "hosts"), 0o755); err != nil {
		return nil, fmt.Errorf("start lab: %w", err)
	}
	lock, err := claim(dir)
	if err != nil {
		return nil, fmt.Errorf("start lab: %w", err)
	}
	keys, err := loadKeys(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start lab: %w", err), lock.Close())
	}
	l := &Lab{dir: dir, opts: o, config: keys.serverConfig(), lock: lock}
	l.ctx, l.stop = context.WithCancel(ctx)
	context.AfterFunc(l.ctx, l.hangUp)
	ports := loadPorts(dir)
	for i := range o.Hosts {
		if err := l.add(fmt.Sprintf("pve%d", i+1), ports); err != nil {
			return nil, errors.Join(fmt.Errorf("start lab: %w", err), l.Close())
		}
	}
	if err := l.writeFiles(keys, ports); err != nil {
		return nil, errors.Join(fmt.Errorf("start lab: %w", err), l.Close())
	}
	if err := l.lay(); err != nil {
		return nil, errors.Join(fmt.Errorf("start lab: %w", err), l.Close())
	}
	for _, h := range l.Hosts {
		l.wait.Go(h.accept)
	}
	return l, nil
}

// lay lays out the machines that are new: some hundred small files each, which a
// thousand hosts must not do while somebody measures how fast they answer.
func (l *Lab) lay() error {
	var g errgroup.Group
	g.SetLimit(2 * runtime.NumCPU())
	for _, h := range l.Hosts {
		g.Go(func() error {
			if err := l.ctx.Err(); err != nil {
				return err
			}
			_, err := h.machine()
			return err
		})
	}
	return g.Wait()
}

// add makes a host listen, on the port that it had before where that is free.
func (l *Lab) add(name string, ports map[string]int) error {
	n, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", ports[name]))
	if err != nil && ports[name] != 0 {
		n, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("serve %s: %w", name, err)
	}
	root := filepath.Join(l.dir, "hosts", name)
	seed := uint64(len(l.Hosts) + 1)
	h := &Host{Name: name, lab: l, hostile: l.opts.Hostile[name], net: n, Addr: n.Addr().(*net.TCPAddr)}
	h.machine = sync.OnceValues(func() (*sim.Machine, error) {
		m, err := sim.New(root, name, sim.Options{Release: l.opts.Release, GPUs: l.opts.GPUs, Seed: seed})
		if err == nil {
			m.Down = h.open.cut
		}
		return m, err
	})
	l.Hosts = append(l.Hosts, h)
	return nil
}

// hangUp closes every listener and connection.
func (l *Lab) hangUp() {
	for _, h := range l.Hosts {
		_ = h.net.Close()
	}
	l.conns.closeAll()
}

// Close stops serving: running steps are cancelled, and waited for.
func (l *Lab) Close() error {
	l.stop()
	l.hangUp()
	l.wait.Wait()
	if err := l.lock.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// conns are the open connections.
type conns struct {
	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

// add keeps a connection to be closed; it is false when all are already.
func (c *conns) add(n net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.open == nil {
		c.open = make(map[net.Conn]bool)
	}
	c.open[n] = true
	return true
}

func (c *conns) remove(n net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, n)
}

// cut ends the connections that are open; there may be others later.
func (c *conns) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.open {
		_ = n.Close()
	}
}

func (c *conns) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for n := range c.open {
		_ = n.Close()
	}
}
