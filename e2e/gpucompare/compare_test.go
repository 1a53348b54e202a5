package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"phoenix/tasks/gpufacts"
)

// card is the simulated card of e2e/nvmlfake, as the probe tells it.
const card = `{"source":"nvml","driver_version":"550.54.15","cuda_version":"12.4","gpus":[{"index":0,"minor":0,
"uuid":"GPU-5c1a3e00-7d2b-4b7e-9f10-2a64c7d1e9b0","pci_address":"0000:01:00.0","pci_id":"10de:2684","name":"NVIDIA GeForce RTX 4090",
"architecture":"Ada Lovelace","vbios_version":"95.02.3c.40.b8","memory":{"total_bytes":25757220864,"used_bytes":1342177280,"free_bytes":23962058752,"reserved_bytes":452984832},
"utilization":{"gpu_percent":12,"memory_percent":3},"temperature":{"gpu_c":41},"power":{"draw_mw":61250,"limit_mw":450000,"default_limit_mw":450000,"min_limit_mw":150000,"max_limit_mw":600000},
"clocks":{"graphics_mhz":2520,"sm_mhz":2520,"memory_mhz":10501,"max_graphics_mhz":3105,"max_sm_mhz":3105,"max_memory_mhz":10501},"performance_state":2,"fans_percent":[30,31],
"persistence_mode":true,"compute_mode":"default","processes":[{"pid":99,"type":"graphics"},{"pid":1234,"type":"compute+graphics","memory_bytes":1073741824}]}]}`

func compared(t *testing.T, change ...string) []line {
	t.Helper()
	xml, err := os.ReadFile("testdata/rtx4090.xml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(change...).Replace(card)
	if len(change) > 0 && text == card {
		t.Fatalf("%q is not in the document", change[0])
	}
	doc, err := gpufacts.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := compare(xml, doc)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestTwoAccountsOfOneCard_agree(t *testing.T) {
	lines := compared(t)
	for _, l := range lines {
		if !l.same {
			t.Error(l)
		}
	}
	if len(lines) < 30 {
		t.Errorf("%d facts were compared", len(lines))
	}
}

func TestEachFactThatDiffers_isNamed(t *testing.T) {
	for _, c := range []struct{ from, to, fact string }{
		{`"driver_version":"550.54.15"`, `"driver_version":"550.54.14"`, "driver_version"},
		{`"cuda_version":"12.4"`, `"cuda_version":"12.5"`, "cuda_version"},
		{"GPU-5c1a", "GPU-5c1b", "uuid"},
		{"RTX 4090", "RTX 4080", "name"},
		{`"minor":0,`, "", "minor"},
		{"0000:01:00.0", "0001:01:00.0", "pci_address"},
		{"10de:2684", "2684:10de", "pci_id"},
		{`"Ada Lovelace"`, `"Ada"`, "architecture"},
		{"95.02", "95.03", "vbios_version"},
		{`"uuid"`, `"serial":"1","uuid"`, "serial"},
		{`"persistence_mode":true`, `"persistence_mode":false`, "persistence_mode"},
		{`"compute_mode":"default"`, `"compute_mode":"prohibited"`, "compute_mode"},
		{"25757220864", "25757220000000", "memory total"},
		{"1342177280", "13421772800", "memory used"},
		{"452984832", "45298483", "memory reserved"},
		{`"gpu_c":41`, `"gpu_c":60`, "temperature"},
		{`"temperature":{"gpu_c":41},`, "", "temperature"},
		{`"limit_mw":450000,"default`, `"limit_mw":400000,"default`, "power limit"},
		{`"max_limit_mw":600000`, `"max_limit_mw":600`, "power max"},
		{`"max_sm_mhz":3105`, `"max_sm_mhz":3100`, "max sm clock"},
		{`"fans_percent":[30,31]`, `"fans_percent":[60,31]`, "fan"},
		{`{"pid":99,"type":"graphics"},`, "", "processes"},
		{`"index":0`, `"index":0,"ecc":{"enabled":true,"pending":true}`, "ecc"},
		{`"index":0`, `"index":0,"mig":{"enabled":false,"pending":false}`, "mig"},
		{`"index":0`, `"index":0,"error":{"kind":"lost","text":"GPU is lost"}`, "error"},
		{`"index":0`, `"index":0,"group_errors":[{"group":"ecc","kind":"other","text":"x"}]`, "ecc"},
		{`"gpus":[`, `"gpus":[{"index":9,"error":{"kind":"lost","text":"x"}},`, "cards"},
	} {
		t.Run(c.fact, func(t *testing.T) {
			for _, l := range compared(t, c.from, c.to) {
				if l.fact == c.fact && !l.same {
					return
				}
			}
			t.Errorf("%s in place of %s was not noticed", c.to, c.from)
		})
	}
}

func TestWithoutACard_itSaysSoAndFails(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var out bytes.Buffer
	if err := run(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "no NVIDIA card to compare with; nothing was tested") {
		t.Errorf("got %v", err)
	}
}
