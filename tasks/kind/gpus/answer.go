package gpus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"phoenix/tasks/gpufacts"
)

// answer is a gpufacts.Host as the helper handles it: it hands on what the probe says of
// each card, and reads of it only what it needs. The types of all facts would be half of
// this family in the helper, and the workstation reads them anyway.
type answer struct {
	Source        string            `json:"source,omitempty"`
	DriverVersion string            `json:"driver_version,omitempty"`
	NVMLVersion   string            `json:"nvml_version,omitempty"`
	CUDAVersion   string            `json:"cuda_version,omitempty"`
	GPUs          []json.RawMessage `json:"gpus"`
	// Error is the probe's, and never handed on.
	Error *gpufacts.Fault `json:"error,omitempty"`

	Missed       []gpufacts.Missed    `json:"missed,omitempty"`
	ProbeMissing bool                 `json:"probe_missing,omitempty"`
	SMI          string               `json:"nvidia_smi,omitempty"`
	Cards        []gpufacts.Card      `json:"cards,omitempty"`
	Owners       []gpufacts.Owner     `json:"owners,omitempty"`
	Containers   []gpufacts.Container `json:"containers,omitempty"`
	Unreadable   []string             `json:"unreadable,omitempty"`
	Machine      *gpufacts.Machine    `json:"machine,omitempty"`
}

// line is a gpufacts.GPU as far as the helper knows it.
type line struct {
	Index        int       `json:"index"`
	Minor        *int      `json:"minor,omitempty"`
	UUID         string    `json:"uuid,omitempty"`
	PCIAddress   string    `json:"pci_address,omitempty"`
	PCIID        string    `json:"pci_id,omitempty"`
	Name         string    `json:"name,omitempty"`
	VBIOSVersion string    `json:"vbios_version,omitempty"`
	Processes    []process `json:"processes,omitempty"`
}

type process struct {
	PID int `json:"pid"`
}

// add adds a card that the helper itself knows of.
func (a *answer) add(l *line) {
	if raw, err := json.Marshal(l); err == nil { // texts and numbers
		a.GPUs = append(a.GPUs, raw)
	}
}

// mostCards that one machine is believed to have.
const mostCards = 64

// document takes what the probe printed, if it can be true. One that names a card twice,
// or too many, cannot: it would be counted wrong. A card that is not on the PCI bus may be
// one that has just fallen off.
func (g *gatherer) document(text []byte) (*gpufacts.Fault, error) {
	var d answer
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	switch {
	case (d.Error == nil) == (d.GPUs == nil):
		return nil, errors.New("the document has neither cards nor an error, or both")
	case d.Error != nil:
		return d.Error, nil
	case len(d.GPUs) > mostCards:
		return nil, fmt.Errorf("it tells of %d cards", len(d.GPUs))
	}
	seen := map[string]bool{}
	var pids []process
	for _, raw := range d.GPUs {
		var c line
		if err := json.Unmarshal(raw, &c); err != nil {
			return nil, err
		}
		for _, name := range []string{strconv.Itoa(c.Index), c.PCIAddress, c.UUID} {
			if seen[name] && name != "" {
				return nil, fmt.Errorf("it tells of card %s twice", printable(name))
			}
			seen[name] = true
		}
		pids = append(pids, c.Processes...)
	}
	for _, p := range pids {
		g.uses(p.PID)
	}
	g.f.Source, g.f.DriverVersion, g.f.NVMLVersion, g.f.CUDAVersion, g.f.GPUs = d.Source, d.DriverVersion, d.NVMLVersion, d.CUDAVersion, d.GPUs
	return nil, nil
}
