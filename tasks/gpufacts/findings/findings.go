// Package findings tells what is wrong with the NVIDIA cards of a host, from what the host
// told of them, and how bad it is.
//
// It is for the workstation: the helper hands facts on and judges nothing. It asks no host
// and changes nothing, and it believes nothing: any facts give findings, never a fault.
// What is a reason to reset a card or to exchange it is NVIDIA's own word, named at each
// place. Start reading at Of; card.go has what is wrong with one card, machine.go what is
// wrong with the driver and its device nodes, ledger.go who has and who uses a card.
package findings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks/gpufacts"
)

// Rules is what is wanted of the host, and what other steps of the same check tell. The
// zero value wants nothing.
type Rules struct {
	// Policy is who may have a card: "exclusive", "shared", or empty where nothing is said.
	// It may be nil.
	Policy func(uuid, address string, index int) string
	// Budget is what a container may use of each of its cards, in units of 10^9 bytes; 0 is
	// not said. It may be nil.
	Budget func(ctid int) float64
	// Driver tells that a step of the check compares the driver's versions and its modules
	// for each kernel, Nodes that it sees to the device nodes.
	Driver, Nodes bool
	// Ahead tells that this step would install or load a driver, NodesAhead that it would
	// make the nodes, or have them made.
	Ahead, NodesAhead bool
	// Given are the cards that the configuration gives to containers, with what the lock file
	// knows of them.
	Given []Given
}

// Given is a card that a container is to have.
type Given struct {
	CTID int
	Name string // of the container
	// UUID and Address of the card: one of them may be empty.
	UUID, Address string
}

// Of lists what is wrong on a host, the worst first. It places the
// cards that only their index is known of.
func Of(h *gpufacts.Host, r Rules) []gpufacts.Finding {
	Place(h)
	f := &found{host: h, rules: r}
	f.driver()
	f.kernels()
	f.nodes()
	f.guests()
	for i := range h.GPUs {
		f.hit(&h.GPUs[i])
		f.ledger(&h.GPUs[i])
	}
	f.untold()
	f.missing()
	f.sources()
	return sorted(f.list)
}

// Worst is the severity of the worst finding; empty without any.
func Worst(list []gpufacts.Finding) gpufacts.Severity {
	if list = sorted(list); len(list) > 0 {
		return list[0].Severity
	}
	return ""
}

func sorted(list []gpufacts.Finding) []gpufacts.Finding {
	rank := []gpufacts.Severity{gpufacts.SeverityCritical, gpufacts.SeverityWarning, gpufacts.SeverityNote}
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b gpufacts.Finding) int {
		return cmp.Compare(slices.Index(rank, a.Severity), slices.Index(rank, b.Severity))
	})
	return out
}

// found collects the findings of one host.
type found struct {
	host  *gpufacts.Host
	rules Rules
	list  []gpufacts.Finding
}

func (f *found) add(s gpufacts.Severity, word, text, mend string) {
	f.list = append(f.list, gpufacts.Finding{Severity: s, Word: word, Text: text, Mend: mend})
}

// machine is what was looked at beside the cards; empty where nothing was.
func (f *found) machine() gpufacts.Machine {
	if f.host.Machine == nil {
		return gpufacts.Machine{}
	}
	return *f.host.Machine
}

// has tells whether the driver has, or is to have, a card: all others are those of virtual
// machines.
func (f *found) has() bool {
	return slices.ContainsFunc(f.host.Cards, func(c gpufacts.Card) bool { return c.Driver != "vfio-pci" })
}

// sources notes why the facts are no better than they are.
func (f *found) sources() {
	for _, m := range f.host.Missed {
		text := fmt.Sprintf("no facts from %s: %s: %s", m.Source, m.Kind, m.Text)
		if m.Kind == gpufacts.KindTimeout && m.Source == gpufacts.SourceNVML {
			f.add(gpufacts.SeverityCritical, "driver hangs", "the driver does not answer: "+m.Text,
				"see `dmesg | grep -e Xid -e NVRM` on the host; only a reboot ends a driver that hangs")
			continue
		}
		f.add(gpufacts.SeverityNote, "poorer facts", text, "")
	}
	for _, u := range f.host.Unreadable {
		f.add(gpufacts.SeverityNote, "unreadable", u, "")
	}
}

// about is how a finding names a card.
func about(g *gpufacts.GPU) string {
	if g.PCIAddress == "" {
		return fmt.Sprintf("GPU %d", g.Index)
	}
	return fmt.Sprintf("GPU %d (%s)", g.Index, g.PCIAddress)
}

// most texts of one severity that go into a result.
const most = 40

// Texts are those of one severity, a line each, as people read them.
func Texts(list []gpufacts.Finding, s gpufacts.Severity) []string {
	var out []string
	more := 0
	for _, f := range list {
		switch {
		case f.Severity != s:
		case len(out) < most:
			out = append(out, strings.ReplaceAll(cut(f.String()), "\n", " "))
		default:
			more++
		}
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

// longest is how much of one text goes into a result: hosts choose parts of it.
const longest = 1 << 10

func cut(text string) string {
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}
