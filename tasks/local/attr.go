package local

import (
	"io/fs"
	"os"
	"syscall"

	"phoenix/tasks"
)

// attr sets mode and owner of what exists.
func (h *Host) attr(real string, e tasks.Edit) error {
	if h.belowPVE(real) {
		_, err := os.Stat(real)
		return err
	}
	f, err := openItself(real)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	mode, owner := fi.Mode(), ownerOf(fi)
	if e.Mode != nil {
		mode = *e.Mode
	}
	if e.Owner != nil {
		owner = *e.Owner
	}
	return h.setAttr(f, mode, owner)
}

// setAttr sets the owner first: changing it clears the set-user-ID bits. It goes by the
// open file, since a name in a folder of another user may mean another file by now.
func (h *Host) setAttr(f *os.File, mode fs.FileMode, owner tasks.Owner) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	was := ownerOf(fi)
	uid, gid := h.shownOwner(was.UID, was.GID)
	if owner != was && owner != (tasks.Owner{UID: uid, GID: gid}) {
		if err := f.Chown(owner.UID, owner.GID); err != nil {
			return err
		}
	}
	const bits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
	return f.Chmod(mode & bits)
}

// openItself opens what is at a resolved path to set its attributes; a link that has
// come to be there meanwhile is an error, and neither a pipe nor a device is waited
// for.
func openItself(real string) (*os.File, error) {
	return os.OpenFile(real, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}
