// Package ollama keeps a server of Ollama in a container: a release of its own choice of
// version, the service, and the models that must be there.
//
// Each release has a folder of its own below /opt/ollama, and the unit names it: an
// upgrade switches in one write, and the release before stays where it is. Models that
// are not mentioned stay, too. It installs no driver; without a GPU, Ollama computes on
// the CPU. Start reading at Spec; release.go fetches, models.go pulls.
package ollama

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/daemon"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/parts"
)

// Name of the family in steps and in step IDs, of its service and of its user.
const Name = "ollama"

// DefaultVersion is installed where none is named. Releases are at
// https://github.com/ollama/ollama/releases; what is older than oldest was packed in
// other ways.
const (
	DefaultVersion = "0.20.0"
	oldest         = "0.4.0"
	defaultPort    = 11434
)

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task {
	d := s.service()
	needs := []string{"curl"}
	if s.zstd() {
		needs = append(needs, "zstd")
	}
	d.Made = []parts.Part{{Name: "system", Task: (&apt.Spec{Packages: needs}).Task()}, {Name: "release", Task: &release{s}}}
	return &task{spec: s, server: d.Task()}
}

// service is the server.
func (s *Spec) service() *daemon.Service {
	d := &daemon.Service{
		Name: Name, Description: "Ollama", StateDirectory: Name, Groups: []string{"render", "video"},
		Command: []string{s.folder() + "/bin/ollama", "serve"}, Ready: &daemon.Ready{URL: s.url("/api/version")}, Answers: s.answers,
	}
	host := s.Host
	if host == "" {
		host = "0.0.0.0"
	}
	d.Environment = map[string]string{"OLLAMA_HOST": daemon.HostPort(host, strconv.Itoa(s.port())), "OLLAMA_MODELS": s.models()}
	if s.KeepAlive != "" {
		d.Environment["OLLAMA_KEEP_ALIVE"] = s.KeepAlive
	}
	maps.Copy(d.Environment, s.Environment)
	return d
}

func (s *Spec) version() string {
	if s.Version == "" {
		return DefaultVersion
	}
	return s.Version
}

// folder is where the release is.
func (s *Spec) folder() string { return "/opt/ollama/" + s.version() }

func (s *Spec) models() string {
	if s.ModelsDir == "" {
		return "/var/lib/" + Name + "/models"
	}
	return s.ModelsDir
}

func (s *Spec) port() int {
	if s.Port == 0 {
		return defaultPort
	}
	return s.Port
}

// address is the server's inside the container.
func (s *Spec) address() string { return daemon.Inside(s.Host, s.port()) }

func (s *Spec) url(path string) string { return "http://" + s.address() + path }

// zstd tells whether the release is packed with it: from 0.14.0 on.
func (s *Spec) zstd() bool { return dpkg.CompareVersions(s.version(), "0.14.0~") >= 0 }

// answers judges what /api/version gave.
func (s *Spec) answers(body []byte) error {
	var now struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(body, &now); err != nil {
		return fmt.Errorf("read /api/version: %w", err)
	}
	if now.Version != s.version() {
		return fmt.Errorf("/api/version says %s, and %s is wanted", now.Version, s.version())
	}
	return nil
}

type task struct {
	spec   *Spec
	server tasks.Task
}

// Check compares the server, then its models: as it lists them where it is as wanted, and
// otherwise as their manifests lie in its folder.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	d, err := t.server.Check(ctx, h)
	if err != nil || len(t.spec.Models) == 0 {
		return d, err
	}
	look := t.spec.listed
	if len(d) > 0 {
		look = t.spec.stored
	}
	missing, err := look(ctx, h)
	for _, name := range missing {
		d = append(d, tasks.Change{Path: "models." + name, To: "present", Effect: tasks.EffectLive})
	}
	return d, err
}

// Apply makes the server, then pulls what it does not list.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if slices.ContainsFunc(d, func(c tasks.Change) bool { return !strings.HasPrefix(c.Path, "models.") }) {
		if err := t.server.Apply(ctx, h, d); err != nil {
			return err
		}
	}
	if len(t.spec.Models) == 0 {
		return nil
	}
	missing, err := t.spec.listed(ctx, h)
	if err != nil {
		return err
	}
	for _, name := range missing {
		c := tasks.Cmd{Argv: []string{t.spec.folder() + "/bin/ollama", "pull", name}, Env: []string{"OLLAMA_HOST=" + t.spec.address()}}
		if _, err := tasks.Succeed(ctx, h, c); err != nil {
			return err
		}
	}
	return nil
}
