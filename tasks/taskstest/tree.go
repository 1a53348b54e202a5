package taskstest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/local"
)

// Tree is a machine made of a folder and of programs written in Go, as small as one
// family needs it.
type Tree struct {
	*local.Host
	// Programs by name. One that is missing cannot be started.
	Programs map[string]Program
}

// Program is what a command does to the tree.
type Program func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output

// NewTree lays files into a fresh folder. A key that ends in "/" is a directory, a
// value that begins with "-> " is a symbolic link.
func NewTree(t *testing.T, files map[string]string) *Tree {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		if err := lay(filepath.Join(root, name), content, strings.HasSuffix(name, "/")); err != nil {
			t.Fatal(err)
		}
	}
	return &Tree{Host: &local.Host{Root: root}, Programs: map[string]Program{}}
}

func lay(at, content string, dir bool) error {
	if dir {
		return os.MkdirAll(at, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if target, link := strings.CutPrefix(content, "-> "); link {
		return os.Symlink(target, at)
	}
	return os.WriteFile(at, []byte(content), 0o644)
}

// Run implements tasks.Host with the tree's programs.
func (tr *Tree) Run(ctx context.Context, c tasks.Cmd) (tasks.Output, error) {
	if err := ctx.Err(); err != nil {
		return tasks.Output{}, fmt.Errorf("run %s: %w", c.Name(), err)
	}
	p, ok := tr.Programs[c.Name()]
	if !ok {
		return tasks.Output{}, fmt.Errorf("run %s: no such program: %w", c.Name(), fs.ErrNotExist)
	}
	out := p(ctx, tr, c)
	if !c.ReadOnly {
		tasks.LogOutput(ctx, out)
	}
	return out, nil
}

// Put writes a file for a test, or fails it.
func Put(t testing.TB, h tasks.Host, name, content string) {
	t.Helper()
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: name, Data: []byte(content)}); err != nil {
		t.Fatal(err)
	}
}

// Get reads a file for a test, or fails it.
func Get(t testing.TB, h tasks.Host, name string) string {
	t.Helper()
	data, err := h.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Edited is a drift's change of a file by hand, as `sed -i` would, of a text that must
// be there.
func Edited(name, old, fresh string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		text := Get(t, h, name)
		if !strings.Contains(text, old) {
			t.Fatalf("%s has no %q:\n%s", name, old, text)
		}
		Put(t, h, name, strings.Replace(text, old, fresh, 1))
	}
}

// Digest sums up a tree: names, types, modes, owners, links and contents, but no
// times.
func Digest(h tasks.Host, dir string) (string, error) {
	sum := sha256.New()
	if err := digest(h, dir, func(s string) { _, _ = sum.Write([]byte(s + "\x00")) }); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func digest(h tasks.Host, dir string, add func(string)) error {
	names, err := h.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		at := path.Join(dir, n)
		fi, err := h.Stat(at)
		if err != nil {
			return err
		}
		add(fmt.Sprintf("%s %v %d %d %s", at, fi.Mode, fi.UID, fi.GID, fi.Target))
		switch {
		case fi.Mode.IsDir():
			if err := digest(h, at, add); err != nil {
				return err
			}
		case fi.Mode.IsRegular():
			data, err := h.ReadFile(at)
			if err != nil {
				return err
			}
			add(string(data))
		}
	}
	return nil
}
