package deploy

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/transport"
)

// A helper in a folder that somebody else may write to could be exchanged for
// another program, which would run as root.
func TestAHelperInAFolderThatOthersMayWriteToIsNotStarted(t *testing.T) {
	for _, mode := range []os.FileMode{0o770, 0o757, 0o722, 0o1777} {
		h := newShell(t)
		for _, dir := range []string{"var/lib/phoenix", "run/phoenix"} {
			if err := errors.Join(os.MkdirAll(filepath.Join(h.root, filepath.Dir(dir)), 0o755), os.WriteFile(filepath.Join(h.root, dir), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		path := helperFile(t, h, "root/.cache/phoenix")
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(helperScript), 0o700), syscall.Chmod(filepath.Dir(path), uint32(mode)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Start(t.Context(), h, target, options(tasks.ModeCheck, "ok"))
		if err == nil || !strings.Contains(err.Error(), "/root/.cache/phoenix can be written by others") {
			t.Errorf("mode %o: %v, want that the folder can be written by others", mode, err)
		}
	}
}

// Who may write above a folder can exchange the folder; who is in it cannot be
// moved.
func TestAFolderThatIsExchangedWhileItIsLookedAtChangesNothing(t *testing.T) {
	h := newShell(t)
	path := helperFile(t, h, "root/.cache/phoenix")
	evil := filepath.Join(h.root, "evil")
	mark := filepath.Join(h.root, "mark")
	err := errors.Join(
		os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(helperScript), 0o700),
		os.MkdirAll(evil, 0o700), os.WriteFile(filepath.Join(evil, filepath.Base(path)), []byte("#!/bin/sh\ntouch "+mark+"\n"), 0o700),
	)
	if err != nil {
		t.Fatal(err)
	}
	// The exchange happens when the mode is asked for: between the check and the use.
	dir := filepath.Dir(path)
	h.program("stat", "mv "+dir+" "+dir+".old; ln -s "+evil+" "+dir+"; exec /usr/bin/stat \"$@\"")
	a, err := Start(t.Context(), h, target, options(tasks.ModeCheck, "ok"))
	if err != nil {
		t.Fatal(err)
	}
	finish(t, a)
	if _, err := os.Stat(mark); err == nil || a.Uploaded {
		t.Errorf("the other program was executed, or the helper not: uploaded %v", a.Uploaded)
	}
}

func TestCleanRemovesWhatSomebodyPutInPlaceOfTheLock(t *testing.T) {
	for name, put := range map[string]func(lock string) error{
		"a pipe, which whoever opens it waits at": func(lock string) error { return syscall.Mkfifo(lock, 0o666) },
		"a link to nowhere":                       func(lock string) error { return os.Symlink("/nonexistent/x", lock) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newShell(t)
			lock := filepath.Join(h.root, "run/lock/phoenix.lock")
			if err := put(lock); err != nil {
				t.Fatal(err)
			}
			if _, err := Clean(t.Context(), h, target, Options{ScriptTimeout: options("").ScriptTimeout}); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(lock); err == nil {
				t.Error("it is still there")
			}
		})
	}
}

// deaf is a session whose other end reads nothing.
type deaf struct{ *peer }

type full struct{ closed chan struct{} }

func (f full) Write([]byte) (int, error) { <-f.closed; return 0, io.ErrClosedPipe }
func (f full) Close() error              { return nil }

func (d deaf) Stdin() io.WriteCloser { return full{d.closed} }

func deafAgent(ctx context.Context) (*peer, *Agent) {
	p := newPeer()
	c := &command{Session: deaf{p}, quiet: func() {}, release: func() {}}
	a := newAgent(c, &remote{target: target, opts: options(tasks.ModeRun, "ok")})
	a.open("0123456789abcdef")
	a.listen(ctx)
	return p, a
}

func TestAHostThatReadsNothingKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, a := deafAgent(t.Context())
		go p.send(t, wire.Message{Journal: &wire.Journal{RunID: "r0"}})
		begin := time.Now()
		if m, err := a.Receive(); err != nil || m.Journal == nil || time.Since(begin) != 0 {
			t.Errorf("received %+v, %v after %s, want the journal at once", m, err, time.Since(begin))
		}
		if err := a.Send(wire.Message{Cancel: &wire.Cancel{}}); err != nil || time.Since(begin) != 0 {
			t.Errorf("cancel: %v after %s, want it queued at once", err, time.Since(begin))
		}
		if _, err := a.Receive(); !errors.As(err, new(*GoneError)) || time.Since(begin) != 15*time.Second {
			t.Errorf("%v after %s, want a GoneError after 15s", err, time.Since(begin))
		}
		begin = time.Now()
		if _ = a.Close(); time.Since(begin) != 5*time.Second {
			t.Errorf("closed after %s, want the grace of 5s", time.Since(begin))
		}
		if err := a.Send(wire.Message{Cancel: &wire.Cancel{}}); err == nil {
			t.Error("a message was taken after the end")
		}
	})
}

func TestAHostThatReadsNothingAndNeverEndsIsGivenUp(t *testing.T) {
	p, a := deafAgent(t.Context())
	defer a.Close()
	go func() {
		w := wire.NewWriter(p.say)
		for w.Write(wire.Message{Journal: &wire.Journal{RunID: "r0"}}) == nil {
		}
	}()
	for range 2 * maxWaiting {
		if _, err := a.Receive(); err != nil {
			if !errors.As(err, new(*LostError)) || !strings.Contains(err.Error(), "does not read") {
				t.Errorf("error %v", err)
			}
			return
		}
	}
	t.Error("messages for a host that reads nothing are kept without a bound")
}

// breaking is a host whose connection breaks when the helper has been started.
type breaking struct{ starts int }

func (b *breaking) Start(context.Context, string) (transport.Session, error) {
	b.starts++
	p := newPeer()
	_ = p.say.CloseWithError(errors.New("the connection broke: reset by peer"))
	return p, nil
}

func (b *breaking) Upload(context.Context, string, []byte) error { return errors.New("no disk") }
func (b *breaking) Close() error                                 { return nil }

func TestAConnectionThatBreaksAtTheGreetingIsNoMissingHelper(t *testing.T) {
	c := &breaking{}
	_, err := Start(t.Context(), c, target, options(tasks.ModeRun, "ok"))
	if !errors.Is(err, transport.ErrPeerGone) || !strings.Contains(err.Error(), "lost before the helper greeted: the connection broke: reset by peer") {
		t.Errorf("error %v, want that the connection was lost", err)
	}
	if c.starts != 1 {
		t.Errorf("%d commands were started, want the one", c.starts)
	}
}
