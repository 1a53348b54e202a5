// Package nvmlfake is a stand-in for NVIDIA's libnvidia-ml.so.1 on machines without a
// card: nvml.c, compiled, and the file of simulated cards that it answers from.
//
// It is loaded by the real go-nvml in the real probe, so that all but the driver is
// tested: LD_LIBRARY_PATH names the folder of Build, and Variable the file of a Machine.
// The package starts a C compiler and nothing else. Start reading at Build and Machine.
package nvmlfake

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Variable of the environment that names the file of the simulated cards.
const Variable = "PHOENIX_NVML_FAKE"

// module is where the library's header comes from.
const module = "github.com/NVIDIA/go-nvml"

//go:embed nvml.c
var source string

// Release is how new the library is.
type Release string

// Current is a library with all functions, Old one of a driver of 2019, which lacks those
// that came later.
const (
	Current Release = ""
	Old     Release = "-DNVMLFAKE_OLD"
)

// Build compiles the library into a folder, as libnvidia-ml.so.1. It runs in the
// module, where `go list` finds the header.
func Build(ctx context.Context, dir string, r Release) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return fmt.Errorf("find header of NVML: go list -m %s: %w", module, err)
	}
	args := []string{"-xc", "-", "-std=gnu11", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations",
		"-DNVML_NO_UNVERSIONED_FUNC_DEFS", "-isystem", filepath.Join(strings.TrimSpace(string(out)), "pkg", "nvml"),
		"-Wl,-soname,libnvidia-ml.so.1", "-o", filepath.Join(dir, "libnvidia-ml.so.1")}
	if r != Current {
		args = append(args, string(r))
	}
	cc := exec.CommandContext(ctx, "gcc", args...)
	cc.Stdin = strings.NewReader(source)
	if said, err := cc.CombinedOutput(); err != nil {
		return fmt.Errorf("compile simulated NVML: %w\n%s", err, said)
	}
	return nil
}

// Machine is one with simulated cards.
type Machine struct {
	// Lines of the driver: "driver 550.54.15", "cuda 12040", "fault nvmlInit_v2 18".
	Lines []string `json:"driver"`
	Cards []Card   `json:"gpus"`
}

// Card is a simulated one.
type Card struct {
	// Lines of the card, as nvml.c documents them: "name NVIDIA L4", "lost now",
	// "fault nvmlDeviceGetPowerUsage hang".
	Lines []string `json:"facts"`
	// Instances are the lines of each MIG instance: "gi 1", "uuid MIG-…".
	Instances [][]string `json:"instances,omitempty"`
}

// Write writes the file, in JSON, that the library reads at its next nvmlInit or
// nvmlDeviceGetCount.
func (m Machine) Write(path string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
