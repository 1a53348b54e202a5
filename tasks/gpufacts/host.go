package gpufacts

import (
	"fmt"
	"strconv"
	"strings"
)

// Sources of facts, from the best to the poorest. What a better one did not give, a
// poorer one was asked for; none is mixed with another.
const (
	// SourceSMI is the output of `nvidia-smi -q -x`.
	SourceSMI = "nvidia-smi"
	// SourceProc is /proc/driver/nvidia.
	SourceProc = "proc"
	// SourceSysfs is the PCI bus alone.
	SourceSysfs = "sysfs"
)

// Kinds of fault of a source, beside those of a document.
const (
	// KindProbeMissing says that the probe does not lie on the host.
	KindProbeMissing = "probe missing"
	// KindNoProbe says that this phoenix has no probe for the host's architecture.
	KindNoProbe = "no probe for this architecture"
)

// Host is what one Proxmox host tells of its cards: the data of the step of the family
// gpus. The cards themselves are in the Document, whose Source says where from; what the
// host knows of them beside that goes by their PCI addresses and by process numbers.
//
// Where SMI is not empty, the workstation is to read it first (package smixml): the
// helper does not read XML, and the Document has only what poorer sources gave.
type Host struct {
	// Document has cards always, and no Error; without any, GPUs is there and empty.
	Document
	// Missed are the better sources, and why each gave nothing.
	Missed []Missed `json:"missed,omitempty"`
	// ProbeMissing tells that it pays to put the probe onto the host and ask again.
	ProbeMissing bool `json:"probe_missing,omitempty"`
	// SMI is what `nvidia-smi -q -x` printed.
	SMI string `json:"nvidia_smi,omitempty"`
	// Cards are the display devices of the PCI bus in the order of their addresses, also
	// those that the driver does not have.
	Cards []Card `json:"cards,omitempty"`
	// Owners say whom the processes on the cards belong to, in the order of their
	// numbers. One that has ended meanwhile is not among them.
	Owners []Owner `json:"owners,omitempty"`
	// Containers are those that have a card or use one, in the order of their numbers.
	Containers []Container `json:"containers,omitempty"`
	// Unreadable lists what could not be told, and why.
	Unreadable []string `json:"unreadable,omitempty"`
	// Machine is what a check looks at beside the cards; nil elsewhere.
	Machine *Machine `json:"machine,omitempty"`
	// Findings are what is wrong, the worst first. They are made at the workstation.
	Findings []Finding `json:"findings,omitempty"`
	// Ledger is who has which card; nil where it was not asked for.
	Ledger []Entry `json:"ledger,omitempty"`
}

// Missed is a source that gave nothing.
type Missed struct {
	// Source is one of the constants.
	Source string `json:"source"`
	Fault
}

// Card is what the host knows of a card, whichever source the facts have.
type Card struct {
	// Address on the PCI bus, as sysfs writes it: "0000:01:00.0".
	Address string `json:"address"`
	// Driver of the kernel that has it: "nvidia", "nouveau", "vfio-pci"; empty for none.
	Driver string `json:"driver,omitempty"`
	// Node is its device node, "/dev/nvidia0"; empty while NVIDIA's driver has it not.
	Node string `json:"node,omitempty"`
	// UUID as the driver's own list has it, which knows it also of a card that is lost; empty
	// where no program has used the card since the driver was loaded.
	UUID string `json:"uuid,omitempty"`
	// Assigned are the containers whose configuration gives them the node.
	Assigned []int `json:"assigned,omitempty"`
	// Parts are the MIG instances of a divided card, each with the containers that have its
	// capability: "gi1/ci0 901", by the numbers of its GPU instance and compute instance.
	Parts []string `json:"parts,omitempty"`
}

// Owner is whom a process belongs to.
type Owner struct {
	PID int `json:"pid"`
	// Name as the kernel has it: at most 15 bytes of the program's name. The arguments
	// are left alone, for they can hold secrets.
	Name string `json:"name,omitempty"`
	// CTID of the container; 0 for a process of the host itself.
	CTID int `json:"ctid,omitempty"`
	// Runtime of a container inside it, or on the host: "docker", "podman", "containerd".
	Runtime string `json:"runtime,omitempty"`
	// Container is its whole ID, 64 digits.
	Container string `json:"container,omitempty"`
}

// Container is one container of the host.
type Container struct {
	CTID int `json:"ctid"`
	// Name is its hostname, as configured.
	Name string `json:"name,omitempty"`
	// Template tells that it never runs.
	Template bool `json:"template,omitempty"`
}

// Card is what the host knows of the card with an address; nil when it has none there.
func (h *Host) Card(address string) *Card {
	for i := range h.Cards {
		if h.Cards[i].Address == address {
			return &h.Cards[i]
		}
	}
	return nil
}

// Holders are the containers whose configuration on the host gives them an instance of a
// card.
func (h *Host) Holders(g *GPU, i *MIGInstance) []int {
	c := h.Card(g.PCIAddress)
	if c == nil || i.GPUInstance == nil || i.ComputeInstance == nil {
		return nil
	}
	at := fmt.Sprintf("gi%d/ci%d", *i.GPUInstance, *i.ComputeInstance)
	for _, p := range c.Parts {
		if words := strings.Fields(p); len(words) > 0 && words[0] == at {
			return numbers(words[1:])
		}
	}
	return nil
}

func numbers(words []string) (out []int) {
	for _, w := range words {
		if n, err := strconv.Atoi(w); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// Template tells whether a container is known to be one.
func (h *Host) Template(ctid int) bool {
	for _, c := range h.Containers {
		if c.CTID == ctid {
			return c.Template
		}
	}
	return false
}

// Owner is whom a process belongs to; nil when that is not known, as for one that has
// ended.
func (h *Host) Owner(pid int) *Owner {
	for i := range h.Owners {
		if h.Owners[i].PID == pid {
			return &h.Owners[i]
		}
	}
	return nil
}

// ContainerName is a container's name; empty when it is not known.
func (h *Host) ContainerName(ctid int) string {
	for _, c := range h.Containers {
		if c.CTID == ctid {
			return c.Name
		}
	}
	return ""
}
