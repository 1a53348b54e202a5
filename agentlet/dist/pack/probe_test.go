package main

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fromRoot has the test run where pack does.
func fromRoot(t *testing.T) {
	t.Helper()
	t.Chdir("../../..")
}

func TestTheProbe_isLinkedLazilyWithAnOldCLibraryAndNoOther(t *testing.T) {
	fromRoot(t)
	dir := t.TempDir()
	if err := probe(dir, "amd64"); err != nil {
		t.Fatal(err)
	}
	packed, err := os.Open(filepath.Join(dir, "agentlet-nvml-amd64.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unzip := exec.Command("gzip", "-dc")
	unzip.Stdin = packed
	data, err := unzip.Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if libs, err := file.ImportedLibraries(); err != nil || !slices.Equal(libs, []string{"libc.so.6"}) {
		t.Errorf("it is linked with %v, %v, want the C library alone", libs, err)
	}
	for _, tag := range []elf.DynTag{elf.DT_FLAGS, elf.DT_FLAGS_1} {
		if v, _ := file.DynValue(tag); len(v) > 0 && v[0]&(1|8) != 0 { // DF_BIND_NOW is 8, DF_1_NOW 1
			t.Errorf("%v is %x: it is bound at its start", tag, v)
		}
	}
	if v, _ := file.DynValue(elf.DT_BIND_NOW); len(v) > 0 {
		t.Error("it is bound at its start")
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	driver := 0
	for _, s := range symbols {
		if s.Section == elf.SHN_UNDEF && strings.HasPrefix(s.Name, "nvml") {
			driver++
			if elf.ST_BIND(s.Info) != elf.STB_WEAK {
				t.Errorf("%s is not weak", s.Name)
			}
		}
		if v, ok := strings.CutPrefix(s.Version, "GLIBC_"); ok && newer(v, "2.34") {
			t.Errorf("%s needs glibc %s", s.Name, v)
		}
	}
	if driver < 300 {
		t.Errorf("it has %d functions of the driver's library, want those of go-nvml", driver)
	}
	if err := oldEnough(data); err != nil {
		t.Error(err)
	}
}

func TestNewer_comparesNumbers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"2.34", "2.34", false}, {"2.35", "2.34", true}, {"2.4", "2.34", false}, {"2.2.5", "2.34", false},
		{"2.34.1", "2.34", true}, {"3.0", "2.34", true}, {"PRIVATE", "2.34", true},
	} {
		if got := newer(c.a, c.b); got != c.want {
			t.Errorf("newer(%s, %s) is %v", c.a, c.b, got)
		}
	}
}

func TestWeaken_refusesAProgramWithoutTheDriversFunctions(t *testing.T) {
	data, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	if err := weaken(data); err == nil || !strings.Contains(err.Error(), "want hundreds") {
		t.Errorf("got %v", err)
	}
}

func TestWithoutACompilerTheProbeIsNamedAndNoOldOneStays(t *testing.T) {
	fromRoot(t)
	dir := t.TempDir()
	old := filepath.Join(dir, "agentlet-nvml-amd64.gz")
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CC", "no-such-compiler")
	if _, err := compiler("amd64"); err == nil || !strings.Contains(err.Error(), "no-such-compiler is not installed (Debian: apt-get install gcc") {
		t.Errorf("got %v", err)
	}
	if err := probe(dir, "amd64"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old probe is there: %v", err)
	}
	t.Setenv("PATH", dir)
	if _, err := compiler("arm64"); err == nil || !strings.Contains(err.Error(), "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross") {
		t.Errorf("got %v", err)
	}
}
