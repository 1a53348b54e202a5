package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/transport"
)

func TestAHelperThatIsKilledInMidStepIsALostSession(t *testing.T) {
	h := newShell(t)
	a, err := Start(t.Context(), h, target, options(tasks.ModeRun, "ok", "die", "ok"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for err == nil {
		var m wire.Message
		m, err = a.Receive()
		if m.Event != nil && m.Event.Step == "step1" {
			if err := os.WriteFile(dieFile(h.root), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var lost *LostError
	var exit *transport.ExitError
	if !errors.As(err, &lost) || lost.Step != "step1" || !errors.As(err, &exit) || exit.Signal != "KILL" {
		t.Errorf("error %v, want one that names step1 and the signal", err)
	}
	// The lock went with the process, and what was done is told by the next run.
	o := options(tasks.ModeRun, "ok")
	o.Job.RunID = "r2"
	a, err = Start(t.Context(), h, target, o)
	if err != nil {
		t.Fatal(err)
	}
	got := finish(t, a)
	j := got[0].Journal
	if j == nil || j.RunID != "r1" || j.Finished || len(j.Events) != 3 || j.Events[2].Step != "step1" {
		t.Errorf("the first message is %+v, want the journal of r1 up to step1", got[0])
	}
	o.Job.RunID = "r3"
	a, err = Start(t.Context(), h, target, o)
	if err != nil {
		t.Fatal(err)
	}
	got = finish(t, a)
	if slices.ContainsFunc(got, func(m wire.Message) bool { return m.Journal != nil }) {
		t.Errorf("%d messages; want no journal a second time", len(got))
	}
}

// sudo is a program that asks like the real one.
const fakeSudo = `
[ "$1" = -n ] && { echo "sudo: a password is required" >&2; exit 1; }
tries=0
while [ $tries -lt 3 ]; do
  printf "%s" "$3" >&2
  read -r p || exit 1
  [ "$p" = "s3cret word" ] && { shift 4; exec "$@"; }
  echo "Sorry, try again." >&2; tries=$((tries+1))
done
exit 1`

func TestSudo(t *testing.T) {
	for _, c := range []struct{ name, sudo, password, want, hint string }{
		{"the right password", fakeSudo, "s3cret word", "", ""},
		{"none is needed, though one is given", `shift 4; exec "$@"`, "s3cret word", "", ""},
		{"none is needed, and none is given", `shift 2; exec "$@"`, "", "", ""},
		{"a wrong password", fakeSudo, "wrong", "sudo refused the password", "become password of pve1"},
		{"none is given, and one is needed", fakeSudo, "", "sudo refused: sudo: a password is required", "sudoers"},
		{"there is no sudo", "echo 'sh: 1: exec: sudo: not found' >&2; exit 127", "", "there is no sudo", "apt-get install sudo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newShell(t)
			h.program("sudo", c.sudo)
			as := transport.Target{Name: "pve1", Become: "sudo", BecomePassword: c.password}
			a, err := Start(t.Context(), h, as, options(tasks.ModeCheck, "ok"))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				finish(t, a)
				if h.uploads > 0 || !slices.Contains(h.started, Receive) {
					t.Error("the upload was not made as root")
				}
				return
			}
			var fault *Error
			if !errors.As(err, &fault) || !strings.Contains(fault.Why, c.want) || !strings.Contains(fault.Hint, c.hint) {
				t.Errorf("error %+v, want %q, %q", err, c.want, c.hint)
			}
		})
	}
}

func TestCleanLeavesAChangeThatWaitsToBeTakenBack(t *testing.T) {
	h := newShell(t)
	a, err := Start(t.Context(), h, target, options(tasks.ModeRun, "ok"))
	if err != nil {
		t.Fatal(err)
	}
	finish(t, a)
	guarded := filepath.Join(h.root, "var/lib/phoenix/guard/0123")
	if err := errors.Join(os.MkdirAll(guarded, 0o700), os.WriteFile(filepath.Join(guarded, "state.json"), []byte("{}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err = Clean(t.Context(), h, target, Options{})
	if err == nil || !strings.Contains(err.Error(), "waits to be taken back") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(guarded, "state.json")); err != nil {
		t.Errorf("what would be put back is gone: %v", err)
	}
	if err := os.WriteFile(filepath.Join(guarded, "decided"), []byte("confirmed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Clean(t.Context(), h, target, Options{}); err != nil {
		t.Errorf("once it was decided: %v", err)
	}
}

func TestCleanLeavesNothing(t *testing.T) {
	h := newShell(t)
	a, err := Start(t.Context(), h, target, options(tasks.ModeRun, "ok"))
	if err != nil {
		t.Fatal(err)
	}
	finish(t, a)
	keep := filepath.Join(h.root, "root/.cache/phoenix/reports")
	downloads := filepath.Join(h.root, "var/cache/phoenix")
	settings := filepath.Join(h.root, "etc/sysctl.d")
	set := filepath.Join(settings, "90-phoenix.conf")
	if err := errors.Join(os.MkdirAll(downloads, 0o700), os.WriteFile(filepath.Join(downloads, "driver.run"), nil, 0o600),
		os.MkdirAll(settings, 0o700), os.WriteFile(set, nil, 0o600),
		os.MkdirAll(keep, 0o700), os.WriteFile(filepath.Join(keep, "../agentlet-old"), nil, 0o700)); err != nil {
		t.Fatal(err)
	}
	removed, err := Clean(t.Context(), h, target, Options{})
	for i := range removed {
		removed[i] = strings.TrimPrefix(removed[i], h.root)
	}
	want := []string{"/var/lib/phoenix", "/var/cache/phoenix", "/root/.cache/phoenix/agentlet-old", "/run/lock/phoenix.lock"}
	if err != nil || !slices.Equal(removed, want) {
		t.Errorf("removed %q, %v; want %q", removed, err, want)
	}
	for _, path := range []string{keep, set} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("what is not ours, or was configured, is gone: %v", err)
		}
	}
	if again, err := Clean(t.Context(), h, target, Options{}); err != nil || len(again) != 0 {
		t.Errorf("a second time: %q, %v", again, err)
	}
}

func TestCleanLeavesAHostAloneThatARunIsUnderWayOn(t *testing.T) {
	h := newShell(t)
	h.program("flock", "exit 1")
	lock := filepath.Join(h.root, "run/lock/phoenix.lock")
	if err := os.WriteFile(lock, []byte(`{"run_id":"r9","operator":"bob@desk","pid":7,"since":"2026-11-05T10:00:00Z"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Clean(t.Context(), h, target, Options{})
	var held *HeldError
	if !errors.As(err, &held) || held.Holder.RunID != "r9" || held.Holder.PID != 7 {
		t.Errorf("error %v, want a HeldError of r9", err)
	}
	h.program("id", "echo 1000")
	var fault *Error
	if _, err := Clean(t.Context(), h, target, Options{}); !errors.As(err, &fault) || !strings.Contains(err.Error(), "it takes root") {
		t.Errorf("not root: %v", err)
	}
}

func TestParseTakesApartWhatIsSentAndNothingElse(t *testing.T) {
	for _, b := range []become{becomeNot, becomeNever, becomeAsks} {
		for _, s := range Scripts() {
			line, err := commandLine(b, s, "0123456789abcdef", "/a path/$x;y")
			if err != nil {
				t.Fatal(err)
			}
			got, args, sudo, err := Parse(line)
			if err != nil || got != s || sudo != (b != becomeNot) || !slices.Equal(args, []string{"0123456789abcdef", "/a path/$x;y"}) {
				t.Errorf("%q: %.20q, %q, %v, %v", b, got, args, sudo, err)
			}
		}
	}
	good, err := commandLine(becomeNot, Launch, "n")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "true", "exec /bin/sh -c 'rm -rf /' phoenix", good + "; true", good + " x", good[:len(good)-1], "exec " + good} {
		if s, _, _, err := Parse(bad); err == nil {
			t.Errorf("%q was taken for %.20q", bad, s)
		}
	}
	for _, arg := range []string{"it's", "a\nb", "a\x00b", `a\b`, "a!b"} {
		if line, err := commandLine(becomeNot, Launch, arg); err == nil {
			t.Errorf("%q became %q", arg, line)
		}
	}
	for _, s := range Scripts() {
		if strings.Contains(string(s), "'") {
			t.Errorf("a script holds an apostrophe: %.40s", s)
		}
	}
}

// peer is a session whose other end is the test.
type peer struct {
	in     bytes.Buffer
	out    *io.PipeReader
	say    *io.PipeWriter
	closed chan struct{}
}

func newPeer() *peer {
	p := &peer{closed: make(chan struct{})}
	p.out, p.say = io.Pipe()
	return p
}

type input struct{ *bytes.Buffer }

func (input) Close() error { return nil }

func (p *peer) Stdin() io.WriteCloser { return input{&p.in} }
func (p *peer) Stdout() io.Reader     { return p.out }
func (p *peer) Stderr() string        { return "" }
func (p *peer) Wait() error           { <-p.closed; return errors.New("closed") }
func (p *peer) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
		_ = p.say.Close()
	}
	return nil
}

// agentOf is an agent that has been greeted by the peer.
func agentOf(ctx context.Context, p *peer) *Agent {
	c := &command{Session: p, quiet: func() {}, release: func() {}}
	a := newAgent(c, &remote{target: target, opts: options(tasks.ModeRun, "ok")})
	a.listen(ctx)
	return a
}

func (p *peer) send(t *testing.T, m wire.Message) {
	t.Helper()
	if err := wire.NewWriter(p.say).Write(m); err != nil {
		t.Error(err)
	}
}

func TestAHostThatFallsSilentIsGoneInTheStepItWasIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer()
		a := agentOf(t.Context(), p)
		go p.send(t, wire.Message{Heartbeat: &wire.Heartbeat{Step: "lxc:900", ForMS: 65000}})
		if _, err := a.Receive(); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err := a.Receive()
		var gone *GoneError
		if !errors.As(err, &gone) || !errors.Is(err, transport.ErrPeerGone) || time.Since(begin) != 15*time.Second {
			t.Fatalf("error %v after %s, want a GoneError after 15s", err, time.Since(begin))
		}
		if want := "hear from pve1: nothing for 15s; it was in step lxc:900, for 1m5s by then"; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
		begin = time.Now()
		if err := a.Close(); err != nil || time.Since(begin) != 5*time.Second {
			t.Errorf("close: %v after %s, want the grace of 5s", err, time.Since(begin))
		}
		if err := a.Close(); err != nil {
			t.Errorf("a second close: %v", err)
		}
	})
}

func TestWhatArrivesIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer()
		a := agentOf(t.Context(), p)
		go func() {
			p.send(t, wire.Message{Journal: &wire.Journal{RunID: "r0"}})
			p.send(t, wire.Message{Done: &wire.Done{}})
		}()
		for range 2 {
			if _, err := a.Receive(); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		if err := a.Close(); err != nil || time.Since(begin) != 0 {
			t.Errorf("close: %v after %s, want at once", err, time.Since(begin))
		}
		r := wire.NewReader(&p.in)
		for _, want := range []string{"r0", "r1"} {
			if m, err := r.Read(); err != nil || m.Confirm == nil || m.Confirm.Token != want {
				t.Errorf("sent %+v, %v; want a confirm of %s", m, err, want)
			}
		}
	})
}

func TestAHostileHelperIsAFrameError(t *testing.T) {
	for name, text := range map[string]string{
		"garbage":       "Segmentation fault\n",
		"a huge length": "\x7f\xff\xff\xff",
		"no message":    "\x00\x00\x00\x02{}",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer()
			a := agentOf(t.Context(), p)
			go func() { _, _ = io.WriteString(p.say, text) }()
			_, err := a.Receive()
			var frame *wire.FrameError
			if !errors.As(err, &frame) {
				t.Errorf("error %v, want a FrameError", err)
			}
			_ = a.Close()
		})
	}
	t.Run("half a frame", func(t *testing.T) {
		p := newPeer()
		a := agentOf(t.Context(), p)
		go func() {
			_, _ = io.WriteString(p.say, "\x00\x00\x00\x10{\"done\"")
			_ = p.Close()
		}()
		_, err := a.Receive()
		var lost *LostError
		if !errors.As(err, &lost) {
			t.Errorf("error %v, want a LostError", err)
		}
	})
}

func TestTheJobIsSentWithTheCommandThatStartsTheHelper(t *testing.T) {
	c := &eager{t: t, got: make(chan []byte, 1)}
	o := options(tasks.ModeCheck, "ok")
	o.StartTimeout = 10 * time.Second
	o.Nonce = func() string { return "0123456789abcdef" }
	_, err := Start(t.Context(), c, target, o)
	if err == nil {
		t.Fatal("a session that ended was taken for a helper")
	}
	job, encErr := json.Marshal(wire.Message{Job: &o.Job})
	if encErr != nil {
		t.Fatal(encErr)
	}
	want := fmt.Sprintf("%s\x00\x00%s%s", wire.Greeting("0123456789abcdef"), []byte{byte(len(job) >> 8), byte(len(job))}, job)
	if got := <-c.got; string(got) != want {
		t.Errorf("sent %q before any answer, want %q", got, want)
	}
}

// eager is a host that says nothing until it has the job.
type eager struct {
	t   *testing.T
	got chan []byte
}

func (e *eager) Start(context.Context, string) (transport.Session, error) {
	r, w := io.Pipe()
	p := newPeer()
	go func() {
		buf := make([]byte, 64<<10)
		n, _ := r.Read(buf)
		select {
		case e.got <- buf[:n]:
		default:
		}
		_ = p.Close()
	}()
	return piped{p, w}, nil
}

func (e *eager) Upload(context.Context, string, []byte) error { return errors.New("no disk") }
func (e *eager) Close() error                                 { return nil }

type piped struct {
	*peer
	w *io.PipeWriter
}

func (p piped) Stdin() io.WriteCloser { return p.w }
