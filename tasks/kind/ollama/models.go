package ollama

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/daemon"
)

// tagged is a model's name as the server lists it: with its tag.
func tagged(name string) string {
	if strings.Contains(name[strings.LastIndex(name, "/")+1:], ":") {
		return name
	}
	return name + ":latest"
}

// listed are the models that the server does not list.
func (s *Spec) listed(ctx context.Context, h tasks.Host) ([]string, error) {
	out, err := tasks.Succeed(ctx, h, daemon.Get(s.url("/api/tags")))
	if err != nil {
		return nil, err
	}
	return s.missing(out.Stdout)
}

// missing are the models that an answer of /api/tags does not have.
func (s *Spec) missing(body []byte) ([]string, error) {
	var list struct {
		Models []struct {
			Name string `json:"name"`
		} `json:"models"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("read /api/tags: %w", err)
	}
	var out []string
	for _, want := range s.Models {
		// The server takes upper and lower case for the same.
		if !slices.ContainsFunc(list.Models, func(m struct {
			Name string `json:"name"`
		}) bool {
			return strings.EqualFold(m.Name, tagged(want))
		}) {
			out = append(out, tagged(want))
		}
	}
	return out, nil
}

// stored are the models whose manifest is not in the folder: what can be told while the
// server does not answer.
func (s *Spec) stored(_ context.Context, h tasks.Host) ([]string, error) {
	var out []string
	for _, want := range s.Models {
		_, err := h.Stat(s.models() + "/manifests/" + manifest(tagged(want)))
		if errors.Is(err, fs.ErrNotExist) {
			out = append(out, tagged(want))
		} else if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// manifest is where the manifest of a model lies: HOST/USER/NAME/TAG.
func manifest(name string) string {
	words := strings.Split(name, "/")
	switch len(words) {
	case 1:
		words = append([]string{"registry.ollama.ai", "library"}, words...)
	case 2:
		words = append([]string{"registry.ollama.ai"}, words...)
	}
	return strings.Replace(strings.Join(words, "/"), ":", "/", 1)
}
