// Package local is the machine that the process runs on, as a tasks.Host, or a
// tree of files below a root folder.
//
// It starts programs in a session of their own and with a fixed environment, so
// that they neither die with the connection nor depend on who logged in, and it
// changes files so that a reader sees the old or the new content, never a part.
// It never decides what to do, and it never goes through a shell. Start reading at
// Host; run.go starts programs, edit.go changes files, resolve.go follows links, and
// place.go holds the folders meanwhile.
package local

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"phoenix/tasks"
)

// DefaultPath is where programs are looked for, in the order of Debian's root.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Host implements tasks.Host. The zero value is the machine itself. It is safe for
// concurrent use and must not be copied after its first use.
type Host struct {
	// Root is a folder that stands for "/"; empty or "/" is the machine itself.
	// Symbolic links are followed inside it, absolute ones, too. Without the right
	// to change owners (a process that is not root) the files of the process's own
	// user below a Root are shown as root's.
	Root string
	// Path is where programs are looked for, separated by colons. Empty means
	// DefaultPath on the machine itself, and no programs at all below a Root.
	Path string
	// OutputDir receives the output of programs that change something while they
	// run, so that losing this process does not end them; it must exist. Each file
	// is removed once the program has ended and its output was read. Empty means
	// pipes.
	OutputDir string
	// Grace is the time between SIGTERM and SIGKILL when a program is cancelled;
	// 0 means 10 s.
	Grace time.Duration
	// LockWait bounds the wait for an Edit's Lock; 0 means 10 s.
	LockWait time.Duration

	outputs atomic.Int64
	fill    func(f *os.File, data []byte) error // writes a temporary file; tests make it fail
	walked  func()                              // runs between finding a place and changing it; tests exchange folders
}

var _ tasks.Host = (*Host)(nil)

// ReadFile returns the whole file, following symbolic links.
func (h *Host) ReadFile(path string) ([]byte, error) {
	real, err := h.reach(path, true)
	if err != nil {
		return nil, err
	}
	data, err := readFile(real, h.readLimit())
	return data, h.named(err, path)
}

// maxRead is the most of one file that is read, in bytes: whoever owns a file that is
// looked at must not be able to have this process take all memory.
const maxRead = 64 << 20

// errLarge is the error of a file above maxRead.
var errLarge = errors.New("the file is larger than 64 MiB")

// readLimit is maxRead on the machine itself. A tree has no users, and simulated ones
// have whole templates in them.
func (h *Host) readLimit() int64 {
	if h.rooted() {
		return math.MaxInt64
	}
	return maxRead
}

// readFile is os.ReadFile with less than half of its system calls: a check reads
// hundreds of small files, and an os.File is made for waiting, which a regular file
// never needs. Nor is a pipe waited for, which a user may have put in a file's place.
func readFile(path string, limit int64) ([]byte, error) {
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = syscall.Close(fd) }() // nothing was written
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	data, err := readAll(fd, st.Size, limit)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return data, nil
}

// readAll reads an open file of about size bytes, at most limit, to its end. Files in
// /proc and /sys say that they are empty; the end is where a read says so.
func readAll(fd int, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, errLarge
	}
	data := make([]byte, 0, min(max(size, 0), 1<<30)+512)
	for {
		n, err := retry(func() (int, error) { return syscall.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return data, nil
		}
		if data = data[:len(data)+n]; int64(len(data)) > limit {
			return nil, errLarge
		}
		if len(data) == cap(data) {
			data = slices.Grow(data, len(data))
		}
	}
}

// retry repeats a system call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// ReadDir returns the names in a directory, sorted.
func (h *Host) ReadDir(path string) ([]string, error) {
	real, err := h.reach(path, true)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return nil, h.named(err, path)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	slices.Sort(names)
	return names, nil
}

// Stat describes the file itself, not what a symbolic link points to.
func (h *Host) Stat(path string) (tasks.FileInfo, error) {
	real, err := h.reach(path, false)
	if err != nil {
		return tasks.FileInfo{}, err
	}
	fi, err := os.Lstat(real)
	if err != nil {
		return tasks.FileInfo{}, h.named(err, path)
	}
	out := tasks.FileInfo{Mode: fi.Mode(), Size: fi.Size(), ModTime: fi.ModTime()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		out.UID, out.GID = h.shownOwner(int(st.Uid), int(st.Gid))
	}
	if fi.Mode()&fs.ModeSymlink != 0 {
		if out.Target, err = os.Readlink(real); err != nil {
			return tasks.FileInfo{}, h.named(err, path)
		}
	}
	return out, nil
}

// rooted tells whether the host is a tree rather than the machine.
func (h *Host) rooted() bool { return h.Root != "" && h.Root != "/" }

// shownOwner maps the process's own user to root, in a tree whose owners it cannot
// change anyway.
func (h *Host) shownOwner(uid, gid int) (int, int) {
	if !h.rooted() || os.Geteuid() == 0 {
		return uid, gid
	}
	if uid == os.Geteuid() {
		uid = 0
	}
	if gid == os.Getegid() {
		gid = 0
	}
	return uid, gid
}

// named gives an error the path that the caller knows, without the root.
func (h *Host) named(err error, path string) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s %s: %w", pe.Op, path, pe.Err)
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return fmt.Errorf("%s %s: %w", le.Op, path, le.Err)
	}
	return err
}

// belowPVE tells whether a resolved path lies in Proxmox's own file system, which
// sets modes and owners by itself and refuses to be told.
func (h *Host) belowPVE(real string) bool {
	if h.rooted() {
		real = strings.TrimPrefix(real, strings.TrimSuffix(h.Root, "/"))
	}
	return strings.HasPrefix(real, "/etc/pve/")
}
