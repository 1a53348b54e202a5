package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// gpuReport is what two hosts told: one with two cards, of which one fell off the bus,
// and one without any; a third was not reached.
func gpuReport(t *testing.T) report.Report {
	t.Helper()
	gib, milli, celsius := func(n uint64) *uint64 { n <<= 30; return &n }, func(n int) *int { n *= 1000; return &n }, func(n int) *int { return &n }
	busy := gpufacts.Host{
		Document: gpufacts.Document{Source: gpufacts.SourceNVML, DriverVersion: "550.54.15", GPUs: []gpufacts.GPU{
			{
				Index: 0, Name: "NVIDIA GeForce RTX 4090", UUID: "GPU-5c0a4b3d-1111-2222-3333-444455556666", PCIAddress: "0000:01:00.0",
				Memory:      &gpufacts.Memory{Total: 24 << 30, Used: 3 << 29, Free: 45 << 29},
				Utilization: &gpufacts.Utilization{GPU: 35}, Temperature: &gpufacts.Temperature{GPU: celsius(54)},
				Power: &gpufacts.Power{Draw: milli(120), Limit: milli(450)},
				Processes: []gpufacts.Process{
					{PID: 4242, Type: "compute", Memory: gib(1)}, {PID: 77, Type: "graphics"}, {PID: 99, Type: "compute", Memory: gib(0)},
				},
			},
			{Index: 1, PCIID: "10de:2684", UUID: "GPU-77777777-1111-2222-3333-444455556666", PCIAddress: "0000:02:00.0",
				Error: &gpufacts.Fault{Kind: gpufacts.KindLost, Text: "GPU is lost\x1b[2J"}},
		}},
		Cards: []gpufacts.Card{
			{Address: "0000:01:00.0", Driver: "nvidia", Node: "/dev/nvidia0", Assigned: []int{900, 901}},
			{Address: "0000:02:00.0", Driver: "nvidia", Node: "/dev/nvidia1"},
			{Address: "0000:03:00.0", Driver: "vfio-pci"},
		},
		Owners: []gpufacts.Owner{
			{PID: 4242, Name: "python3", CTID: 900, Runtime: "docker", Container: strings.Repeat("3f2a1b4c", 8)}, {PID: 77, Name: "Xorg"},
		},
		Containers: []gpufacts.Container{{CTID: 900, Name: "ollama"}},
		Missed:     []gpufacts.Missed{{Source: gpufacts.SourceSMI, Fault: gpufacts.Fault{Kind: gpufacts.KindOther, Text: "why\nnot"}}},
	}
	return report.Report{Hosts: []report.Host{
		gpuAnswer(t, "pve1", busy), gpuAnswer(t, "pve2", gpufacts.Host{Document: gpufacts.Document{GPUs: []gpufacts.GPU{}}}),
		{Name: "pve3", Status: report.HostUnreachable, Error: &report.Error{Class: report.ClassUnreachable, What: "connect to pve3", Why: "connection refused", Hint: "ssh root@pve3"}},
	}}
}

func gpuAnswer(t *testing.T, name string, h gpufacts.Host) report.Host {
	t.Helper()
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return report.Host{Name: name, Status: report.HostOK, Steps: []report.Step{{ID: "gpus:host", Result: tasks.Result{Status: tasks.StatusOK, Data: data}}}}
}

func show(t *testing.T, r report.Report, columns int) string {
	t.Helper()
	var b strings.Builder
	if err := gpuLines(&b, r, term.Style{}, columns); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGPUsAreShownByHost(t *testing.T) {
	want := strings.TrimPrefix(`
  GPU  NAME                     UUID          MEMORY               UTIL  TEMP  POWER        STATE            CONTAINERS
pve1  3 GPUs, 1.5 GiB of 24.0 GiB used (2 unknown), 120 of 450 W, 3 processes, driver 550.54.15
  0    NVIDIA GeForce RTX 4090  GPU-5c0a4b3d  1.5 GiB of 24.0 GiB  35%   54 C  120 / 450 W  ok               900 ollama, 901
       900 ollama  docker 3f2a1b4c3f2a  python3 (4242)  1.0 GiB
       host        -                    Xorg (77)       ?
       ?           -                    ? (99)          0 MiB
  1    10de:2684                GPU-77777777  ?                    ?     ?     ?            lost             -
  -    0000:03:00.0             ?             ?                    ?     ?     ?            driver vfio-pci  -
pve2  no NVIDIA GPU
pve3  unreachable
fleet  2 of 3 hosts, 3 GPUs, 1.5 GiB of 24.0 GiB used (2 unknown), 120 of 450 W, 3 processes
! pve1: GPU 1: lost: GPU is lost
? pve1: no facts from nvidia-smi: other: why not
! pve3: connect to pve3: connection refused
    ssh root@pve3
`, "\n")
	if got := show(t, gpuReport(t), 0); got != want {
		t.Errorf("shown:\n%s\nwant:\n%s", got, want)
	}
}

func TestANarrowTerminalLosesTheLeastImportantColumnsFirst(t *testing.T) {
	for columns, want := range map[int][]string{
		125: {"GPU", "NAME", "UUID", "MEMORY", "UTIL", "TEMP", "POWER", "STATE", "CONTAINERS"},
		115: {"GPU", "NAME", "MEMORY", "UTIL", "TEMP", "POWER", "STATE", "CONTAINERS"},
		105: {"GPU", "NAME", "MEMORY", "UTIL", "POWER", "STATE", "CONTAINERS"},
		100: {"GPU", "NAME", "MEMORY", "UTIL", "STATE", "CONTAINERS"},
		90:  {"GPU", "MEMORY", "UTIL", "STATE", "CONTAINERS"},
		60:  {"GPU", "MEMORY", "STATE", "CONTAINERS"},
	} {
		heading, _, _ := strings.Cut(show(t, gpuReport(t), columns), "\n")
		if got := strings.Fields(heading); !slices.Equal(got, want) {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
	}
	for columns := 20; columns <= 130; columns++ {
		for line := range strings.Lines(show(t, gpuReport(t), columns)) {
			if w := term.Width(strings.TrimSuffix(line, "\n")); w > columns {
				t.Errorf("%d columns: a line of %d: %q", columns, w, line)
			}
		}
	}
}

func TestTheStateOfACardSaysWhatIsWrong(t *testing.T) {
	two, yes := uint64(2), true
	for _, c := range []struct {
		name, source, want string
		gpu                gpufacts.GPU
	}{
		{"nothing", gpufacts.SourceNVML, "ok", gpufacts.GPU{}},
		{"nobody could tell", gpufacts.SourceProc, "?", gpufacts.GPU{}},
		{"a divided card", gpufacts.SourceSMI, "ok, MIG", gpufacts.GPU{MIG: &gpufacts.MIG{Enabled: true}}},
		{"a card off the bus", gpufacts.SourceNVML, "lost", gpufacts.GPU{Error: &gpufacts.Fault{Kind: gpufacts.KindLost}}},
		{"memory that wears out", gpufacts.SourceNVML, "row remapping failed, row remapping pending", gpufacts.GPU{RowRemapping: &gpufacts.RowRemapping{Failed: &yes, Pending: &yes}}},
		{"pages that wait", gpufacts.SourceNVML, "page retirement pending", gpufacts.GPU{RetiredPages: &gpufacts.RetiredPages{Pending: &yes}}},
		{"errors of memory", gpufacts.SourceNVML, "2 ECC errors", gpufacts.GPU{ECC: &gpufacts.ECC{Volatile: &gpufacts.ECCErrors{Uncorrected: &two}}}},
		{"heat and power", gpufacts.SourceNVML, "thermal slowdown, power brake", gpufacts.GPU{ThrottleReasons: []string{"hw_thermal_slowdown", "hw_power_brake_slowdown"}}},
		{"a card at rest", gpufacts.SourceNVML, "ok", gpufacts.GPU{ThrottleReasons: []string{"gpu_idle", "sw_power_cap"}}},
	} {
		if got, _ := gpuState(c.source, &c.gpu); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
