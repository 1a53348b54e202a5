package deploy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/transport"
)

var target = transport.Target{Name: "pve1"}

// finish receives up to the done message and closes.
func finish(t *testing.T, a *Agent) []wire.Message {
	t.Helper()
	var all []wire.Message
	for {
		m, err := a.Receive()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
		if m.Done != nil {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			return all
		}
	}
}

func helperFile(t *testing.T, h *shell, folder string) string {
	t.Helper()
	_, hash, err := packed("amd64")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(h.root, folder, "agentlet-"+hash)
}

// results counts the steps that ended.
func results(ms []wire.Message) int {
	n := 0
	for _, m := range ms {
		if m.Event != nil && m.Event.Result != nil {
			n++
		}
	}
	return n
}

func TestTheHelperIsUploadedOnceAndThenStartedByOneCommand(t *testing.T) {
	h := newShell(t)
	a, err := Start(t.Context(), h, target, options(tasks.ModeCheck, "ok"))
	if err != nil {
		t.Fatal(err)
	}
	if got := finish(t, a); got[len(got)-1].Done.Error != "" || results(got) != 1 {
		t.Errorf("got %d messages, the last %+v", len(got), got[len(got)-1].Done)
	}
	if want := []Script{Launch, Probe, Install, Launch}; !slices.Equal(h.started, want) || !a.Uploaded {
		t.Errorf("a bare host was sent %d scripts, uploaded %v", len(h.started), a.Uploaded)
	}
	entries, err := os.ReadDir(filepath.Join(h.root, "var/lib/phoenix"))
	if err != nil || len(entries) != 2 {
		t.Errorf("the folder holds %v, %v; want the helper and its note alone", entries, err)
	}
	if info, err := os.Stat(helperFile(t, h, "var/lib/phoenix")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the helper: %v, %v; want mode 0700", info, err)
	}
	h.started = nil
	a, err = Start(t.Context(), h, target, options(tasks.ModeCheck, "ok"))
	if err != nil {
		t.Fatal(err)
	}
	finish(t, a)
	if !slices.Equal(h.started, []Script{Launch}) || a.Uploaded || h.uploads != 1 {
		t.Errorf("the warm path took %d commands and %d uploads, want 1 and none more", len(h.started), h.uploads)
	}
}

func TestAHelperThatIsNotWhatItShouldBeIsReplaced(t *testing.T) {
	for name, content := range map[string]string{
		"empty":                        "",
		"cut short":                    helperScript[:20],
		"a program that says nothing":  "#!/bin/sh\nexit 0\n",
		"a program that fails":         "#!/bin/sh\necho broken >&2; exit 3\n",
		"one with another hash":        helperScript + "# replaced\n",
		"one that greets and lies":     "#!/bin/sh\nprintf '\\000\\000phoenix-agentlet 1 %s\\000\\n\\000\\000\\000\\002{}' \"$2\"; exec sleep 60\n",
		"one whose frames are garbage": "#!/bin/sh\nprintf '\\000\\000phoenix-agentlet 1 %s\\000\\ngarbage' \"$2\"; exec sleep 60\n",
		"no program at all":            "\x7fELF\x02\x01\x01 and then nothing",
	} {
		t.Run(name, func(t *testing.T) {
			h := newShell(t)
			path := helperFile(t, h, "var/lib/phoenix")
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o700)); err != nil {
				t.Fatal(err)
			}
			a, err := Start(t.Context(), h, target, options(tasks.ModeCheck, "ok"))
			if err != nil {
				t.Fatal(err)
			}
			finish(t, a)
			if data, err := os.ReadFile(path); err != nil || string(data) != helperScript || !a.Uploaded {
				t.Errorf("the helper is now %q, %v", data, err)
			}
		})
	}
}

func TestWhatCannotBeMendedIsSaid(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(h *shell)
		want  string
		hint  string
	}{
		{"an upload that is damaged on its way", func(h *shell) { h.mangle = func([]byte) []byte { return []byte("x") } },
			"install the helper on pve1: exit status 74", "df -h"},
		{"an upload of something else", func(h *shell) {
			h.mangle = func([]byte) []byte { return gzipOf(t, "another program") }
		}, "install the helper on pve1: exit status 65: the upload has SHA-256", ""},
		{"another processor", func(h *shell) { h.program("uname", "echo riscv64") }, `its processor is "riscv64"`, ""},
		{"a user who is not root", func(h *shell) { h.program("id", "echo 1000") }, "would run as user 1000", "become: sudo"},
		{"no room anywhere", func(h *shell) { h.program("df", "echo h; echo fs 100 99 1 99% /") }, "phoenix has only 1 KiB free, 20480 are needed; ", "make room"},
		{"noexec everywhere", func(h *shell) { h.program("chmod", "exit 0") }, "/root/.cache/phoenix is mounted noexec", "mount with exec"},
		{"a shell that answers nothing", func(h *shell) {
			h.greeting = func(Script) string { return "echo 'This account is currently not available.'; exit 1" }
		}, "gave no answer and exit status 1; it printed: This account is currently not available.", "ssh HOST true"},
		{"a host that prints without end", func(h *shell) {
			h.greeting = func(Script) string { return "yes" }
		}, "bytes came, and no greeting; what came instead: y | y", "login shell prints without end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newShell(t)
			c.spoil(h)
			_, err := Start(t.Context(), h, target, options(tasks.ModeCheck, "ok"))
			var fault *Error
			if !errors.As(err, &fault) {
				t.Fatalf("error %v, want an *Error", err)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.Hint, c.hint) || fault.Host != "pve1" {
				t.Errorf("error %q, hint %q; want %q, %q", err, fault.Hint, c.want, c.hint)
			}
		})
	}
}

func TestTheNextFolderIsTakenWhereOneCannotHoldTheHelper(t *testing.T) {
	h := newShell(t)
	if err := os.WriteFile(filepath.Join(h.root, "var/lib/phoenix"), nil, 0o600); err != nil { // a file in its place
		t.Fatal(err)
	}
	h.program("chmod", `case "$PWD" in */run/phoenix) exit 0;; esac; exec /bin/chmod "$@"`) // as on noexec
	for range 2 {
		a, err := Start(t.Context(), h, target, options(tasks.ModeCheck, "ok"))
		if err != nil {
			t.Fatal(err)
		}
		finish(t, a)
	}
	if _, err := os.Stat(helperFile(t, h, "root/.cache/phoenix")); err != nil || h.uploads != 1 {
		t.Errorf("%v, %d uploads; want the helper in the last folder, uploaded once", err, h.uploads)
	}
}

func TestWithoutSFTPTheHelperGoesThroughACommand(t *testing.T) {
	h := newShell(t)
	h.noSFTP = true
	a, err := Start(t.Context(), h, target, options(tasks.ModeCheck, "ok"))
	if err != nil {
		t.Fatal(err)
	}
	finish(t, a)
	if want := []Script{Launch, Probe, Receive, Install, Launch}; !slices.Equal(h.started, want) {
		t.Errorf("started %d scripts, want %d", len(h.started), len(want))
	}
}

func TestABannerIsNoObstacle(t *testing.T) {
	h := newShell(t)
	h.banner = `Welcome\r\n\033[1mphoenix-folder\033[0m of pve1, without a line break`
	a, err := Start(t.Context(), h, target, options(tasks.ModeCheck, "ok"))
	if err != nil {
		t.Fatal(err)
	}
	finish(t, a)
	if !strings.Contains(a.Noise, "Welcome") || strings.Contains(a.Noise, "\x1b") {
		t.Errorf("noise %q", a.Noise)
	}
}

func TestAHostThatAcceptsAndSaysNothingIsGivenUp(t *testing.T) {
	h := newShell(t)
	h.greeting = func(Script) string { return "exec sleep 60" }
	o := options(tasks.ModeCheck, "ok")
	o.StartTimeout = 100 * time.Millisecond
	_, err := Start(t.Context(), h, target, o)
	if err == nil || !strings.Contains(err.Error(), "start the helper on pve1: it said nothing that phoenix understands for 100ms") {
		t.Errorf("error %v", err)
	}
}

func gzipOf(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
