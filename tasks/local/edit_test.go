package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"phoenix/tasks"
)

// tree is a host below a fresh root with some files and links in it.
func tree(t *testing.T) *Host {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"etc/pve/nodes/pve1/lxc", "etc/pve/priv", "root/.ssh", "run", "outside"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"etc/pve/lxc":               "nodes/pve1/lxc",
		"root/.ssh/authorized_keys": "/etc/pve/priv/authorized_keys",
		"etc/up":                    "../../../../../etc/passwd",
		"etc/loop":                  "loop",
		"etc/dangling":              "not/yet",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	h := &Host{Root: root}
	put(t, h, "/etc/passwd", "inside")
	put(t, h, "/etc/pve/priv/authorized_keys", "key")
	return h
}

func put(t *testing.T, h *Host, path, content string) {
	t.Helper()
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: path, Data: []byte(content)}); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, h *Host, path string) string {
	t.Helper()
	data, err := h.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRoot_linksAreFollowedInside(t *testing.T) {
	h := tree(t)
	put(t, h, "/etc/pve/lxc/900.conf", "arch: amd64\n")
	for path, want := range map[string]string{
		"/etc/pve/nodes/pve1/lxc/900.conf": "arch: amd64\n",
		"/etc/up":                          "inside",
		"/root/.ssh/authorized_keys":       "key",
		"/../../etc/passwd":                "inside",
	} {
		if got := read(t, h, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]error{"/etc/loop": syscall.ELOOP, "/etc/dangling": fs.ErrNotExist, "/etc/passwd/x": syscall.ENOTDIR} {
		if _, err := h.ReadFile(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := h.ReadFile("etc/passwd"); err == nil {
		t.Error("a relative path was read")
	}
}

func TestErrors_nameThePathOfTheHost(t *testing.T) {
	h := tree(t)
	_, err := h.ReadFile("/etc/none")
	if err == nil || strings.Contains(err.Error(), h.Root) || !strings.Contains(err.Error(), "/etc/none") {
		t.Errorf("got %v", err)
	}
	err = h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/none/x"})
	if err == nil || strings.Contains(err.Error(), h.Root) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestStat_describesTheLinkItself(t *testing.T) {
	h := tree(t)
	fi, err := h.Stat("/etc/pve/lxc")
	if err != nil || fi.Mode&fs.ModeSymlink == 0 || fi.Target != "nodes/pve1/lxc" {
		t.Errorf("%+v, %v", fi, err)
	}
}

func TestPut_modesAndLinks(t *testing.T) {
	h := tree(t)
	private, setuid := fs.FileMode(0o600), 0o755|fs.ModeSetuid
	steps := []struct {
		name string
		edit tasks.Edit
		want fs.FileMode
	}{
		{"a new file is 0644", tasks.Edit{Path: "/etc/a"}, 0o644},
		{"a mode is set", tasks.Edit{Path: "/etc/a", Mode: &private, Data: []byte("1")}, 0o600},
		{"a mode is kept", tasks.Edit{Path: "/etc/a", Data: []byte("2")}, 0o600},
		{"set-user-ID is set", tasks.Edit{Path: "/etc/a", Mode: &setuid}, 0o755 | fs.ModeSetuid},
	}
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, s := range steps {
		s.edit.Verb = tasks.VerbPut
		if err := h.Write(t.Context(), s.edit); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if fi, err := h.Stat("/etc/a"); err != nil || fi.Mode != s.want || fi.UID != 0 {
			t.Errorf("%s: %v of %d, %v", s.name, fi.Mode, fi.UID, err)
		}
	}
	put(t, h, "/root/.ssh/authorized_keys", "key\nkey2")
	if fi, err := h.Stat("/root/.ssh/authorized_keys"); err != nil || fi.Target == "" {
		t.Errorf("the link was replaced: %+v, %v", fi, err)
	}
	if got := read(t, h, "/etc/pve/priv/authorized_keys"); got != "key\nkey2" {
		t.Errorf("the target has %q", got)
	}
}

func TestPut_belowPVEModesAreLeftAlone(t *testing.T) {
	h := tree(t)
	private := fs.FileMode(0o600)
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/root/.ssh/authorized_keys", Data: []byte("x"), Mode: &private, Owner: &tasks.Owner{UID: 12345}}); err != nil {
		t.Errorf("pmxcfs would refuse chmod and chown, so neither may be tried: %v", err)
	}
	if fi, err := h.Stat("/etc/pve/priv/authorized_keys"); err != nil || fi.UID == 12345 {
		t.Errorf("the owner was set: %+v, %v", fi, err)
	}
	if got := tempName("900.conf", true); got != "900.conf.tmp." {
		t.Errorf("temporary name %s is not one that Proxmox uses", got)
	}
}

func TestPut_refusesWhatIsNoFile(t *testing.T) {
	h := tree(t)
	if err := syscall.Mkfifo(filepath.Join(h.Root, "etc/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/etc/pve", "/etc/pipe"} {
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: path}); err == nil {
			t.Errorf("%s was replaced", path)
		}
	}
}

func TestPut_aFullDiskLeavesTheOldFileAndNothingElse(t *testing.T) {
	h := tree(t)
	put(t, h, "/etc/a", "old")
	before, err := h.ReadDir("/etc")
	if err != nil {
		t.Fatal(err)
	}
	h.fill = func(f *os.File, data []byte) error {
		_, _ = f.Write(data[:1])
		return &fs.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	err = h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/a", Data: []byte("new")})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if got := read(t, h, "/etc/a"); got != "old" {
		t.Errorf("the file has %q", got)
	}
	if after, err := h.ReadDir("/etc"); err != nil || len(after) != len(before) {
		t.Errorf("the directory had %v and has %v, %v", before, after, err)
	}
}

func TestPut_updateMakesTheContentFromThePresentOne(t *testing.T) {
	h := tree(t)
	edit := func(f func([]byte) ([]byte, error)) error {
		return h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/u", Update: f})
	}
	if err := edit(func(old []byte) ([]byte, error) {
		if old != nil {
			t.Errorf("a missing file has content %q", old)
		}
		return nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Stat("/etc/u"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("nothing was wanted, and a file is there")
	}
	if err := edit(func([]byte) ([]byte, error) { return []byte("1"), nil }); err != nil {
		t.Fatal(err)
	}
	was, err := os.Stat(filepath.Join(h.Root, "etc/u"))
	if err != nil {
		t.Fatal(err)
	}
	if err := edit(func(old []byte) ([]byte, error) { return []byte(string(old)), nil }); err != nil {
		t.Fatal(err)
	}
	if is, err := os.Stat(filepath.Join(h.Root, "etc/u")); err != nil || !os.SameFile(was, is) {
		t.Errorf("an equal result replaced the file: %v", err)
	}
	broken := errors.New("no")
	if err := edit(func([]byte) ([]byte, error) { return []byte("2"), broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if got := read(t, h, "/etc/u"); got != "1" {
		t.Errorf("the file has %q", got)
	}
}

func TestPut_readersSeeTheOldOrTheNewContent(t *testing.T) {
	h := tree(t)
	a, b := strings.Repeat("a", 1<<16), strings.Repeat("b", 1<<16)
	put(t, h, "/etc/x", a)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if data, err := h.ReadFile("/etc/x"); err != nil || string(data) != a && string(data) != b {
				t.Errorf("read %d bytes, %v", len(data), err)
				return
			}
		}
	})
	for range 20 {
		put(t, h, "/etc/x", b)
		put(t, h, "/etc/x", a)
	}
	close(stop)
	wg.Wait()
}

func TestMkdirAttrRemove(t *testing.T) {
	h := tree(t)
	do := func(v tasks.Verb, path string, mode fs.FileMode) error {
		e := tasks.Edit{Verb: v, Path: path}
		if mode != 0 {
			e.Mode = &mode
		}
		return h.Write(t.Context(), e)
	}
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	if err := do(tasks.VerbMkdir, "/srv/a/b", 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{"/srv": 0o755, "/srv/a": 0o755, "/srv/a/b": 0o700} {
		if fi, err := h.Stat(path); err != nil || fi.Mode != want|fs.ModeDir {
			t.Errorf("%s is %v, %v", path, fi.Mode, err)
		}
	}
	for name, err := range map[string]error{
		"a directory that is there is made again": do(tasks.VerbMkdir, "/srv/a/b", 0),
		"attributes are set":                      do(tasks.VerbAttr, "/srv/a", 0o711),
		"what is missing is removed":              do(tasks.VerbRemove, "/srv/none", 0),
		"a link is removed":                       do(tasks.VerbRemove, "/root/.ssh/authorized_keys", 0),
		"an empty directory is removed":           do(tasks.VerbRemove, "/srv/a/b", 0),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"a directory in the place of a file": do(tasks.VerbMkdir, "/etc/passwd", 0),
		"attributes of what is missing":      do(tasks.VerbAttr, "/srv/none", 0o600),
		"a directory that is not empty":      do(tasks.VerbRemove, "/srv", 0),
		"an unknown verb":                    do("chop", "/srv", 0),
	} {
		if err == nil {
			t.Errorf("%s is no error", name)
		}
	}
	if got := read(t, h, "/etc/pve/priv/authorized_keys"); got != "key" {
		t.Error("removing the link removed its target")
	}
}

func TestLock_isExclusiveBoundedAndNamed(t *testing.T) {
	h := tree(t)
	h.LockWait = 200 * time.Millisecond
	const lock = "/run/lock/lxc/pve-config-900.lock"
	edit := tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/x", Lock: lock, Update: func(old []byte) ([]byte, error) {
		err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/y", Lock: lock})
		if err == nil || !strings.Contains(err.Error(), lock) || !strings.Contains(err.Error(), "still held") {
			t.Errorf("while it is held: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/y", Lock: lock}); !errors.Is(err, context.Canceled) {
			t.Errorf("while it is held and cancelled: %v", err)
		}
		return []byte("x"), nil
	}}
	if err := h.Write(t.Context(), edit); err != nil {
		t.Fatal(err)
	}
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/y", Lock: lock}); err != nil {
		t.Errorf("after it was released: %v", err)
	}
}

func TestLock_noUpdateIsLost(t *testing.T) {
	h := tree(t)
	put(t, h, "/etc/n", "")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/n", Lock: "/run/n.lock", Update: func(old []byte) ([]byte, error) {
				return append(old, 'x'), nil
			}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := read(t, h, "/etc/n"); len(got) != 20 {
		t.Errorf("%d of 20 updates are there", len(got))
	}
}
