package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
	cards "phoenix/tasks/kind/gpus"
	"phoenix/tasks/report"
	"phoenix/transport"
	"phoenix/transport/deploy"
	"phoenix/transport/fleet"
	"phoenix/transport/lab"
	"phoenix/transport/ssh"
)

func TestAHostThatWasAwayIsInTheNextSampleAgain(t *testing.T) {
	dir := t.TempDir()
	serve := func() *lab.Lab {
		l, err := lab.Start(t.Context(), lab.Options{Dir: dir, Hosts: 1})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := serve()
	port := l.Hosts[0].Addr.Port
	step, err := tasks.NewStep(cards.Name, cards.Name+":host", &cards.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	kept := &fleet.Kept{Dialer: &ssh.Dialer{
		KnownHosts: []string{filepath.Join(dir, lab.KnownHostsFile)}, ConfigFile: ssh.Never, OpenSSH: ssh.Never,
		Env: func(string) string { return "" }, Timeouts: transport.Timeouts{Dial: 30 * time.Second}, Attempts: 1,
	}}
	defer kept.Close()
	w := &gpuWatch{
		p: &program{now: time.Now}, g: &cli{}, kept: kept, intr: newInterrupts(t.Context(), func(string) {}), redact: func(s string) string { return s },
		fleet: fleet.Fleet{Dialer: kept, Start: fleet.Deploy(deploy.Options{})},
		hosts: func(id string) []fleet.Host {
			return []fleet.Host{{
				Target: transport.Target{Name: "pve1", Address: "127.0.0.1", Port: port, User: "root", IdentityFiles: []string{filepath.Join(dir, lab.KeyFile)}},
				Job:    tasks.Job{RunID: id, Operator: "ann@laptop", Mode: tasks.ModeCheck, Steps: []tasks.Step{step}},
			}}
		},
	}
	for i, want := range []report.HostStatus{report.HostOK, report.HostUnreachable, report.HostOK} {
		switch i {
		case 1:
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			// The first question after the end finds that the connection broke.
			if _, err := w.sample(); err != nil {
				t.Fatal(err)
			}
		case 2:
			l = serve()
			defer l.Close()
		}
		r, err := w.sample()
		if err != nil || len(r.Hosts) != 1 || r.Hosts[0].Status != want {
			t.Errorf("sample %d: %+v, %v; want %s", i, r.Hosts, err, want)
		}
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
			if err := w.draw(gpuReport(t)); err != nil {
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
		if got := firstRows("a\nb\nc\n", rows); got != want {
			t.Errorf("%d rows: %q, want %q", rows, got, want)
		}
	}
}
