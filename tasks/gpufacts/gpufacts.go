// Package gpufacts is what is known of the NVIDIA cards of one machine: the document
// that the probe (cmd/agentlet-nvml) prints, and that the helper and the workstation
// read.
//
// A fact that the driver does not give is absent, never zero: a pointer is nil, a text
// empty, a list nil. A list that is there and empty says that there are none. The
// package holds the shape only; it asks no driver and starts nothing. Start reading at
// Document.
package gpufacts

import (
	"encoding/json"
	"errors"
	"fmt"
)

// SourceNVML is the Source of a document that the driver's own library answered.
const SourceNVML = "nvml"

// Kinds of fault. Those up to KindOther are of a whole document; the last two are of
// one card.
const (
	KindLibraryMissing  = "library missing"
	KindDriverNotLoaded = "driver not loaded"
	KindVersionMismatch = "version mismatch"
	KindPermission      = "permission"
	KindTimeout         = "timeout"
	KindOther           = "other"
	KindLost            = "lost"
	KindCrash           = "crash"
)

// Document is what was learned at one time. It has either an Error or the cards.
type Document struct {
	// Source of the facts: SourceNVML.
	Source string `json:"source,omitempty"`
	// DriverVersion that is loaded: "550.54.15".
	DriverVersion string `json:"driver_version,omitempty"`
	// NVMLVersion of the library: "12.550.54.15".
	NVMLVersion string `json:"nvml_version,omitempty"`
	// CUDAVersion that the driver supports at most: "12.4".
	CUDAVersion string `json:"cuda_version,omitempty"`
	// GPUs in the order of their indexes.
	GPUs []GPU `json:"gpus,omitzero"`
	// Error is why there are no facts at all.
	Error *Fault `json:"error,omitempty"`
}

// Fault is why something is not known.
type Fault struct {
	// Kind is one of the constants.
	Kind string `json:"kind"`
	// Text says what was seen.
	Text string `json:"text"`
}

// GroupFault is why some facts of one group of a card are not known.
type GroupFault struct {
	// Group of facts: "ecc", "processes".
	Group string `json:"group"`
	Fault
}

// GPU is one card.
type GPU struct {
	// Index among the cards that the driver has, in the order of their addresses. It
	// names another card after one was added or taken out.
	Index int `json:"index"`
	// Minor is the number of its node, /dev/nvidiaMINOR.
	Minor *int `json:"minor,omitempty"`
	// UUID: "GPU-" and a UUID in lower case. It stays with the card.
	UUID string `json:"uuid,omitempty"`
	// PCIAddress as sysfs writes it: "0000:01:00.0".
	PCIAddress string `json:"pci_address,omitempty"`
	// PCIID is vendor and device: "10de:2684".
	PCIID string `json:"pci_id,omitempty"`
	// Serial number of the board; consumer cards have none.
	Serial string `json:"serial,omitempty"`
	Name   string `json:"name,omitempty"`
	// Architecture as nvidia-smi calls it: "Ada Lovelace".
	Architecture string `json:"architecture,omitempty"`
	// ComputeCapability of CUDA: "8.9".
	ComputeCapability string `json:"compute_capability,omitempty"`
	VBIOSVersion      string `json:"vbios_version,omitempty"`

	Memory      *Memory      `json:"memory,omitempty"`
	Utilization *Utilization `json:"utilization,omitempty"`
	Temperature *Temperature `json:"temperature,omitempty"`
	Power       *Power       `json:"power,omitempty"`
	Clocks      *Clocks      `json:"clocks,omitempty"`
	// PerformanceState from 0, the fastest, to 15.
	PerformanceState *int `json:"performance_state,omitempty"`
	// ThrottleReasons are why the clocks are lower than they could be: "gpu_idle",
	// "sw_power_cap", "hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown".
	ThrottleReasons []string `json:"throttle_reasons,omitzero"`
	// FansPercent is the wanted speed of each fan.
	FansPercent []int `json:"fans_percent,omitzero"`

	ECC             *ECC   `json:"ecc,omitempty"`
	PersistenceMode *bool  `json:"persistence_mode,omitempty"`
	ComputeMode     string `json:"compute_mode,omitempty"`
	MIG             *MIG   `json:"mig,omitempty"`
	// NVLinks are the links that the card has, whether up or not.
	NVLinks      []NVLink      `json:"nvlinks,omitzero"`
	RetiredPages *RetiredPages `json:"retired_pages,omitempty"`
	RowRemapping *RowRemapping `json:"row_remapping,omitempty"`
	// Processes that have memory or a context on the card, in the order of their numbers.
	Processes []Process `json:"processes,omitzero"`

	// GroupErrors are the groups that the driver could not give all facts of.
	GroupErrors []GroupFault `json:"group_errors,omitempty"`
	// Error is why the facts of this card end where they do: it fell off the bus, or the
	// driver hung or crashed over it.
	Error *Fault `json:"error,omitempty"`
}

// Memory of a card or of a MIG instance, in bytes.
type Memory struct {
	Total uint64 `json:"total_bytes"`
	Used  uint64 `json:"used_bytes"`
	Free  uint64 `json:"free_bytes"`
	// Reserved by the driver and the firmware. An older driver counts it as used.
	Reserved *uint64 `json:"reserved_bytes,omitempty"`
}

// Utilization over the driver's last sample period.
type Utilization struct {
	GPU    int `json:"gpu_percent"`
	Memory int `json:"memory_percent"`
}

// Temperature in degrees Celsius.
type Temperature struct {
	GPU *int `json:"gpu_c,omitempty"`
	// Slowdown is where the card slows itself down, Shutdown where it switches off.
	Slowdown *int `json:"slowdown_c,omitempty"`
	Shutdown *int `json:"shutdown_c,omitempty"`
}

// Power in milliwatts.
type Power struct {
	Draw *int `json:"draw_mw,omitempty"`
	// Limit that is enforced now; it may be set between Min and Max.
	Limit   *int `json:"limit_mw,omitempty"`
	Default *int `json:"default_limit_mw,omitempty"`
	Min     *int `json:"min_limit_mw,omitempty"`
	Max     *int `json:"max_limit_mw,omitempty"`
}

// Clocks in megahertz.
type Clocks struct {
	Graphics    *int `json:"graphics_mhz,omitempty"`
	SM          *int `json:"sm_mhz,omitempty"`
	Memory      *int `json:"memory_mhz,omitempty"`
	MaxGraphics *int `json:"max_graphics_mhz,omitempty"`
	MaxSM       *int `json:"max_sm_mhz,omitempty"`
	MaxMemory   *int `json:"max_memory_mhz,omitempty"`
}

// ECC is the memory's error correction.
type ECC struct {
	Enabled bool `json:"enabled"`
	// Pending is what it will be after the next reset.
	Pending *bool `json:"pending,omitempty"`
	// Volatile counts since the driver was loaded, Aggregate over the card's life.
	Volatile  *ECCErrors `json:"volatile,omitempty"`
	Aggregate *ECCErrors `json:"aggregate,omitempty"`
}

// ECCErrors counts errors.
type ECCErrors struct {
	Corrected   *uint64 `json:"corrected,omitempty"`
	Uncorrected *uint64 `json:"uncorrected,omitempty"`
}

// MIG is the division of a card into instances.
type MIG struct {
	Enabled bool `json:"enabled"`
	// Pending is what it will be after the next reset.
	Pending *bool `json:"pending,omitempty"`
	// MaxInstances that the card can be divided into.
	MaxInstances *int          `json:"max_instances,omitempty"`
	Instances    []MIGInstance `json:"instances,omitzero"`
}

// MIGInstance is one compute instance in one GPU instance.
type MIGInstance struct {
	GPUInstance     *int `json:"gpu_instance,omitempty"`
	ComputeInstance *int `json:"compute_instance,omitempty"`
	// UUID: "MIG-" and a UUID.
	UUID string `json:"uuid,omitempty"`
	// Profile as nvidia-smi writes it: "1g.5gb", "1c.3g.20gb".
	Profile string  `json:"profile,omitempty"`
	Memory  *Memory `json:"memory,omitempty"`
}

// NVLink is one link to another card or a switch.
type NVLink struct {
	Link    int  `json:"link"`
	Active  bool `json:"active"`
	Version *int `json:"version,omitempty"`
	// Remote is the PCI address of the other end of an active link.
	Remote string `json:"remote_pci_address,omitempty"`
}

// RetiredPages are pages of memory that are used no more (before the Ampere cards).
type RetiredPages struct {
	SingleBit *int `json:"single_bit,omitempty"`
	DoubleBit *int `json:"double_bit,omitempty"`
	// Pending tells that pages wait for the next reset.
	Pending *bool `json:"pending,omitempty"`
}

// RowRemapping is the replacement of rows of memory (Ampere cards and later).
type RowRemapping struct {
	Corrected   int `json:"corrected"`
	Uncorrected int `json:"uncorrected"`
	// Pending tells that rows wait for the next reset, Failed that a row could not be
	// replaced: the card is to be exchanged.
	Pending *bool `json:"pending,omitempty"`
	Failed  *bool `json:"failed,omitempty"`
}

// Process is one that uses a card.
type Process struct {
	// PID as the machine counts, also for one in a container.
	PID int `json:"pid"`
	// Type is "compute", "graphics", "mps", or two of them joined by "+".
	Type   string  `json:"type"`
	Memory *uint64 `json:"memory_bytes,omitempty"`
	// GPUInstance and ComputeInstance that it runs in, where the card is divided.
	GPUInstance     *int `json:"gpu_instance,omitempty"`
	ComputeInstance *int `json:"compute_instance,omitempty"`
}

// maxDocument is the size of the longest document that is read: it is a thousand times
// what a machine with eight cards gives.
const maxDocument = 16 << 20

// Parse reads one document as the probe prints it.
func Parse(data []byte) (*Document, error) {
	if len(data) > maxDocument {
		return nil, fmt.Errorf("read GPU facts: %d bytes are more than the %d that are read", len(data), maxDocument)
	}
	var d Document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("read GPU facts: %w", err)
	}
	if (d.Error == nil) == (d.GPUs == nil) {
		return nil, errors.New("read GPU facts: the document has neither cards nor an error, or both")
	}
	return &d, nil
}
