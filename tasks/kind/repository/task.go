// Package repository keeps the archives that a machine takes its packages from: those
// of Proxmox VE and Ceph, with or without a subscription, and others by name.
//
// A check reads apt's files in both of their formats, and which lists were fetched.
// An archive that any of the files names counts, whoever wrote it, and is not written
// again. What is not wanted is switched off and never deleted: dpkg asks about its
// files that were changed and does not bring back those that are gone. Entries that
// the spec does not mention stay byte for byte as they are. New files are stanzas
// under Proxmox's own names. Before anything is installed, apt-get reads all files as
// they will be. Start reading at Spec; proxmox.go has Proxmox's archives, extra.go the
// others, task.go what they share.
package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptget"
	"phoenix/tasks/aptsources"
)

// Name of the family in steps and in step IDs.
const Name = "repository"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{spec: *s, tool: aptget.New(s.LockTimeoutS)} }

type task struct {
	spec Spec
	tool aptget.Tool
}

// machine is what a check reads.
type machine struct {
	// codename is Debian's name of the release, which suites are named after.
	codename string
	files    []*aptsources.File
	// lists are the names of what was fetched.
	lists []string
}

func read(h tasks.Host) (*machine, error) {
	var m machine
	var err error
	if m.codename, err = aptget.Codename(h); err != nil {
		return nil, err
	}
	if m.files, err = aptsources.Read(h); err != nil {
		return nil, err
	}
	m.lists, err = h.ReadDir(aptget.ListsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list what was fetched: %w", err)
	}
	return &m, nil
}

// file returns a file by its path, an empty one where there is none.
func (m *machine) file(p string) *aptsources.File {
	for _, f := range m.files {
		if f.Path == p {
			return f
		}
	}
	f := aptsources.Parse(p, nil)
	m.files = append(m.files, f)
	return f
}

// each visits the enabled entries.
func (m *machine) each(visit func(f *aptsources.File, i int, e aptsources.Entry)) {
	for _, f := range m.files {
		for i, e := range f.Entries {
			if e.Enabled {
				visit(f, i, e)
			}
		}
	}
}

// fetched tells whether apt has the lists of an archive.
func (m *machine) fetched(uri, suite string) bool {
	name := aptsources.ListName(uri, suite)
	return slices.Contains(m.lists, name+"InRelease") || slices.Contains(m.lists, name+"Release")
}

// Check compares the files with what is wanted.
func (t *task) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	var d tasks.Diff
	m, err := read(h)
	if err != nil {
		return nil, err
	}
	archives, err := t.archives(h, m)
	if err != nil {
		return nil, err
	}
	for _, a := range archives {
		before, lacking := a.describe(m), a.unfetched(m)
		a.mend(m)
		d.Add(a.path, before+lacking, a.describe(m), tasks.EffectLive)
	}
	for _, name := range tasks.Keys(t.spec.ExtraSources) {
		if err := t.extra(name, m).compare(m, &d); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Apply changes the files and fetches the lists. An archive that cannot be reached is
// an error, and the next check still shows it as not fetched.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	m, err := read(h)
	if err != nil {
		return err
	}
	before := make(map[string][]byte)
	for _, f := range m.files {
		before[f.Path] = f.Bytes()
	}
	archives, err := t.archives(h, m)
	if err != nil {
		return err
	}
	for _, a := range archives {
		if d.Has(a.path) {
			a.mend(m)
		}
	}
	for _, name := range tasks.Keys(t.spec.ExtraSources) {
		x := t.extra(name, m)
		if slices.ContainsFunc(d, func(c tasks.Change) bool { return x.owns(c.Path) }) {
			if err := x.keyring(h); err != nil {
				return err
			}
		}
		if err := x.mend(m, d); err != nil {
			return err
		}
	}
	if err := install(ctx, h, m.files, before); err != nil {
		return err
	}
	return t.tool.Update(ctx, h)
}

// candidates is where apt-get reads the files before they are installed.
const candidates = "/run/phoenix-apt-sources"

// install writes the files that changed, after apt-get has read all of them as they
// will be.
func install(ctx context.Context, h tasks.Host, files []*aptsources.File, before map[string][]byte) error {
	changed := slices.DeleteFunc(slices.Clone(files), func(f *aptsources.File) bool { return bytes.Equal(f.Bytes(), before[f.Path]) })
	if len(changed) == 0 {
		return nil
	}
	if err := try(ctx, h, files); err != nil {
		return err
	}
	for _, f := range changed {
		err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: f.Path, Update: func(old []byte) ([]byte, error) {
			if !bytes.Equal(old, before[f.Path]) {
				return nil, fmt.Errorf("write %s: somebody else has just changed it", f.Path)
			}
			return f.Bytes(), nil
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// try lets apt-get read copies of all files: beside a fault in one of them it finds
// two that name the same archive with different keys, which it does not take.
func try(ctx context.Context, h tasks.Host, files []*aptsources.File) (err error) {
	parts := candidates + "/parts"
	// What a run left that was killed would be read as well.
	if err := discard(ctx, h, candidates); err != nil {
		return err
	}
	defer func() {
		if gone := discard(context.WithoutCancel(ctx), h, candidates); err == nil {
			err = gone
		}
	}()
	dirMode, fileMode := fs.FileMode(0o700), fs.FileMode(0o600) // an address may have a password in it
	for _, dir := range []string{candidates, parts} {
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: dir, Mode: &dirMode}); err != nil {
			return err
		}
	}
	for _, f := range files {
		if len(f.Bytes()) == 0 {
			continue
		}
		at := parts + "/" + path.Base(f.Path)
		if f.Path == aptsources.MainFile {
			at = candidates + "/" + path.Base(f.Path)
		}
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: at, Data: f.Bytes(), Mode: &fileMode}); err != nil {
			return err
		}
	}
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{ReadOnly: true, Argv: []string{
		"apt-get", "indextargets", "-o", "Dir::Etc::SourceList=" + candidates + "/" + path.Base(aptsources.MainFile), "-o", "Dir::Etc::SourceParts=" + parts,
	}})
	if err != nil {
		return fmt.Errorf("read the package sources as they would be: %w", err)
	}
	return nil
}

// discard removes a directory and what is in it.
func discard(ctx context.Context, h tasks.Host, dir string) error {
	names, err := h.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	for _, name := range names {
		at := dir + "/" + name
		info, err := h.Stat(at)
		switch {
		case err != nil:
			return fmt.Errorf("remove %s: %w", at, err)
		case info.Mode.IsDir():
			err = discard(ctx, h, at)
		default:
			err = h.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: at})
		}
		if err != nil {
			return err
		}
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: dir})
}

// unique sorts words and leaves out those that come again.
func unique(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}

func joined(words []string) string { return strings.Join(words, " ") }
