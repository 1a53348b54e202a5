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
	"strings"
	"testing"

	"phoenix/agentlet/dist"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/kind/gpus"
	"phoenix/transport/deploy"
	"phoenix/transport/fleet"
)

const probeText = "\x7fELF, as it were: the GPU probe"

// packedProbe stands for the built one, as packedHelper does.
func packedProbe(string) ([]byte, string, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(probeText))
	err = errors.Join(err, w.Close())
	sum := sha256.Sum256([]byte(probeText))
	return b.Bytes(), hex.EncodeToString(sum[:]), err
}

// asked is what became of one question for GPUs.
type asked struct {
	host    gpufacts.Host
	results int
	uploads []string // of programs
}

// askGPUs asks a host for its GPUs, naming a probe, as a run or a check of a fleet does.
func askGPUs(ctx context.Context, l *Lab, probe string, o deploy.Options) (asked, error) {
	conn, target, err := dial(ctx, l, l.Hosts[0])
	if err != nil {
		return asked{}, err
	}
	defer conn.Close()
	step, err := tasks.NewStep(gpus.Name, "gpus:host", &gpus.Spec{Probe: probe})
	if err != nil {
		return asked{}, err
	}
	var got asked
	o.Uploading = func(_, program string) { got.uploads = append(got.uploads, program) }
	h := fleet.Host{Target: target, Job: tasks.Job{RunID: "r1", Operator: "ann@laptop", Mode: tasks.ModeCheck, Steps: []tasks.Step{step}}}
	started, err := fleet.Deploy(o)(ctx, conn, h)
	if err != nil {
		return asked{}, err
	}
	defer started.Agent.Close()
	for {
		m, err := started.Agent.Receive()
		if err != nil {
			return got, err
		}
		if m.Event != nil && m.Event.Result != nil {
			got.results++
			if err := json.Unmarshal(m.Event.Result.Data, &got.host); err != nil {
				return got, err
			}
		}
		if m.Done != nil {
			return got, nil
		}
	}
}

func gpuOptions() deploy.Options {
	o := options(tasks.ModeCheck)
	o.GPUProbe = packedProbe
	return o
}

// probeHash is the hash of the probe of these tests.
func probeHash(t *testing.T) string {
	t.Helper()
	_, hash, err := packedProbe("amd64")
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// want compares what was asked with the source of the facts and the uploads.
func (a asked) want(t *testing.T, when, source string, uploads ...string) {
	t.Helper()
	if a.results != 1 || a.host.Source != source || strings.Join(a.uploads, ", ") != strings.Join(uploads, ", ") {
		t.Errorf("%s: %d results from %q, uploaded %q; want one from %q, %q (missed %+v)", when, a.results, a.host.Source, a.uploads, source, uploads, a.host.Missed)
	}
}

func TestTheGPUProbeComesOnceAndOnlyToHostsWithACard(t *testing.T) {
	hash := probeHash(t)
	l := start(t, Options{Hosts: 1, GPUs: 2})
	file := filepath.Join(l.dir, "hosts/pve1/var/lib/phoenix/agentlet-nvml-"+hash)
	for _, c := range []struct {
		when, names string
		before      []byte
		uploads     []string
	}{
		{"the first time", hash, nil, []string{"the helper", "the GPU probe"}},
		{"warm", hash, nil, nil},
		{"warm, where the job names the probe of another architecture", strings.Repeat("0", 64), nil, nil},
		{"a file of zeros, as a crash leaves it", hash, make([]byte, 100), []string{"the GPU probe"}},
		{"warm again", hash, nil, nil},
	} {
		if c.before != nil {
			if err := os.WriteFile(file, c.before, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		got, err := askGPUs(t.Context(), l, c.names, gpuOptions())
		if err != nil {
			t.Fatal(err)
		}
		got.want(t, c.when, gpufacts.SourceNVML, c.uploads...)
		if data, err := os.ReadFile(file); err != nil || string(data) != probeText || len(got.host.GPUs) != 2 {
			t.Errorf("%s: the probe is %q, %v; %d cards", c.when, data, err, len(got.host.GPUs))
		}
	}
	conn, target, err := dial(t.Context(), l, l.Hosts[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := deploy.Clean(t.Context(), conn, target, deploy.Options{}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("phoenix clean left the probe")
	}
	bare := start(t, Options{Hosts: 1})
	got, err := askGPUs(t.Context(), bare, hash, gpuOptions())
	if err != nil {
		t.Fatal(err)
	}
	got.want(t, "a host without a card", "", "the helper")
}

func TestWhereTheGPUProbeCannotBeThePoorerFactsStandWithTheReason(t *testing.T) {
	hash := probeHash(t)
	for _, c := range []struct {
		name, kind, why string
		hostile         Hostility
		probe           func(string) ([]byte, string, error)
		uploads         int
	}{
		{name: "an upload of something else", kind: gpufacts.KindProbeMissing, why: "install the GPU probe on pve1: exit status 65: the upload has SHA-256", uploads: 2,
			probe: func(string) ([]byte, string, error) {
				gz, _, err := packedHelper("amd64")
				return gz, hash, err
			}},
		{name: "none for the architecture", kind: gpufacts.KindNoProbe, why: "built without the GPU probe", uploads: 1,
			probe: func(string) ([]byte, string, error) { return nil, "", dist.ErrNoProbe }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := start(t, Options{Hosts: 1, GPUs: 2, Hostile: map[string]Hostility{"pve1": c.hostile}})
			o := gpuOptions()
			o.GPUProbe = c.probe
			got, err := askGPUs(t.Context(), l, hash, o)
			if err != nil {
				t.Fatal(err)
			}
			if got.results != 1 || len(got.uploads) != c.uploads || got.host.Source != gpufacts.SourceSMI || got.host.SMI != "" || len(got.host.GPUs) != 2 || got.host.GPUs[0].Memory == nil {
				t.Errorf("%d results from %q, uploads %q, %d cards", got.results, got.host.Source, got.uploads, len(got.host.GPUs))
			}
			if m := got.host.Missed; len(m) == 0 || m[0].Source != gpufacts.SourceNVML || m[0].Kind != c.kind || !strings.Contains(m[0].Text, c.why) {
				t.Errorf("missed %+v, want %q: %q", m, c.kind, c.why)
			}
		})
	}
	for name, hostile := range map[string]Hostility{"no SFTP": {NoSFTP: true}, "no space": {Full: true}, "noexec": {NoExec: true}} {
		t.Run(name, func(t *testing.T) {
			l := start(t, Options{Hosts: 1, GPUs: 1, Hostile: map[string]Hostility{"pve1": hostile}})
			got, err := askGPUs(t.Context(), l, hash, gpuOptions())
			if err != nil {
				t.Fatal(err)
			}
			got.want(t, name+": there are other ways and folders", gpufacts.SourceNVML, "the helper", "the GPU probe")
		})
	}
}
