package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"phoenix/tasks"
)

// Write makes one change. A put on a symbolic link replaces what the link points
// to and keeps the link, since Proxmox's own links (/root/.ssh/authorized_keys)
// must stay; a remove takes the link itself. A put does not make directories.
func (h *Host) Write(ctx context.Context, e tasks.Edit) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", e.Verb, e.Path, err)
	}
	if e.Lock != "" {
		unlock, err := h.lock(ctx, e.Lock)
		if err != nil {
			return fmt.Errorf("%s %s: %w", e.Verb, e.Path, err)
		}
		defer unlock()
	}
	if err := h.edit(e); err != nil {
		return fmt.Errorf("%s %s: %w", e.Verb, e.Path, bare(err))
	}
	return nil
}

func (h *Host) edit(e tasks.Edit) error {
	at, err := h.locate(e.Path, e.Verb != tasks.VerbRemove)
	if err != nil {
		return err
	}
	defer at.close()
	switch e.Verb {
	case tasks.VerbPut:
		return h.put(at, e)
	case tasks.VerbMkdir:
		return h.mkdir(at, e)
	case tasks.VerbAttr:
		return h.attr(at, e)
	case tasks.VerbRemove:
		return remove(at)
	}
	return errors.New("unknown verb")
}

func (h *Host) put(at *place, e tasks.Edit) error {
	fi, err := at.lstat()
	exists := err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case exists && !fi.Mode().IsRegular():
		return fmt.Errorf("it is a %s, not a file", describe(fi.Mode()))
	}
	data := e.Data
	if e.Update != nil {
		var old []byte
		if exists {
			if old, err = at.read(fi); err != nil {
				return err
			}
		}
		if data, err = e.Update(old); err != nil {
			return err
		}
		if exists && bytes.Equal(old, data) || !exists && data == nil {
			return nil
		}
	}
	mode, owner := fs.FileMode(0o644), tasks.Owner{}
	if exists {
		mode, owner = fi.Mode(), ownerOf(fi)
	} else {
		owner = newOwner()
	}
	if e.Mode != nil {
		mode = *e.Mode
	}
	if e.Owner != nil {
		owner = *e.Owner
	}
	return h.replace(at, data, mode, owner)
}

// replace writes a temporary file beside the target and renames it over it. On any
// error the target is as before and no temporary file stays.
func (h *Host) replace(at *place, data []byte, mode fs.FileMode, owner tasks.Owner) (err error) {
	pve := h.belowPVE(at.real())
	f, err := at.temp(tempName(at.name(), pve))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(at.unlink(f.Name())))
		}
	}()
	fill := h.fill
	if fill == nil {
		fill = writeAll
	}
	err = fill(f, data)
	if err == nil && !pve {
		err = h.setAttr(f, mode, owner)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err = at.rename(f.Name()); err != nil {
		return err
	}
	return at.sync()
}

// tempName is how the name of a temporary file begins: hidden, so that no program that
// reads a folder of fragments takes it for one; below /etc/pve in the form that
// Proxmox's own file_set_contents uses there (pve-common, PVE::Tools).
func tempName(base string, pve bool) string {
	if pve {
		return base + ".tmp."
	}
	return "." + base[:min(len(base), 200)] + ".tmp."
}

func writeAll(f *os.File, data []byte) error {
	_, err := f.Write(data)
	return err
}

func (h *Host) mkdir(at *place, e tasks.Edit) error {
	fi, err := at.lstat()
	switch {
	case err == nil && !fi.IsDir():
		return fmt.Errorf("it is a %s, not a directory", describe(fi.Mode()))
	case err == nil:
		return h.attr(at, e)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := at.parents(); err != nil {
		return err
	}
	if err := at.mkdir(0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if e.Mode == nil {
		mode := fs.FileMode(0o755)
		e.Mode = &mode
	}
	if e.Owner == nil {
		owner := newOwner()
		e.Owner = &owner
	}
	if err := h.attr(at, e); err != nil {
		return errors.Join(err, ignoreMissing(at.remove()))
	}
	return at.sync()
}

// newOwner is who owns what is new: root, or the process's own user where it may
// not give files away.
func newOwner() tasks.Owner {
	if os.Geteuid() == 0 {
		return tasks.Owner{}
	}
	return tasks.Owner{UID: os.Geteuid(), GID: os.Getegid()}
}

func remove(at *place) error {
	if err := ignoreMissing(at.remove()); err != nil {
		return err
	}
	return ignoreMissing(at.sync())
}

func ownerOf(fi fs.FileInfo) tasks.Owner {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return tasks.Owner{}
	}
	return tasks.Owner{UID: int(st.Uid), GID: int(st.Gid)}
}

func describe(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m.IsRegular():
		return "file"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	}
	return "special file"
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// bare drops the path of this process from an error, since the caller's path is
// already named.
func bare(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && err == error(pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) && err == error(le) {
		return le.Err
	}
	return err
}
