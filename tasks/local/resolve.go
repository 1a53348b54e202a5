package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is the kernel's own bound on symbolic links in one path.
const maxLinks = 40

// resolve turns a path of the host into one of this process, following symbolic
// links inside the root; the last component only when last is set. What does not
// exist is taken as it is written.
func (h *Host) resolve(path string, last bool) (string, error) {
	return h.walk(&walk{left: split(path)}, path, last)
}

// resolveOwn is resolve for what is about to be changed. A link that a user has made
// to what is another user's is not followed: who may write in a folder that phoenix
// writes into must not be able to have it write elsewhere.
func (h *Host) resolveOwn(path string, last bool) (string, error) {
	return h.walk(&walk{left: split(path), own: true}, path, last)
}

func (h *Host) walk(w *walk, path string, last bool) (string, error) {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("open %q: the path is not absolute", path)
	}
	w.root = "/"
	if h.rooted() {
		w.root = filepath.Clean(h.Root)
	}
	for len(w.left) > 0 {
		if err := w.step(last); err != nil {
			return "", fmt.Errorf("open %s: %w", path, err)
		}
	}
	return w.real(), nil
}

// reach is resolve for reading. On the machine itself the kernel follows the links,
// at a fraction of the cost.
func (h *Host) reach(path string, last bool) (string, error) {
	if h.rooted() {
		return h.resolve(path, last)
	}
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("open %q: the path is not absolute", path)
	}
	return path, nil
}

// walk is a path on its way from the root to the file.
type walk struct {
	root  string
	at    []string // resolved
	left  []string // not yet
	links int
	own   bool // follow a link only where its owner is root or the target's
}

func (w *walk) real() string { return filepath.Join(w.root, filepath.Join(w.at...)) }

func (w *walk) step(last bool) error {
	name := w.left[0]
	w.left = w.left[1:]
	if name == ".." {
		w.at = w.at[:max(len(w.at)-1, 0)]
		return nil
	}
	w.at = append(w.at, name)
	if len(w.left) == 0 && !last {
		return nil
	}
	fi, err := os.Lstat(w.real())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // the caller's own operation names the error
	}
	if err != nil {
		return err
	}
	if fi.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	if err := w.foreign(fi); err != nil {
		return err
	}
	return w.follow()
}

// foreign is the error of a link, just reached, to what is another user's.
func (w *walk) foreign(link fs.FileInfo) error {
	by := ownerOf(link).UID
	if !w.own || by == 0 || by == os.Geteuid() {
		return nil
	}
	target, err := os.Readlink(w.real())
	if err != nil {
		return err
	}
	next := &walk{root: w.root, at: w.at[: len(w.at)-1 : len(w.at)-1], left: split(target), links: w.links}
	if filepath.IsAbs(target) {
		next.at = nil
	}
	for len(next.left) > 0 {
		if err := next.step(true); err != nil {
			return err
		}
	}
	fi, err := os.Lstat(next.real())
	if err == nil && ownerOf(fi).UID == by {
		return nil
	}
	if err == nil {
		return fmt.Errorf("the link /%s of user %d points to what is user %d's, and is not followed", filepath.Join(w.at...), by, ownerOf(fi).UID)
	}
	return fmt.Errorf("the link /%s of user %d is not followed: %w", filepath.Join(w.at...), by, bare(err))
}

// follow replaces the link just reached by where it points.
func (w *walk) follow() error {
	if w.links++; w.links > maxLinks {
		return syscall.ELOOP
	}
	target, err := os.Readlink(w.real())
	if err != nil {
		return err
	}
	w.at = w.at[:len(w.at)-1]
	if filepath.IsAbs(target) {
		w.at = nil
	}
	w.left = append(split(target), w.left...)
	return nil
}

// split cuts a path into its components; ".." stays one, since what it means is
// only known after the links before it.
func split(path string) []string {
	var out []string
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			out = append(out, name)
		}
	}
	return out
}
