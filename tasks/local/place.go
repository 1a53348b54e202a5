package local

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
)

// place is a name in a folder that is held open. Whatever is done there is done in
// that folder, even if its own name means another one by now: a user may rename what
// lies in a folder of his at any time.
type place struct {
	*walk
	host *Host
}

// name of the last component; the root itself has none, and is ".".
func (p *place) name() string {
	if len(p.at) == 1 {
		return "."
	}
	return p.at[len(p.at)-1].name
}

// dir is the folder that has the name.
func (p *place) dir() (handle, error) {
	in := p.at[max(len(p.at)-2, 0)]
	return in.handle, in.err
}

// open opens what has the name, but never through a link, and without waiting for a
// pipe or a device.
func (p *place) open(name string, flags int, perm uint32) (*os.File, error) {
	dir, err := p.dir()
	if err != nil {
		return nil, err
	}
	fd, err := openAt(dir, name, flags|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, perm)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// lstat describes what has the name, be it a link.
func (p *place) lstat() (fs.FileInfo, error) {
	dir, err := p.dir()
	if err != nil {
		return nil, err
	}
	return lstatAt(dir, p.name())
}

// read returns the content of the file that was, when it was looked at.
func (p *place) read(was fs.FileInfo) ([]byte, error) {
	f, err := p.open(p.name(), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(fi, was) {
		return nil, errors.New("it was replaced by another file meanwhile")
	}
	return readAll(int(f.Fd()), fi.Size(), p.host.readLimit())
}

// temp makes a file beside the name, which begins with prefix.
func (p *place) temp(prefix string) (*os.File, error) {
	dir, err := p.dir()
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		name := prefix + strconv.FormatUint(uint64(rand.Uint32()), 10)
		fd, err := openAt(dir, name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		if !errors.Is(err, fs.ErrExist) || try == maxTemp {
			return nil, err
		}
	}
}

// maxTemp is how many names of a temporary file may be taken, as with os.CreateTemp.
const maxTemp = 10000

// rename gives the file called from, in the same folder, the name.
func (p *place) rename(from string) error {
	dir, err := p.dir()
	if err != nil {
		return err
	}
	return renameAt(dir, from, p.name())
}

// mkdir makes a directory of the name.
func (p *place) mkdir(perm uint32) error {
	dir, err := p.dir()
	if err != nil {
		return err
	}
	return mkdirAt(dir, p.name(), perm)
}

// parents makes the missing directories above the name, each 0755 and root's whatever
// the umask, and holds them.
func (p *place) parents() error {
	all := p.at
	defer func() { p.at = all }()
	for i := 1; i < len(all)-1; i++ {
		if !errors.Is(all[i].err, fs.ErrNotExist) {
			continue
		}
		p.at = all[:i+1]
		if err := p.mkdir(0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := p.open755(); err != nil {
			return err
		}
		all[i].handle, all[i].err = nothing, syscall.ENOTDIR
		made, err := holdAt(all[i-1].handle, all[i].name, syscall.O_DIRECTORY)
		if err != nil {
			return err
		}
		all[i].handle, all[i].err = made, nil
	}
	return nil
}

// open755 lets everybody enter the directory just made.
func (p *place) open755() error {
	if p.host.belowPVE(p.real() + "/") {
		return nil
	}
	f, err := p.open(p.name(), os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o755), f.Close())
}

// remove takes a file, a link or an empty directory away.
func (p *place) remove() error { return p.unlink(p.name()) }

func (p *place) unlink(name string) error {
	dir, err := p.dir()
	if err != nil {
		return err
	}
	return removeAt(dir, name)
}

// sync makes a rename survive a power cut. File systems without directory sync (FUSE
// ones such as /etc/pve) have nothing to wait for.
func (p *place) sync() error {
	d, err := p.open(".", os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
