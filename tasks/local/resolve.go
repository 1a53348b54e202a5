package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is the kernel's own bound on symbolic links in one path.
const maxLinks = 40

// reach turns a path of the host into one of this process, to be read. On the machine
// itself the kernel follows the links, at a fraction of the cost.
func (h *Host) reach(path string, last bool) (string, error) {
	if err := absolute(path); err != nil || !h.rooted() {
		return path, err
	}
	w, err := h.walk(path, last, false)
	if err != nil {
		return "", err
	}
	defer w.close()
	return w.real(), nil
}

// locate finds what is about to be changed. A link that a user has made to what is
// another user's is not followed: who may write in a folder that phoenix writes into
// must not be able to have it write elsewhere. Every folder on the way is held open
// until the place is closed, so that none can be exchanged for a link after it was
// looked at.
func (h *Host) locate(path string, last bool) (*place, error) {
	if err := absolute(path); err != nil {
		return nil, err
	}
	w, err := h.walk(path, last, true)
	if err != nil {
		return nil, err
	}
	if h.walked != nil {
		h.walked()
	}
	return &place{walk: w, host: h}, nil
}

func absolute(path string) error {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return fmt.Errorf("open %q: the path is not absolute", path)
	}
	return nil
}

// walk goes down a path, following symbolic links inside the root; the last component
// only when last is set. What does not exist is taken as it is written.
func (h *Host) walk(path string, last, own bool) (*walk, error) {
	w := &walk{root: "/", own: own}
	if h.rooted() {
		w.root = filepath.Clean(h.Root)
	}
	err := w.begin()
	names := split(path)
	for i := 0; i < len(names) && err == nil; i++ {
		err = w.step(names[i], last || i < len(names)-1)
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return w, nil
}

// walk is a path on its way from the root to the file.
type walk struct {
	root  string
	at    []held // the root first, each in the one before
	links int
	own   bool // follow a link only where its owner is root or the target's
}

// held is a component of a path, pipes and devices included, without being read. On
// Linux it is open, and what its name means later does not matter.
type held struct {
	name   string
	handle handle // nothing where nothing is
	err    error  // why nothing can be below: it does not exist or is no directory
}

func (w *walk) begin() error {
	root, err := holdRoot(w.root)
	if err != nil {
		return err
	}
	w.at = append(w.at, held{handle: root})
	return nil
}

// close lets go of what is held.
func (w *walk) close() { w.cut(0) }

// cut goes back to the first n components.
func (w *walk) cut(n int) {
	for _, c := range w.at[n:] {
		if c.handle != nothing {
			_ = letGo(c.handle) // nothing was written
		}
	}
	w.at = w.at[:n]
}

// shown is the path of the host; real is that of this process.
func (w *walk) shown() string {
	var names []string
	for _, c := range w.at {
		names = append(names, c.name)
	}
	return "/" + filepath.Join(names...)
}

func (w *walk) real() string { return filepath.Join(w.root, w.shown()) }

func (w *walk) step(name string, follow bool) error {
	if name == ".." {
		w.cut(max(len(w.at)-1, 1))
		return nil
	}
	in := w.at[len(w.at)-1]
	if in.err != nil { // the caller's own operation names the error
		w.at = append(w.at, held{name, nothing, in.err})
		return nil
	}
	// O_DIRECTORY has what is mounted on demand mounted; without it, holding does not.
	got, err := holdAt(in.handle, name, syscall.O_DIRECTORY)
	if err == nil {
		w.at = append(w.at, held{name, got, nil})
		return nil
	}
	if errors.Is(err, syscall.ENOTDIR) {
		got, err = holdAt(in.handle, name, 0)
	}
	if errors.Is(err, syscall.ENOENT) {
		w.at = append(w.at, held{name, nothing, syscall.ENOENT})
		return nil
	}
	if err != nil {
		return err
	}
	var st syscall.Stat_t
	if err := status(got, &st); err != nil {
		return errors.Join(err, letGo(got))
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFLNK:
		if follow {
			return errors.Join(w.follow(name, got, int(st.Uid)), letGo(got))
		}
	case syscall.S_IFDIR: // which has come to be there meanwhile
		w.at = append(w.at, held{name, got, nil})
		return nil
	}
	w.at = append(w.at, held{name, got, syscall.ENOTDIR})
	return nil
}

// follow goes where a link points that is held open and whose owner is the user by.
func (w *walk) follow(name string, link handle, by int) error {
	if w.links++; w.links > maxLinks {
		return syscall.ELOOP
	}
	target, err := readLink(link)
	if err != nil {
		return err
	}
	shown := filepath.Join(w.shown(), name)
	if filepath.IsAbs(target) {
		w.cut(1)
	}
	for _, name := range split(target) {
		if err := w.step(name, true); err != nil {
			return err
		}
	}
	if !w.own || by == 0 || by == os.Geteuid() {
		return nil
	}
	return w.foreign(shown, by)
}

// foreign is the error of a link, just followed, to what is another user's.
func (w *walk) foreign(link string, by int) error {
	to := w.at[len(w.at)-1]
	if to.handle == nothing {
		return fmt.Errorf("the link %s of user %d is not followed: %w", link, by, to.err)
	}
	var st syscall.Stat_t
	if err := status(to.handle, &st); err != nil {
		return fmt.Errorf("the link %s of user %d is not followed: %w", link, by, err)
	}
	if int(st.Uid) != by {
		return fmt.Errorf("the link %s of user %d points to what is user %d's, and is not followed", link, by, st.Uid)
	}
	return nil
}

// split cuts a path into its components; ".." stays one, since what it means is
// only known after the links before it.
func split(path string) []string {
	var out []string
	for _, name := range strings.Split(path, "/") {
		if name != "" && name != "." {
			out = append(out, name)
		}
	}
	return out
}
