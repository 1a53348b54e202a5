//go:build !linux

package local

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// handle is the path of what had a name when it was looked at. Nothing is held: only
// Linux holds a file without reading it, and hosts run Linux. Elsewhere phoenix works
// on the trees of its own simulated hosts, in which nobody exchanges folders.
type handle string

// nothing is the handle of what does not exist.
const nothing handle = ""

func (h handle) at(name string) string { return filepath.Join(string(h), name) }

func holdRoot(path string) (handle, error) {
	fi, err := os.Stat(path)
	if err == nil && !fi.IsDir() {
		err = syscall.ENOTDIR
	}
	return handle(path), bare(err)
}

func holdAt(dir handle, name string, flags int) (handle, error) {
	fi, err := os.Lstat(dir.at(name))
	if err == nil && flags&syscall.O_DIRECTORY != 0 && !fi.IsDir() {
		err = syscall.ENOTDIR
	}
	return handle(dir.at(name)), bare(err)
}

func letGo(handle) error { return nil }

func status(h handle, st *syscall.Stat_t) error { return syscall.Lstat(string(h), st) }

func openAt(dir handle, name string, flags int, perm uint32) (int, error) {
	return retry(func() (int, error) { return syscall.Open(dir.at(name), flags|syscall.O_CLOEXEC, perm) })
}

func lstatAt(dir handle, name string) (fs.FileInfo, error) {
	fi, err := os.Lstat(dir.at(name))
	return fi, bare(err)
}

func readLink(link handle) (string, error) {
	target, err := os.Readlink(string(link))
	return target, bare(err)
}

func renameAt(dir handle, from, to string) error { return syscall.Rename(dir.at(from), dir.at(to)) }

func mkdirAt(dir handle, name string, perm uint32) error { return syscall.Mkdir(dir.at(name), perm) }

func removeAt(dir handle, name string) error { return bare(os.Remove(dir.at(name))) }
