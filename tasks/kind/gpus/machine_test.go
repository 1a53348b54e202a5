package gpus_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/gpufacts/smixml"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// lab is a simulated machine with two cards and the probe, on which container 900 has the
// second card and runs, and 901 has it too and is stopped.
func lab(t *testing.T) (*sim.Machine, tasks.Host) {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve1", sim.Options{Seed: 3, GPUs: 2})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	do := func(argv ...string) {
		if out, err := h.Run(t.Context(), tasks.Cmd{Argv: argv}); err != nil || out.Code != 0 {
			t.Fatalf("%q: %v, %s%s", argv, err, out.Stdout, out.Stderr)
		}
	}
	templates, err := h.ReadDir("/var/lib/vz/template/cache")
	if err != nil || len(templates) == 0 {
		t.Fatalf("templates: %v", err)
	}
	for _, ctid := range []string{"900", "901"} {
		do("pct", "create", ctid, "local:vztmpl/"+templates[0], "--hostname", "llm"+ctid, "--rootfs", "local-lvm:4", "--dev0", "/dev/nvidia1,mode=0666", "--dev1", "/dev/nvidiactl")
	}
	do("pct", "start", "900")
	at := filepath.Join(m.Root, probe)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(elf), 0o755); err != nil {
		t.Fatal(err)
	}
	return m, h
}

func TestGPUs_ofASimulatedMachineAreTheSameFromEachSource(t *testing.T) {
	m, h := lab(t)
	before, err := m.Digest()
	if err != nil {
		t.Fatal(err)
	}
	best := ask(t, withProbe, h)
	if best.Source != gpufacts.SourceNVML || len(best.Missed) > 0 || len(best.GPUs) != 2 || len(best.GPUs[1].Processes) != 1 || len(best.GPUs[0].Processes) != 0 {
		t.Fatalf("%+v", best)
	}
	p := best.GPUs[1].Processes[0]
	if o := best.Owner(p.PID); o == nil || o.CTID != 900 || o.Name != "python3" || best.ContainerName(900) != "llm900" {
		t.Errorf("process %d belongs to %+v", p.PID, o)
	}
	if c := best.Card("0000:02:00.0"); c == nil || !reflect.DeepEqual(c.Assigned, []int{900, 901}) || c.Node != "/dev/nvidia1" {
		t.Errorf("the card is %+v", c)
	}
	next := ask(t, `{}`, h)
	smixml.Read(&next)
	if next.Source != gpufacts.SourceSMI || len(next.Missed) != 1 {
		t.Fatalf("%+v", next)
	}
	for i := range best.GPUs { // what nvidia-smi does not tell
		best.GPUs[i].ComputeCapability, best.GPUs[i].Architecture = "", next.GPUs[i].Architecture
	}
	if got, want := encode(t, next.GPUs), encode(t, best.GPUs); got != want {
		t.Errorf("nvidia-smi\n%s\nthe library\n%s", got, want)
	}
	if !reflect.DeepEqual(next.Owners, best.Owners) || !reflect.DeepEqual(next.Cards, best.Cards) {
		t.Errorf("owners %+v, cards %+v", next.Owners, next.Cards)
	}
	if after, err := m.Digest(); err != nil || after != before {
		t.Errorf("a check changed the machine: %v", err)
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestGPUs_aStoppedContainerUsesNone(t *testing.T) {
	_, h := lab(t)
	if out, err := h.Run(t.Context(), tasks.Cmd{Argv: []string{"pct", "stop", "900"}}); err != nil || out.Code != 0 {
		t.Fatal(err)
	}
	f := ask(t, withProbe, h)
	if len(f.GPUs[1].Processes) > 0 || len(f.Owners) > 0 || len(f.Card("0000:02:00.0").Assigned) != 2 {
		t.Errorf("%+v", f)
	}
}

func TestGPUs_ofASimulatedMachineWithATroubledDriver(t *testing.T) {
	for want, change := range map[string]func(m *sim.Machine) error{
		gpufacts.KindLibraryMissing: func(m *sim.Machine) error {
			return os.Remove(filepath.Join(m.Root, "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"))
		},
		gpufacts.KindVersionMismatch: func(m *sim.Machine) error {
			return os.WriteFile(filepath.Join(m.Root, "/sys/module/nvidia/version"), []byte("570.86.15\n"), 0o644)
		},
		gpufacts.KindDriverNotLoaded: func(m *sim.Machine) error {
			return os.Remove(filepath.Join(m.Root, "/sys/module/nvidia/version"))
		},
	} {
		m, h := lab(t)
		if err := change(m); err != nil {
			t.Fatal(err)
		}
		f := ask(t, withProbe, h)
		if fmt.Sprintf("%s %s", f.Missed[0].Kind, f.Missed[1].Kind) != want+" "+want || len(f.GPUs) != 2 {
			t.Errorf("%s: %+v", want, f)
		}
	}
}

func TestGPUs_arePlainToTheRunner(t *testing.T) {
	_, h := lab(t)
	if res := taskstest.Run(t, gpus.Kind(), withProbe, h); res.Status != tasks.StatusOK {
		t.Errorf("%+v", res)
	}
}
