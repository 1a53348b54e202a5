package vllm

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if s.Version != "" && !regexp.MustCompile(`^[0-9]+(\.[0-9]+)+((rc|\.post)[0-9]+)?$`).MatchString(s.Version) {
		out.Add("version", fmt.Sprintf("%q is no exact version", s.Version), DefaultVersion)
	}
	if s.Device != "" && s.Device != deviceCUDA && s.Device != deviceCPU {
		out.Add("device", fmt.Sprintf("%q is no device", s.Device), "cuda or cpu")
	}
	for i, p := range s.Packages {
		if regexp.MustCompile(`^vllm\b`).MatchString(strings.ToLower(p)) {
			out.Add(fmt.Sprintf("packages.%d", i), "vllm has a key of its own", "version")
		}
	}
	if s.Model == "" {
		out = append(out, s.idle()...)
	} else {
		out = append(out, s.serving()...)
	}
	// What has a key of its own here is judged by that.
	rest := *s
	rest.Version, rest.HFHome = "", ""
	for _, p := range rest.service().Problems(Name) {
		p = place(p)
		own := slices.ContainsFunc([]string{"command", "system_", "ready", "secrets"}, func(begin string) bool { return strings.HasPrefix(p.Path, begin) })
		if !own && !slices.ContainsFunc(out, func(o tasks.Problem) bool { return o.Path == p.Path }) {
			out = append(out, p)
		}
	}
	return out
}

// place gives a fault of the environment's packages the index that it has in the spec:
// vLLM itself comes first there.
func place(p tasks.Problem) tasks.Problem {
	if index, is := strings.CutPrefix(p.Path, "packages."); is {
		if i, err := strconv.Atoi(index); err == nil {
			p.Path = fmt.Sprintf("packages.%d", i-1)
		}
	}
	return p
}

// idle are the faults where there is no model: keys without an effect.
func (s *Spec) idle() []tasks.Problem {
	var out tasks.Problems
	for _, k := range []struct {
		key string
		set bool
	}{
		{"served_model_name", s.ServedModelName != ""}, {"tensor_parallel_size", s.TensorParallelSize != 0},
		{"gpu_memory_utilization", s.GPUMemoryUtilization != 0}, {"max_model_len", s.MaxModelLen != 0}, {"dtype", s.DType != ""},
		{"quantization", s.Quantization != ""}, {"trust_remote_code", s.TrustRemoteCode}, {"host", s.Host != ""}, {"port", s.Port != 0},
		{"arguments", len(s.Arguments) > 0}, {"extra_arguments", len(s.ExtraArguments) > 0}, {"environment", len(s.Environment) > 0},
		{"hf_token", s.HFToken != nil}, {"api_key", s.APIKey != nil}, {"hf_home", s.HFHome != ""}, {"download_dir", s.DownloadDir != ""},
		{"ready_timeout_s", s.ReadyTimeoutS != 0},
	} {
		if k.set {
			out.Add(k.key, "has no effect without a model", "name the model to serve")
		}
	}
	return out
}

// serving are the faults of what is served.
func (s *Spec) serving() []tasks.Problem {
	var out tasks.Problems
	for _, w := range []struct{ key, value string }{
		{"model", s.Model}, {"served_model_name", s.ServedModelName}, {"dtype", s.DType}, {"quantization", s.Quantization},
	} {
		if strings.HasPrefix(w.value, "-") || strings.ContainsAny(w.value, " \t") || pve.HasControl(w.value) {
			out.Add(w.key, fmt.Sprintf("%q cannot be one word of a command", w.value), "no blank, no line break, and no - at the beginning")
		}
	}
	for _, p := range []struct{ key, value string }{{"hf_home", s.HFHome}, {"download_dir", s.DownloadDir}} {
		if p.value != "" && (!path.IsAbs(p.value) || path.Clean(p.value) != p.value || pve.HasControl(p.value)) {
			out.Add(p.key, fmt.Sprintf("%q is no absolute, clean path", p.value), "a folder of the container: /models")
		}
	}
	if s.TensorParallelSize < 0 || s.TensorParallelSize > 64 {
		out.Add("tensor_parallel_size", fmt.Sprintf("%d is no number of GPUs", s.TensorParallelSize), "1 to 64")
	}
	if u := s.GPUMemoryUtilization; u < 0 || u > 1 {
		out.Add("gpu_memory_utilization", fmt.Sprintf("%g is no share", u), "above 0, and 1 at most")
	}
	if s.MaxModelLen < 0 {
		out.Add("max_model_len", "is negative", "tokens")
	}
	if s.Port < 0 || s.Port > 65535 || s.Port > 0 && s.Port < 1024 {
		out.Add("port", fmt.Sprintf("%d is no port for a service that is not root", s.Port), "1024 to 65535")
	}
	if _, err := netip.ParseAddr(s.Host); s.Host != "" && err != nil {
		out.Add("host", fmt.Sprintf("%q is no address", s.Host), "0.0.0.0 for all, 127.0.0.1 for the container alone")
	}
	if s.ReadyTimeoutS < 0 {
		out.Add("ready_timeout_s", "is negative", "seconds; 0 means 1800")
	}
	for _, ref := range []struct {
		key   string
		empty bool
	}{{"hf_token", s.HFToken != nil && s.HFToken.Name == ""}, {"api_key", s.APIKey != nil && s.APIKey.Name == ""}} {
		if ref.empty {
			out.Add(ref.key, "names no secret", `{"secret": "NAME"}`)
		}
	}
	for i, w := range s.ExtraArguments {
		if name, _, _ := strings.Cut(w, "="); name == "--api-key" || name == "--hf-token" {
			out.Add(fmt.Sprintf("extra_arguments.%d", i), name+" would be seen by everybody who lists processes", "api_key and hf_token take secrets")
		}
		if w == "" || pve.HasControl(w) {
			out.Add(fmt.Sprintf("extra_arguments.%d", i), "is empty or has a line break or another control character", "")
		}
	}
	return append(out, s.argumentProblems()...)
}

// argumentProblems are the faults of the named arguments.
func (s *Spec) argumentProblems() []tasks.Problem {
	var out tasks.Problems
	keys := map[string]string{"hf-token": "hf_token", "api-key": "api_key", "model": "model"}
	for _, k := range strings.Fields("served_model_name tensor_parallel_size gpu_memory_utilization max_model_len dtype quantization trust_remote_code host port download_dir") {
		keys[strings.ReplaceAll(k, "_", "-")] = k
	}
	seen := map[string]bool{}
	for _, name := range tasks.Keys(s.Arguments) {
		at, plain := "arguments."+name, strings.ReplaceAll(name, "_", "-")
		words, err := argument(name, s.Arguments[name])
		switch {
		case !regexp.MustCompile(`^[a-z][a-z0-9_.-]*$`).MatchString(name):
			out.Add(at, "is no name of an argument", "as vllm serve --help has it, without the two hyphens")
		case keys[plain] != "":
			out.Add(at, "has a key of its own", keys[plain])
		case seen[plain]:
			out.Add(at, "is named twice", "hyphens and underscores are the same")
		case err != nil:
			out.Add(at, "has a value that no argument can have", err.Error())
		case slices.ContainsFunc(words, pve.HasControl):
			out.Add(at, "has a line break or another control character", "a unit file has no room for them")
		}
		seen[plain] = true
	}
	return out
}
