package sim

import (
	"encoding/json"
	"os"
	"path"
	"slices"
	"strings"
)

// mutedDir has a file for each unit that runs and answers nothing; journalDir has what
// units said.
const (
	mutedDir   = "/.sim/muted/"
	journalDir = "/.sim/journal/"
)

// unitCommand is what a unit of the machine's own starts: words and variables, without
// those of EnvironmentFile.
func (m *Machine) unitCommand(unit string) (argv []string, env map[string]string) {
	env = map[string]string{}
	for line := range strings.Lines(m.text(ownUnit + unit)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch key {
		case "ExecStart":
			argv = unitWords(value)
		case "Environment":
			for _, pair := range unitWords(value) {
				name, text, _ := strings.Cut(pair, "=")
				env[name] = text
			}
		}
	}
	return argv, env
}

// unitWords splits a value as systemd.syntax(7) says, as far as double quotes go.
func unitWords(line string) []string {
	var out []string
	var word strings.Builder
	quoted, in := false, false
	for i := 0; i < len(line); i++ {
		switch ch := line[i]; {
		case ch == '"':
			quoted, in = !quoted, true
		case ch == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			in = true
		case (ch == '%' || ch == '$') && i+1 < len(line) && line[i+1] == ch:
			i++
			word.WriteByte(ch)
			in = true
		case ch == ' ' && !quoted:
			if in {
				out = append(out, word.String())
			}
			word.Reset()
			in = false
		default:
			word.WriteByte(ch)
			in = true
		}
	}
	if in {
		out = append(out, word.String())
	}
	return out
}

// serving are the machine's own services that run and answer.
func (m *Machine) serving() []string {
	entries, err := os.ReadDir(m.path(activeDir))
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if m.exists(ownUnit+e.Name()) && !m.exists(mutedDir+e.Name()) {
			out = append(out, e.Name())
		}
	}
	return out
}

// startable tells whether what a unit of the machine's own starts is there: systemd says
// so of a unit with Type=exec.
func (m *Machine) startable(unit string) bool {
	if dockerUnit(unit) && m.dockerRefuses() {
		return false
	}
	argv, _ := m.unitCommand(unit)
	return len(argv) == 0 || !strings.HasPrefix(argv[0], "/opt/") || m.exists(argv[0])
}

// journalctl prints what a unit said, and knows no options but the unit's.
func journalctl(c *call) int {
	for i, w := range c.argv {
		if (w == "--unit" || w == "-u") && i+1 < len(c.argv) {
			c.printf("%s", c.m.text(journalDir+unitName(c.argv[i+1])))
		}
	}
	return 0
}

// valueOf is the word after an option.
func valueOf(argv []string, option, otherwise string) string {
	for i, w := range argv[:max(0, len(argv)-1)] {
		if w == option {
			return argv[i+1]
		}
	}
	return otherwise
}

// plainServer is any service that was told its port: uvicorn --port N, python -m http.server N.
func plainServer(m *Machine, port string) responder {
	for _, unit := range m.serving() {
		argv, _ := m.unitCommand(unit)
		if valueOf(argv, "--port", "") == port || valueOf(argv, "http.server", "") == port {
			return func(*call, request) reply { return reply{200, "OK\n"} }
		}
	}
	return nil
}

// vllmServer is `vllm serve MODEL`.
func vllmServer(m *Machine, port string) responder {
	for _, unit := range m.serving() {
		argv, _ := m.unitCommand(unit)
		if len(argv) < 3 || path.Base(argv[0]) != "vllm" || argv[1] != "serve" || valueOf(argv, "--port", "8000") != port {
			continue
		}
		return func(_ *call, r request) reply {
			switch r.path {
			case "/health":
				return reply{200, ""}
			case "/v1/models":
				id, _ := json.Marshal(valueOf(argv, "--served-model-name", argv[2]))
				return reply{200, `{"object":"list","data":[{"id":` + string(id) + `,"object":"model","owned_by":"vllm","max_model_len":8192}]}`}
			}
			return reply{404, `{"detail":"Not Found"}`}
		}
	}
	return nil
}

// ollamaServer is `ollama serve`.
func ollamaServer(m *Machine, port string) responder {
	for _, unit := range m.serving() {
		argv, env := m.unitCommand(unit)
		at := env["OLLAMA_HOST"]
		if at == "" {
			at = "127.0.0.1:11434"
		}
		if len(argv) != 2 || path.Base(argv[0]) != "ollama" || argv[1] != "serve" || at[strings.LastIndex(at, ":")+1:] != port {
			continue
		}
		return func(c *call, r request) reply {
			switch r.path {
			case "/":
				return reply{200, "Ollama is running"}
			case "/api/version":
				return reply{200, `{"version":"` + c.m.ollamaRuns(unit) + `"}`}
			case "/api/tags":
				return reply{200, c.m.ollamaTags(env["OLLAMA_MODELS"])}
			}
			return reply{404, "404 page not found"}
		}
	}
	return nil
}

// ollamaModels are the names of the models in a folder, as manifests lie there.
func (m *Machine) ollamaModels(dir string) []string {
	base := dir + "/manifests/registry.ollama.ai/library/"
	var out []string
	models, _ := os.ReadDir(m.path(base))
	for _, model := range models {
		tags, _ := os.ReadDir(m.path(base + model.Name()))
		for _, tag := range tags {
			out = append(out, model.Name()+":"+tag.Name())
		}
	}
	slices.Sort(out)
	return out
}

func (m *Machine) ollamaTags(dir string) string {
	type model struct {
		Name  string `json:"name"`
		Model string `json:"model"`
		Size  int64  `json:"size"`
	}
	list := []model{}
	for _, name := range m.ollamaModels(dir) {
		list = append(list, model{name, name, 1321098329})
	}
	data, _ := json.Marshal(map[string]any{"models": list})
	return string(data)
}

// ollamaRuns is the version that a unit was started with.
func (m *Machine) ollamaRuns(unit string) string {
	return strings.TrimSpace(m.text("/.sim/runs/" + unit))
}

// noteRuns remembers what a unit's program is when it starts: what takes its place later
// does not run yet.
func (m *Machine) noteRuns(unit string) error {
	argv, _ := m.unitCommand(unit)
	if len(argv) == 0 || path.Base(argv[0]) != "ollama" {
		return nil
	}
	fields := strings.Fields(m.text(argv[0]))
	if len(fields) == 0 {
		return nil
	}
	return m.write("/.sim/runs/"+unit, []byte(fields[len(fields)-1]+"\n"), 0o644)
}
