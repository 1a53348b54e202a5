package tasks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// Host is the machine that a task works on: the one the process runs on
// (tasks/local), a simulated one (tasks/sim), or either behind ReadOnly.
//
// Paths are absolute. An implementation is safe for concurrent use. Errors of a
// missing file satisfy errors.Is(err, fs.ErrNotExist).
type Host interface {
	// Run starts a program and waits for it. A program that ended with a non-zero
	// status is not an error: see Output.Code. The error says that the program
	// could not be started (errors.Is fs.ErrNotExist when there is none) or that
	// ctx ended.
	// What a program that is not ReadOnly prints is also said line by line, through
	// the Log of ScopeOf(ctx), before Run returns.
	Run(ctx context.Context, c Cmd) (Output, error)
	// ReadFile returns the whole file, following symbolic links.
	ReadFile(path string) ([]byte, error)
	// ReadDir returns the names in a directory, sorted.
	ReadDir(path string) ([]string, error)
	// Stat describes the file itself, not what a symbolic link points to.
	Stat(path string) (FileInfo, error)
	// Write makes one change to the file system. It is the only way to change a
	// file; each change is atomic: a reader sees the old file or the new one.
	Write(ctx context.Context, e Edit) error
}

// Cmd is a program to start. There is no shell: Argv goes to the program as it is.
type Cmd struct {
	// Argv is the program, by name on the fixed path or by absolute path, and its
	// arguments.
	Argv []string
	// Stdin is given to the program; nil is an empty input.
	Stdin []byte
	// Env adds NAME=VALUE pairs to a fixed, clean environment (PATH, HOME, LC_ALL=C).
	// It must hold no secret.
	Env []string
	// Dir is the working directory; empty means "/".
	Dir string
	// ReadOnly promises that the program changes nothing. Only such programs can be
	// started during a Check.
	ReadOnly bool
}

// MaxOutput is how much of each stream of a program is kept, in bytes.
const MaxOutput = 1 << 20

// Output is what a program that ran left behind.
type Output struct {
	// Stdout and Stderr are cut off at MaxOutput each.
	Stdout, Stderr []byte
	// Code is the exit status, or 128 plus the signal that ended the program.
	Code int
}

// FileInfo describes a file.
type FileInfo struct {
	// Mode has the type and permission bits.
	Mode fs.FileMode
	// UID and GID own the file.
	UID, GID int
	// Size in bytes.
	Size int64
	// ModTime is the time of the last change of content.
	ModTime time.Time
	// Target is where a symbolic link points, as written.
	Target string
}

// Verb is the kind of an Edit.
type Verb string

// The edits.
const (
	// VerbPut replaces or creates a file with new content: a temporary file in the
	// same directory, synced, given its mode and owner, then renamed.
	VerbPut Verb = "put"
	// VerbMkdir makes a directory and the missing ones above it (those with mode
	// 0755, owned by root); an existing directory keeps its content.
	VerbMkdir Verb = "mkdir"
	// VerbAttr sets mode and owner of what exists.
	VerbAttr Verb = "attr"
	// VerbRemove removes a file, or an empty directory. A missing one is no error.
	VerbRemove Verb = "remove"
)

// Edit is one atomic change to the file system.
type Edit struct {
	Verb Verb
	Path string
	// Data is the new content of a put.
	Data []byte
	// Update, when set, makes the new content of a put from the present one (nil
	// when there is no file), while Lock is held. An error leaves the file alone;
	// so does an equal result.
	Update func(old []byte) ([]byte, error)
	// Lock is a file to hold an exclusive flock on during the edit. Proxmox's own
	// lock of a container's configuration is /run/lock/lxc/pve-config-CTID.lock.
	// Waiting for it is bounded to 10 s, like Proxmox's own. One below
	// /etc/pve/priv/lock is a lock of the whole cluster, which is a directory.
	Lock string
	// Mode is the permission bits to set; nil keeps an existing file's and means
	// 0644 (directories 0755) for a new one. It is ignored below /etc/pve, whose
	// file system decides by itself.
	Mode *fs.FileMode
	// Owner to set; nil keeps an existing file's and means root for a new one.
	// It is ignored below /etc/pve.
	Owner *Owner
}

// Owner is a numeric user and group.
type Owner struct{ UID, GID int }

// Talker is a Host that can start a program to talk with while it runs.
type Talker interface {
	// Talk starts a program. It runs until it ends by itself or the Talk is closed.
	Talk(c Cmd) (Talk, error)
}

// Talk is a program that is talked with.
type Talk struct {
	// Stdin goes to the program, Stdout comes from it.
	Stdin  io.WriteCloser
	Stdout io.Reader
	// End ends the program, whatever it does, waits for it, and returns the last that it
	// said on stderr. It may be called twice.
	End func() (stderr string)
}

// ErrReadOnly is the error of a write, or of a program not known to be harmless,
// on a ReadOnly host.
var ErrReadOnly = errors.New("host is read-only during a check")

// ReadOnly returns a view of h that cannot be changed. The runner hands it to every
// Check, so that a dry run writes nothing by construction.
func ReadOnly(h Host) Host { return readOnly{h} }

type readOnly struct{ Host }

func (r readOnly) Run(ctx context.Context, c Cmd) (Output, error) {
	if !c.ReadOnly {
		return Output{}, fmt.Errorf("run %s: %w", c.Name(), ErrReadOnly)
	}
	return r.Host.Run(ctx, c)
}

func (r readOnly) Write(_ context.Context, e Edit) error {
	return fmt.Errorf("%s %s: %w", e.Verb, e.Path, ErrReadOnly)
}

// TalkReadOnly starts a program that changes nothing, to talk with it during a Check.
func TalkReadOnly(h Host, argv []string) (Talk, error) {
	switch view := h.(type) {
	case readOnly:
		h = view.Host
	case *tables:
		h = view.Host
	}
	talker, ok := h.(Talker)
	if !ok {
		return Talk{}, errors.New("talk with " + argv[0] + ": there is no way to do that here")
	}
	return talker.Talk(Cmd{Argv: argv, ReadOnly: true})
}

// Name is the program's name, for messages.
func (c Cmd) Name() string {
	if len(c.Argv) == 0 {
		return "(no program)"
	}
	return c.Argv[0]
}
