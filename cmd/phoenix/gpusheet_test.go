package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory/gpulock"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/report"
)

// divided is a host whose first card has two instances, of which container 900 has one; the
// second card is lost, and only its index is told.
func divided() gpufacts.Host {
	n := func(i int) *int { return &i }
	return gpufacts.Host{
		Document: gpufacts.Document{Source: gpufacts.SourceNVML, GPUs: []gpufacts.GPU{
			{Index: 0, Name: "A100", UUID: "GPU-aaaaaaaa-1111-2222-3333-444455556666", PCIAddress: "0000:01:00.0", MIG: &gpufacts.MIG{Enabled: true, Instances: []gpufacts.MIGInstance{
				{GPUInstance: n(1), ComputeInstance: n(0), UUID: "MIG-bbbbbbbb-1111-2222-3333-444455556666", Profile: "3g.20gb"},
				{GPUInstance: n(2), ComputeInstance: n(0), UUID: "MIG-cccccccc-1111-2222-3333-444455556666", Profile: "3g.20gb", Memory: &gpufacts.Memory{Total: 20 << 30}},
			}}},
			{Index: 1, Error: &gpufacts.Fault{Kind: gpufacts.KindLost, Text: "GPU is lost"}},
		}},
		Cards: []gpufacts.Card{
			{Address: "0000:01:00.0", Driver: "nvidia", Node: "/dev/nvidia0", Assigned: []int{900, 901}, Parts: []string{"gi1/ci0 900", "gi2/ci0"}},
			{Address: "0000:02:00.0", Driver: "nvidia", Node: "/dev/nvidia1", UUID: "GPU-dddddddd-1111-2222-3333-444455556666"},
		},
		Containers: []gpufacts.Container{{CTID: 900, Name: "one"}, {CTID: 901, Name: "base", Template: true}},
	}
}

// ofLedger is what `phoenix gpus` makes of an answer, as data and as text.
func ofLedger(t *testing.T, l gpuLedger, data gpufacts.Host) (gpufacts.Host, string) {
	t.Helper()
	h := gpuAnswer(t, "pve1", data)
	h.Steps[0].Result = *l.event("pve1", tasks.Event{Step: "gpus:host", Result: &h.Steps[0].Result}).Result
	var out gpufacts.Host
	if err := json.Unmarshal(h.Steps[0].Data, &out); err != nil {
		t.Fatal(err)
	}
	return out, show(t, report.Report{Hosts: []report.Host{h}}, 0)
}

func TestAMIGInstanceIsShownWithTheContainersThatHaveIt(t *testing.T) {
	fleet, _ := gpuFleet(t, `"900": {"name": "one"}`, "")
	data, text := ofLedger(t, gpuLedger{fleet}, divided())
	for _, want := range []string{
		"MIG 3g.20gb  900 one  MIG-bbbbbbbb  ?\n", "MIG 3g.20gb  -        MIG-cccccccc  0 MiB of 20.0 GiB\n", "901 base template",
		"? pve1: GPU 0: the driver does not tell the memory of each of its MIG instances\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("shown without %q:\n%s", want, text)
		}
	}
	shares := data.Ledger[0].Containers
	if len(shares) != 2 || !slices.Equal(shares[0].Instances, []string{"MIG-bbbbbbbb-1111-2222-3333-444455556666"}) || shares[1].Instances != nil {
		t.Errorf("%+v", shares)
	}
}

func TestACardThatIsLostIsCountedOnceAndHasItsContainers(t *testing.T) {
	fleet, h := gpuFleet(t, `"902": {"name": "web", "gpu_assignment": "GPU-dddddddd-1111-2222-3333-444455556666"}, "903": {"name": "bus", "gpu_assignment": "0000:07:00.0"}, "950": {"name": "asks", "gpu_assignment": {"count": 1}}`, "")
	gone := "GPU-eeeeeeee-1111-2222-3333-444455556666"
	h.Lock().Lock.Of("pve1").Cards[gone] = gpulock.Card{PCIAddress: "0000:08:00.0"}
	h.Pin(950, gpulock.Pin{Request: &gpulock.Request{Count: 1}, GPUs: []string{gone}})
	data, text := ofLedger(t, gpuLedger{fleet}, divided())
	if !strings.Contains(text, "pve1  2 GPUs") || strings.Contains(text, "  -    0000:02:00.0") || !strings.Contains(text, "lost     902 web to come") {
		t.Errorf("shown:\n%s", text)
	}
	if !strings.Contains(text, "? pve1: the card "+gone+" (0000:08:00.0 when it was chosen) is not there; container 950 asks has it") || !strings.Contains(text, "the card 0000:07:00.0 is not there; container 903 bus has it") {
		t.Errorf("the cards that are gone are not shown:\n%s", text)
	}
	var words []string
	for _, f := range data.Findings {
		words = append(words, f.Word)
	}
	if !slices.Equal(words, []string{"lost", "gone", "gone"}) || !slices.Equal(data.Findings[0].Containers, []int{902}) {
		t.Errorf("%+v", data.Findings)
	}
	none, text := ofLedger(t, gpuLedger{fleet}, gpufacts.Host{Document: gpufacts.Document{GPUs: []gpufacts.GPU{}}})
	if len(none.Findings) != 3 || !strings.Contains(text, "no NVIDIA GPU\n? pve1: the card ") {
		t.Errorf("without any card: %+v\n%s", none.Findings, text)
	}
}

func TestACardWithoutADriverHasTheContainersOfTheLockFile(t *testing.T) {
	fleet, h := gpuFleet(t, `"950": {"name": "asks", "gpu_assignment": {"count": 2}}`, "")
	one, two := "GPU-aaaaaaaa-1111-2222-3333-444455556666", "GPU-dddddddd-1111-2222-3333-444455556666"
	of := h.Lock().Lock.Of("pve1")
	of.Cards[one], of.Cards[two] = gpulock.Card{PCIAddress: "0000:01:00.0"}, gpulock.Card{PCIAddress: "0000:02:00.0"}
	h.Pin(950, gpulock.Pin{Request: &gpulock.Request{Count: 2}, GPUs: []string{one, two}})
	data := gpufacts.Host{
		Document: gpufacts.Document{Source: gpufacts.SourceSysfs, GPUs: []gpufacts.GPU{{Index: 0, PCIAddress: "0000:01:00.0"}}},
		Cards:    []gpufacts.Card{{Address: "0000:01:00.0"}, {Address: "0000:02:00.0", Driver: "vfio-pci"}},
		Missed:   []gpufacts.Missed{{Source: gpufacts.SourceProc, Fault: gpufacts.Fault{Kind: gpufacts.KindDriverNotLoaded}}},
	}
	_, text := ofLedger(t, gpuLedger{fleet}, data)
	for _, want := range []string{"driver not loaded  950 asks to come\n", "driver vfio-pci    950 asks to come\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("shown without %q:\n%s", want, text)
		}
	}
}
