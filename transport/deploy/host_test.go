package deploy

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"phoenix/agentlet"
	"phoenix/tasks"
	"phoenix/tasks/local"
	"phoenix/transport"
)

// The helper of these tests is a shell script that starts the test's own binary,
// which then serves as the real one does.
const helperScript = "#!/bin/sh\nPHOENIX_TEST_SELF=$0 exec \"$PHOENIX_TEST_BINARY\" \"$@\"\n"

func TestMain(m *testing.M) {
	if self := os.Getenv("PHOENIX_TEST_SELF"); self != "" {
		os.Exit(serve(self))
	}
	os.Exit(m.Run())
}

// serve is the helper's main.
func serve(self string) int {
	data, err := os.ReadFile(self)
	if err != nil {
		return 1
	}
	sum := sha256.Sum256(data)
	root := os.Getenv("PHOENIX_TEST_ROOT")
	s := agentlet.Server{
		Host:     func(string) tasks.Host { return &local.Host{Root: root} },
		Registry: tasks.NewRegistry(tasks.Kind{Name: "play", New: func() tasks.Spec { return &spec{} }}),
		Dirs:     agentlet.Dirs{State: root + "/var/lib/phoenix", Lock: root + "/run/lock/phoenix.lock"},
		SHA256:   hex.EncodeToString(sum[:]), Hostname: "pve1", Arch: "amd64", PID: os.Getpid(),
	}
	if err := s.Serve(context.Background(), os.Stdin, os.Stdout, os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// dieFile is what a "die" step waits for.
func dieFile(root string) string { return root + "/die-now" }

// spec is a step: "ok", or "die", which ends the helper as SIGKILL does.
type spec struct {
	Do string `json:"do"`
}

func (p *spec) Validate() []tasks.Problem { return nil }
func (p *spec) Task() tasks.Task          { return p }
func (p *spec) Check(context.Context, tasks.Host) (tasks.Diff, error) {
	if p.Do == "ok" {
		return nil, nil
	}
	return tasks.Diff{{Path: "x", To: "y"}}, nil
}

func (p *spec) Apply(context.Context, tasks.Host, tasks.Diff) error {
	for _, err := os.Stat(dieFile(os.Getenv("PHOENIX_TEST_ROOT"))); err != nil; _, err = os.Stat(dieFile(os.Getenv("PHOENIX_TEST_ROOT"))) {
		<-time.After(time.Millisecond)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return errors.Join(self.Kill(), errors.New("still alive"))
}

// shell is a host that runs our scripts in a real shell, with the folders that they
// name moved below root. It implements transport.Conn.
type shell struct {
	t    *testing.T
	root string
	bin  string // comes first on PATH

	mu       sync.Mutex
	started  []Script
	uploads  int
	noSFTP   bool
	banner   string
	mangle   func(gz []byte) []byte // what an upload becomes on its way
	greeting func(s Script) string  // a command that stands in for a script
}

func newShell(t *testing.T) *shell {
	t.Helper()
	h := &shell{t: t, root: t.TempDir(), bin: t.TempDir()}
	for _, dir := range []string{"var/lib", "run/lock", "root"} {
		if err := os.MkdirAll(filepath.Join(h.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.program("id", "echo 0")
	h.program("uname", "echo x86_64")
	return h
}

// program puts a program on the host's PATH.
func (h *shell) program(name, script string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

// place maps what a script names to where it lies.
func (h *shell) place(s string) string {
	for _, dir := range []string{"/var/lib/phoenix", "/var/cache/phoenix", "/run/phoenix", "/run/lock/phoenix.lock"} {
		s = strings.ReplaceAll(strings.ReplaceAll(s, h.root+dir, dir), dir, h.root+dir)
	}
	return s
}

func (h *shell) Start(_ context.Context, command string) (transport.Session, error) {
	s, _, _, err := Parse(command)
	if err != nil {
		h.t.Errorf("started %q: %v", command, err)
	}
	h.mu.Lock()
	h.started = append(h.started, s)
	h.mu.Unlock()
	text := h.place(command)
	if h.greeting != nil && h.greeting(s) != "" {
		text = h.greeting(s)
	}
	c := exec.Command("/bin/sh", "-c", "printf '"+h.banner+"'\n"+text)
	c.Env = []string{
		"PATH=" + h.bin + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + h.root + "/root",
		"PHOENIX_TEST_ROOT=" + h.root, "PHOENIX_TEST_BINARY=" + os.Args[0],
	}
	c.WaitDelay = time.Second
	p := &process{cmd: c, ended: make(chan struct{})}
	in, err1 := c.StdinPipe()
	outR, outW, err2 := os.Pipe()
	c.Stdout, c.Stderr = outW, &p.stderr
	if err := errors.Join(err1, err2, c.Start()); err != nil {
		return nil, err
	}
	p.in, p.out = in, outR
	_ = outW.Close()
	go func() {
		p.err = c.Wait()
		close(p.ended)
	}()
	h.t.Cleanup(func() { _ = p.Close() })
	return p, nil
}

func (h *shell) Upload(_ context.Context, path string, data []byte) error {
	if h.noSFTP {
		return fmt.Errorf("upload %s: %w", path, transport.ErrNoSFTP)
	}
	h.uploads++
	if h.mangle != nil {
		data = h.mangle(data)
	}
	return os.WriteFile(path, data, 0o600)
}

func (h *shell) Close() error { return nil }

// process is a command in a real shell.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *os.File
	stderr lockedBuffer
	ended  chan struct{}
	err    error
}

func (p *process) Stdin() io.WriteCloser { return p.in }
func (p *process) Stdout() io.Reader     { return p.out }
func (p *process) Stderr() string        { return p.stderr.String() }
func (p *process) Wait() error {
	<-p.ended
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		if exit.ExitCode() < 0 {
			return &transport.ExitError{Code: -1, Signal: "KILL"}
		}
		return &transport.ExitError{Code: exit.ExitCode()}
	}
	return p.err
}

// Close hangs up, as sshd does; a command that does not mind is killed in the end.
func (p *process) Close() error {
	_ = p.in.Close()
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	select {
	case <-p.ended:
	case <-limit.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	_ = p.out.Close()
	return nil
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// packed is the helper of these tests, for every architecture.
func packed(string) ([]byte, string, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, helperScript)
	err = errors.Join(err, w.Close())
	sum := sha256.Sum256([]byte(helperScript))
	return b.Bytes(), hex.EncodeToString(sum[:]), err
}

// options are those of a job with the given steps.
func options(mode tasks.Mode, do ...string) Options {
	j := tasks.Job{RunID: "r1", Operator: "ann@laptop", Mode: mode}
	for i, d := range do {
		j.Steps = append(j.Steps, tasks.Step{ID: fmt.Sprintf("step%d", i), Kind: "play", Spec: json.RawMessage(`{"do":"` + d + `"}`)})
	}
	return Options{Job: j, Helper: packed, StartTimeout: 20 * time.Second, ScriptTimeout: 20 * time.Second, Grace: 5 * time.Second}
}

var _ transport.Conn = (*shell)(nil)
