package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"phoenix/e2e/realhost"
)

// binaries are built once for all tests of the package.
var binaries struct{ phoenix, simulator string }

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "phoenix-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binaries.phoenix, binaries.simulator = filepath.Join(dir, "phoenix"), filepath.Join(dir, "pvesim")
	for bin, pkg := range map[string]string{binaries.phoenix: "phoenix/cmd/phoenix", binaries.simulator: "phoenix/e2e/pvesim"} {
		build := exec.Command("go", "build", "-o", bin, pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v: %s\n", pkg, err, out)
			return 1
		}
	}
	return m.Run()
}

// rig is a fleet of real servers and a workstation with a home of its own.
type rig struct {
	*realhost.Fleet
	// home has the workstation's files; commands run in it.
	home string
	// inventory lists extra settings by host, as YAML flow: "become: sudo".
	extra map[string]string
	// env has further variables of the workstation.
	env []string
}

// newRig starts n hosts named pve1 to pveN.
func newRig(t *testing.T, n int, o realhost.Options) *rig {
	t.Helper()
	o.Dir, o.Hosts, o.Simulator = t.TempDir(), n, binaries.simulator
	f, err := realhost.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return &rig{Fleet: f, home: t.TempDir(), extra: map[string]string{}}
}

// write writes a file into the workstation's home.
func (r *rig) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.home, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// inventory writes hosts.yaml with all hosts of the rig, the first of which carries
// the containers. Further lines are added at the top level.
func (r *rig) inventory(t *testing.T, more string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\ndefaults:\n  user: root\n  hypervisor: hypervisor.json\n  lxc: lxc.json\n  identity_files: [%s]\nhosts:\n", r.IdentityFile)
	for i, h := range r.Hosts {
		containers := "[]"
		if i == 0 {
			containers = "all"
		}
		fmt.Fprintf(&b, "  %s: {address: %s, port: %d, containers: %s", h.Name, h.Address, h.Port, containers)
		if more := r.extra[h.Name]; more != "" {
			b.WriteString(", " + more)
		}
		b.WriteString("}\n")
	}
	r.write(t, "hosts.yaml", b.String()+more)
}

// outcome is what a command left behind.
type outcome struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// command prepares a phoenix command in the workstation's home.
func (r *rig) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binaries.phoenix, args...)
	cmd.Dir = r.home
	cmd.Env = []string{
		"HOME=" + r.home, "XDG_STATE_HOME=" + filepath.Join(r.home, "state"), "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8",
		"PHOENIX_KNOWN_HOSTS=" + r.KnownHosts,
	}
	cmd.Env = append(cmd.Env, r.env...)
	return r.OnWire(cmd)
}

// phoenix runs a command to its end, which must come within two minutes.
func (r *rig) phoenix(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	return finish(t, r.command(ctx, args...))
}

// finish runs a prepared command to its end.
func finish(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	return finishing(t, cmd, new(liveText), func() {})
}

// liveText is what a process has written so far.
type liveText struct {
	mu   sync.Mutex
	text []byte
}

func (l *liveText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *liveText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// finishing is finish whose stderr can be read meanwhile, and that calls begun once
// the process is there.
func finishing(t *testing.T, cmd *exec.Cmd, stderr *liveText, begun func()) outcome {
	t.Helper()
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, stderr
	begin := time.Now()
	err := cmd.Start()
	if begun(); err == nil {
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Errorf("run %v: %v", cmd.Args, err)
		return outcome{code: -1}
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(begin)}
}

// want fails the test unless the command ended with the code.
func (o outcome) want(t *testing.T, code int) outcome {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit status %d, want %d\nstdout:\n%s\nstderr:\n%s", o.code, code, o.stdout, o.stderr)
	}
	return o
}

// says fails the test unless one of the streams has the text.
func (o outcome) says(t *testing.T, texts ...string) outcome {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(o.stdout+o.stderr, text) {
			t.Errorf("nothing says %q\nstdout:\n%s\nstderr:\n%s", text, o.stdout, o.stderr)
		}
	}
	return o
}

// record is the part of a JSON report that the tests look at.
type record struct {
	RunID           string `json:"run_id"`
	ExitCode        int    `json:"exit_code"`
	Signal, Stopped string
	Hosts           []recordHost
}

type recordHost struct {
	Name, Status string
	Error        *struct{ Class, What, Why, Hint string }
	Uploaded     bool
	Earlier      []struct {
		RunID    string `json:"run_id"`
		Finished bool
		Steps    []struct{ ID, Status string }
	}
	Steps []struct {
		ID, Status, Why, Cause string
		Changes, Remaining     []struct{ Path, From, To, Effect string }
		Data                   json.RawMessage
	}
}

// report parses what `-o json` printed.
func (o outcome) report(t *testing.T) record {
	t.Helper()
	var r record
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatalf("parse the report: %v\nstdout:\n%s\nstderr:\n%s", err, o.stdout, o.stderr)
	}
	return r
}

// changes lists "HOST STEP PATH" of every change, in order.
func (r record) changes() []string {
	var out []string
	for _, h := range r.Hosts {
		for _, s := range h.Steps {
			for _, c := range s.Changes {
				out = append(out, h.Name+" "+s.ID+" "+c.Path)
			}
		}
	}
	return out
}

// statuses is "pve1 ok, pve2 failed".
func (r record) statuses() string {
	var out []string
	for _, h := range r.Hosts {
		out = append(out, h.Name+" "+h.Status)
	}
	return strings.Join(out, ", ")
}

// bareRig is a workstation without hosts.
func bareRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	return &rig{Fleet: &realhost.Fleet{Dir: dir, KnownHosts: filepath.Join(dir, "known_hosts")}, home: t.TempDir(), extra: map[string]string{}}
}
