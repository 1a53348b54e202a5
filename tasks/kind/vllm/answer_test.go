package vllm

import (
	"strings"
	"testing"
)

// FuzzServes: only an answer that has the model is the right one, whatever a server says.
func FuzzServes(f *testing.F) {
	for _, s := range []string{`{"object":"list","data":[{"id":"a/b"}]}`, `{"data":[{"id":"x"},{}]}`, `[]`, ``, `{"data":null}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if (&Spec{Model: "no such model"}).serves(body) == nil && !strings.Contains(string(body), "such model") && !strings.Contains(string(body), `\u`) {
			t.Errorf("%q lists a model that is not in it", body)
		}
	})
}
