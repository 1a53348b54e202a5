package smixml

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"phoenix/tasks/gpufacts"
	"phoenix/tasks/gpufacts/findings"
)

func read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The files have the form of what nvidia-smi prints, of two releases, and values of ours;
// long lists of clocks were cut.
func TestRead_takesWhatIsKnown(t *testing.T) {
	for name, want := range map[string]string{
		"rtx4090-575.xml": `{"source":"nvidia-smi","driver_version":"575.57.08","cuda_version":"12.9","gpus":[{"index":0,"minor":1,` +
			`"uuid":"GPU-11111111-2222-3333-4444-555555555555","pci_address":"0000:41:00.0","pci_id":"10de:2684","name":"NVIDIA GeForce RTX 4090","architecture":"Ada Lovelace","vbios_version":"95.02.3C.00.8F",` +
			`"memory":{"total_bytes":25757220864,"used_bytes":8598323200,"free_bytes":16679698432,"reserved_bytes":479199232},"utilization":{"gpu_percent":97,"memory_percent":41},"temperature":{"gpu_c":71},` +
			`"power":{"draw_mw":402350,"limit_mw":450000,"default_limit_mw":450000,"min_limit_mw":150000,"max_limit_mw":600000},` +
			`"clocks":{"graphics_mhz":2520,"sm_mhz":2520,"memory_mhz":10251,"max_graphics_mhz":3105,"max_sm_mhz":3105,"max_memory_mhz":10501},"performance_state":2,` +
			`"throttle_reasons":["sw_power_cap","display_clock_setting"],"fans_percent":[38],"ecc":{"enabled":false,"pending":true,"aggregate":{"corrected":5,"uncorrected":2}},` +
			`"persistence_mode":true,"compute_mode":"exclusive_process","row_remapping":{"corrected":0,"uncorrected":1,"pending":true,"failed":false},` +
			`"processes":[{"pid":1802,"type":"compute+graphics"},{"pid":70900,"type":"compute","memory_bytes":8556380160}]}]}`,
		"a100-mig-470.xml": `{"source":"nvidia-smi","driver_version":"470.256.02","cuda_version":"11.4","gpus":[{"index":0,"minor":0,` +
			`"uuid":"GPU-aaaaaaaa-2222-3333-4444-555555555555","pci_address":"0000:81:00.0","pci_id":"10de:20f1","serial":"1320000000001","name":"NVIDIA A100-PCIE-40GB","vbios_version":"92.00.25.00.08",` +
			`"temperature":{"gpu_c":33,"slowdown_c":89,"shutdown_c":92},"power":{"draw_mw":31900,"limit_mw":240000,"default_limit_mw":250000,"min_limit_mw":150000,"max_limit_mw":250000},` +
			`"performance_state":0,"throttle_reasons":["gpu_idle"],"ecc":{"enabled":true,"pending":true,"volatile":{"corrected":0,"uncorrected":3}},"persistence_mode":false,"compute_mode":"default",` +
			`"mig":{"enabled":true,"pending":false,"instances":[{"gpu_instance":3,"compute_instance":0,"memory":{"total_bytes":10468982784,"used_bytes":1258291200,"free_bytes":9210691584}}]},` +
			`"processes":[{"pid":70901,"type":"compute+mps","memory_bytes":1237319680,"gpu_instance":3,"compute_instance":0}]}]}`,
	} {
		h := gpufacts.Host{SMI: read(t, name), Missed: []gpufacts.Missed{{Source: gpufacts.SourceNVML}, {Source: gpufacts.SourceProc}}}
		h.Source, h.GPUs = gpufacts.SourceSysfs, []gpufacts.GPU{{Index: 7}}
		Read(&h)
		got, err := json.Marshal(h.Document)
		if err != nil || string(got) != want {
			t.Errorf("%s is read as\n%s, %v\nwant\n%s", name, got, err, want)
		}
		if len(h.Missed) != 1 || h.Missed[0].Source != gpufacts.SourceNVML || h.SMI != "" {
			t.Errorf("%s: missed %+v", name, h.Missed)
		}
	}
}

func TestRead_whatIsNoneLeavesThePoorerFacts(t *testing.T) {
	whole := read(t, "rtx4090-575.xml")
	card := whole[strings.Index(whole, "\t<gpu "):strings.Index(whole, "</nvidia_smi_log>")]
	for name, text := range map[string]string{
		"cut off":               whole[:len(whole)/2],
		"a name that breaks it": strings.Replace(whole, "<type>C</type>", "<type>C</type><process_name>a</b></process_name>", 1),
		"another document":      "<html></html>",
		"a card twice":          strings.Replace(whole, "</nvidia_smi_log>", card+"</nvidia_smi_log>", 1),
		"no address":            strings.Replace(whole, `id="00000000:41:00.0"`, `id="x"`, 1),
		"too many":              "<nvidia_smi_log>" + strings.Repeat(`<gpu id="00000000:41:00.0"></gpu>`, 65) + "</nvidia_smi_log>",
		"too long":              whole + strings.Repeat("\n", maxText),
		"nested without end":    "<nvidia_smi_log>" + strings.Repeat("<a>", 1<<17),
	} {
		h := gpufacts.Host{SMI: text, Missed: []gpufacts.Missed{{Source: gpufacts.SourceNVML}, {Source: gpufacts.SourceProc}}}
		h.Source, h.GPUs = gpufacts.SourceSysfs, []gpufacts.GPU{{Index: 7}}
		before := h.Document
		Read(&h)
		if !reflect.DeepEqual(h.Document, before) || len(h.Missed) != 3 || h.Missed[1].Source != gpufacts.SourceSMI || h.Missed[1].Text == "" || h.SMI != "" {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

func TestRead_aStateThatIsNotToldIsAbsent(t *testing.T) {
	text := read(t, "a100-mig-470.xml")
	for _, key := range []string{"pending_ecc", "pending_mig", "remapped_row_pending", "remapped_row_failure"} {
		text = regexp.MustCompile("<"+key+">[^<]*<").ReplaceAllString(text, "<"+key+">N/A<")
	}
	h := gpufacts.Host{SMI: text}
	Read(&h)
	if e, r := h.GPUs[0].ECC, h.GPUs[0].RowRemapping; e == nil || !e.Enabled || e.Pending != nil || r != nil && (r.Pending != nil || r.Failed != nil) {
		t.Errorf("%+v, %+v", e, r)
	}
	if m := h.GPUs[0].MIG; m == nil || !m.Enabled || m.Pending != nil {
		t.Errorf("%+v", m)
	}
	for _, f := range findings.OfCard(&h.GPUs[0]) {
		if f.Severity == gpufacts.SeverityNote || strings.Contains(f.Word, "pending") {
			t.Errorf("found %+v", f)
		}
	}
}

func TestRead_withoutXMLDoesNothing(t *testing.T) {
	h := gpufacts.Host{Missed: []gpufacts.Missed{{Source: gpufacts.SourceSMI}}}
	if Read(&h); len(h.Missed) != 1 || h.Source != "" {
		t.Errorf("%+v", h)
	}
}

func TestAFactInAnotherForm_isAbsent(t *testing.T) {
	for text, want := range map[string]bool{"450.00 W": true, "0 W": true, "N/A": false, "450": false, "450 mW": false, "NaN W": false, "1e30 W": false, "": false} {
		if got := amount(text, "W", 1000); (got != nil) != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for text, want := range map[string]string{
		"00000000:01:00.0": "0000:01:00.0", "00000000:C1:00.0": "0000:c1:00.0", "00010000:01:00.0": "10000:01:00.0",
		"01:00.0": "", "0000:01:00": "", "0000:001:00.0": "", "0000:01:00.8": "", "0000:zz:00.0": "", "": "",
	} {
		if got := address(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if sum("1", "N/A", "2") == nil || *sum("1", "N/A", "2") != 3 || sum("N/A") != nil {
		t.Error("a sum")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(read(f, "rtx4090-575.xml"))
	f.Add(read(f, "a100-mig-470.xml"))
	f.Fuzz(func(t *testing.T, text string) {
		h := gpufacts.Host{SMI: text}
		h.GPUs = []gpufacts.GPU{}
		Read(&h)
		if h.GPUs == nil || h.SMI != "" || text != "" && (len(h.Missed) > 0) == (h.Source == gpufacts.SourceSMI) {
			t.Errorf("%+v", h)
		}
		for _, g := range h.GPUs {
			for _, p := range g.Processes {
				if p.PID <= 0 || p.PID > lastPID {
					t.Errorf("process %d", p.PID)
				}
			}
		}
	})
}
