package gpufacts

// Machine is what a check looks at beside the cards, as it was found: what it means is
// told by package findings.
type Machine struct {
	// Loaded is the version of the driver in the running kernel, Library that of its
	// programs and libraries; empty for none.
	Loaded  string `json:"loaded,omitempty"`
	Library string `json:"library,omitempty"`
	// Kernels are the running one, first, the one that the next boot starts, and every
	// newer one.
	Kernels []Kernel `json:"kernels,omitempty"`
	// Gone are the addresses of cards that the driver has and the PCI bus has not.
	Gone []string `json:"gone,omitempty"`
	// Devices are the driver's lines of /proc/devices: "195 nvidia".
	Devices []string `json:"devices,omitempty"`
	// Nodes are the driver's device nodes that are there, as `stat -c '%n %F %t %T'`
	// prints them: "/dev/nvidia0 character special file c3 0". None at all where that
	// could not be told.
	Nodes []string `json:"nodes,omitempty"`
	// NotAtBoot are the nodes that containers have and nothing makes at boot.
	NotAtBoot []string `json:"not_at_boot,omitempty"`
	// Guests are the containers that were asked for their user space, and run.
	Guests []Guest `json:"guests,omitempty"`
}

// Kernel is one that the machine can start.
type Kernel struct {
	Release string `json:"release"`
	// Next tells that the next boot starts it.
	Next bool `json:"next,omitempty"`
	// Module tells that the driver's module lies ready for it.
	Module bool `json:"module,omitempty"`
}

// Guest is what a running container says of its libraries.
type Guest struct {
	CTID int `json:"ctid"`
	// Libraries are the files that NVML's and CUDA's links lead to in it.
	Libraries []string `json:"libraries,omitempty"`
	// Why is why it could not be asked.
	Why string `json:"why,omitempty"`
}

// Severity is how bad a Finding is.
type Severity string

// The severities, the worst first.
const (
	// SeverityCritical fails the step: a card, or the driver, does not do its work.
	SeverityCritical Severity = "critical"
	// SeverityWarning is for somebody to look at.
	SeverityWarning Severity = "warning"
	// SeverityNote explains, and asks for nothing.
	SeverityNote Severity = "note"
)

// Finding is one thing that a check found.
type Finding struct {
	Severity Severity `json:"severity"`
	// GPU is the card's UUID, or else its PCI address; empty for one of the host.
	GPU string `json:"gpu,omitempty"`
	// Containers that have the card, or are to have it, and are hit by this.
	Containers []int `json:"containers,omitempty"`
	// Word is the finding in a word or two: "row remapping pending".
	Word string `json:"word"`
	// Text says what was found, and of which card.
	Text string `json:"text"`
	// Mend says what to do; it may be empty.
	Mend string `json:"mend,omitempty"`
}

func (f Finding) String() string {
	if f.Mend == "" {
		return f.Text
	}
	return f.Text + " (" + f.Mend + ")"
}
