// Package ssh reaches hosts over SSH: it implements [transport.Dialer] with
// golang.org/x/crypto/ssh and uploads with github.com/pkg/sftp.
//
// It never accepts a host key unseen: the key is pinned by the target, or known in
// known_hosts (plain, hashed and pattern entries, @cert-authority, @revoked), or,
// only when asked to, recorded as new. A changed key is always refused. It never
// allocates a terminal and forwards neither agent nor ports to a host.
//
// The user's ssh configuration is honoured; see config.go for how it is read.
// Targets override it.
//
// Start reading at [Dialer.Dial]: route.go says which hosts lie on the way,
// jump.go shares the connections to jump hosts, handshake.go does one handshake,
// hostkey.go and auth.go its two halves, conn.go and session.go what comes after.
package ssh

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"phoenix/transport"
)

// Defaults of the fields of [Dialer] and of [transport.Timeouts].
const (
	// DefaultDialTimeout bounds one connection: connecting and authenticating.
	DefaultDialTimeout = 20 * time.Second
	// DefaultKeepalive is how long a connection may be silent before the host is
	// asked for a sign of life.
	DefaultKeepalive = 15 * time.Second
	// DefaultAttempts is how often a connection is tried.
	DefaultAttempts = 3
	// DefaultMaxDials is how many handshakes run at once.
	DefaultMaxDials = 256
	// DefaultMaxJumpDials is how many handshakes run at once through one jump host.
	// OpenSSH's MaxStartups begins to refuse at 10 and MaxSessions is 10; both are
	// defaults of sshd_config(5).
	DefaultMaxJumpDials = 8
	// DefaultJumpIdle is how long a jump connection that nobody uses stays open.
	DefaultJumpIdle = 10 * time.Second
)

// Never is the value of ConfigFile and OpenSSH that turns them off.
const Never = "none"

// Dialer opens SSH connections. Its zero value is strict and useful: it reads the
// user's configuration, agent and keys, asks nothing and trusts only known_hosts.
// It must not be copied, nor its fields changed, after the first Dial.
type Dialer struct {
	// KnownHosts are the known_hosts files; the first is the one that new keys are
	// written to. Empty means what the ssh configuration says, by default
	// ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts. Files may be missing.
	KnownHosts []string
	// AcceptNew records the key of a host that is in no known_hosts file. A key that
	// differs from a known one is refused nevertheless.
	AcceptNew bool
	// ConfigFile is an ssh configuration to read instead of ~/.ssh/config and
	// /etc/ssh/ssh_config; Never reads none.
	ConfigFile string
	// OpenSSH is the ssh program that is asked (ssh -G) for what the own reader
	// cannot evaluate; empty looks for it in PATH, Never asks no program.
	OpenSSH string
	// Home is the user's home directory; empty means the process's.
	Home string
	// Env looks up an environment variable; nil means the process's.
	Env func(name string) string
	// Prompt asks the operator a question whose answer is not to be echoed: the
	// passphrase of a key, a password. It is called for one question at a time. Nil
	// means that there is nobody to ask.
	Prompt func(ctx context.Context, question string) (string, error)
	// Timeouts bound dialing and silence.
	Timeouts transport.Timeouts
	// Attempts is how often a connection is tried in all; only what failed before
	// authentication, and may pass, is tried again. 0 means DefaultAttempts.
	Attempts int
	// MaxDials is how many handshakes run at once; 0 means DefaultMaxDials. Waiting
	// for one's turn does not count against the time-out.
	MaxDials int
	// MaxJumpDials is the same for each jump host; 0 means DefaultMaxJumpDials.
	MaxJumpDials int
	// JumpIdle is how long an unused jump connection stays open; 0 means
	// DefaultJumpIdle, negative means not at all.
	JumpIdle time.Duration
	// Log takes warnings, each once, as one line without a line break; nil drops
	// them. It may be called from several goroutines.
	Log func(warning string)
	// Now is the clock that certificates are checked against; nil means time.Now.
	Now func() time.Time
	// Rand returns a number in [0, 1) for the jitter of retries; nil means math/rand.
	Rand func() float64
	// Sleep waits between attempts; nil means a timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// NetDial opens TCP connections; nil means a net.Dialer.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)

	state state
}

var _ transport.Dialer = (*Dialer)(nil)

// state is what the dials of one Dialer share.
type state struct {
	once     sync.Once
	slots    slots
	config   configCache
	hosts    trustCache
	keys     keyring
	jumps    jumpPool
	warnings sync.Map
}

// prepare lays the shared state at the first dial.
func (d *Dialer) prepare() {
	d.state.once.Do(func() {
		d.state.slots = make(slots, orDefault(d.MaxDials, DefaultMaxDials))
		d.state.keys = keyring{prompt: d.Prompt, asking: make(slots, 1), warn: d.warn}
		d.state.jumps.idle = orDefault(d.JumpIdle, DefaultJumpIdle)
		d.state.jumps.width = orDefault(d.MaxJumpDials, DefaultMaxJumpDials)
	})
}

// Dial opens an authenticated connection. Its error is a *transport.DialError. It
// tries again, after a pause, what failed before authentication and may pass.
func (d *Dialer) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	d.prepare()
	hops, err := d.route(ctx, t)
	if err != nil {
		return nil, dialError(t, transport.StageResolve, err)
	}
	b := newBudget(ctx, hops[len(hops)-1].timeout(orDefault(d.Timeouts.Dial, DefaultDialTimeout)))
	defer b.stop()
	conn, err := d.retry(b, func() (*Conn, error) { return d.open(b, hops) })
	if err != nil {
		return nil, dialError(t, transport.StageConnect, err)
	}
	return conn, nil
}

// dialError gives err the target's name, and a stage where it has none yet.
func dialError(t transport.Target, stage transport.Stage, err error) *transport.DialError {
	out := transport.DialError{Stage: stage, Err: err}
	if have, ok := errors.AsType[*transport.DialError](err); ok {
		out = *have
	}
	out.Host = t.Name
	if out.Host == "" {
		out.Host = t.Address
	}
	return &out
}

// Close closes the jump connections that nobody uses, now and as soon as nobody uses
// them any more. The connections that Dial returned are closed by their own Close.
func (d *Dialer) Close() error {
	d.prepare()
	d.state.jumps.closeIdle()
	return nil
}

// warn hands a warning to Log, once.
func (d *Dialer) warn(text string) {
	text = clean(text)
	if _, said := d.state.warnings.LoadOrStore(text, true); !said && d.Log != nil {
		d.Log(text)
	}
}

func (d *Dialer) env(name string) string {
	if d.Env != nil {
		return d.Env(name)
	}
	return os.Getenv(name)
}

func (d *Dialer) home() string {
	if d.Home != "" {
		return d.Home
	}
	return d.env("HOME")
}

// sshDir is a path below ~/.ssh.
func (d *Dialer) sshDir(name string) string { return filepath.Join(d.home(), ".ssh", name) }

func (d *Dialer) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

func (d *Dialer) random() float64 {
	if d.Rand != nil {
		return d.Rand()
	}
	return rand.Float64()
}

func (d *Dialer) netDial(ctx context.Context, address string) (net.Conn, error) {
	if d.NetDial != nil {
		return d.NetDial(ctx, "tcp", address)
	}
	// The connection has keepalives of its own (keepalive.go).
	return (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", address)
}

// orDefault is v, or fallback when v is zero.
func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
