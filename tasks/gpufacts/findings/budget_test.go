package findings

import (
	"slices"
	"testing"

	"phoenix/tasks/gpufacts"
)

func TestABudgetIsHeldAgainstAllProcessesOfAContainerOnACard(t *testing.T) {
	gb := func(n uint64) *uint64 { n *= 1e9; return &n }
	h := gpufacts.Host{
		Document: gpufacts.Document{Source: gpufacts.SourceNVML, GPUs: []gpufacts.GPU{
			{Index: 0, UUID: "GPU-a", PCIAddress: "0000:01:00.0", Processes: []gpufacts.Process{{PID: 1, Memory: gb(5)}, {PID: 2, Memory: gb(4)}, {PID: 3, Memory: gb(8)}, {PID: 5}, {PID: 9, Memory: gb(90)}}},
			{Index: 1, UUID: "GPU-b", PCIAddress: "0000:02:00.0", Processes: []gpufacts.Process{{PID: 4, Memory: gb(8)}}},
		}},
		Cards:      []gpufacts.Card{{Address: "0000:01:00.0", Driver: "nvidia", Assigned: []int{900, 901, 902}}, {Address: "0000:02:00.0", Driver: "nvidia", Assigned: []int{900}}},
		Owners:     []gpufacts.Owner{{PID: 1, CTID: 900}, {PID: 2, CTID: 900}, {PID: 3, CTID: 901}, {PID: 4, CTID: 900}, {PID: 5, CTID: 902}, {PID: 9}},
		Containers: []gpufacts.Container{{CTID: 900, Name: "model"}},
	}
	above := func(r Rules) (out []string) {
		for _, f := range Of(&h, r) {
			if f.Word == "above budget" {
				out = append(out, string(f.Severity)+" "+f.GPU+": "+f.Text)
			}
		}
		return out
	}
	budgets := map[int]float64{900: 8, 901: 8, 902: 1}
	want := []string{"warning GPU-a: GPU 0 (0000:01:00.0): container 900 model uses 9.0 GB of its memory, and its gpu_memory_gb is 8"}
	if got := above(Rules{Budget: func(ctid int) float64 { return budgets[ctid] }}); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	h.GPUs[0].Memory = &gpufacts.Memory{Total: 24e9}
	for sum, want := range map[float64]bool{8: false, 8.5: true} {
		list := Of(&h, Rules{Budget: func(int) float64 { return sum }})
		if got := slices.ContainsFunc(list, func(f gpufacts.Finding) bool { return f.Word == "over-committed" && f.GPU == "GPU-a" }); got != want {
			t.Errorf("three times %g GB of 24: %t, %+v", sum, got, list)
		}
	}
	if got := above(Rules{}); got != nil {
		t.Errorf("without budgets: %q", got)
	}
}
