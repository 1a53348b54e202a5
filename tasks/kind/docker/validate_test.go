package docker

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestAllFaultsAreNamedAtOnce(t *testing.T) {
	for spec, want := range map[string]string{
		`{}`: "",
		`{"source": "snap", "storage_driver": "vfs", "users": ["A b"]}`:                                                                                         "source storage_driver users.0",
		`{"log_driver": "a b", "log_options": {"max size": "1", "tag": "a\nb"}}`:                                                                                "log_driver log_options.max size log_options.tag",
		`{"registry_mirrors": ["mirror"], "insecure_registries": ["a", "a", "http://x"], "data_root": "srv"}`:                                                   "registry_mirrors.0 insecure_registries.1 insecure_registries.2 data_root",
		`{"daemon": {"hosts": [], "log-driver": "x", "Bad Key": 1, "mtu": null, "dns": ["10.0.0.1"]}}`:                                                          "daemon.Bad Key daemon.hosts daemon.log-driver daemon.mtu",
		`{"compose": {"Web": {"files": {"a": "b"}}}}`:                                                                                                           "compose.Web compose.Web.files",
		`{"compose": {"web": {"files": {"compose.yaml": "x", "../up": "", "/abs": "", "a\nb": "", "n": null, "s": {"secret": ""}}}}}`:                           "compose.web.files../abs... ",
		`{"compose": {"web": {"files": {"compose.yaml": "x", ".env": "A=b"}, "env": {"A": "it's", "1B": "x", "C": "two\nlines"}}}}`:                             "compose.web.files..env compose.web.env.1B compose.web.env.A compose.web.env.C",
		`{"compose": {"a": {"directory": "/srv/x", "files": {"compose.yml": ""}}, "b": {"directory": "/srv/x", "state": "off", "files": {"compose.yml": ""}}}}`: "compose.b.state compose.b.directory",
		`{"compose_plugin": false, "compose": {"a": {"files": {"compose.yml": ""}}}, "nvidia": {"mode": "x"}}`:                                                  "compose_plugin nvidia.mode",
	} {
		var s Spec
		if err := json.Unmarshal([]byte(spec), &s); err != nil {
			t.Fatal(err)
		}
		var at []string
		for _, p := range s.Validate() {
			at = append(at, p.Path)
			if p.Summary == "" {
				t.Errorf("%s: %+v says nothing", spec, p)
			}
		}
		got := strings.Join(at, " ")
		if strings.HasSuffix(want, "... ") { // one fault for each of the five
			if len(at) != 5 || !slices.Contains(at, "compose.web.files.n") || !slices.Contains(at, "compose.web.files.s.secret") {
				t.Errorf("%s: %q", spec, at)
			}
			continue
		}
		if got != want {
			t.Errorf("%s\n%q, want %q", spec, got, want)
		}
	}
}

func TestARuncIsKnownByItsVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"1.1.5+ds1": false, "1.1.15": false, "1.2.7": false, "1.2.8": true, "1.2.9": true, "1.3.0": false, "1.3.2": false, "1.3.3": true, "1.3.4": true,
		"1.4.0-rc.1": false, "1.4.0-rc.2": false, "1.4.0-rc.3": true, "1.4.0": true, "1.5.0": true, "": false, "v1.3.3": true,
	} {
		if got := reopens(version); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}

// The property: what is read and merged stays as it is, and a second merge finds nothing.
func FuzzDaemonJSON(f *testing.F) {
	f.Add([]byte(`{"log-opts": {"max-size": "1m"}, "dns": ["1.1.1.1"], "n": 1.50}`))
	f.Add([]byte(`{"log-opts": 1, "features": null}`))
	f.Add([]byte("{\n,}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		have, err := parse(data)
		if err != nil {
			return
		}
		again, err := parse(encode(have, "  "))
		if err != nil || string(encode(again, "")) != string(encode(have, "")) {
			t.Fatalf("%q: %v", data, err)
		}
	})
}

// The property: the switch is on afterwards, a second edit changes nothing, and no line
// but that one is another.
func FuzzToolkitConfig(f *testing.F) {
	f.Add("disable-require = false\n\n[nvidia-container-cli]\nenvironment = []\n#no-cgroups = false\nload-kmods = true\n\n[nvidia-container-runtime]\n#no-cgroups = x\n")
	f.Add("[nvidia-container-cli]")
	f.Add("[nvidia-container-cli] # ours\nno-cgroups=false # why\n")
	f.Add("a = 1")
	f.Fuzz(func(t *testing.T, text string) {
		got := withoutCgroups(text)
		if withoutCgroups(got) != got {
			t.Fatalf("%q became %q, then %q", text, got, withoutCgroups(got))
		}
		before, after := slices.Collect(strings.Lines(text)), slices.Collect(strings.Lines(got))
		if d := len(after) - len(before); d < 0 || d > 2 {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func TestTheToolkitIsToldToLeaveCgroupsAlone(t *testing.T) {
	for text, want := range map[string]string{
		"": "[nvidia-container-cli]\nno-cgroups = true\n",
		"x = 1\n\n[nvidia-container-cli]\n#no-cgroups = false\nload-kmods = true\n[other]\nno-cgroups = false\n": "x = 1\n\n[nvidia-container-cli]\nno-cgroups = true\nload-kmods = true\n[other]\nno-cgroups = false\n",
		"[nvidia-container-cli]\n#no-cgroups = true\nno-cgroups = false\n":                                       "[nvidia-container-cli]\n#no-cgroups = true\nno-cgroups = true\n",
		"[nvidia-container-cli]\nload-kmods = true":                                                              "[nvidia-container-cli]\nno-cgroups = true\nload-kmods = true",
		"[a]\n[nvidia-container-cli]\nno-cgroups = true # kept\n":                                                "[a]\n[nvidia-container-cli]\nno-cgroups = true # kept\n",
	} {
		if got := withoutCgroups(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
