package vllm_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/vllm"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// guest is the inside of a fresh container, with a GPU or without.
func guest(t *testing.T, template string, gpu bool) (*sim.Machine, taskstest.Machine) {
	t.Helper()
	m, err := sim.NewGuest(t.TempDir(), template, sim.Options{Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	if gpu {
		if err := os.WriteFile(filepath.Join(m.Root, "dev/nvidiactl"), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return m, taskstest.Machine{Host: h, Digest: m.Digest}
}

const debian = "debian-12-standard_12.7-1_amd64.tar.zst"

func write(path, text string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: path, Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
}

const aptUpdate = "apt-get -y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold update"

func TestVLLM_conforms(t *testing.T) {
	pip := []string{"/opt/vllm/venv/bin/python3", "-m", "pip", "install"}
	for name, s := range map[string]taskstest.Suite{
		"on GPUs": {
			Spec: `{"version":"0.20.0","model":"Qwen/Qwen3-0.6B","served_model_name":"qwen","tensor_parallel_size":2,"gpu_memory_utilization":0.85,"port":8001,"hf_token":{"secret":"hf"},"arguments":{"enable-prefix-caching":true}}`,
			New:  func(t *testing.T) taskstest.Machine { _, m := guest(t, debian, true); return m },
			Drifts: []taskstest.Drift{
				{Name: "another version was installed by hand", Make: func(t *testing.T, h tasks.Host) {
					if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: append(slices.Clone(pip), "vllm==0.19.0")}); err != nil {
						t.Fatal(err)
					}
				}, Paths: []string{"python.packages.vllm", "restart"}},
				{Name: "the unit was edited", Make: write("/etc/systemd/system/vllm.service", "[Service]\nExecStart=/bin/true\n"), Paths: []string{"unit.content", "enabled"}},
			},
		},
		"on the CPU": {
			Spec: `{"model":"facebook/opt-125m","device":"cpu"}`,
			New:  func(t *testing.T) taskstest.Machine { _, m := guest(t, debian, false); return m },
		},
		"as a template": {
			Spec: `{}`,
			New: func(t *testing.T) taskstest.Machine {
				_, m := guest(t, "ubuntu-24.04-standard_24.04-2_amd64.tar.zst", false)
				return m
			},
		},
	} {
		s.Kind, s.Tolerates = vllm.Kind(), []string{aptUpdate}
		if strings.Contains(s.Spec, "hf_token") {
			s.Secrets = map[string]string{"hf": "hf_abcdefgh"}
		}
		t.Run(name, s.Run)
	}
}

func TestVLLM_theCommandIsWhatTheKeysSay(t *testing.T) {
	for _, tc := range []struct{ name, spec, want string }{
		{"nothing but a model", `{"model":"a/b"}`, `ExecStart=/opt/vllm/venv/bin/vllm serve a/b --host 0.0.0.0 --port 8000`},
		{"all keys", `{"model":"a/b","served_model_name":"c","tensor_parallel_size":2,"gpu_memory_utilization":0.9,"max_model_len":8192,"dtype":"bfloat16","quantization":"awq_marlin","trust_remote_code":true,"host":"127.0.0.1","port":9000,"download_dir":"/models","venv":"/srv/v"}`,
			`ExecStart=/srv/v/bin/vllm serve a/b --host 127.0.0.1 --port 9000 --served-model-name c --tensor-parallel-size 2 --gpu-memory-utilization 0.9 --max-model-len 8192 --dtype bfloat16 --quantization awq_marlin --download-dir /models --trust-remote-code`},
		{"true is a flag, false and null are nothing", `{"model":"m","arguments":{"enforce_eager":true,"a":false,"b":null}}`, `--port 8000 --enforce-eager` + "\n"},
		{"numbers stay as they are written", `{"model":"m","arguments":{"seed":12345678901234567890,"swap-space":4.50}}`, `--seed 12345678901234567890 --swap-space 4.50` + "\n"},
		{"an object is one word of JSON", `{"model":"m","arguments":{"override-generation-config":{"top_p": 0.9}}}`, `--override-generation-config "{\"top_p\":0.9}"` + "\n"},
		{"a list is several words", `{"model":"m","arguments":{"lora-modules":["a=/x","b=/y"]}}`, `--lora-modules a=/x b=/y` + "\n"},
		{"free words come last", `{"model":"m","arguments":{"z":1},"extra_arguments":["--a b","$HOME","100%"]}`, `--z 1 "--a b" $$HOME "100%%"` + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, m := guest(t, debian, true)
			if res := taskstest.Run(t, vllm.Kind(), tc.spec, m); res.Status != tasks.StatusChanged {
				t.Fatalf("%+v", res)
			}
			unit, err := m.ReadFile("/etc/systemd/system/vllm.service")
			if err != nil || !strings.Contains(string(unit), tc.want) {
				t.Errorf("%v, the unit is\n%s\nwant %s in it", err, unit, tc.want)
			}
		})
	}
}

func TestVLLM_anotherModelIsNoAnswer(t *testing.T) {
	_, m := guest(t, debian, true)
	const spec = `{"model":"a/b"}`
	if res := taskstest.Run(t, vllm.Kind(), spec, m); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	rec := taskstest.NewRecorder(m)
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Cmd != nil && o.Cmd.Argv[0] == "curl" {
			return &taskstest.Answer{Output: tasks.Output{Stdout: []byte(`{"object":"list","data":[{"id":"x/y"}]}`)}}
		}
		return nil
	}
	res := taskstest.Check(t, vllm.Kind(), spec, rec)
	if len(res.Changes) != 1 || res.Changes[0].Path != "ready" || !strings.Contains(res.Changes[0].Note, `lists ["x/y"], and not a/b`) {
		t.Errorf("%+v", res)
	}
}

func TestVLLM_withoutAGPUItIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name, template, spec, why string
	}{
		{"no device node", debian, `{"model":"a/b"}`, "there is no /dev/nvidiactl (give the container a gpu_assignment and the feature nvidia"},
		{"Alpine has neither apt nor systemd", "alpine-3.20-default_20240908_amd64.tar.xz", `{}`, "it needs apt and systemd"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, m := guest(t, tc.template, false)
			rec := taskstest.NewRecorder(m)
			res := taskstest.Run(t, vllm.Kind(), tc.spec, rec)
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) || len(rec.Changes()) > 0 {
				t.Errorf("%+v, did %v", res, rec.Changes())
			}
		})
	}
}

func TestVLLM_theKeyOfTheAPITravelsOnStandardInputOnly(t *testing.T) {
	_, m := guest(t, debian, true)
	rec := taskstest.NewRecorder(m)
	s := taskstest.Suite{Kind: vllm.Kind(), Spec: `{"model":"a/b","api_key":{"secret":"key"}}`, Secrets: map[string]string{"key": "sk-very-secret"}}
	if res := s.Apply(t, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if slices.ContainsFunc(rec.Arguments(), func(a string) bool { return strings.Contains(a, "sk-very-secret") }) {
		t.Error("the key is in an argument or in an environment")
	}
	sent := false
	for _, o := range rec.Ops() {
		sent = sent || o.Cmd != nil && o.Cmd.Argv[0] == "curl" && string(o.Cmd.Stdin) == "Authorization: Bearer sk-very-secret\n"
	}
	if !sent {
		t.Error("the key was not sent")
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	for _, tc := range []struct{ name, spec, path string }{
		{"a range of versions", `{"version":">=0.9"}`, "version"},
		{"an unknown device", `{"device":"tpu"}`, "device"},
		{"a key without a model", `{"port":8000}`, "port"},
		{"vLLM among the packages", `{"packages":["vllm==1"]}`, "packages.0"},
		{"a package that is a range", `{"packages":["a","b>=1"]}`, "packages.1"},
		{"a model that is an option", `{"model":"--help"}`, "model"},
		{"a line break in the model", `{"model":"a\nUser=root"}`, "model"},
		{"no number of GPUs", `{"model":"m","tensor_parallel_size":-1}`, "tensor_parallel_size"},
		{"more than all memory", `{"model":"m","gpu_memory_utilization":1.5}`, "gpu_memory_utilization"},
		{"a negative context", `{"model":"m","max_model_len":-1}`, "max_model_len"},
		{"a privileged port", `{"model":"m","port":80}`, "port"},
		{"a host by name", `{"model":"m","host":"gpu.lan"}`, "host"},
		{"a relative folder", `{"model":"m","download_dir":"models"}`, "download_dir"},
		{"a folder with a line break", `{"model":"m","hf_home":"/a\nb"}`, "hf_home"},
		{"a token without a name", `{"model":"m","hf_token":{"secret":""}}`, "hf_token"},
		{"a key without a name", `{"model":"m","api_key":{"secret":""}}`, "api_key"},
		{"an argument that has a key", `{"model":"m","arguments":{"tensor-parallel-size":2}}`, "arguments.tensor-parallel-size"},
		{"a key in the arguments", `{"model":"m","arguments":{"api-key":"x"}}`, "arguments.api-key"},
		{"an argument with its hyphens", `{"model":"m","arguments":{"--seed":1}}`, "arguments.--seed"},
		{"an argument twice", `{"model":"m","arguments":{"a-b":1,"a_b":2}}`, "arguments.a_b"},
		{"a list in a list", `{"model":"m","arguments":{"a":[[1]]}}`, "arguments.a"},
		{"a line break in an argument", `{"model":"m","arguments":{"a":"b\nc"}}`, "arguments.a"},
		{"an empty word", `{"model":"m","extra_arguments":[""]}`, "extra_arguments.0"},
		{"a variable that is none", `{"model":"m","environment":{"A B":"x"}}`, "environment.A B"},
		{"an index with a password", `{"index_url":"https://u:p@x/simple"}`, "index_url"},
		{"a folder that is too near to the root", `{"venv":"/opt"}`, "venv"},
		{"an interpreter that is none", `{"python":"perl"}`, "python"},
		{"a negative wait", `{"model":"m","ready_timeout_s":-1}`, "ready_timeout_s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s vllm.Spec
			if err := json.Unmarshal([]byte(tc.spec), &s); err != nil {
				t.Fatal(err)
			}
			if p := s.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}
