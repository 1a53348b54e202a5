// Package file keeps a file or a directory as it should be: content, mode, owner,
// or its absence.
//
// A file is replaced as a whole and atomically; a symbolic link is followed, so
// that the file behind it is managed and the link stays. Nothing is ever removed
// recursively, and a thing of another type is never replaced. What others on the
// machine may not read, and what comes from a secret, shows no diff.
// Start reading at Spec; task.go compares, apply.go changes, diff.go draws.
package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// Name of the family in steps and in step IDs.
const Name = "file"

// The states of a Spec; empty is StateFile.
const (
	StateFile      = "file"
	StateDirectory = "directory"
	StateAbsent    = "absent"
)

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

func (t *task) state() string {
	if t.spec.State == "" {
		return StateFile
	}
	return t.spec.State
}

// found is what is at the path now.
type found struct {
	tasks.FileInfo
	path   string // behind links
	exists bool
	state  string
}

// Check compares everything managed with what is there.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	now, err := t.look(h)
	if err != nil {
		return nil, err
	}
	want := t.state()
	var d tasks.Diff
	switch {
	case want == StateAbsent && !now.exists:
		return nil, nil
	case want == StateAbsent:
		d.Add("state", now.state, "", tasks.EffectLive)
		return d, nil
	case now.exists && now.state != want:
		return nil, fmt.Errorf("compare %s: it is a %s, not a %s (move it away; phoenix does not replace one by the other)", t.spec.Path, now.state, want)
	case !now.exists:
		d.Add("state", "", want, tasks.EffectLive)
	}
	if want == StateFile && t.spec.Content != nil {
		if err := t.checkContent(ctx, h, now, &d); err != nil {
			return nil, err
		}
	}
	return d, t.checkAttr(h, now, &d)
}

// look describes the thing at the path, behind symbolic links; for a thing that is
// to go, the link itself.
func (t *task) look(h tasks.Host) (found, error) {
	at := t.spec.Path
	for range 40 {
		fi, err := h.Stat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return found{path: at}, mounted(h, at)
		}
		if err != nil {
			return found{}, err
		}
		if fi.Mode&fs.ModeSymlink == 0 || t.state() == StateAbsent {
			return found{FileInfo: fi, path: at, exists: true, state: typeName(fi.Mode)}, nil
		}
		if !path.IsAbs(fi.Target) {
			fi.Target = path.Dir(at) + "/" + fi.Target
		}
		at = path.Clean(fi.Target)
	}
	return found{}, fmt.Errorf("follow %s: the symbolic links go round in a circle", t.spec.Path)
}

// clusterFiles is Proxmox's file system, which is the same on all nodes of a cluster.
const clusterFiles = "/etc/pve/"

// mounted fails where that is missing: what it has is not known then, and what is
// written there is lost under its mount.
func mounted(h tasks.Host, at string) error {
	if !strings.HasPrefix(at, clusterFiles) {
		return nil
	}
	_, err := pve.Node(h)
	return err
}

func typeName(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return StateFile
	case m.IsDir():
		return StateDirectory
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	}
	return "special file"
}

func (t *task) checkContent(ctx context.Context, h tasks.Host, now found, d *tasks.Diff) error {
	want, err := t.content(ctx)
	if err != nil {
		return err
	}
	var have []byte
	if now.exists {
		if have, err = h.ReadFile(t.spec.Path); err != nil {
			return err
		}
		if bytes.Equal(have, want) {
			return nil
		}
	}
	c := tasks.Change{Path: "content", Effect: tasks.EffectLive}
	switch {
	case t.spec.Content.Ref != nil:
		c.To = "secret " + t.spec.Content.Ref.Name
		if now.exists {
			c.From = "other content"
		}
	default:
		c.To = sum(want)
		if now.exists {
			c.From = sum(have)
		}
		if !t.private(now) {
			c.Note = unified(have, want)
		}
	}
	*d = append(*d, c)
	return nil
}

// private tells whether others may not read the file, before or after.
func (t *task) private(now found) bool {
	mode, managed := t.mode()
	return now.exists && now.Mode&0o004 == 0 || managed && mode&0o004 == 0
}

// content is the text wanted; nil where none is managed.
func (t *task) content(ctx context.Context) ([]byte, error) {
	c := t.spec.Content
	switch {
	case c == nil:
		return nil, nil
	case c.Ref != nil:
		v, err := tasks.SecretValue(ctx, c.Ref.Name)
		return []byte(v), err
	case c.Literal != nil:
		return []byte(*c.Literal), nil
	}
	return nil, nil
}

// sum names a content in few characters.
func sum(data []byte) string {
	return fmt.Sprintf("sha256 %.6x, %d bytes", sha256.Sum256(data), len(data))
}

func (t *task) checkAttr(h tasks.Host, now found, d *tasks.Diff) error {
	if mode, managed := t.mode(); managed {
		from := ""
		if now.exists {
			from = octal(now.Mode)
		}
		d.Add("mode", from, octal(mode), tasks.EffectLive)
	}
	for _, who := range []struct {
		path, name, file string
		id               int
	}{
		{"owner", t.spec.Owner, "/etc/passwd", now.UID},
		{"group", t.spec.Group, "/etc/group", now.GID},
	} {
		if who.name == "" {
			continue
		}
		want, err := lookup(h, who.file, who.name)
		if err != nil {
			return err
		}
		switch {
		case !now.exists:
			d.Add(who.path, "", who.name, tasks.EffectLive)
		case want != who.id:
			d.Add(who.path, nameOf(h, who.file, who.id), who.name, tasks.EffectLive)
		}
	}
	return nil
}

// mode is the mode wanted, and whether one is.
func (t *task) mode() (fs.FileMode, bool) {
	if t.spec.Mode == "" {
		return 0, false
	}
	bits, err := strconv.ParseUint(t.spec.Mode, 8, 32)
	if err != nil {
		return 0, false
	}
	mode := fs.FileMode(bits & 0o777)
	for bit, flag := range specialBits() {
		if bits&bit != 0 {
			mode |= flag
		}
	}
	return mode, true
}

// specialBits maps Unix's set-ID and sticky bits to Go's.
func specialBits() map[uint64]fs.FileMode {
	return map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky}
}

func octal(m fs.FileMode) string {
	bits := uint64(m.Perm())
	for bit, flag := range specialBits() {
		if m&flag != 0 {
			bits |= bit
		}
	}
	return fmt.Sprintf("%04o", bits)
}

// lookup finds the number of a user or a group in the machine's own file.
func lookup(h tasks.Host, file, name string) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	if name == "root" {
		return 0, nil // on every Linux, and asked for most often
	}
	data, err := h.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("find %s: %w", name, err)
	}
	for _, line := range tasks.Lines(string(data)) {
		f := strings.Split(line, ":")
		if len(f) < 3 || f[0] != name {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(f[2]))
		if err != nil {
			return 0, fmt.Errorf("find %s in %s: its number is %q", name, file, f[2])
		}
		return n, nil
	}
	return 0, fmt.Errorf("find %s in %s: no such name (make it in a step before this one, or give its number)", name, file)
}

// nameOf is the name of a number, for people; the number where it has none.
func nameOf(h tasks.Host, file string, id int) string {
	number := strconv.Itoa(id)
	data, err := h.ReadFile(file)
	if err != nil {
		return number
	}
	for _, line := range tasks.Lines(string(data)) {
		if f := strings.Split(line, ":"); len(f) >= 3 && strings.TrimSpace(f[2]) == number {
			return f[0]
		}
	}
	return number
}
