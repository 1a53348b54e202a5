package nvidia

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestUnits_areWhatSystemdTakes compares the units with their golden files and has
// systemd read them, in a folder where their programs exist.
func TestUnits_areWhatSystemdTakes(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{nodesUnit: nodesText([]int{0, 1}), persistenceUnit: persistenceText} {
		want, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, text, want)
		}
		at := filepath.Join(dir, name)
		text = strings.NewReplacer("/usr/bin/nvidia-modprobe", program, "/usr/bin/nvidia-persistenced", program).Replace(text)
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", at).CombinedOutput()
		if err != nil || strings.Contains(string(out), name) {
			t.Errorf("systemd-analyze verify %s: %v (apt-get install systemd)\n%s", name, err, out)
		}
	}
}

func TestPin_isTheGoldenFile(t *testing.T) {
	want, err := os.ReadFile("testdata/phoenix-nvidia.pref")
	if err != nil {
		t.Fatal(err)
	}
	if got := (&task{Spec{Driver: "570.86.15"}}).pin(); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestPin_isWhatAPTTakes lets the real apt choose among the versions of an archive made
// for it.
func TestPin_isWhatAPTTakes(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var packages strings.Builder
	for _, name := range []string{"nvidia-open", "libnvidia-ml1", "nvidia-container-toolkit"} {
		for _, v := range []string{"570.86.15-1", "580.65.06-1"} {
			if name == "nvidia-container-toolkit" {
				v = strings.Replace(v, "5", "1.1", 1)
			}
			packages.WriteString("Package: " + name + "\nVersion: " + v + "\nArchitecture: all\nMaintainer: x\nFilename: ./" + name + "_" + v + ".deb\nSize: 1\nDescription: x\n\n")
		}
	}
	put("archive/Packages", packages.String())
	put("sources.list", "deb [trusted=yes] file:"+filepath.Join(dir, "archive")+" ./\n")
	put("preferences.d/phoenix-nvidia.pref", (&task{Spec{Driver: "570.86.15"}}).pin())
	put("status", "")
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	apt := func(program string, args ...string) string {
		t.Helper()
		options := []string{
			"-o", "Dir::Etc::sourcelist=" + filepath.Join(dir, "sources.list"), "-o", "Dir::Etc::sourceparts=-", "-o", "Dir::Etc::preferencesparts=" + filepath.Join(dir, "preferences.d"),
			"-o", "Dir::Etc::preferences=-", "-o", "Dir::State::lists=" + filepath.Join(dir, "lists"), "-o", "Dir::State::status=" + filepath.Join(dir, "status"),
			"-o", "Dir::Cache=" + filepath.Join(dir, "cache"), "-o", "APT::Sandbox::User=root",
		}
		out, err := exec.CommandContext(t.Context(), program, append(options, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out)
		}
		return string(out)
	}
	apt("apt-get", "update")
	for name, want := range map[string]string{"nvidia-open": "570.86.15-1", "libnvidia-ml1": "570.86.15-1", "nvidia-container-toolkit": "1.180.65.06-1"} {
		if got := apt("apt-cache", "policy", name); !strings.Contains(got, "Candidate: "+want+"\n") {
			t.Errorf("apt chooses for %s\n%s\nwant %s", name, got, want)
		}
	}
	offered, err := madison(apt("apt-cache", "madison", "nvidia-open"))
	if err != nil || !slices.Equal(offered["nvidia-open"], []string{"580.65.06-1", "570.86.15-1"}) {
		t.Errorf("what the real apt-cache prints is read as %v, %v", offered, err)
	}
}

func TestExact_isOfTheSameDriver(t *testing.T) {
	versions := []string{"580.65.06-1", "1:570.86.15-0ubuntu1", "570.86.15-1", "570.86.151-1"}
	for driver, want := range map[string]string{"570.86.15": "1:570.86.15-0ubuntu1", "580.65.06": "580.65.06-1", "570.86": "", "570.86.1": ""} {
		if got := Exact(versions, driver); got != want {
			t.Errorf("%s: got %q, want %q", driver, got, want)
		}
	}
}

func TestFlavour_fitsTheAgeOfTheInstaller(t *testing.T) {
	for known, want := range map[string]string{
		"  -M, --kernel-module-type=KERNEL-MODULE-TYPE\n": "--kernel-module-type=open", "  -m, --kernel-module-build-directory=X\n": "--kernel-module-build-directory=kernel-open",
	} {
		if got := flavour(known, true); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// FuzzMadison: what is read comes from the text, and nothing is read twice.
func FuzzMadison(f *testing.F) {
	f.Add("nvidia-open | 570.86.15-1 | https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64  Packages\n")
	f.Add("a | 1 | x Sources\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := madison(text)
		if err != nil {
			return
		}
		for name, versions := range got {
			for i, v := range versions {
				if !strings.Contains(text, name) || !strings.Contains(text, v) || slices.Contains(versions[:i], v) {
					t.Errorf("%q is read as %v", text, got)
				}
			}
		}
	})
}
