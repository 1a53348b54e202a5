package mig_test

import (
	"strings"
	"testing"

	"phoenix/tasks/sim"
)

// TestTheSimulatedCardTellsItsMemory: an A100 with 40 GB, and facts over it that tell of an
// instance without its numbers.
func TestTheSimulatedCardTellsItsMemory(t *testing.T) {
	h := divisible(t, map[string]sim.MIGCard{first: divided(gi(2, "3g.20gb", 4, 3))})
	if xml := h.run(t, "nvidia-smi -q -x"); strings.Count(xml, "<total>40960 MiB</total>") != 2 {
		t.Errorf("%s", xml)
	}
	if err := h.sim.SetGPUFaults(map[string]any{"0": map[string]any{"mig": map[string]any{"enabled": true, "instances": []any{map[string]any{}, map[string]any{"uuid": "MIG-GPU-0/1/0"}}}}}); err != nil {
		t.Fatal(err)
	}
	if xml := h.run(t, "nvidia-smi -q -x"); strings.Count(xml, "<mig_device>") != 1 {
		t.Errorf("%s", xml)
	}
}
