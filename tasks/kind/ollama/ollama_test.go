package ollama_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/ollama"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const debian = "debian-12-standard_12.7-1_amd64.tar.zst"

// guest is the inside of a fresh container.
func guest(t *testing.T, template string) (*sim.Machine, taskstest.Machine) {
	t.Helper()
	m, err := sim.NewGuest(t.TempDir(), template, sim.Options{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	return m, taskstest.Machine{Host: m.Host(), Digest: m.Digest}
}

func command(argv ...string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: argv}); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(path string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: path}); err != nil {
			t.Fatal(err)
		}
	}
}

const aptUpdate = "apt-get -y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold update"

func TestOllama_conforms(t *testing.T) {
	for name, s := range map[string]taskstest.Suite{
		"with models": {
			Spec: `{"version":"0.20.0","models":["llama3.2","qwen3:8b"],"keep_alive":"10m","environment":{"OLLAMA_NUM_PARALLEL":"2"}}`,
			Drifts: []taskstest.Drift{
				{Name: "a model was removed", Make: remove("/var/lib/ollama/models/manifests/registry.ollama.ai/library/qwen3/8b"), Paths: []string{"models.qwen3:8b"}},
				{Name: "a model was removed and the server stopped", Make: func(t *testing.T, h tasks.Host) {
					remove("/var/lib/ollama/models/manifests/registry.ollama.ai/library/qwen3/8b")(t, h)
					command("systemctl", "stop", "ollama")(t, h)
				}, Paths: []string{"active", "models.qwen3:8b"}},
				{Name: "the server was stopped", Make: command("systemctl", "stop", "ollama"), Paths: []string{"active"}},
				{Name: "the link points elsewhere", Make: command("ln", "-sfn", "/opt/ollama/0.1.0/bin/ollama", "/usr/local/bin/ollama"), Paths: []string{"release.link"}},
				{Name: "the program is gone", Make: remove("/opt/ollama/0.20.0/bin/ollama"), Paths: []string{"release.version"}},
			},
		},
		"of an older release, and nothing else": {Spec: `{"version":"0.13.5"}`},
		"with nothing configured":               {Spec: `{}`},
	} {
		s.Kind, s.Tolerates = ollama.Kind(), []string{aptUpdate}
		s.New = func(t *testing.T) taskstest.Machine { _, m := guest(t, debian); return m }
		t.Run(name, s.Run)
	}
}

func TestOllama_anUpgradeSwitchesAndKeepsWhatIsThere(t *testing.T) {
	m, h := guest(t, debian)
	for _, spec := range []string{`{"version":"0.13.5","models":["llama3.2"]}`, `{"version":"0.20.0","models":["qwen3:8b"]}`} {
		if res := taskstest.Run(t, ollama.Kind(), spec, h); res.Status != tasks.StatusChanged {
			t.Fatalf("%+v", res)
		}
	}
	if n := m.Starts("ollama"); n != 2 {
		t.Errorf("the server was started %d times, want once for each release", n)
	}
	out, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: []string{"curl", "http://127.0.0.1:11434/api/tags"}})
	if err != nil || !strings.Contains(string(out.Stdout), `"llama3.2:latest"`) || !strings.Contains(string(out.Stdout), `"qwen3:8b"`) {
		t.Errorf("%v, %s", err, out.Stdout)
	}
	if target, err := os.Readlink(filepath.Join(m.Root, "usr/local/bin/ollama")); err != nil || target != "/opt/ollama/0.20.0/bin/ollama" {
		t.Errorf("the link points to %s, %v", target, err)
	}
	if _, err := h.Stat("/opt/ollama/0.13.5/bin/ollama"); err != nil {
		t.Error("the release before is gone")
	}
}

func TestOllama_aBrokenDownloadIsNeitherUsedNorKept(t *testing.T) {
	m, h := guest(t, debian)
	spec := `{"version":"0.20.0","sha256":"` + strings.Repeat("0", 64) + `"}`
	res := taskstest.Run(t, ollama.Kind(), spec, h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "its SHA-256 is") {
		t.Errorf("%+v", res)
	}
	for _, name := range []string{"0.20.0", "ollama-linux-amd64.tar.zst"} {
		if _, err := os.Lstat(filepath.Join(m.Root, "opt/ollama", name)); err == nil {
			t.Errorf("/opt/ollama/%s is there", name)
		}
	}
}

func TestOllama_aServerOfAnotherVersionIsNoAnswer(t *testing.T) {
	_, m := guest(t, debian)
	if res := taskstest.Run(t, ollama.Kind(), `{}`, m); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	rec := taskstest.NewRecorder(m)
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Cmd != nil && o.Cmd.Argv[0] == "curl" {
			return &taskstest.Answer{Output: tasks.Output{Stdout: []byte(`{"version":"0.5.7"}`)}}
		}
		return nil
	}
	res := taskstest.Check(t, ollama.Kind(), `{}`, rec)
	if len(res.Changes) != 1 || res.Changes[0].Path != "ready" || !strings.Contains(res.Changes[0].Note, "/api/version says 0.5.7, and 0.20.0 is wanted") {
		t.Errorf("%+v", res)
	}
}

func TestOllama_whatItCannotDoItSays(t *testing.T) {
	for _, tc := range []struct {
		name, template, spec, why string
		make                      func(t *testing.T, m *sim.Machine)
	}{
		{"Alpine has neither apt nor systemd", "alpine-3.20-default_20240908_amd64.tar.xz", `{}`, "it needs apt and systemd", nil},
		{"a program that is no link", debian, `{}`, "it is there and is no link", func(t *testing.T, m *sim.Machine) {
			if err := os.WriteFile(filepath.Join(m.Root, "usr/local/bin/ollama"), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}},
		{"a model that is not there", debian, `{"models":["nosuch"]}`, "pull model manifest: file does not exist", nil},
		{"a release that is not there", debian, `{"version":"99.0.0-rc1"}`, "run curl", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, h := guest(t, tc.template)
			if tc.make != nil {
				tc.make(t, m)
			}
			if res := taskstest.Run(t, ollama.Kind(), tc.spec, h); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestOllama_theUnitSaysWhatIsConfigured(t *testing.T) {
	_, m := guest(t, debian)
	res := taskstest.Run(t, ollama.Kind(), `{"host":"127.0.0.1","port":12000,"models_dir":"/models","keep_alive":"-1","environment":{"A":"b c"}}`, m)
	if res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	unit, err := m.ReadFile("/etc/systemd/system/ollama.service")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(unit), "\n")
	for _, want := range []string{
		"ExecStart=/opt/ollama/0.20.0/bin/ollama serve", "User=ollama", "StateDirectory=ollama", "Environment=OLLAMA_HOST=127.0.0.1:12000",
		"Environment=OLLAMA_MODELS=/models", "Environment=OLLAMA_KEEP_ALIVE=-1", `Environment="A=b c"`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the unit lacks %s:\n%s", want, unit)
		}
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	for _, tc := range []struct{ name, spec, path string }{
		{"a version that is none", `{"version":"latest"}`, "version"},
		{"a version that is too old", `{"version":"0.3.14"}`, "version"},
		{"a short checksum", `{"version":"0.20.0","sha256":"abc"}`, "sha256"},
		{"a checksum without a version", `{"sha256":"` + strings.Repeat("a", 64) + `"}`, "sha256"},
		{"a host by name", `{"host":"gpu.lan"}`, "host"},
		{"a privileged port", `{"port":80}`, "port"},
		{"a model that is an option", `{"models":["--insecure"]}`, "models.0"},
		{"a model that leaves the folder", `{"models":["../../etc:x"]}`, "models.0"},
		{"a model twice", `{"models":["a","a:latest"]}`, "models.1"},
		{"a relative folder", `{"models_dir":"models"}`, "models_dir"},
		{"a line break in the folder", `{"models_dir":"/a\nb"}`, "models_dir"},
		{"no duration", `{"keep_alive":"soon"}`, "keep_alive"},
		{"a variable that has a key", `{"environment":{"OLLAMA_HOST":"x"}}`, "environment.OLLAMA_HOST"},
		{"a line break in a variable", `{"environment":{"A":"b\nc"}}`, "environment.A"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s ollama.Spec
			if err := json.Unmarshal([]byte(tc.spec), &s); err != nil {
				t.Fatal(err)
			}
			if p := s.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}
