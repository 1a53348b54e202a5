package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// Apply makes the file, the directory, its attributes or its absence. New content
// gets its mode and owner before it can be seen.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	now, err := t.look(h)
	if err != nil {
		return err
	}
	if strings.HasPrefix(now.path, clusterFiles) {
		if err := pve.Writable(h); err != nil {
			return err
		}
	}
	if t.state() == StateAbsent {
		return t.remove(ctx, h, now)
	}
	e, err := t.attributes(h, now, d)
	if err != nil {
		return err
	}
	switch {
	case t.state() == StateDirectory:
		e.Verb = tasks.VerbMkdir
	case d.Has("state") || d.Has("content"):
		e.Verb = tasks.VerbPut
		if e.Data, err = t.content(ctx); err != nil {
			return err
		}
		if e.Mode == nil && d.Has("state") && t.spec.Content != nil && t.spec.Content.Ref != nil {
			private := fs.FileMode(0o600) // a secret is not for everybody, unless the spec says so
			e.Mode = &private
		}
	default:
		e.Verb = tasks.VerbAttr
	}
	err = h.Write(ctx, e)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (make its directory in a step before this one)", err)
	}
	return err
}

// remove takes the thing away; the type seen by the check may have changed since.
func (t *task) remove(ctx context.Context, h tasks.Host, now found) error {
	if now.state == StateDirectory {
		names, err := h.ReadDir(t.spec.Path)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return fmt.Errorf("remove %s: the directory holds %d entries (phoenix removes empty directories only)", t.spec.Path, len(names))
		}
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: t.spec.Path})
}

// attributes starts an edit that sets what d says of mode and owner, and keeps the
// rest. A new file gets what the spec has.
func (t *task) attributes(h tasks.Host, now found, d tasks.Diff) (tasks.Edit, error) {
	e := tasks.Edit{Path: t.spec.Path}
	if mode, managed := t.mode(); managed {
		e.Mode = &mode
	}
	if !d.Has("owner") && !d.Has("group") {
		return e, nil
	}
	owner := tasks.Owner{UID: now.UID, GID: now.GID} // root's, where there is nothing yet
	var err error
	if t.spec.Owner != "" {
		if owner.UID, err = lookup(h, "/etc/passwd", t.spec.Owner); err != nil {
			return e, err
		}
	}
	if t.spec.Group != "" {
		if owner.GID, err = lookup(h, "/etc/group", t.spec.Group); err != nil {
			return e, err
		}
	}
	e.Owner = &owner
	return e, nil
}
