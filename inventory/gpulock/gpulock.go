// Package gpulock is the file that keeps which GPUs containers were given:
// phoenix_lxc_configs.lock.json beside phoenix_lxc_configs.json.
//
// An index or a request ("one card with 20 GB") can mean another card tomorrow, a UUID
// cannot. The operator commits the file; without it, cards are chosen anew. The package
// reads, writes and chooses; it asks no host and reads no inventory. Start reading at
// Lock; pick.go chooses.
package gpulock

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Version of the file's format.
const Version = 1

// Lock is the content of one file.
type Lock struct {
	Version int `json:"version"`
	// Hosts by their names in the inventory.
	Hosts map[string]*Host `json:"hosts"`
}

// Host is what is kept of one host.
type Host struct {
	// Cards by UUID, as they were when a card of this host was last chosen or looked up.
	Cards map[string]Card `json:"cards,omitempty"`
	// Containers by CTID.
	Containers map[int]Pin `json:"containers,omitempty"`
}

// Of is what is kept of a host, to be written to; it is made where there is nothing yet.
func (l *Lock) Of(host string) *Host {
	if l.Hosts == nil {
		l.Hosts = make(map[string]*Host)
	}
	h := l.Hosts[host]
	if h == nil {
		h = new(Host)
		l.Hosts[host] = h
	}
	if h.Cards == nil {
		h.Cards = make(map[string]Card)
	}
	if h.Containers == nil {
		h.Containers = make(map[int]Pin)
	}
	return h
}

// Kept is what is kept of a host, to be read only; empty where there is nothing.
func (l *Lock) Kept(host string) Host {
	if h := l.Hosts[host]; h != nil {
		return *h
	}
	return Host{}
}

// Card is what is kept of a card, so that a budget can be held against it without asking
// the host.
type Card struct {
	Name        string `json:"name,omitempty"`
	MemoryBytes uint64 `json:"memory_bytes,omitempty"`
	PCIAddress  string `json:"pci_address,omitempty"`
}

// Pin is which cards one container was given. It has either a Request with its GPUs, or
// Names.
type Pin struct {
	// Request that GPUs are the answer to; one that was changed since is answered anew,
	// and keeps the cards that still answer it.
	Request *Request `json:"request,omitempty"`
	// GPUs are UUIDs of cards, or of MIG instances, in the order of choice.
	GPUs []string `json:"gpus,omitempty"`
	// Names are what indexes meant, by UUID: "0": "GPU-…".
	Names map[string]string `json:"names,omitempty"`
}

// Request is an assignment that names no card.
type Request struct {
	// Count of cards, or of MIG instances; 1 when absent.
	Count int `json:"count,omitempty"`
	// MinVRAMGB is the memory that each is to have at least, in units of 10^9 bytes, as
	// cards are sold.
	MinVRAMGB float64 `json:"min_vram_gb,omitempty"`
	// Model is part of the card's name, in whole words: "RTX 4090".
	Model string `json:"model,omitempty"`
	// MIG is the profile of an instance ("1g.5gb"), where no whole card is wanted.
	MIG string `json:"mig,omitempty"`
}

// String says the request in words: "2 cards RTX 4090 with at least 20 GB each".
func (r Request) String() string {
	n := max(r.Count, 1)
	var b strings.Builder
	fmt.Fprintf(&b, "%d ", n)
	what := "card"
	if r.MIG != "" {
		what = "MIG instance"
	}
	b.WriteString(what)
	if n > 1 {
		b.WriteString("s")
	}
	for _, word := range []string{r.Model, r.MIG} {
		if word != "" {
			b.WriteString(" " + word)
		}
	}
	if r.MinVRAMGB > 0 {
		fmt.Fprintf(&b, " with at least %g GB", r.MinVRAMGB)
		if n > 1 {
			b.WriteString(" each")
		}
	}
	return b.String()
}

// Encode writes the file: the same bytes for the same content.
func (l *Lock) Encode() ([]byte, error) {
	out, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write GPU lock: %w", err)
	}
	return append(out, '\n'), nil
}
