package lab

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"phoenix/agentlet/dist"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/report"
	"phoenix/transport"
	"phoenix/transport/deploy"
	"phoenix/transport/fleet"
	"phoenix/transport/ssh"
)

func dialerOf(l *Lab) *ssh.Dialer {
	return &ssh.Dialer{
		KnownHosts: []string{filepath.Join(l.dir, KnownHostsFile)}, ConfigFile: ssh.Never, OpenSSH: ssh.Never,
		Env: func(string) string { return "" }, Timeouts: transport.Timeouts{Dial: 30 * time.Second}, Attempts: 1,
	}
}

// watched is what became of a host that was watched.
type watched struct {
	samples []gpufacts.Host
	result  gpufacts.Host
	fault   *report.Error
	uploads []string
}

func (w *watched) sources() string {
	var out []string
	for _, s := range w.samples {
		out = append(out, s.Source)
	}
	return strings.Join(out, " ")
}

// watch takes samples of the first host for as long as go on says so of each.
func watch(t *testing.T, l *Lab, probe string, o deploy.Options, more func(n int, s gpufacts.Host) bool) *watched {
	t.Helper()
	step, err := tasks.NewStep(gpus.Name, "gpus:host", &gpus.Spec{Probe: probe, EveryMS: 100})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{}
	stop, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	var mu sync.Mutex
	o.Stop = stop
	o.Uploading = func(_, program string) { w.uploads = append(w.uploads, program) }
	f := fleet.Fleet{
		Dialer: dialerOf(l), Start: fleet.Deploy(o), Interrupt: fleet.Interrupt{Stop: stop},
		HostTimeout: 20 * time.Second,
		Sample: func(_ string, e tasks.Event) {
			mu.Lock()
			defer mu.Unlock()
			var s gpufacts.Host
			if err := json.Unmarshal(e.Sample, &s); err != nil {
				t.Error(err)
			}
			if w.samples = append(w.samples, s); !more(len(w.samples), s) {
				end()
			}
		},
		Emit: func(e report.Event) {
			switch {
			case e.Step != nil && e.Step.Result != nil:
				if err := json.Unmarshal(e.Step.Result.Data, &w.result); err != nil {
					t.Error(err)
				}
			case e.HostDone != nil:
				w.fault = e.HostDone.Error
			}
		},
	}
	h := l.Hosts[0]
	f.Run(t.Context(), []fleet.Host{{
		Target: transport.Target{Name: h.Name, Address: "127.0.0.1", Port: h.Addr.Port, User: "root", IdentityFiles: []string{filepath.Join(l.dir, KeyFile)}},
		Job:    tasks.Job{RunID: "r1", Operator: "ann@laptop", Mode: tasks.ModeCheck, Steps: []tasks.Step{step}},
	}})
	return w
}

func upTo(enough int) func(int, gpufacts.Host) bool {
	return func(n int, _ gpufacts.Host) bool { return n < enough }
}

func TestManySamplesTakeOneConnectionAndOneSession(t *testing.T) {
	hash := probeHash(t)
	l := start(t, Options{Hosts: 1, GPUs: 2})
	h := l.Hosts[0]
	if _, err := askGPUs(t.Context(), l, hash, gpuOptions()); err != nil { // the helper and the probe come
		t.Fatal(err)
	}
	connections, sessions := h.Connections.Load(), h.Sessions.Load()
	w := watch(t, l, hash, gpuOptions(), upTo(12))
	if w.fault != nil || len(w.uploads) > 0 || w.sources() != strings.TrimSpace(strings.Repeat("nvml ", 12)) {
		t.Errorf("samples of %s, uploads %q, %v", w.sources(), w.uploads, w.fault)
	}
	if c, s := h.Connections.Load()-connections, h.Sessions.Load()-sessions; c != 1 || s != 1 {
		t.Errorf("12 samples took %d connections and %d sessions, want 1 and 1", c, s)
	}
	if w.result.Source != gpufacts.SourceNVML || len(w.result.GPUs) != 2 {
		t.Errorf("the answer at the end is %+v", w.result)
	}
}

func TestTheProbeComesWhileTheStepGoesOn(t *testing.T) {
	hash := probeHash(t)
	for name, asked := range map[string]string{
		"of the usual architecture":           hash,
		"where the job named that of another": strings.Repeat("0", 64),
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, Options{Hosts: 1, GPUs: 2})
			w := watch(t, l, asked, gpuOptions(), func(n int, s gpufacts.Host) bool { return s.Source != gpufacts.SourceNVML && n < 100 })
			if w.fault != nil || strings.Join(w.uploads, ", ") != "the helper, the GPU probe" {
				t.Errorf("uploaded %q, %v", w.uploads, w.fault)
			}
			first, last := w.samples[0], w.samples[len(w.samples)-1]
			if first.Source != gpufacts.SourceSMI || first.SMI != "" || len(first.GPUs) != 2 || last.Source != gpufacts.SourceNVML || len(last.Missed) > 0 {
				t.Errorf("samples of %s; the first missed %+v, the last %+v", w.sources(), first.Missed, last.Missed)
			}
			if l.Hosts[0].Connections.Load() != 1 {
				t.Errorf("%d connections", l.Hosts[0].Connections.Load())
			}
		})
	}
}

func TestWhereTheProbeCannotComeEachSampleSaysWhy(t *testing.T) {
	l := start(t, Options{Hosts: 1, GPUs: 1})
	o := gpuOptions()
	o.GPUProbe = func(string) ([]byte, string, error) { return nil, "", dist.ErrNoProbe }
	w := watch(t, l, probeHash(t), o, upTo(4))
	if w.sources() != "nvidia-smi nvidia-smi nvidia-smi nvidia-smi" || w.fault != nil {
		t.Errorf("%s, %v", w.sources(), w.fault)
	}
	for i, s := range w.samples[1:] {
		if len(s.Missed) != 1 || s.Missed[0].Kind != gpufacts.KindNoProbe || s.GPUs[0].Memory == nil {
			t.Errorf("sample %d missed %+v", i+2, s.Missed)
		}
	}
}

func TestAConnectionThatBreaksEndsTheSamplesAndTheStep(t *testing.T) {
	l := start(t, Options{Hosts: 1, GPUs: 1})
	h := l.Hosts[0]
	w := watch(t, l, probeHash(t), gpuOptions(), func(n int, _ gpufacts.Host) bool {
		if n == 3 {
			h.open.cut()
		}
		return true
	})
	if len(w.samples) < 3 || w.fault == nil || w.fault.Class != report.ClassLost {
		t.Errorf("%d samples, %+v", len(w.samples), w.fault)
	}
	// The helper, and with it the probe, ends: nothing is left at work when the lab ends.
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(l.dir, "hosts/pve1/run/lock/phoenix.lock")); err == nil {
		t.Error("a lock was taken")
	}
}
