package sim

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
	"phoenix/tasks/gpufacts"
)

func document(t *testing.T, m *Machine) gpufacts.Document {
	t.Helper()
	const probe = "/var/lib/phoenix/agentlet-nvml-0"
	if err := m.write(probe, []byte("\x7fELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := m.Host().Run(t.Context(), tasks.Cmd{Argv: []string{probe}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := gpufacts.Parse(out.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	return *d
}

func TestGPUFaults_areThoseOfOneCard(t *testing.T) {
	for word := range gpuFaultWords() {
		m := fresh(t, Options{GPUs: 2})
		well := encoded(t, document(t, m).GPUs)
		if err := m.SetGPUFaults(map[string]any{"1": word}); err != nil {
			t.Fatal(err)
		}
		ill := encoded(t, document(t, m).GPUs)
		if ill[0] != well[0] || ill[1] == well[1] || strings.Contains(ill[1], gpuFaultFile) {
			t.Errorf("%s: %s", word, ill)
		}
		if err := m.SetGPUFaults(nil); err != nil {
			t.Fatal(err)
		}
		if got := encoded(t, document(t, m).GPUs); !slices.Equal(got, well) {
			t.Errorf("%s is not healed: %s", word, got)
		}
	}
}

func encoded(t *testing.T, list []gpufacts.GPU) (out []string) {
	t.Helper()
	for _, g := range list {
		data, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(data))
	}
	return out
}

func TestGPUFaults_canBeAnyFact(t *testing.T) {
	m := fresh(t, Options{GPUs: 1})
	if err := m.SetGPUFaults(map[string]any{"0": map[string]any{"temperature": map[string]any{"gpu_c": 96}}}); err != nil {
		t.Fatal(err)
	}
	if g := document(t, m).GPUs[0]; *g.Temperature.GPU != 96 || g.Name == "" {
		t.Errorf("%+v", g)
	}
}

func TestSimulatedCards_haveUUIDsThatDifferInTheirFirstDigits(t *testing.T) {
	seen := map[string]bool{}
	for _, node := range []string{"pve1", "pve2"} {
		m, err := New(t.TempDir(), node, Options{GPUs: 4})
		if err != nil {
			t.Fatal(err)
		}
		cards, err := gpu.BoundCards(m.Host())
		if err != nil || len(cards) != 4 {
			t.Fatalf("%v, %v", cards, err)
		}
		for _, c := range cards {
			if len(c.UUID) != 40 || seen[c.UUID[:12]] {
				t.Errorf("%s is that of another card as well, or none", c.UUID)
			}
			seen[c.UUID[:12]] = true
		}
	}
}

func TestStatAndReadlink(t *testing.T) {
	m := fresh(t, Options{GPUs: 1})
	if err := m.writeAll(map[string]string{"/dev/nvidia7": "195 3", "/dev/nvidia8": "fifo"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		argv []string
		want string
		code int
	}{
		{[]string{"stat", "-c", "%n %F %t %T", "--", "/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"}, "/dev/nvidia0 character special file c3 0\n/dev/nvidiactl character special file c3 ff\n/dev/nvidia-uvm character special file 1fe 0\n", 0},
		{[]string{"stat", "-c", "%n %F %t %T", "/dev/nvidia7", "/dev/nvidia8", "/dev/nvidia9", "/etc"}, "/dev/nvidia7 character special file c3 3\n/dev/nvidia8 fifo 0 0\n/etc directory 0 0\n", 1},
		{[]string{"readlink", "-f", "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "/usr/nowhere/x", "/etc/nothing"}, "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.54.15\n/etc/nothing\n", 1},
	} {
		if out, err := m.Host().Run(t.Context(), tasks.Cmd{Argv: c.argv, ReadOnly: true}); err != nil || out.Code != c.code || string(out.Stdout) != c.want {
			t.Errorf("%q: %v, %d, %q", c.argv, err, out.Code, out.Stdout)
		}
	}
}
