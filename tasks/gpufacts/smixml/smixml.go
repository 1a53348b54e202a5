// Package smixml reads what `nvidia-smi -q -x` prints into the facts of package
// gpufacts.
//
// It is the workstation's: no package that the helper is made of may import it, for
// encoding/xml is as large as all that the helper knows of cards. It starts nothing, and
// believes nothing: the text comes from a host. A fact that is "N/A", or of another form
// than expected, is absent. Start reading at Read.
package smixml

import (
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks/gpufacts"
)

// Read takes the facts of h.SMI into the document of h, and empties it. Where it cannot
// be read, the poorer facts that h has stay, and Missed says why.
func Read(h *gpufacts.Host) {
	if h.SMI == "" {
		return
	}
	d, err := parse(h.SMI)
	h.SMI = ""
	poorer := slices.IndexFunc(h.Missed, func(m gpufacts.Missed) bool { return m.Source != gpufacts.SourceNVML })
	if poorer < 0 {
		poorer = len(h.Missed)
	}
	if err != nil {
		fault := gpufacts.Fault{Kind: gpufacts.KindOther, Text: err.Error()}
		h.Missed = slices.Insert(h.Missed, poorer, gpufacts.Missed{Source: gpufacts.SourceSMI, Fault: fault})
		return
	}
	h.Document, h.Missed = *d, h.Missed[:poorer]
}

const (
	// maxText is more than the helper sends.
	maxText  = 1 << 20
	mostGPUs = 64
	// lastPID is the highest number of a process (PID_MAX_LIMIT of Linux).
	lastPID = 1 << 22
)

// parse reads one document. Elements that changed their names are read under both: what
// was "throttle" is "event" since driver 535, as are the power readings.
func parse(text string) (*gpufacts.Document, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("read nvidia-smi -q -x: %d bytes are more than the %d that are read", len(text), maxText)
	}
	var l log
	if err := xml.Unmarshal([]byte(text), &l); err != nil {
		return nil, fmt.Errorf("read nvidia-smi -q -x: %w", err)
	}
	if len(l.GPUs) > mostGPUs {
		return nil, fmt.Errorf("read nvidia-smi -q -x: it tells of %d cards", len(l.GPUs))
	}
	d := &gpufacts.Document{
		Source: gpufacts.SourceSMI, DriverVersion: known(l.Driver), CUDAVersion: known(l.CUDA), GPUs: []gpufacts.GPU{},
	}
	seen := map[string]bool{}
	for i := range l.GPUs {
		g := l.GPUs[i].facts(i)
		if g.PCIAddress == "" || seen[g.PCIAddress] {
			return nil, errors.New("read nvidia-smi -q -x: a card has no address on the PCI bus, or that of another one")
		}
		seen[g.PCIAddress] = true
		d.GPUs = append(d.GPUs, g)
	}
	return d, nil
}

// log is the document, as far as it is read (nvsmi_device_v12.dtd).
type log struct {
	XMLName xml.Name `xml:"nvidia_smi_log"`
	Driver  string   `xml:"driver_version"`
	CUDA    string   `xml:"cuda_version"`
	GPUs    []card   `xml:"gpu"`
}

type card struct {
	ID           string      `xml:"id,attr"`
	Name         string      `xml:"product_name"`
	Architecture string      `xml:"product_architecture"`
	Persistence  string      `xml:"persistence_mode"`
	MIGNow       string      `xml:"mig_mode>current_mig"`
	MIGPending   string      `xml:"mig_mode>pending_mig"`
	MIGDevices   []migDevice `xml:"mig_devices>mig_device"`
	Serial       string      `xml:"serial"`
	UUID         string      `xml:"uuid"`
	Minor        string      `xml:"minor_number"`
	VBIOS        string      `xml:"vbios_version"`
	DeviceID     string      `xml:"pci>pci_device_id"`
	Fan          string      `xml:"fan_speed"`
	State        string      `xml:"performance_state"`
	Events       flags       `xml:"clocks_event_reasons"`
	Throttle     flags       `xml:"clocks_throttle_reasons"`
	Memory       memory      `xml:"fb_memory_usage"`
	ComputeMode  string      `xml:"compute_mode"`
	GPUUtil      string      `xml:"utilization>gpu_util"`
	MemoryUtil   string      `xml:"utilization>memory_util"`
	ECC          string      `xml:"ecc_mode>current_ecc"`
	ECCPending   string      `xml:"ecc_mode>pending_ecc"`
	Volatile     eccErrors   `xml:"ecc_errors>volatile"`
	Aggregate    eccErrors   `xml:"ecc_errors>aggregate"`
	Retired      retired     `xml:"retired_pages"`
	Remapped     remapped    `xml:"remapped_rows"`
	Temperature  string      `xml:"temperature>gpu_temp"`
	Slowdown     string      `xml:"temperature>gpu_temp_slow_threshold"`
	Shutdown     string      `xml:"temperature>gpu_temp_max_threshold"`
	Power        power       `xml:"gpu_power_readings"`
	OldPower     power       `xml:"power_readings"`
	Clocks       clocks      `xml:"clocks"`
	MaxClocks    clocks      `xml:"max_clocks"`
	Processes    *processes  `xml:"processes"`
}

// flags are elements that say "Active" or "Not Active".
type flags struct {
	Each []struct {
		XMLName xml.Name
		Text    string `xml:",chardata"`
	} `xml:",any"`
}

type memory struct {
	Total    string `xml:"total"`
	Reserved string `xml:"reserved"`
	Used     string `xml:"used"`
	Free     string `xml:"free"`
}

type migDevice struct {
	GPUInstance     string `xml:"gpu_instance_id"`
	ComputeInstance string `xml:"compute_instance_id"`
	UUID            string `xml:"uuid"`
	Memory          memory `xml:"fb_memory_usage"`
}

// eccErrors has a part for each sort of memory; cards before Turing have the sums of
// single_bit and double_bit instead.
type eccErrors struct {
	SRAM        string `xml:"sram_correctable"`
	DRAM        string `xml:"dram_correctable"`
	LostSRAM    string `xml:"sram_uncorrectable"`
	LostParity  string `xml:"sram_uncorrectable_parity"`
	LostSECDED  string `xml:"sram_uncorrectable_secded"`
	LostDRAM    string `xml:"dram_uncorrectable"`
	OldSingle   string `xml:"single_bit>total"`
	OldMultiple string `xml:"double_bit>total"`
}

type retired struct {
	Single  string `xml:"multiple_single_bit_retirement>retired_count"`
	Double  string `xml:"double_bit_retirement>retired_count"`
	Pending string `xml:"pending_retirement"`
}

type remapped struct {
	Corrected   string `xml:"remapped_row_corr"`
	Uncorrected string `xml:"remapped_row_unc"`
	Pending     string `xml:"remapped_row_pending"`
	Failed      string `xml:"remapped_row_failure"`
}

type power struct {
	Draw     string `xml:"power_draw"`
	Instant  string `xml:"instant_power_draw"`
	Average  string `xml:"average_power_draw"`
	Limit    string `xml:"current_power_limit"`
	Enforced string `xml:"enforced_power_limit"`
	Default  string `xml:"default_power_limit"`
	Min      string `xml:"min_power_limit"`
	Max      string `xml:"max_power_limit"`
}

type clocks struct {
	Graphics string `xml:"graphics_clock"`
	SM       string `xml:"sm_clock"`
	Memory   string `xml:"mem_clock"`
}

type processes struct {
	Each []struct {
		PID             string `xml:"pid"`
		Type            string `xml:"type"`
		Memory          string `xml:"used_memory"`
		GPUInstance     string `xml:"gpu_instance_id"`
		ComputeInstance string `xml:"compute_instance_id"`
	} `xml:"process_info"`
}

// known is a text that says something.
func known(text string) string {
	text = strings.TrimSpace(text)
	switch text {
	case "N/A", "None", "[N/A]", "Not Found", "Requested functionality has been deprecated", "Unknown Error", "GPU access blocked by the operating system":
		return ""
	}
	if len(text) > 256 {
		return ""
	}
	return text
}
