package ollama

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestMissing_readsWhatTheServerLists(t *testing.T) {
	body, err := os.ReadFile("testdata/tags.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &Spec{Models: []string{"deepseek-r1", "llama3.2:latest", "LLAMA3.2", "qwen3:8b", "hf.co/u/m:Q4"}}
	if got, err := s.missing(body); err != nil || !slices.Equal(got, []string{"qwen3:8b", "hf.co/u/m:Q4"}) {
		t.Errorf("missing %q, %v", got, err)
	}
}

func TestManifest_isWhereOllamaKeepsIt(t *testing.T) {
	for name, want := range map[string]string{
		"llama3.2:latest": "registry.ollama.ai/library/llama3.2/latest", "me/own:v1": "registry.ollama.ai/me/own/v1", "hf.co/u/m:Q4_K_M": "hf.co/u/m/Q4_K_M",
	} {
		if got := manifest(name); got != want {
			t.Errorf("%s is at %s, want %s", name, got, want)
		}
	}
}

// FuzzMissing: a model is present only where the answer has its name.
func FuzzMissing(f *testing.F) {
	f.Add([]byte(`{"models":[{"name":"a:latest"}]}`))
	f.Add([]byte(`{"models":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		out, err := (&Spec{Models: []string{"somemodel:8b"}}).missing(body)
		if err == nil && len(out) == 0 && !strings.Contains(strings.ToLower(string(body)), "8b") && !strings.Contains(string(body), `\u`) {
			t.Errorf("%q has the model", body)
		}
	})
}

// FuzzSumOf: a checksum is 64 characters of the line that names the file.
func FuzzSumOf(f *testing.F) {
	f.Add(strings.Repeat("a", 64)+"  ./x.tgz\n", "x.tgz")
	f.Add("abc x.tgz\n", "x.tgz")
	f.Fuzz(func(t *testing.T, text, name string) {
		if sum := sumOf(text, name); sum != "" && (!strings.Contains(text, name) || name == "") {
			t.Errorf("%q of %q in %q", sum, name, text)
		}
	})
}
