// Package transport reaches hosts: a Dialer opens a Conn, a Conn starts commands
// and takes uploads.
//
// transport/ssh does it over SSH with host keys always checked; transport/deploy
// puts the helper on a host and starts it; transport/fleet takes many hosts at
// once. The package itself opens nothing; it is the vocabulary they share.
package transport

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Target is one host and how to reach it. The zero value of a field means "as the
// user's ssh configuration says".
type Target struct {
	// Name is the inventory's name of the host, for messages.
	Name string
	// Address is a host name or IP address, without a port.
	Address string
	// Instead is an IP address to connect to in place of Address, when the host may
	// have got another; everything else, the host key above all, is that of Address.
	Instead string
	Port    int
	User    string
	// Jump lists the hosts to go through, first hop first: "user@host:port".
	Jump []string
	// IdentityFiles are private keys to offer, in order.
	IdentityFiles []string
	// HostKey pins the host's public key ("ssh-ed25519 AAAA…"); known_hosts is then
	// not asked.
	HostKey string
	// Become is "" or "sudo".
	Become string
	// BecomePassword is given to sudo over its standard input.
	BecomePassword string
}

// Dialer opens connections.
type Dialer interface {
	// Dial opens an authenticated connection. Its error is a *DialError. It may be
	// called concurrently.
	Dial(ctx context.Context, t Target) (Conn, error)
}

// Conn is an open connection to a host. It is safe for concurrent use.
type Conn interface {
	// Start starts a command line through the user's login shell.
	Start(ctx context.Context, command string) (Session, error)
	// Upload writes a new file with mode 0600 by SFTP, synced where the server can.
	// An error that satisfies errors.Is(err, ErrNoSFTP) means that the server has no
	// such subsystem.
	Upload(ctx context.Context, path string, data []byte) error
	// Close ends the connection and everything on it. It may be called twice.
	Close() error
}

// Session is a command that was started.
type Session interface {
	// Stdin is the command's input; closing it is the end of input.
	Stdin() io.WriteCloser
	// Stdout is the command's output.
	Stdout() io.Reader
	// Stderr is the end of what the command has said on stderr, cut off at 64 KiB.
	Stderr() string
	// Wait waits for the command to end; its Stdout must have been read to the end,
	// or Close called. A status other than 0 is an *ExitError.
	Wait() error
	// Close ends the session without waiting for the command.
	Close() error
}

// Stage is how far a dial came.
type Stage string

// The stages of a dial.
const (
	StageResolve Stage = "resolve"
	StageConnect Stage = "connect"
	StageJump    Stage = "jump"
	// StageHandshake includes a host that accepts and then says nothing.
	StageHandshake Stage = "handshake"
	StageHostKey   Stage = "host key"
	StageAuth      Stage = "authenticate"
)

// DialError says why a host could not be reached.
type DialError struct {
	// Host is the target's name.
	Host  string
	Stage Stage
	Err   error
	// Hint says how to mend it; it may have several lines, each of which can be
	// pasted.
	Hint string
}

func (e *DialError) Error() string { return fmt.Sprintf("%s %s: %v", e.Stage, e.Host, e.Err) }

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// Temporary tells whether dialing again may help: nothing was authenticated, and
// the fault is one that passes (a refused or reset connection, a time-out, a jump
// host with too many connections). A wrong or unknown host key never is.
func (e *DialError) Temporary() bool {
	switch e.Stage {
	case StageConnect, StageHandshake, StageJump:
		return true
	}
	return false
}

// ExitError is a command that ended with a status other than 0.
type ExitError struct {
	// Code is the exit status; -1 when the command was ended by a signal or the
	// server did not say.
	Code int
	// Signal is the signal's name without SIG ("KILL"), or empty.
	Signal string
}

func (e *ExitError) Error() string {
	if e.Signal != "" {
		return "ended by signal " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// sentinel is an error that callers branch on.
type sentinel string

func (s sentinel) Error() string { return string(s) }

// The errors that callers branch on.
const (
	// ErrNoSFTP: the server has no SFTP subsystem.
	ErrNoSFTP = sentinel("the server has no sftp subsystem")
	// ErrPeerGone: the host stopped answering keepalives.
	ErrPeerGone = sentinel("the host stopped answering")
)

// Timeouts bound the parts of talking to a host. The zero value of a field means
// its default.
type Timeouts struct {
	// Dial bounds connecting to and authenticating at one host, each jump host on its
	// own; default 20 s.
	Dial time.Duration
	// Keepalive is the interval at which a silent connection is asked for a sign of
	// life; three unanswered ones end it. Default 15 s.
	Keepalive time.Duration
}
