package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"phoenix/tasks"
)

func sh(script string) tasks.Cmd { return tasks.Cmd{Argv: []string{"sh", "-c", script}} }

// lines collects what is said while a program runs.
type lines struct {
	mu   sync.Mutex
	text []string
	said chan string
}

func listen(ctx context.Context) (context.Context, *lines) {
	l := &lines{said: make(chan string, 100)}
	return tasks.WithScope(ctx, tasks.Scope{Log: func(x tasks.Log) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.text = append(l.text, x.Stream+": "+x.Text)
		select {
		case l.said <- x.Text:
		default:
		}
	}}), l
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.text)
}

// both runs a test with output through pipes and through files.
func both(t *testing.T, f func(t *testing.T, h *Host)) {
	t.Run("pipes", func(t *testing.T) { f(t, &Host{}) })
	t.Run("files", func(t *testing.T) { f(t, &Host{OutputDir: t.TempDir()}) })
}

func TestRun_outcomes(t *testing.T) {
	both(t, func(t *testing.T, h *Host) {
		for _, tc := range []struct {
			name, script, stdout, stderr string
			code                         int
		}{
			{"success", "echo out; echo err >&2", "out\n", "err\n", 0},
			{"a status", "exit 7", "", "", 7},
			{"a signal is 128 and its number", "kill -KILL $$", "", "", 128 + 9},
			{"the environment is fixed", "echo $HOME $LC_ALL $PATH $PHOENIX_TEST_LEAK", "/root C " + DefaultPath + "\n", "", 0},
			{"the working directory is the root", "pwd", "/\n", "", 0},
			{"stdin is empty", "cat; echo end", "end\n", "", 0},
		} {
			t.Run(tc.name, func(t *testing.T) {
				t.Setenv("PHOENIX_TEST_LEAK", "leaked")
				out, err := h.Run(t.Context(), sh(tc.script))
				if err != nil || string(out.Stdout) != tc.stdout || string(out.Stderr) != tc.stderr || out.Code != tc.code {
					t.Errorf("%q %q %d %v", out.Stdout, out.Stderr, out.Code, err)
				}
			})
		}
	})
}

func TestRun_whatIsGivenReachesTheProgram(t *testing.T) {
	h := &Host{}
	dir := t.TempDir()
	out, err := h.Run(t.Context(), tasks.Cmd{
		Argv: []string{"sh", "-c", `cat; echo "$A"; pwd; echo "$1"`, "sh", "a  b; $(x)"},
		Env:  []string{"A=b c"}, Dir: dir, Stdin: []byte("typed\n"), ReadOnly: true,
	})
	if want := "typed\nb c\n" + dir + "\na  b; $(x)\n"; err != nil || string(out.Stdout) != want {
		t.Errorf("got %q, %v; want %q", out.Stdout, err, want)
	}
}

func TestRun_hasASessionOfItsOwn(t *testing.T) {
	out, err := new(Host).Run(t.Context(), sh("cut -d' ' -f6 /proc/$$/stat; echo $$"))
	if f := strings.Fields(string(out.Stdout)); err != nil || len(f) != 2 || f[0] != f[1] {
		t.Errorf("session and process are %q, %v", out.Stdout, err)
	}
}

func TestRun_aProgramThatIsNotThere(t *testing.T) {
	h := &Host{}
	for _, name := range []string{"no-such-program", "/no/such/program"} {
		if _, err := h.Run(t.Context(), tasks.Cmd{Argv: []string{name}}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Run(t.Context(), tasks.Cmd{Argv: []string{"/etc/passwd"}}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a file that is no program: %v", err)
	}
	if _, err := h.Run(t.Context(), tasks.Cmd{}); err == nil {
		t.Error("no program at all ran")
	}
	if _, err := (&Host{Root: t.TempDir()}).Run(t.Context(), sh("true")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a tree ran a program: %v", err)
	}
}

func TestRun_aTreeFindsProgramsOnThePathItWasGiven(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "pct"), []byte("#!/bin/sh\necho simulated\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := &Host{Root: t.TempDir(), Path: bin + ":" + DefaultPath}
	out, err := h.Run(t.Context(), tasks.Cmd{Argv: []string{"pct"}})
	if err != nil || string(out.Stdout) != "simulated\n" {
		t.Errorf("%q, %v", out.Stdout, err)
	}
}

func TestRun_linesAreSaidWhileTheProgramRuns(t *testing.T) {
	both(t, func(t *testing.T, h *Host) {
		fifo := filepath.Join(t.TempDir(), "go")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, l := listen(t.Context())
		go func() { // lets the program go on only once its first line was said
			for line := range l.said {
				if line == "first" {
					_ = os.WriteFile(fifo, []byte("go\n"), 0o600)
					return
				}
			}
		}()
		out, err := h.Run(ctx, sh("echo first; read x < "+fifo+"; printf '10%%\\r20%%\\n'; printf last; echo bad >&2"))
		if err != nil || out.Code != 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		got := l.all()
		slices.Sort(got)
		if want := []string{"stderr: bad", "stdout: 20%", "stdout: first", "stdout: last"}; !slices.Equal(got, want) {
			t.Errorf("said %q, want %q", got, want)
		}
	})
}

func TestRun_readOnlyProgramsAreQuiet(t *testing.T) {
	ctx, l := listen(t.Context())
	c := sh("echo out")
	c.ReadOnly = true
	if out, err := new(Host).Run(ctx, c); err != nil || string(out.Stdout) != "out\n" {
		t.Errorf("%q, %v", out.Stdout, err)
	}
	if got := l.all(); len(got) > 0 {
		t.Errorf("said %q", got)
	}
}

func TestRun_outputIsCutOffAtAMiB(t *testing.T) {
	both(t, func(t *testing.T, h *Host) {
		ctx, l := listen(t.Context())
		out, err := h.Run(ctx, sh("head -c 3000000 /dev/zero | tr '\\0' x | fold -w 1000; echo end >&2"))
		if err != nil || out.Code != 0 || len(out.Stdout) != 1<<20 || string(out.Stderr) != "end\n" {
			t.Errorf("%d bytes, %q, %d, %v", len(out.Stdout), out.Stderr, out.Code, err)
		}
		n := 0
		for _, line := range l.all() {
			if strings.Contains(line, "cut off") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the cut was told %d times", n)
		}
	})
}

func TestRun_filesOfOutputAreRemoved(t *testing.T) {
	h := &Host{OutputDir: t.TempDir()}
	if _, err := h.Run(t.Context(), sh("ls "+h.OutputDir)); err != nil {
		t.Fatal(err)
	}
	if names, err := os.ReadDir(h.OutputDir); err != nil || len(names) > 0 {
		t.Errorf("left %v, %v", names, err)
	}
}

func TestRun_cancelEndsTheWholeGroup(t *testing.T) {
	both(t, func(t *testing.T, h *Host) {
		h.Grace = 100 * time.Millisecond
		pidFile := filepath.Join(t.TempDir(), "pid")
		ctx, l := listen(t.Context())
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			<-l.said
			cancel()
		}()
		// Both ignore SIGTERM, so that only SIGKILL after the grace ends them.
		begin := time.Now()
		out, err := h.Run(ctx, sh("trap '' TERM; (trap '' TERM; exec sleep 60) & echo $! > "+pidFile+"; echo ready; wait; sleep 60"))
		if !errors.Is(err, context.Canceled) || out.Code != 128+9 {
			t.Errorf("code %d, %v", out.Code, err)
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("took %s", d)
		}
		awaitEnd(t, pidFile)
	})
}

// awaitEnd waits until the process is gone or a zombie that init has not reaped.
func awaitEnd(t *testing.T, pidFile string) {
	t.Helper()
	data, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 300 {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		<-tick.C
	}
	t.Errorf("process %d still runs", pid)
}

func TestRun_sigtermIsEnoughForMost(t *testing.T) {
	ctx, l := listen(t.Context())
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		<-l.said
		cancel()
	}()
	out, err := new(Host).Run(ctx, sh("echo ready; exec sleep 60"))
	if !errors.Is(err, context.Canceled) || out.Code != 128+15 {
		t.Errorf("code %d, %v", out.Code, err)
	}
}

func TestRun_aDaemonThatKeepsTheOutputOpenDoesNotHoldTheStep(t *testing.T) {
	both(t, func(t *testing.T, h *Host) {
		begin := time.Now()
		out, err := h.Run(t.Context(), sh("sleep 30 & echo started"))
		if err != nil || out.Code != 0 || string(out.Stdout) != "started\n" {
			t.Errorf("%+v, %v", out, err)
		}
		if d := time.Since(begin); d > 10*time.Second {
			t.Errorf("took %s", d)
		}
	})
}

func TestRun_aContextThatHasEndedStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	mark := filepath.Join(t.TempDir(), "mark")
	if _, err := new(Host).Run(ctx, sh("touch "+mark)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program ran")
	}
}
