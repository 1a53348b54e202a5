package local

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

// handle is what had a name when it was looked at, opened without being read.
type handle int

// nothing is the handle of what does not exist.
const nothing handle = -1

// The syscall package lacks these; they are the same on amd64 and arm64 (Linux's
// asm-generic/fcntl.h and fcntl.h).
const (
	oPath       = 0x200000 // only hold what has the name
	atRemoveDir = 0x200
)

// holdRoot holds the directory that stands for "/".
func holdRoot(path string) (handle, error) {
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, oPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	})
	return handle(fd), err
}

// holdAt holds what has a name in a directory, be it a link; with O_DIRECTORY, nothing
// but a directory.
func holdAt(dir handle, name string, flags int) (handle, error) {
	fd, err := openAt(dir, name, oPath|syscall.O_NOFOLLOW|flags, 0)
	return handle(fd), err
}

// letGo ends the holding.
func letGo(h handle) error { return syscall.Close(int(h)) }

// status describes what is held.
func status(h handle, st *syscall.Stat_t) error { return syscall.Fstat(int(h), st) }

// openAt opens a name in a directory that is held.
func openAt(dir handle, name string, flags int, perm uint32) (int, error) {
	return retry(func() (int, error) { return syscall.Openat(int(dir), name, flags|syscall.O_CLOEXEC, perm) })
}

// lstatAt describes what has a name in a directory, be it a link.
func lstatAt(dir handle, name string) (fs.FileInfo, error) {
	h, err := holdAt(dir, name, syscall.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(h), name)
	fi, err := f.Stat()
	return fi, errors.Join(err, f.Close())
}

// readLink is where a link points that is held. The syscall package can only read one
// by its name, which may be another link by now.
func readLink(link handle) (string, error) {
	buf := make([]byte, 4096) // PATH_MAX, which no target passes
	var empty byte
	n, _, errno := syscall.Syscall6(syscall.SYS_READLINKAT, uintptr(link), uintptr(unsafe.Pointer(&empty)), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	if errno != 0 {
		return "", errno
	}
	return string(buf[:n]), nil
}

// renameAt gives what has one name in a directory another one there.
func renameAt(dir handle, from, to string) error {
	return syscall.Renameat(int(dir), from, int(dir), to)
}

// mkdirAt makes a directory in one that is held.
func mkdirAt(dir handle, name string, perm uint32) error {
	return syscall.Mkdirat(int(dir), name, perm)
}

// removeAt removes a file, a link or an empty directory by its name in a directory.
func removeAt(dir handle, name string) error {
	err := syscall.Unlinkat(int(dir), name)
	if !errors.Is(err, syscall.EISDIR) {
		return err
	}
	at, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_UNLINKAT, uintptr(dir), uintptr(unsafe.Pointer(at)), atRemoveDir); errno != 0 {
		return errno
	}
	return nil
}
