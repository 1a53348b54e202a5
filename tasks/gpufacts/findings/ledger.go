package findings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks/gpufacts"
)

// exclusive is the policy of a card that one container has alone.
const exclusive = "exclusive"

// container is a container's number and name.
func (f *found) container(ctid int) string {
	name := f.host.ContainerName(ctid)
	for _, g := range f.rules.Given {
		if name == "" && g.CTID == ctid {
			name = g.Name
		}
	}
	return strings.TrimSpace(fmt.Sprintf("container %d %s", ctid, name))
}

// ledger compares who was given a card with who may have it, and with who uses it.
func (f *found) ledger(g *gpufacts.GPU) {
	c := f.host.Card(g.PCIAddress)
	if c == nil {
		return
	}
	add := func(word, text, mend string) {
		f.list = append(f.list, gpufacts.Finding{Severity: gpufacts.SeverityWarning, GPU: cmp.Or(g.UUID, g.PCIAddress), Word: word, Text: about(g) + ": " + text, Mend: mend})
	}
	divided := g.MIG != nil && g.MIG.Enabled // then each has an instance of its own
	if f.rules.Policy != nil && len(c.Assigned) > 1 && !divided && f.rules.Policy(g.UUID, g.PCIAddress, g.Index) == exclusive {
		var names []string
		for _, id := range c.Assigned {
			names = append(names, f.container(id))
		}
		add("shared", "its policy is exclusive, and it is given to "+strings.Join(names, ", "), "take it away from all but one: `\"gpu_assignment\": \"none\"`, or devN of a container that is not in the configuration")
	}
	if g.Memory != nil && f.rules.Budget != nil && !divided {
		sum := 0.0
		for _, id := range c.Assigned {
			if !f.host.Template(id) {
				sum += f.rules.Budget(id)
			}
		}
		if total := float64(g.Memory.Total); sum*1e9 > total && total > 0 {
			add("over-committed", fmt.Sprintf("it has %.1f GB, and the gpu_memory_gb of its containers are %g GB together", total/1e9, sum), "give one of them less, or another card")
		}
	}
	f.strangers(g, c, add)
	f.spenders(g, add)
}

// spenders are containers that use more of a card's memory than their budget.
func (f *found) spenders(g *gpufacts.GPU, add func(word, text, mend string)) {
	var told []int
	for _, p := range g.Processes {
		o := f.host.Owner(p.PID)
		if f.rules.Budget == nil || o == nil || o.CTID == 0 || slices.Contains(told, o.CTID) {
			continue
		}
		told = append(told, o.CTID)
		s := gpufacts.Share{BudgetGB: f.rules.Budget(o.CTID)}
		used, _, _, _ := f.host.Used(g, o.CTID)
		if s.UsedBytes = &used; s.Above() {
			add("above budget", fmt.Sprintf("%s uses %.1f GB of its memory, and its gpu_memory_gb is %g", f.container(o.CTID), float64(used)/1e9, s.BudgetGB),
				"the driver holds nobody to it: have the program take less, or give it more")
		}
	}
}

// strangers are containers that use a card which their configuration does not give them.
func (f *found) strangers(g *gpufacts.GPU, c *gpufacts.Card, add func(word, text, mend string)) {
	var told []int
	for _, p := range g.Processes {
		o := f.host.Owner(p.PID)
		if o == nil || o.CTID == 0 || slices.Contains(c.Assigned, o.CTID) || slices.Contains(told, o.CTID) {
			continue
		}
		told = append(told, o.CTID)
		add("not assigned", fmt.Sprintf("%s uses it (%s, process %d), and its configuration does not give it the card", f.container(o.CTID), cmp.Or(o.Name, "?"), p.PID),
			"a container keeps what it had until it is restarted")
	}
}

// untold are cards of which the driver, which has them, says nothing, and those that are
// not where they were: both have fallen off the bus, or could not be started.
func (f *found) untold() {
	add := func(at, word string, ctids []int, text, mend string) {
		f.list = append(f.list, gpufacts.Finding{Severity: gpufacts.SeverityCritical, GPU: at, Containers: ctids, Word: word, Text: text, Mend: mend})
	}
	told := func(at string) bool {
		return slices.ContainsFunc(f.host.GPUs, func(g gpufacts.GPU) bool { return g.PCIAddress == at })
	}
	const reboot = "reboot the host; "
	asked := f.host.Source == gpufacts.SourceNVML || f.host.Source == gpufacts.SourceSMI
	for _, c := range f.host.Cards {
		// One without a node is one that the driver was told to leave out. Of one whose node
		// is to be made anew, nothing can be told.
		if asked && !(f.rules.Nodes && f.rules.NodesAhead) && c.Driver == "nvidia" && c.Node != "" && !told(c.Address) {
			ctids, words := f.having(c.UUID, c.Address)
			add(c.Address, gpufacts.KindLost, ctids, "the card "+c.Address+" is on the PCI bus and has NVIDIA's driver, and the driver does not list it: it could not be started, or has fallen off"+words, reboot+logs)
		}
	}
	gone := slices.Clone(f.machine().Gone)
	for i := range f.host.GPUs {
		g := &f.host.GPUs[i]
		if g.Error == nil && g.PCIAddress != "" && f.host.Machine != nil && f.host.Card(g.PCIAddress) == nil && !slices.Contains(gone, g.PCIAddress) {
			gone = append(gone, g.PCIAddress)
		}
	}
	for _, at := range gone {
		lost := slices.ContainsFunc(f.host.GPUs, func(g gpufacts.GPU) bool { return g.PCIAddress == at && g.Error != nil })
		if !lost { // that has been told
			ctids, words := f.having("", at)
			add(at, gpufacts.KindLost, ctids, "the driver has the card "+at+", and it is not on the PCI bus any more"+words, reboot+logs)
		}
	}
}
