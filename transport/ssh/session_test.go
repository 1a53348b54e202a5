package ssh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"phoenix/transport"
)

// connected is a connection to a server that serves commands.
func connected(t *testing.T, s *server) transport.Conn {
	t.Helper()
	r := newRig(t)
	serve(t, s, r.key.PublicKey())
	r.know(t, s)
	return r.dial(t, s.target("pve1"))
}

func start(t *testing.T, c transport.Conn, command string) transport.Session {
	t.Helper()
	s, err := c.Start(t.Context(), command)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return s
}

func TestACommandHasItsStreamsAndItsStatus(t *testing.T) {
	c := connected(t, &server{command: func(command string, ch xssh.Channel) int {
		io.WriteString(ch.Stderr(), "warning:\x1b[31m "+command+"\n")
		io.Copy(ch, ch)
		return 3
	}})
	s := start(t, c, "echo back")
	if _, err := io.WriteString(s.Stdin(), "hello"); err != nil {
		t.Fatalf("write: %v", err)
	}
	if err := s.Stdin().Close(); err != nil {
		t.Fatalf("close input: %v", err)
	}
	out, err := io.ReadAll(s.Stdout())
	if err != nil || string(out) != "hello" {
		t.Errorf("output %q, error %v", out, err)
	}
	exit, ok := errors.AsType[*transport.ExitError](s.Wait())
	if !ok || exit.Code != 3 {
		t.Errorf("wait: %v; want exit status 3", exit)
	}
	if got := s.Stderr(); got != "warning:[31m echo back\n" {
		t.Errorf("stderr %q", got)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close after the end: %v", err)
	}
}

func TestHowACommandCanEnd(t *testing.T) {
	signal := xssh.Marshal(struct {
		Signal         string
		Core           bool
		Error, Langtag string
	}{"KILL", false, "", ""})
	c := connected(t, &server{command: func(command string, ch xssh.Channel) int {
		switch command {
		case "killed":
			ch.SendRequest("exit-signal", false, signal)
			return -1
		case "silent":
			return -1
		}
		return 0
	}})
	for command, want := range map[string]*transport.ExitError{
		"fine": nil, "killed": {Code: -1, Signal: "KILL"}, "silent": {Code: -1},
	} {
		t.Run(command, func(t *testing.T) {
			err := start(t, c, command).Wait()
			got, _ := errors.AsType[*transport.ExitError](err)
			if want == nil && err != nil || want != nil && (got == nil || *got != *want) {
				t.Errorf("wait: %v; want %v", err, want)
			}
		})
	}
}

func TestOnlyTheEndOfStderrIsKept(t *testing.T) {
	c := connected(t, &server{command: func(_ string, ch xssh.Channel) int {
		ch.Stderr().Write(bytes.Repeat([]byte("x"), 3*maxStderr))
		io.WriteString(ch.Stderr(), "the end")
		return 0
	}})
	s := start(t, c, "noisy")
	if err := s.Wait(); err != nil {
		t.Fatalf("wait: %v", err)
	}
	if got := s.Stderr(); len(got) != maxStderr || !strings.HasSuffix(got, "xthe end") {
		t.Errorf("%d bytes kept, ending in %q; want %d", len(got), got[len(got)-10:], maxStderr)
	}
}

func TestAServerThatRunsNoCommands(t *testing.T) {
	c := connected(t, &server{})
	if _, err := c.Start(t.Context(), "true"); err == nil || !strings.Contains(err.Error(), "refuses to run commands") {
		t.Errorf("start: %v", err)
	}
}

func TestAConnectionThatBreaksIsAnErrorAndNeverAnEnd(t *testing.T) {
	s := &server{}
	s.command = func(_ string, ch xssh.Channel) int {
		io.WriteString(ch, "half a fra")
		io.Copy(io.Discard, ch)
		return -1
	}
	c := connected(t, s)
	session := start(t, c, "helper")
	buf := make([]byte, 10)
	if _, err := io.ReadFull(session.Stdout(), buf); err != nil {
		t.Fatalf("read: %v", err)
	}
	s.drop()
	if n, err := session.Stdout().Read(buf); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read %d bytes, error %v; want an error that is no EOF", n, err)
	}
	if err := session.Wait(); err == nil || !strings.Contains(err.Error(), "connection") {
		t.Errorf("wait: %v; want what became of the connection", err)
	}
	if _, err := session.Stdin().Write([]byte("x")); err == nil || !strings.Contains(err.Error(), "connection") {
		t.Errorf("write: %v; want what became of the connection", err)
	}
	if _, err := c.Start(t.Context(), "again"); err == nil || !strings.Contains(err.Error(), "connection") {
		t.Errorf("start: %v; want what became of the connection", err)
	}
	if err := errors.Join(session.Close(), c.Close(), c.Close()); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestAClosedSessionDoesNotWait(t *testing.T) {
	c := connected(t, &server{command: func(_ string, ch xssh.Channel) int {
		io.Copy(io.Discard, ch)
		return 0
	}})
	s := start(t, c, "for ever")
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := s.Wait(); err == nil {
		t.Error("wait after close has no error")
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// gate relays bytes until it is shut; then it swallows them, as a host does that lost
// its power.
type gate struct {
	net.Conn
	shut *atomic.Bool
}

func (g gate) Read(p []byte) (int, error) {
	for {
		n, err := g.Conn.Read(p)
		if err != nil || !g.shut.Load() {
			return n, err
		}
	}
}

func TestAHostThatStopsAnsweringIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := prepare(t, &server{command: func(_ string, ch xssh.Channel) int {
			io.Copy(io.Discard, ch)
			return 0
		}}, r.key.PublicKey())
		var shut atomic.Bool
		c := r.dial(t, r.piped(t, s, func(c net.Conn) net.Conn { return gate{c, &shut} }))
		session := start(t, c, "helper")
		done := make(chan error, 1)
		go func() {
			_, err := session.Stdout().Read(make([]byte, 1))
			done <- err
		}()
		select {
		case err := <-done:
			t.Fatalf("the session ended while the host still answered keepalives: %v", err)
		case <-time.After(time.Hour + time.Second):
		}
		shut.Store(true)
		silent := time.Now()
		if err := <-done; !errors.Is(err, transport.ErrPeerGone) {
			t.Errorf("read: %v; want ErrPeerGone", err)
		}
		if took := time.Since(silent); took < 3*DefaultKeepalive+DefaultKeepalive/2 || took > 5*DefaultKeepalive {
			t.Errorf("found out after %v; want three unanswered keepalives of %v", took, DefaultKeepalive)
		}
		if err := session.Wait(); !errors.Is(err, transport.ErrPeerGone) {
			t.Errorf("wait: %v; want ErrPeerGone", err)
		}
		if _, err := c.Start(t.Context(), "x"); !errors.Is(err, transport.ErrPeerGone) {
			t.Errorf("start: %v; want ErrPeerGone", err)
		}
	})
}

func TestUpload(t *testing.T) {
	c := connected(t, &server{})
	path := filepath.Join(t.TempDir(), "agentlet")
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	if err := c.Upload(t.Context(), path, data); err != nil {
		t.Fatalf("upload: %v", err)
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes arrived, error %v; want %d", len(got), err, len(data))
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, error %v; want 0600", info.Mode(), err)
	}
	if err := c.Upload(t.Context(), path, []byte("other")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second upload to the same path: %v; want fs.ErrExist", err)
	}
	if got, _ := os.ReadFile(path); len(got) != len(data) {
		t.Error("an upload touched a file that exists")
	}
	if err := c.Upload(t.Context(), "/nowhere/at/all", data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("upload into a folder that is not there: %v; want fs.ErrNotExist", err)
	}
}

func TestAServerWithoutSFTP(t *testing.T) {
	c := connected(t, &server{noSFTP: true})
	if err := c.Upload(t.Context(), "x", nil); !errors.Is(err, transport.ErrNoSFTP) {
		t.Errorf("upload: %v; want ErrNoSFTP", err)
	}
}

func TestAnUploadEndsWithItsContext(t *testing.T) {
	c := connected(t, &server{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "x")
	if err := c.Upload(ctx, path, []byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("upload: %v; want context.Canceled", err)
	}
}
