package nvmlfake

import (
	"debug/elf"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// function is the name of a function of the driver's library, and its version.
var function = regexp.MustCompile(`^(nvml[A-Z]\w*?)(_v\d)?$`)

// lookedUp are the functions that the probe looks up, as its source names them, without
// their versions.
func lookedUp(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../../cmd/agentlet-nvml/internal/library/*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, is := n.(*ast.BasicLit); is && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if m := function.FindStringSubmatch(text); err == nil && m != nil {
					names[m[1]] = true
				}
			}
			return true
		})
	}
	return names
}

// exported are the functions of a library, with their versions.
func exported(t *testing.T, release Release) map[string]bool {
	t.Helper()
	lib, err := elf.Open(filepath.Join(shared, "lib"+string(release), "libnvidia-ml.so.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	symbols, err := lib.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && function.MatchString(s.Name) {
			names[s.Name] = true
		}
	}
	return names
}

func withoutVersion(name string) string { return function.FindStringSubmatch(name)[1] }

func TestTheLibraryHasWhatTheProbeLooksUp_andNothingElse(t *testing.T) {
	probe, has := lookedUp(t), map[string]bool{}
	for name := range exported(t, Current) {
		has[withoutVersion(name)] = true
	}
	if len(probe) < 40 {
		t.Fatalf("only %d functions were found in the source of the probe", len(probe))
	}
	for name := range probe {
		// Of two names of one function, the older stands for libraries of old drivers.
		if !has[name] {
			t.Errorf("the probe looks up %s, which nvml.c does not have", name)
		}
	}
	for name := range has {
		if !probe[name] {
			t.Errorf("nvml.c has %s, which the probe does not look up", name)
		}
	}
}

func TestAnOldLibraryLacksWhatCameLater(t *testing.T) {
	now, old := exported(t, Current), exported(t, Old)
	for name := range old {
		if !now[name] {
			t.Errorf("only the old library has %s", name)
		}
	}
	for _, name := range []string{"nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMigMode", "nvmlDeviceGetRemappedRows", "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetCurrentClocksEventReasons"} {
		if old[name] || !now[name] {
			t.Errorf("%s: in the old library %v, in the new one %v", name, old[name], now[name])
		}
	}
}

func TestLay_laysWhatADriverShows(t *testing.T) {
	dir := t.TempDir()
	if err := (Machine{Driver(), []Card{RTX4090(0), A100(1)}}).Lay(t.Context(), dir, Current); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"sys/bus/pci/devices/0000:01:00.0/vendor":          "0x10de\n",
		"sys/bus/pci/devices/0000:01:00.0/device":          "0x2684\n",
		"sys/bus/pci/devices/0001:82:00.0/device":          "0x20b0\n",
		"sys/module/nvidia/version":                        "550.54.15\n",
		"proc/driver/nvidia/gpus/0001:82:00.0/information": "Device Minor: \t 1\n",
		"proc/driver/nvidia/gpus/0000:01:00.0/information": "GPU UUID: \t GPU-5c1a3e00-7d2b-4b7e-9f10-2a64c7d1e9b0\n",
		"proc/devices": "510 nvidia-uvm\n",
		"nodes":        "nvidia1 195 1 666\nnvidiactl 195 255 666\n",
		"etc/nvmlfake": `"name NVIDIA A100-SXM4-40GB"`,
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(data), want) {
			t.Errorf("%s: %v, %q has no %q", name, err, data, want)
		}
	}
	if to, err := os.Readlink(filepath.Join(dir, "lib/libnvidia-ml.so.1")); to != "libnvidia-ml.so.550.54.15" {
		t.Errorf("the library is a link to %q, %v", to, err)
	}
	if err := (Machine{Cards: []Card{{Lines: []string{"name NVIDIA L4"}}}}).Lay(t.Context(), t.TempDir(), Current); err == nil {
		t.Error("a card without an address is laid")
	}
}
