package lab

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/transport"
	"phoenix/transport/deploy"
	"phoenix/transport/ssh"
)

// packedHelper stands for the built one: in the lab only its hash matters.
func packedHelper(string) ([]byte, string, error) {
	text := []byte("\x7fELF, as it were")
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(text)
	err = errors.Join(err, w.Close())
	sum := sha256.Sum256(text)
	return b.Bytes(), hex.EncodeToString(sum[:]), err
}

func start(t *testing.T, o Options) *Lab {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	l, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func dial(ctx context.Context, l *Lab, h *Host) (transport.Conn, transport.Target, error) {
	t := transport.Target{
		Name: h.Name, Address: "127.0.0.1", Port: h.Addr.Port, User: "root",
		IdentityFiles: []string{filepath.Join(l.dir, KeyFile)},
	}
	limit := 30 * time.Second
	if h.hostile.Silent {
		limit = 300 * time.Millisecond
	}
	d := &ssh.Dialer{
		KnownHosts: []string{filepath.Join(l.dir, KnownHostsFile)}, ConfigFile: ssh.Never, OpenSSH: ssh.Never,
		Env: func(string) string { return "" }, Timeouts: transport.Timeouts{Dial: limit}, Attempts: 1,
	}
	conn, err := d.Dial(ctx, t)
	return conn, t, err
}

func options(mode tasks.Mode, steps ...tasks.Step) deploy.Options {
	return deploy.Options{
		Helper: packedHelper, Job: tasks.Job{RunID: "r1", Operator: "ann@laptop", Mode: mode, Steps: steps},
		StartTimeout: time.Minute,
	}
}

func motd(text string) tasks.Step {
	spec, err := json.Marshal(map[string]string{"path": "/etc/motd", "content": text})
	if err != nil {
		panic(err)
	}
	return tasks.Step{ID: "file:/etc/motd", Kind: "file", Spec: spec}
}

// run takes a host through a job and returns its one result.
func run(ctx context.Context, l *Lab, h *Host, o deploy.Options) (tasks.Result, *deploy.Agent, error) {
	conn, target, err := dial(ctx, l, h)
	if err != nil {
		return tasks.Result{}, nil, err
	}
	defer conn.Close()
	a, err := deploy.Start(ctx, conn, target, o)
	if err != nil {
		return tasks.Result{}, nil, err
	}
	defer a.Close()
	var res tasks.Result
	for {
		m, err := a.Receive()
		if err != nil {
			return res, a, err
		}
		if m.Event != nil && m.Event.Result != nil {
			res = *m.Event.Result
		}
		if m.Done != nil {
			return res, a, nil
		}
	}
}

func TestTheMainStoryOnOneHost(t *testing.T) {
	l := start(t, Options{Hosts: 1})
	h := l.Hosts[0]
	m, err := h.Machine()
	if err != nil {
		t.Fatal(err)
	}
	before, err := m.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		mode     tasks.Mode
		want     tasks.Status
		uploaded bool
	}{
		{tasks.ModeCheck, tasks.StatusWouldChange, true},
		{tasks.ModeRun, tasks.StatusChanged, false},
		{tasks.ModeRun, tasks.StatusOK, false},
		{tasks.ModeCheck, tasks.StatusOK, false},
	} {
		o := options(c.mode, motd("hello\n"))
		o.Job.RunID = "r" + string(rune('0'+i))
		res, a, err := run(t.Context(), l, h, o)
		if err != nil {
			t.Fatal(err)
		}
		if res.Status != c.want || a.Uploaded != c.uploaded || a.Hello.Hostname != "pve1" {
			t.Errorf("%d: %s: %+v, uploaded %v; want %s, %v", i, c.mode, res, a.Uploaded, c.want, c.uploaded)
		}
		if i == 0 {
			if after, err := m.Digest(); err != nil || after != before {
				t.Errorf("a check changed the machine: %v", err)
			}
		}
	}
	if data, err := os.ReadFile(filepath.Join(m.Root, "etc/motd")); err != nil || string(data) != "hello\n" {
		t.Errorf("/etc/motd has %q, %v", data, err)
	}
	if got, err := m.Digest(); err != nil || got == before {
		t.Errorf("a run left the machine as it was: %v", err)
	}
	conn, target, err := dial(t.Context(), l, h)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := os.MkdirAll(filepath.Join(m.Root, "var/cache/phoenix"), 0o755); err != nil {
		t.Fatal(err)
	}
	removed, err := deploy.Clean(t.Context(), conn, target, deploy.Options{})
	if want := []string{"/var/lib/phoenix", "/var/cache/phoenix", "/run/lock/phoenix.lock"}; err != nil || !slices.Equal(removed, want) {
		t.Errorf("clean removed %q, %v; want %q", removed, err, want)
	}
	if again, err := deploy.Clean(t.Context(), conn, target, deploy.Options{}); err != nil || len(again) != 0 {
		t.Errorf("a second clean removed %q, %v", again, err)
	}
}

func TestHostileHosts(t *testing.T) {
	for _, c := range []struct {
		name    string
		hostile Hostility
		want    string // the error; empty when all is well
	}{
		{"no sftp subsystem", Hostility{NoSFTP: true}, ""},
		{"a login shell that prints a banner", Hostility{Banner: "\x1b[2JWelcome to the machine\n> "}, ""},
		{"/var/lib/phoenix on noexec", Hostility{NoExec: true}, ""},
		{"/var/lib/phoenix without space", Hostility{Full: true}, ""},
		{"a host that accepts and then says nothing", Hostility{Silent: true}, "handshake pve1:"},
		{"a helper that sends garbage", Hostility{Garbage: true}, "the length must be from 1 to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := start(t, Options{Hosts: 2, Hostile: map[string]Hostility{"pve1": c.hostile}})
			res, _, err := run(t.Context(), l, l.Hosts[0], options(tasks.ModeRun, motd("x")))
			switch {
			case c.want == "" && (err != nil || res.Status != tasks.StatusChanged):
				t.Errorf("%+v, %v", res, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want it to say %q", err, c.want)
			}
			if res, _, err := run(t.Context(), l, l.Hosts[1], options(tasks.ModeRun, motd("x"))); err != nil || res.Status != tasks.StatusChanged {
				t.Errorf("the other host: %+v, %v", res, err)
			}
		})
	}
}

func TestAHelperThatWasSpoiledOnTheHostIsReplaced(t *testing.T) {
	l := start(t, Options{Hosts: 1})
	for i, spoil := range []string{"", "", "something else"} {
		if i > 0 {
			_, hash, err := packedHelper("amd64")
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(l.dir, "hosts/pve1/var/lib/phoenix/agentlet-"+hash)
			if err := os.WriteFile(file, []byte(spoil), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		res, a, err := run(t.Context(), l, l.Hosts[0], options(tasks.ModeCheck, motd("x")))
		if err != nil || res.Status != tasks.StatusWouldChange || !a.Uploaded {
			t.Errorf("%d: %+v, %v; want it uploaded again", i, res, err)
		}
	}
}

func TestAFolderIsServedByOneLab(t *testing.T) {
	dir := t.TempDir()
	first, err := Start(t.Context(), Options{Dir: dir, Hosts: 1})
	if err != nil {
		t.Fatal(err)
	}
	if second, err := Start(t.Context(), Options{Dir: dir, Hosts: 1}); err == nil || !strings.Contains(err.Error(), "another lab serves "+dir) {
		t.Errorf("a second lab: %v, %v; want a refusal", second, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := Start(t.Context(), Options{Dir: dir, Hosts: 1})
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTheLabIsTakenUpAgain(t *testing.T) {
	dir := t.TempDir()
	first := start(t, Options{Dir: dir, Hosts: 2})
	port := first.Hosts[1].Addr.Port
	if err := os.WriteFile(filepath.Join(dir, LXCFile), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, Options{Dir: dir, Hosts: 2})
	if got := second.Hosts[1].Addr.Port; got != port {
		t.Errorf("port %d, want %d again", got, port)
	}
	if data, err := os.ReadFile(filepath.Join(dir, LXCFile)); err != nil || string(data) != "mine" {
		t.Errorf("the user's configuration is now %q, %v", data, err)
	}
	for _, name := range []string{InventoryFile, HypervisorFile, KeyFile, KnownHostsFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, KeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestManyHostsInOneProcess(t *testing.T) {
	const n = 30 // more than linkFrom
	l := start(t, Options{Hosts: n})
	var ok atomic.Int64
	var g sync.WaitGroup
	for _, h := range l.Hosts {
		g.Go(func() {
			res, _, err := run(t.Context(), l, h, options(tasks.ModeCheck, motd("x")))
			if err != nil || res.Status != tasks.StatusWouldChange {
				t.Errorf("%s: %+v, %v", h.Name, res, err)
				return
			}
			ok.Add(1)
		})
	}
	g.Wait()
	if ok.Load() != n {
		t.Errorf("%d of %d hosts were checked", ok.Load(), n)
	}
}

func TestLatencyIsAddedInEachDirection(t *testing.T) {
	const latency = 20 * time.Millisecond
	l := start(t, Options{Hosts: 1, Latency: latency})
	conn, _, err := dial(t.Context(), l, l.Hosts[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begin := time.Now()
	s, err := conn.Start(t.Context(), "true")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	// Two round trips: the channel, and the command.
	if took := time.Since(begin); took < 4*latency || took > 40*latency {
		t.Errorf("a command took %s, want a little over %s", took, 4*latency)
	}
}

func TestAConnectionThatBreaksLosesNothing(t *testing.T) {
	l := start(t, Options{Hosts: 1})
	h := l.Hosts[0]
	conn, target, err := dial(t.Context(), l, h)
	if err != nil {
		t.Fatal(err)
	}
	o := options(tasks.ModeRun, motd("kept\n"))
	a, err := deploy.Start(t.Context(), conn, target, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Receive(); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close() // in mid-step, or nearly
	m, err := h.Machine()
	if err != nil {
		t.Fatal(err)
	}
	await(t, filepath.Join(m.Root, "var/lib/phoenix/runs/r1/done"))
	o.Job.RunID = "r2"
	conn, target, err = dial(t.Context(), l, h)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if a, err = deploy.Start(t.Context(), conn, target, o); err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var journal *wire.Journal
	for {
		got, err := a.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if got.Journal != nil {
			journal = got.Journal
		}
		if got.Done != nil {
			break
		}
	}
	if journal == nil || journal.RunID != "r1" || !journal.Finished || len(journal.Events) == 0 {
		t.Errorf("the next run was told %+v, want all of r1", journal)
	}
}

// await waits until a file is there.
func await(t *testing.T, path string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case <-tick.C:
			if _, err := os.Stat(path); err == nil {
				return
			}
		case <-deadline:
			t.Fatalf("%s did not come", path)
		}
	}
}
