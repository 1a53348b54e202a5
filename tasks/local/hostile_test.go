package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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

// owned is a file of somebody else.
type owned struct {
	fs.FileInfo
	uid uint32
}

func (o owned) Sys() any { return &syscall.Stat_t{Uid: o.uid} }

func TestALinkOfAUserToWhatIsAnothersIsNotFollowedByAChange(t *testing.T) {
	root := t.TempDir()
	if err := errors.Join(os.MkdirAll(root+"/home/u", 0o755), os.MkdirAll(root+"/root/.ssh", 0o700), os.Symlink("/root/.ssh", root+"/home/u/.ssh")); err != nil {
		t.Fatal(err)
	}
	link, err := os.Lstat(root + "/home/u/.ssh")
	if err != nil {
		t.Fatal(err)
	}
	own := uint32(os.Geteuid())
	for _, tc := range []struct {
		name    string
		uid     uint32
		reading bool
		refused bool
	}{
		{"root's", 0, false, false},
		{"of the process's own user", own, false, false},
		{"of another user", 4711, false, true},
		{"of another user, to be read", 4711, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &walk{root: root, at: []string{"home", "u", ".ssh"}, own: !tc.reading}
			err := w.foreign(owned{link, tc.uid})
			if (err != nil) != tc.refused {
				t.Errorf("%v, want refused: %v", err, tc.refused)
			}
		})
	}
	w := &walk{root: root, at: []string{"home", "u", "self"}, own: true}
	if err := os.Symlink("nowhere", root+"/home/u/self"); err != nil {
		t.Fatal(err)
	}
	if err := w.foreign(owned{link, 4711}); err == nil {
		t.Error("a link of another user to what is not there would be followed")
	}
}

func TestAnAttributeIsNotSetThroughALinkThatCameMeanwhile(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(dir+"/target", nil, 0o600), os.Symlink(dir+"/target", dir+"/name")); err != nil {
		t.Fatal(err)
	}
	mode := fs.FileMode(0o666)
	if err := new(Host).attr(dir+"/name", tasks.Edit{Verb: tasks.VerbAttr, Mode: &mode}); err == nil {
		t.Error("the link was followed")
	}
	if fi, err := os.Stat(dir + "/target"); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}
