// Package vllm serves a language model with vLLM: its environment of Python, the service
// `vllm serve`, and that it lists the model that is configured.
//
// The environment and the service are those of package pyservice. It installs no driver:
// on GPUs, the feature nvidia comes before it. It fetches no model by itself; vLLM does
// when it starts, which is why a run waits long for the first answer. Start reading at
// Spec; service has what is made of it.
package vllm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/daemon"
	"phoenix/tasks/kind/pyservice"
	"phoenix/tasks/secret"
)

// Name of the family in steps and in step IDs, and of its service.
const Name = "vllm"

// DefaultVersion is installed where none is named: of https://github.com/vllm-project/vllm.
const DefaultVersion = "0.21.0"

// The devices.
const (
	deviceCUDA = "cuda"
	deviceCPU  = "cpu"
)

const (
	defaultPort    = 8000
	defaultReadyS  = 1800
	readyIntervalS = 5
)

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task {
	d := s.service().Daemon(Name)
	d.Description, d.StateDirectory = "vLLM", Name
	if s.Model != "" {
		d.Answers, d.Token = s.serves, s.APIKey
	}
	return &task{spec: s, Task: d.Task()}
}

// service is what the spec is for pyservice.
func (s *Spec) service() *pyservice.Service {
	version := s.Version
	if version == "" {
		version = DefaultVersion
	}
	out := &pyservice.Service{Python: s.Python, Venv: s.Venv, IndexURL: s.IndexURL, ExtraIndexURL: s.ExtraIndexURL}
	// What vLLM compiles when it starts needs a compiler and Python's headers.
	python := s.Python
	if python == "" {
		python = "python3"
	}
	out.SystemPackages = []string{"build-essential"}
	if !strings.Contains(python, "/") {
		out.SystemPackages = append(out.SystemPackages, python+"-dev")
	}
	if s.Device == deviceCPU {
		// https://docs.vllm.ai/en/latest/getting_started/installation/cpu/: wheels of its own,
		// and PyTorch without CUDA.
		out.SystemPackages = append(out.SystemPackages, "libnuma1")
		out.Requirements = "--extra-index-url https://download.pytorch.org/whl/cpu\n"
		if s.ExtraIndexURL == "" {
			out.ExtraIndexURL = "https://wheels.vllm.ai/" + version + "/cpu"
		}
		version += "+cpu"
	}
	out.Packages = append([]string{"vllm==" + version}, s.Packages...)
	if s.Model == "" {
		return out
	}
	out.Command = s.command()
	out.Environment = map[string]string{"HF_HOME": "/var/lib/" + Name + "/huggingface"}
	if s.HFHome != "" {
		out.Environment["HF_HOME"] = s.HFHome
	}
	maps.Copy(out.Environment, s.Environment)
	out.Secrets = map[string]secret.Ref{}
	for name, ref := range map[string]*secret.Ref{"HF_TOKEN": s.HFToken, "VLLM_API_KEY": s.APIKey} {
		if ref != nil {
			out.Secrets[name] = *ref
		}
	}
	out.Ready = &daemon.Ready{URL: "http://" + s.asked() + "/v1/models", TimeoutS: s.ReadyTimeoutS, IntervalS: readyIntervalS}
	if out.Ready.TimeoutS == 0 {
		out.Ready.TimeoutS = defaultReadyS
	}
	return out
}

// asked is the address at which the service is asked.
func (s *Spec) asked() string { return daemon.Inside(s.Host, s.port()) }

func (s *Spec) port() int {
	if s.Port == 0 {
		return defaultPort
	}
	return s.Port
}

// command is `vllm serve MODEL` with all arguments.
func (s *Spec) command() []string {
	host := s.Host
	if host == "" {
		host = "0.0.0.0"
	}
	argv := []string{"vllm", "serve", s.Model, "--host", host, "--port", strconv.Itoa(s.port())}
	for _, o := range []struct{ name, value string }{
		{"served-model-name", s.ServedModelName},
		{"tensor-parallel-size", number(float64(s.TensorParallelSize))},
		{"gpu-memory-utilization", number(s.GPUMemoryUtilization)},
		{"max-model-len", number(float64(s.MaxModelLen))},
		{"dtype", s.DType},
		{"quantization", s.Quantization},
		{"download-dir", s.DownloadDir},
	} {
		if o.value != "" {
			argv = append(argv, "--"+o.name, o.value)
		}
	}
	if s.TrustRemoteCode {
		argv = append(argv, "--trust-remote-code")
	}
	for _, name := range tasks.Keys(s.Arguments) {
		words, _ := argument(name, s.Arguments[name]) // Validate has seen the fault
		argv = append(argv, words...)
	}
	return append(argv, s.ExtraArguments...)
}

// number is empty for 0, which stands for nothing.
func number(f float64) string {
	if f == 0 {
		return ""
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// argument is the words of one named argument.
func argument(name string, raw json.RawMessage) ([]string, error) {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	flag := "--" + strings.ReplaceAll(name, "_", "-")
	switch v := value.(type) {
	case nil:
		return nil, nil
	case bool:
		if !v {
			return nil, nil
		}
		return []string{flag}, nil
	case map[string]any:
		var one bytes.Buffer
		err := json.Compact(&one, raw)
		return []string{flag, one.String()}, err
	case []any:
		words := []string{flag}
		for _, item := range v {
			switch item.(type) {
			case string, json.Number:
				words = append(words, fmt.Sprint(item))
			default:
				return nil, errors.New("a list has texts and numbers only")
			}
		}
		return words, nil
	}
	return []string{flag, fmt.Sprint(value)}, nil
}

// serves judges what /v1/models gave.
func (s *Spec) serves(body []byte) error {
	want := s.ServedModelName
	if want == "" {
		want = s.Model
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return fmt.Errorf("read /v1/models: %w", err)
	}
	var names []string
	for _, m := range list.Data {
		if m.ID == want {
			return nil
		}
		names = append(names, m.ID)
	}
	return fmt.Errorf("/v1/models lists %q, and not %s", names, want)
}

type task struct {
	tasks.Task
	spec *Spec
}

// Check wants a GPU, unless the CPU is meant: without one vLLM ends as soon as it starts.
// One that an earlier step brings may be awaited.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	d, err := t.Task.Check(ctx, h)
	if err != nil || t.spec.Model == "" || t.spec.Device == deviceCPU {
		return d, err
	}
	const device = "/dev/nvidiactl"
	switch _, err := h.Stat(device); {
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return d, err
	case len(tasks.ScopeOf(ctx).Earlier) > 0:
		return d, nil
	}
	return nil, fmt.Errorf(`set up vllm: there is no %s (give the container a gpu_assignment and the feature nvidia before vllm, or "device": "cpu")`, device)
}
