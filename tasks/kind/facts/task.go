// Package facts finds out what a Proxmox VE host is and has.
//
// It reads files only and starts no program; it changes nothing, so its Apply does
// nothing. A file that cannot be read leaves its facts empty and is listed, so that
// an empty fact is never taken for a known one. Start reading at Facts.
package facts

import (
	"context"

	"phoenix/tasks"
)

// Name of the family in steps and in step IDs.
const Name = "facts"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Facts is what the step reports as its data.
type Facts struct {
	// Hostname is the kernel's; Node is Proxmox's name of the machine.
	Hostname string `json:"hostname,omitempty"`
	Node     string `json:"node,omitempty"`
	// PVEVersion is the version of pve-manager: "8.4.21".
	PVEVersion string `json:"pve_version,omitempty"`
	// Kernel is the running kernel's release: "6.8.12-9-pve".
	Kernel string `json:"kernel,omitempty"`
	// Codename is the Debian release: "bookworm".
	Codename string `json:"debian_codename,omitempty"`
	// CPUModel, and Cores as the kernel counts them (threads).
	CPUModel string `json:"cpu_model,omitempty"`
	Cores    int    `json:"cores,omitempty"`
	// MemoryMB and MemoryAvailableMB in MiB.
	MemoryMB          int64 `json:"memory_mb,omitempty"`
	MemoryAvailableMB int64 `json:"memory_available_mb,omitempty"`
	// UptimeS in seconds.
	UptimeS int64 `json:"uptime_s,omitempty"`
	// Cluster is nil on a host that is alone.
	Cluster *Cluster `json:"cluster,omitempty"`
	// Storages as the configuration names them.
	Storages []Storage `json:"storages,omitempty"`
	// Containers of this node.
	Containers []Container `json:"containers,omitempty"`
	// GPUs are NVIDIA devices of the PCI bus.
	GPUs []GPU `json:"gpus,omitempty"`
	// Unreadable lists what could not be told, and why.
	Unreadable []string `json:"unreadable,omitempty"`
}

// Cluster is what the node says of its cluster.
type Cluster struct {
	Name    string `json:"name"`
	Nodes   int    `json:"nodes"`
	Quorate bool   `json:"quorate"`
}

// Storage is one storage.
type Storage struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Path     string   `json:"path,omitempty"`
	Content  []string `json:"content"`
	Disabled bool     `json:"disabled,omitempty"`
}

// Container is one container.
type Container struct {
	CTID    int    `json:"ctid"`
	Name    string `json:"name,omitempty"`
	Running bool   `json:"running"`
}

// GPU is one NVIDIA device.
type GPU struct {
	// Address on the PCI bus: "0000:01:00.0".
	Address string `json:"address"`
	// PCIID is vendor and device: "10de:2684".
	PCIID string `json:"pci_id"`
	// Driver that is bound to the device; empty for none.
	Driver string `json:"driver,omitempty"`
}

// Validate finds no faults: there is nothing to say.
func (s *Spec) Validate() []tasks.Problem { return nil }

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{} }

type task struct{}

// Check gathers the facts; nothing ever differs.
func (*task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	g := gatherer{h: h}
	return nil, tasks.SetData(ctx, g.all())
}

// Apply has nothing to do.
func (*task) Apply(context.Context, tasks.Host, tasks.Diff) error { return nil }
