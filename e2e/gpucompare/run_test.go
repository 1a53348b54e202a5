package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/e2e/nvmlfake"
)

// simulated lays a machine with one card: the library that the real probe loads, and an
// nvidia-smi that prints the XML of the same card. It returns the folder with both
// accounts.
func simulated(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := nvmlfake.Build(t.Context(), dir, nvmlfake.Current); err != nil {
		t.Fatal(err)
	}
	card := nvmlfake.RTX4090(0, "process compute 1234 1073741824 - -", "process graphics 99 20971520 - -", "process graphics 1234 1073741824 - -")
	if err := (nvmlfake.Machine{Lines: nvmlfake.Driver(), Cards: []nvmlfake.Card{card}}).Write(filepath.Join(dir, "cards")); err != nil {
		t.Fatal(err)
	}
	xml, err := os.ReadFile("testdata/rtx4090.xml")
	if err != nil {
		t.Fatal(err)
	}
	program := fmt.Sprintf("#!/bin/sh\n[ \"$*\" = '-q -x' ] && exec cat %s/smi.xml\n", dir)
	for name, data := range map[string][]byte{"smi.xml": xml, "nvidia-smi": []byte(program)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("LD_LIBRARY_PATH", dir)
	t.Setenv(nvmlfake.Variable, filepath.Join(dir, "cards"))
	t.Chdir("../..") // where make runs it
	return dir
}

func TestMakeTestGPU_comparesTheRealProbeWithNvidiaSMI(t *testing.T) {
	dir := simulated(t)
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"probe: 1 cards in ", "driver 550.54.15, CUDA 12.4", " facts compared, 0 differ\n", `same     card 0  name `} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
	for _, c := range []struct{ file, from, to, fact string }{
		{"cards", "power_limit 450000", "power_limit 300000", "power limit"},
		{"cards", "uuid GPU-5c1a3e00", "uuid GPU-6c1a3e00", "uuid"},
		{"cards", "process graphics 99 20971520 - -", "ended", "processes"},
		{"cards", "persistence 1", "persistence 0", "persistence_mode"},
		{"cards", "vbios 95.02", "vbios 95.03", "vbios_version"},
		{"cards", "temperature 41", "none", "temperature"},
		{"cards", `"vbios 95`, `"fault nvmlDeviceGetVbiosVersion 999", "vbios 95`, "identity"},
		{"cards", `"facts": [`, `"facts": ["lost now",`, "error"},
		{"smi.xml", "<product_name>NVIDIA GeForce RTX 4090<", "<product_name>NVIDIA GeForce RTX 4080<", "name"},
		{"smi.xml", "<driver_version>550.54.15<", "<driver_version>550.54.14<", "driver_version"},
	} {
		t.Run(c.file+" has another "+c.fact, func(t *testing.T) {
			path := filepath.Join(dir, c.file)
			before, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(before), c.from) {
				t.Fatalf("%v: %s has no %q", err, c.file, c.from)
			}
			defer func() {
				if err := os.WriteFile(path, before, 0o755); err != nil {
					t.Error(err)
				}
			}()
			if err := os.WriteFile(path, []byte(strings.Replace(string(before), c.from, c.to, 1)), 0o755); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err = run(t.Context(), &out)
			if err == nil || !strings.HasSuffix(err.Error(), "differ") || !strings.Contains(out.String(), "DIFFERS  card ") || !differs(out.String(), c.fact) {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
}

// differs tells whether the comparison names a fact that differs.
func differs(out, fact string) bool {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "DIFFERS") && strings.Contains(line, "  "+fact+" ") {
			return true
		}
	}
	return false
}

func TestWhereTheProbeHasNoDriver_theComparisonFails(t *testing.T) {
	dir := simulated(t)
	if err := (nvmlfake.Machine{Lines: append(nvmlfake.Driver(), "fault nvmlInit_v2 18")}).Write(filepath.Join(dir, "cards")); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "the probe: version mismatch") {
		t.Errorf("got %v", err)
	}
}
