package local

import (
	"io/fs"
	"os"

	"phoenix/tasks"
)

// attr sets mode and owner of what exists.
func (h *Host) attr(at *place, e tasks.Edit) error {
	if h.belowPVE(at.real()) {
		_, err := at.lstat()
		return err
	}
	f, err := at.open(at.name(), os.O_RDONLY, 0)
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
