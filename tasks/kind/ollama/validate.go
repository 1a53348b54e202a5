package ollama

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/pve"
)

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if v := s.Version; v != "" && (!regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-rc[0-9]+)?$`).MatchString(v) || dpkg.CompareVersions(v, oldest) < 0) {
		out.Add("version", fmt.Sprintf("%q is no version that is known how to install", v), oldest+" or later, such as "+DefaultVersion)
	}
	if s.SHA256 != "" && !regexp.MustCompile(`^[0-9a-fA-F]{64}$`).MatchString(s.SHA256) {
		out.Add("sha256", "is no SHA-256", "64 hexadecimal digits")
	}
	if s.SHA256 != "" && s.Version == "" {
		out.Add("sha256", "has no version that it is of", "name the version, too")
	}
	if _, err := netip.ParseAddr(s.Host); s.Host != "" && err != nil {
		out.Add("host", fmt.Sprintf("%q is no address", s.Host), "0.0.0.0 for all, 127.0.0.1 for the container alone")
	}
	if s.Port < 0 || s.Port > 65535 || s.Port > 0 && s.Port < 1024 {
		out.Add("port", fmt.Sprintf("%d is no port for a service that is not root", s.Port), "1024 to 65535")
	}
	for i, m := range s.Models {
		switch {
		case !modelName(m):
			out.Add(fmt.Sprintf("models.%d", i), fmt.Sprintf("%q is no name of a model", m), "NAME, NAME:TAG, USER/NAME:TAG or hf.co/USER/NAME:TAG")
		case slices.ContainsFunc(s.Models[:i], func(o string) bool { return tagged(o) == tagged(m) }):
			out.Add(fmt.Sprintf("models.%d", i), tagged(m)+" is named twice", "")
		}
	}
	if p := s.ModelsDir; p != "" && (!path.IsAbs(p) || path.Clean(p) != p || pve.HasControl(p)) {
		out.Add("models_dir", fmt.Sprintf("%q is no absolute, clean path", p), "a folder of the container: /models")
	}
	if s.KeepAlive != "" && !regexp.MustCompile(`^-?([0-9]+|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$`).MatchString(s.KeepAlive) {
		out.Add("keep_alive", fmt.Sprintf("%q is no duration", s.KeepAlive), "10m, 1h30m, 0, or -1 for ever")
	}
	for _, name := range tasks.Keys(s.Environment) {
		if key := map[string]string{"OLLAMA_HOST": "host and port", "OLLAMA_MODELS": "models_dir", "OLLAMA_KEEP_ALIVE": "keep_alive"}[name]; key != "" {
			out.Add("environment."+name, "has a key of its own", key)
		}
	}
	rest := *s
	rest.Host, rest.ModelsDir, rest.KeepAlive = "", "", ""
	for _, p := range rest.service().Validate() {
		if strings.HasPrefix(p.Path, "environment.") {
			out = append(out, p)
		}
	}
	return out
}

// modelName allows what is one word and no option, and cannot leave the folder of models.
func modelName(s string) bool {
	return regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*/){0,2}[A-Za-z0-9][A-Za-z0-9._-]*(:[A-Za-z0-9][A-Za-z0-9._-]*)?$`).MatchString(s)
}
