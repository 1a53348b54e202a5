package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	cards "phoenix/tasks/kind/gpus"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
	"phoenix/transport"
	"phoenix/transport/deploy"
	"phoenix/transport/fleet"
	"phoenix/transport/lab"
	"phoenix/transport/ssh"
)

// away is a dialer that cannot reach a host while it is said to be away.
type away struct {
	transport.Dialer
	mu    sync.Mutex
	host  string
	dials []time.Time
}

func (a *away) Dial(ctx context.Context, t transport.Target) (transport.Conn, error) {
	a.mu.Lock()
	is := a.host == t.Name
	a.dials = append(a.dials, time.Now())
	a.mu.Unlock()
	if is {
		return nil, &transport.DialError{Host: t.Name, Stage: transport.StageConnect, Err: errors.New("no route to host")}
	}
	return a.Dialer.Dial(ctx, t)
}

func (a *away) is(host string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.host = host
}

// sheets is a standard output that is looked at.
type sheets struct {
	mu     sync.Mutex
	all    []string
	closed bool
}

func (s *sheets) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, syscall.EPIPE
	}
	s.all = append(s.all, string(p))
	return len(p), nil
}

// until waits for a sheet behind the first that were seen, and returns how many there are.
func (s *sheets) until(t *testing.T, seen int, wanted ...string) int {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(time.Minute); ; {
		s.mu.Lock()
		for i := seen; i < len(s.all); i++ {
			if !slices.ContainsFunc(wanted, func(w string) bool { return !strings.Contains(s.all[i], w) }) {
				s.mu.Unlock()
				return i + 1
			}
		}
		last := strings.Join(s.all[max(0, len(s.all)-1):], "")
		s.mu.Unlock()
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("no sheet has %q; the last is\n%s", wanted, last)
		}
	}
}

// labWatch watches a lab, every 100 ms.
type labWatch struct {
	*gpuWatch
	lab   *lab.Lab
	away  *away
	out   *sheets
	ended chan error
}

func watchLab(t *testing.T, hosts int) *labWatch {
	t.Helper()
	dir := t.TempDir()
	l, err := lab.Start(t.Context(), lab.Options{Dir: dir, Hosts: hosts, GPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	step, err := tasks.NewStep(cards.Name, cards.Name+":host", &cards.Spec{EveryMS: 100})
	if err != nil {
		t.Fatal(err)
	}
	w := &labWatch{lab: l, out: &sheets{}, ended: make(chan error, 1), away: &away{Dialer: &ssh.Dialer{
		KnownHosts: []string{filepath.Join(dir, lab.KnownHostsFile)}, ConfigFile: ssh.Never, OpenSSH: ssh.Never,
		Env: func(string) string { return "" }, Timeouts: transport.Timeouts{Dial: 30 * time.Second}, Attempts: 1,
	}}}
	w.gpuWatch = &gpuWatch{
		p: &program{now: time.Now, stdout: w.out, environ: func(string) string { return "" }}, g: &cli{Color: "never"}, every: 100 * time.Millisecond,
		slots: make(chan struct{}, 1), intr: newInterrupts(t.Context(), func(string) {}), redact: func(s string) string { return strings.ReplaceAll(s, "RTX 4090", "***") },
		fleet: fleet.Fleet{Dialer: w.away, Start: fleet.Deploy(deploy.Options{})},
	}
	w.show = w.p.showGPUs(w.g, output{})
	for _, h := range l.Hosts {
		w.hosts = append(w.hosts, fleet.Host{
			Target: transport.Target{Name: h.Name, Address: "127.0.0.1", Port: h.Addr.Port, User: "root", IdentityFiles: []string{filepath.Join(dir, lab.KeyFile)}},
			Job:    tasks.Job{Operator: "ann@laptop", Mode: tasks.ModeCheck, Steps: []tasks.Step{step}},
		})
	}
	return w
}

func (w *labWatch) start() { go func() { w.ended <- w.follow() }() }

// end waits for the end of the watch and of all that the hosts do.
func (w *labWatch) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(time.Minute):
		t.Fatal("the watch does not end")
		return nil
	}
}

func TestAHostThatBreaksIsShownAndComesBackWhileTheOthersGoOn(t *testing.T) {
	w := watchLab(t, 3)
	w.start()
	seen := w.out.until(t, 0, "pve1  1 GPU", "pve2  1 GPU", "pve3  1 GPU", "3 hosts, 3 GPUs", "NVIDIA GeForce ***")
	sessions := []int64{w.lab.Hosts[0].Sessions.Load(), w.lab.Hosts[2].Sessions.Load()}
	m, err := w.lab.Hosts[1].Machine()
	if err != nil {
		t.Fatal(err)
	}
	w.away.is("pve2")
	m.Down()
	seen = w.out.until(t, seen, "pve1  1 GPU", "pve2  unreachable", "pve3  1 GPU", "2 of 3 hosts, 2 GPUs", "! pve2: connect", "no route to host")
	w.away.is("")
	seen = w.out.until(t, seen, "pve1  1 GPU", "pve2  1 GPU", "pve3  1 GPU", "3 hosts, 3 GPUs")
	for range 10 {
		seen = w.out.until(t, seen, "3 hosts, 3 GPUs")
	}
	for i, h := range []*lab.Host{w.lab.Hosts[0], w.lab.Hosts[2]} {
		if c, s := h.Connections.Load(), h.Sessions.Load(); c != 1 || s != sessions[i] {
			t.Errorf("%s: %d sheets took %d connections and %d more sessions, want 1 and none", h.Name, seen, c, s-sessions[i])
		}
	}
	if c := w.lab.Hosts[1].Connections.Load(); c != 2 {
		t.Errorf("the host that broke once was connected to %d times", c)
	}
	w.intr.press("interrupt", 1)
	if err := w.end(t); err != exitError(130) {
		t.Errorf("it ended with %v", err)
	}
}

func TestAWatchThatNobodyReadsEndsOnTheHostsToo(t *testing.T) {
	w := watchLab(t, 1)
	w.start()
	w.out.until(t, 0, "pve1  1 GPU")
	w.out.mu.Lock()
	w.out.closed = true
	w.out.mu.Unlock()
	if err := w.end(t); err != nil {
		t.Error(err)
	}
}

func TestAHostIsDialedAgainMoreAndMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &away{host: "pve1"}
		begin := time.Now()
		w := &gpuWatch{
			p: &program{now: time.Now}, g: &cli{}, every: 2 * time.Second, slots: make(chan struct{}, 1), intr: newInterrupts(t.Context(), func(string) {}),
			fleet: fleet.Fleet{Dialer: a}, hosts: []fleet.Host{{Target: transport.Target{Name: "pve1"}}}, pulse: map[string]gpuPulse{}, heard: make(chan struct{}),
		}
		w.fleet.Interrupt = w.intr.Interrupt
		time.AfterFunc(2*time.Minute+time.Second, func() { w.intr.press("", 1) })
		w.attend(t.Context(), w.hosts[0])
		var at []int
		for _, d := range a.dials {
			at = append(at, int(d.Sub(begin).Seconds()))
		}
		if want := []int{0, 2, 6, 14, 30, 60, 90, 120}; !slices.Equal(at, want) {
			t.Errorf("dialed after %v seconds, want %v", at, want)
		}
		if p := w.pulse["pve1"]; p.fault == nil || p.fault.Class != report.ClassUnreachable {
			t.Errorf("%+v", p)
		}
		w.intr.release()
	})
}

func TestAnOldSampleIsMarkedAndWhoHasSaidNothingYetIsConnecting(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)
	sample := func(age time.Duration) gpuPulse {
		r := gpuReport(t).Hosts[0].Steps[0].Result
		return gpuPulse{result: &r, sampled: now.Add(-age)}
	}
	w := &gpuWatch{
		p: &program{now: func() time.Time { return now }}, g: &cli{}, every: 2 * time.Second, intr: newInterrupts(t.Context(), func(string) {}),
		pulse: map[string]gpuPulse{"fresh": sample(4 * time.Second), "old": sample(12 * time.Second), "failed": {result: &tasks.Result{Status: tasks.StatusFailed, Why: "list devices: no sysfs"}}},
	}
	for _, name := range []string{"fresh", "old", "new", "failed"} {
		w.hosts = append(w.hosts, fleet.Host{Target: transport.Target{Name: name}, Job: tasks.Job{Steps: []tasks.Step{{ID: "gpus:host"}}}})
	}
	r, marks, err := w.report()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := gpuSheetOf(r, term.Style{}, marks).write(&out, 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nfresh  3 GPUs", "\nold  stale, 12s old: 3 GPUs", "\nnew  connecting\n", "\nfailed  failed\n", "\nfleet  2 of 4 hosts, 6 GPUs", "! failed: list devices: no sysfs\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing says %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "! new") {
		t.Errorf("to connect is no fault:\n%s", out.String())
	}
}

func TestASampleIsDrawnInPlaceOnATerminalOnly(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var out bytes.Buffer
		p := &program{
			stdout: &out, stdoutTTY: terminal, environ: func(name string) string { return map[string]string{"TERM": "xterm"}[name] },
			now: func() time.Time { return time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC) },
		}
		w := &gpuWatch{p: p, g: &cli{Color: "auto"}}
		w.show = p.showGPUs(w.g, output{})
		for range 2 {
			if err := w.draw(gpuReport(t), nil); err != nil {
				t.Fatal(err)
			}
		}
		got := out.String()
		if n := strings.Count(got, "2026-11-23 15:00:00 UTC"); n != 2 {
			t.Errorf("terminal %v: %d samples, want 2", terminal, n)
		}
		home, wiped, blank := strings.Count(got, "\x1b[H"), strings.Count(got, "\x1b[J"), strings.Count(got, "\n\n")
		if terminal && (home != 2 || wiped != 2 || blank != 0 || strings.Count(got, "\x1b[K\r\n") != strings.Count(got, "\n")) {
			t.Errorf("on a terminal: %q", got)
		}
		if !terminal && (strings.Contains(got, "\x1b") || blank != 2 || !strings.HasSuffix(got, "\n\n")) {
			t.Errorf("on a pipe: %q", got)
		}
	}
}

func TestWhatAScreenHasNoRowsForIsCounted(t *testing.T) {
	for rows, want := range map[int]string{4: "a\nb\nc\n", 3: "a\nb\nc\n", 2: "a\n2 lines more: --limit shows fewer hosts\n", 1: "3 lines more: --limit shows fewer hosts\n"} {
		if got := firstRows("a\nb\nc\n", 0, rows); got != want {
			t.Errorf("%d rows: %q, want %q", rows, got, want)
		}
	}
	const wide = "12345678901\n\x1b[31m1234567890\x1b[0m\nc\n" // 2 rows, 1 and 1 of 10 columns
	for rows, want := range map[int]string{4: wide, 3: "12345678901\n2 lines...\n", 2: "3 lines...\n"} {
		if got := firstRows(wide, 10, rows); got != want {
			t.Errorf("%d rows of 10 columns: %q, want %q", rows, got, want)
		}
	}
}
