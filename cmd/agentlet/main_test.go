package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
)

const nonce = "0123456789abcdef"

// TestMain lets the test's own binary be the helper.
func TestMain(m *testing.M) {
	if os.Getenv("PHOENIX_TEST_AGENTLET") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func helper(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), "PHOENIX_TEST_AGENTLET=1")
	return c
}

func check(t *testing.T) string {
	t.Helper()
	frame, err := wire.Encode(wire.Message{Job: &tasks.Job{RunID: "r1", Mode: tasks.ModeCheck}})
	if err != nil {
		t.Fatal(err)
	}
	return string(wire.Greeting(nonce)) + string(frame)
}

func TestTheHelperSaysWhatItIs(t *testing.T) {
	c := helper(t, "serve", nonce)
	c.Stdin = strings.NewReader(check(t))
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	r := wire.NewReader(strings.NewReader(string(out)))
	if _, err := r.ReadGreeting(nonce); err != nil {
		t.Fatal(err)
	}
	m, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if m.Hello == nil || m.Hello.SHA256 != hex.EncodeToString(sum[:]) || m.Hello.UID != os.Geteuid() || m.Hello.PID == 0 {
		t.Errorf("hello %+v, want the hash of the file, the user and the process", m.Hello)
	}
	if m, err := r.Read(); err != nil || m.Done == nil || m.Done.Error != "" {
		t.Errorf("then %+v, %v; want done", m, err)
	}
}

func TestAHelperWhoseReaderIsGoneEndsByItself(t *testing.T) {
	c := helper(t, "serve", nonce)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout = w
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Close(), c.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, check(t)); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("it ended with %v, want status 0 and no SIGPIPE", err)
	}
}

func TestByHandItSaysWhatItIsFor(t *testing.T) {
	for _, args := range [][]string{nil, {"serve"}, {"run", nonce}} {
		out, err := helper(t, args...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 64 || !strings.Contains(string(out), "usage: agentlet serve NONCE") {
			t.Errorf("%q: %v, %s; want the usage and status 64", args, err, out)
		}
	}
}

func TestTheHashIsRememberedUntilTheFileIsTouched(t *testing.T) {
	exe, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "agentlet-noted")
	if err := os.WriteFile(path, exe, 0o700); err != nil {
		t.Fatal(err)
	}
	// As the install script notes it.
	note := exec.CommandContext(t.Context(), "sh", "-c", `stat -c "%i %.9Z %s" "$1" > "$1.stat"`, "note", path)
	if out, err := note.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	hash := func() string {
		c := exec.CommandContext(t.Context(), path, "serve", nonce)
		c.Env = append(os.Environ(), "PHOENIX_TEST_AGENTLET=1")
		c.Stdin = strings.NewReader(check(t))
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		r := wire.NewReader(strings.NewReader(string(out)))
		if _, err := r.ReadGreeting(nonce); err != nil {
			t.Fatal(err)
		}
		m, err := r.Read()
		if err != nil || m.Hello == nil {
			t.Fatalf("%+v, %v; want hello", m, err)
		}
		return m.Hello.SHA256
	}
	if got := hash(); got != "noted" {
		t.Errorf("an untouched file says %s, want what was noted", got)
	}
	if err := os.WriteFile(path, append(exe, 0), 0o700); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append(exe, 0))
	if got := hash(); got != hex.EncodeToString(sum[:]) {
		t.Errorf("a touched file says %s, want its own hash", got)
	}
}
