package gpufacts

// Share is what one container has of a card: by the configuration, on the host, and in use.
// It is made at the workstation, where the configuration is known.
type Share struct {
	CTID int    `json:"ctid"`
	Name string `json:"name,omitempty"`
	// Wanted tells that the configuration gives it the card, Assigned that the host does.
	Wanted   bool `json:"wanted,omitempty"`
	Assigned bool `json:"assigned,omitempty"`
	// Instances of a divided card that the host gives it, by their UUIDs.
	Instances []string `json:"instances,omitempty"`
	// Template tells that it never runs.
	Template bool `json:"template,omitempty"`
	// BudgetGB is what it may use of the card's memory, in units of 10^9 bytes; 0 where
	// nothing is said.
	BudgetGB float64 `json:"budget_gb,omitempty"`
	// Processes of it are on the card, and UsedBytes is their memory as far as it is known;
	// nil where nobody could tell.
	Processes *int    `json:"processes,omitempty"`
	UsedBytes *uint64 `json:"used_bytes,omitempty"`
}

// Above tells whether it uses more than its budget.
func (s *Share) Above() bool {
	return s.BudgetGB > 0 && s.UsedBytes != nil && float64(*s.UsedBytes) > s.BudgetGB*1e9
}

// Entry is the ledger of one card.
type Entry struct {
	// GPU is its UUID, or else its PCI address.
	GPU string `json:"gpu"`
	// Policy is "exclusive", "shared", or empty where nothing is said.
	Policy string `json:"policy,omitempty"`
	// Containers that have the card, are to have it, or use it, by their numbers.
	Containers []Share `json:"containers,omitempty"`
}

// Entry is the ledger of a card; nil where there is none.
func (h *Host) Entry(g *GPU) *Entry {
	for i := range h.Ledger {
		if at := h.Ledger[i].GPU; at != "" && (at == g.UUID || at == g.PCIAddress) {
			return &h.Ledger[i]
		}
	}
	return nil
}

// All are the cards that the source of the facts tells of, and behind them, with an index of
// -1, the others on the bus, such as those of virtual machines.
func (h *Host) All() []GPU {
	out := append([]GPU(nil), h.GPUs...)
	told := map[string]bool{}
	for i := range h.GPUs {
		told[h.GPUs[i].PCIAddress] = true
	}
	for _, c := range h.Cards {
		if !told[c.Address] {
			out = append(out, GPU{Index: -1, PCIAddress: c.Address})
		}
	}
	return out
}

// InstancesOf are the MIG instances of a card that a container has on the host.
func (h *Host) InstancesOf(g *GPU, ctid int) (out []string) {
	if g.MIG == nil {
		return nil
	}
	for i := range g.MIG.Instances {
		for _, id := range h.Holders(g, &g.MIG.Instances[i]) {
			if id == ctid {
				out = append(out, g.MIG.Instances[i].UUID)
			}
		}
	}
	return out
}

// Used is what the processes of a container use of a card, and how many they are. known is
// false where the driver did not tell of processes, and sized where it did not tell the memory
// of all of them.
func (h *Host) Used(g *GPU, ctid int) (bytes uint64, processes int, known, sized bool) {
	sized = true
	for _, p := range g.Processes {
		if o := h.Owner(p.PID); o == nil || o.CTID != ctid {
			continue
		}
		if processes++; p.Memory == nil {
			sized = false
		} else {
			bytes += *p.Memory
		}
	}
	return bytes, processes, g.Processes != nil, sized
}
