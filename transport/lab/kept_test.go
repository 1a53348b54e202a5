package lab

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/report"
	"phoenix/transport"
	"phoenix/transport/fleet"
	"phoenix/transport/ssh"
)

func dialerOf(l *Lab) *ssh.Dialer {
	return &ssh.Dialer{
		KnownHosts: []string{filepath.Join(l.dir, KnownHostsFile)}, ConfigFile: ssh.Never, OpenSSH: ssh.Never,
		Env: func(string) string { return "" }, Timeouts: transport.Timeouts{Dial: 30 * time.Second}, Attempts: 1,
	}
}

func TestAKeptConnectionServesManyRunsAndIsDialedAgainOnceItBroke(t *testing.T) {
	l := start(t, Options{Hosts: 1, GPUs: 1})
	h := l.Hosts[0]
	kept := &fleet.Kept{Dialer: dialerOf(l)}
	defer kept.Close()
	step, err := tasks.NewStep(gpus.Name, "gpus:host", &gpus.Spec{Probe: probeHash(t)})
	if err != nil {
		t.Fatal(err)
	}
	target := transport.Target{Name: h.Name, Address: "127.0.0.1", Port: h.Addr.Port, User: "root", IdentityFiles: []string{filepath.Join(l.dir, KeyFile)}}
	ask := func() (source string, fault *report.Error) {
		f := fleet.Fleet{Dialer: kept, Start: fleet.Deploy(gpuOptions()), Emit: func(e report.Event) {
			if e.Step != nil && e.Step.Result != nil {
				var data gpufacts.Host
				if err := json.Unmarshal(e.Step.Result.Data, &data); err != nil {
					t.Error(err)
				}
				source = data.Source
			}
			if e.HostDone != nil {
				fault = e.HostDone.Error
			}
		}}
		f.Run(t.Context(), []fleet.Host{{Target: target, Job: tasks.Job{RunID: "r1", Operator: "ann@laptop", Mode: tasks.ModeCheck, Steps: []tasks.Step{step}}}})
		return source, fault
	}
	for i := range 3 {
		if source, fault := ask(); source != gpufacts.SourceNVML || fault != nil {
			t.Errorf("sample %d: %q, %v", i, source, fault)
		}
	}
	if n := h.Connections.Load(); n != 1 {
		t.Errorf("three samples took %d connections, want 1", n)
	}
	h.open.cut() // the host went down
	if _, fault := ask(); fault == nil {
		t.Error("a connection that broke was not noticed")
	}
	kept.Drop(h.Name)
	kept.Drop(h.Name)
	if source, fault := ask(); source != gpufacts.SourceNVML || fault != nil || h.Connections.Load() != 2 {
		t.Errorf("after it was dropped: %q, %v over %d connections, want 2", source, fault, h.Connections.Load())
	}
	kept.Close()
	kept.Close()
	if source, fault := ask(); source != gpufacts.SourceNVML || fault != nil || h.Connections.Load() != 3 {
		t.Errorf("after all were closed: %q, %v over %d connections, want 3", source, fault, h.Connections.Load())
	}
}

func TestAKeptConnectionIsClosedWithTheCommandThatIsAtWorkOnIt(t *testing.T) {
	l := start(t, Options{Hosts: 1})
	kept := &fleet.Kept{Dialer: dialerOf(l)}
	defer kept.Close()
	target := transport.Target{Name: "pve1", Address: "127.0.0.1", Port: l.Hosts[0].Addr.Port, User: "root", IdentityFiles: []string{filepath.Join(l.dir, KeyFile)}}
	conn, err := kept.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	idle, err := conn.Start(t.Context(), "true")
	if err != nil {
		t.Fatal(err)
	}
	_ = idle.Close()
	_ = idle.Close()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if again, err := kept.Dial(t.Context(), target); err != nil || again != conn {
		t.Errorf("a connection that nothing was at work on was not kept: %v", err)
	}
	if _, err := conn.Start(t.Context(), "sleep 600"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if again, err := kept.Dial(t.Context(), target); err != nil || again == conn || l.Hosts[0].Connections.Load() != 2 {
		t.Errorf("a connection was kept with a command at work on it: %v", err)
	}
}
