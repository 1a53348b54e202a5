package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"phoenix/tasks"
)

func TestRun_aFloodOfOutputDoesNotFillTheDisk(t *testing.T) {
	h := &Host{OutputDir: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// 256 MiB are written, at a pace that a disk has, and the most that they take at
	// any time is looked at.
	most, stop := make(chan int64, 1), make(chan struct{})
	go func() { most <- peak(h.OutputDir, stop) }()
	out, err := h.Run(ctx, sh("for i in $(seq 64); do head -c 4194304 /dev/zero; sleep 0.03; done; echo end >&2"))
	close(stop)
	if err != nil || out.Code != 0 || len(out.Stdout) != maxOutput || string(out.Stderr) != "end\n" {
		t.Errorf("%d bytes, %q, code %d, %v", len(out.Stdout), out.Stderr, out.Code, err)
	}
	if m := <-most; m > 100<<20 {
		t.Errorf("the output took %d MiB of the disk", m>>20)
	}
}

// peak is the most space that the files in dir take until stop is closed.
func peak(dir string, stop <-chan struct{}) (most int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return most
		case <-tick.C:
		}
		files, _ := filepath.Glob(dir + "/*")
		for _, f := range files {
			if fi, err := os.Stat(f); err == nil {
				most = max(most, fi.Sys().(*syscall.Stat_t).Blocks*512)
			}
		}
	}
}

func TestRun_whenItReturnsAfterACancelNothingOfTheProgramIsLeft(t *testing.T) {
	both(t, func(t *testing.T, h *Host) {
		h.Grace = 300 * time.Millisecond
		pidFile := filepath.Join(t.TempDir(), "pid")
		ctx, l := listen(t.Context())
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			<-l.said
			cancel()
		}()
		// The program itself ends on SIGTERM; what it has started does not.
		_, err := h.Run(ctx, sh("(trap '' TERM; exec sleep 60) </dev/null >/dev/null 2>&1 & echo $! > "+pidFile+"; sleep 0.1; echo ready; exec sleep 60"))
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		awaitEnd(t, pidFile)
	})
}

func TestALinkOfAUserToWhatIsAnothersIsNotFollowedByAChange(t *testing.T) {
	root := t.TempDir()
	if err := errors.Join(os.MkdirAll(root+"/home/u", 0o755), os.MkdirAll(root+"/root/.ssh", 0o700), os.Symlink("/root/.ssh", root+"/home/u/.ssh"), os.Symlink("nowhere", root+"/home/u/self")); err != nil {
		t.Fatal(err)
	}
	h := &Host{Root: root}
	for _, tc := range []struct {
		name    string
		link    string
		uid     int
		reading bool
		refused bool
	}{
		{"root's", ".ssh", 0, false, false},
		{"of the process's own user", ".ssh", os.Geteuid(), false, false},
		{"of another user", ".ssh", 4711, false, true},
		{"of another user, to be read", ".ssh", 4711, true, false},
		{"of another user to what is not there", "self", 4711, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, link := atLink(t, h, "/home/u", tc.link, !tc.reading)
			err := w.follow(tc.link, link, tc.uid)
			if (err != nil) != tc.refused {
				t.Errorf("%v, want refused: %v", err, tc.refused)
			}
			if err != nil && !strings.Contains(err.Error(), "the link /home/u/"+tc.link+" of user 4711") {
				t.Errorf("the link is not named: %v", err)
			}
		})
	}
}

// atLink is a walk that has come to a folder, and a link in it, held open.
func atLink(t *testing.T, h *Host, dir, name string, own bool) (*walk, handle) {
	t.Helper()
	w, err := h.walk(dir, true, own)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	link, err := holdAt(w.at[len(w.at)-1].handle, name, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = letGo(link) })
	return w, link
}

func TestALinkThatWasLookedAtIsTheOneThatIsFollowed(t *testing.T) {
	h := &Host{Root: t.TempDir()}
	home := h.Root + "/home"
	if err := errors.Join(os.MkdirAll(home+"/good", 0o755), os.Mkdir(home+"/bad", 0o755), os.Symlink("good", home+"/link"), os.Symlink("bad", home+"/other")); err != nil {
		t.Fatal(err)
	}
	w, link := atLink(t, h, "/home", "link", true)
	if err := os.Rename(home+"/other", home+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := w.follow("link", link, 0); err != nil || w.shown() != "/home/good" {
		t.Errorf("went to %s, %v", w.shown(), err)
	}
}

func TestAFolderExchangedForALinkAfterItWasLookedAtLeadsNowhere(t *testing.T) {
	mode := fs.FileMode(0o666)
	appended := func(old []byte) ([]byte, error) { return append(old, "new"...), nil }
	for _, tc := range []struct {
		name string
		edit tasks.Edit
		// what the folder that was looked at has afterwards; empty: nothing
		want string
	}{
		{"put", tasks.Edit{Verb: tasks.VerbPut, Path: "/home/.ssh/keys", Data: []byte("new"), Mode: &mode}, "new"},
		{"put of what is made from the old", tasks.Edit{Verb: tasks.VerbPut, Path: "/home/.ssh/keys", Update: appended}, "minenew"},
		{"attr", tasks.Edit{Verb: tasks.VerbAttr, Path: "/home/.ssh/keys", Mode: &mode}, "mine"},
		{"mkdir", tasks.Edit{Verb: tasks.VerbMkdir, Path: "/home/.ssh/a/b", Mode: &mode}, "mine"},
		{"mkdir of what is there", tasks.Edit{Verb: tasks.VerbMkdir, Path: "/home/.ssh/dir", Mode: &mode}, "mine"},
		{"remove", tasks.Edit{Verb: tasks.VerbRemove, Path: "/home/.ssh/keys"}, ""},
		{"remove of a directory", tasks.Edit{Verb: tasks.VerbRemove, Path: "/home/.ssh/dir"}, "mine"},
		{"lock", tasks.Edit{Verb: tasks.VerbPut, Path: "/home/other", Lock: "/home/.ssh/sub/lock"}, "mine"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &Host{Root: t.TempDir()}
			home, victim := h.Root+"/home", h.Root+"/etc/cron.daily"
			for dir, content := range map[string]string{home + "/.ssh": "mine", victim: "root's"} {
				if err := errors.Join(os.MkdirAll(dir+"/dir", 0o700), os.WriteFile(dir+"/keys", []byte(content), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			h.walked = func() {
				h.walked = nil
				if err := errors.Join(os.Rename(home+"/.ssh", home+"/was"), os.Symlink(victim, home+"/.ssh")); err != nil {
					t.Error(err)
				}
			}
			before := listing(t, victim)
			if err := h.Write(t.Context(), tc.edit); err != nil {
				t.Errorf("the folder that was looked at is still there: %v", err)
			}
			if after := listing(t, victim); after != before {
				t.Errorf("the folder of root had\n%sand has\n%s", before, after)
			}
			data, err := os.ReadFile(home + "/was/keys")
			if tc.want == "" && !errors.Is(err, fs.ErrNotExist) || string(data) != tc.want {
				t.Errorf("the folder that was looked at has %q, %v", data, err)
			}
		})
	}
}

// listing is all that a folder has: names, modes and contents.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		data := []byte(nil)
		if fi.Mode().IsRegular() {
			data, err = os.ReadFile(p)
		}
		fmt.Fprintf(&out, "%s %s %q\n", p, fi.Mode(), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAnAttributeIsNotSetThroughALinkThatCameMeanwhile(t *testing.T) {
	h := &Host{Root: t.TempDir()}
	target, name := h.Root+"/target", h.Root+"/name"
	if err := errors.Join(os.WriteFile(target, nil, 0o600), os.WriteFile(name, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	h.walked = func() {
		if err := errors.Join(os.Remove(name), os.Symlink(target, name)); err != nil {
			t.Error(err)
		}
	}
	mode := fs.FileMode(0o666)
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbAttr, Path: "/name", Mode: &mode}); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("the link was followed: %v", err)
	}
	if fi, err := os.Stat(target); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

func TestPut_aFileExchangedForAnotherIsNotReadForIt(t *testing.T) {
	h := &Host{Root: t.TempDir()}
	if err := errors.Join(os.WriteFile(h.Root+"/mine", nil, 0o644), os.WriteFile(h.Root+"/secret", []byte("s"), 0o600)); err != nil {
		t.Fatal(err)
	}
	at, err := h.locate("/mine", true)
	if err != nil {
		t.Fatal(err)
	}
	defer at.close()
	was, err := at.lstat()
	if err := errors.Join(err, os.Rename(h.Root+"/secret", h.Root+"/mine")); err != nil {
		t.Fatal(err)
	}
	if data, err := at.read(was); err == nil {
		t.Errorf("read %q", data)
	}
}

func TestReadFile_isBounded(t *testing.T) {
	h, dir := new(Host), t.TempDir()
	large, limit := dir+"/large", dir+"/limit"
	if err := errors.Join(os.WriteFile(large, nil, 0o600), os.Truncate(large, maxRead+1), os.WriteFile(limit, nil, 0o600), os.Truncate(limit, maxRead)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ReadFile(large); err == nil || err.Error() != "read "+large+": the file is larger than 64 MiB" {
		t.Errorf("got %v", err)
	}
	if data, err := h.ReadFile(limit); err != nil || len(data) != maxRead {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	none := func([]byte) ([]byte, error) { t.Error("the content was made"); return nil, nil }
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: large, Update: none}); !errors.Is(err, errLarge) {
		t.Errorf("got %v", err)
	}
	// It says that it is empty, and never ends.
	if _, err := h.ReadFile("/dev/zero"); !errors.Is(err, errLarge) {
		t.Errorf("got %v", err)
	}
}

func TestReadFile_aPipeInTheFilesPlaceIsNotWaitedFor(t *testing.T) {
	h := &Host{Root: t.TempDir()}
	if err := syscall.Mkfifo(h.Root+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := h.ReadFile("/pipe"); err != nil || len(data) > 0 {
		t.Errorf("%q, %v", data, err)
	}
}

func TestWrite_holdsNoFolderAfterwards(t *testing.T) {
	h := tree(t)
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	mode := fs.FileMode(0o700)
	before := count()
	for range 20 {
		for _, e := range []tasks.Edit{
			{Verb: tasks.VerbPut, Path: "/root/.ssh/authorized_keys", Lock: "/run/a/lock"},
			{Verb: tasks.VerbMkdir, Path: "/a/b/c", Mode: &mode},
			{Verb: tasks.VerbRemove, Path: "/a/b/c"},
			{Verb: tasks.VerbPut, Path: "/etc/loop"},
			{Verb: tasks.VerbPut, Path: "/etc/passwd/x"},
		} {
			_ = h.Write(t.Context(), e) // the last two are refused
		}
		_, _ = h.ReadFile("/etc/loop/x")
	}
	if after := count(); after > before+3 { // the runtime's own
		t.Errorf("%d descriptors were open and %d are", before, after)
	}
}
