package findings

import (
	"cmp"
	"slices"
	"strings"

	"phoenix/tasks/gpufacts"
)

// having are the containers that have a card on the host or are to have it, with the words
// that end a text with them.
func (f *found) having(uuid, address string) (ctids []int, words string) {
	if c := f.host.Card(address); c != nil {
		ctids = append(ctids, c.Assigned...)
	}
	for _, g := range f.rules.Given {
		if uuid != "" && g.UUID == uuid || address != "" && g.Address == address {
			ctids = append(ctids, g.CTID)
		}
	}
	slices.Sort(ctids)
	if ctids = slices.Compact(ctids); len(ctids) == 0 {
		return nil, ""
	}
	var names []string
	for _, id := range ctids {
		names = append(names, f.container(id))
	}
	verb := " has it"
	if len(ctids) > 1 {
		verb = " have it"
	}
	return ctids, "; " + strings.Join(names, ", ") + verb
}

// hit tells what is wrong with a card, and which containers have it.
func (f *found) hit(g *gpufacts.GPU) {
	ctids, words := f.having(g.UUID, g.PCIAddress)
	for _, x := range OfCard(g) {
		if x.Severity != gpufacts.SeverityNote {
			x.Containers = ctids
			x.Text += words
		}
		f.list = append(f.list, x)
	}
}

// missing are the cards that containers are to have and that are not there. Whether one is
// there of which only the UUID is known, the driver tells; an address is on the bus or not.
func (f *found) missing() {
	var told []string
	for _, g := range f.rules.Given {
		at := cmp.Or(g.UUID, g.Address)
		if !f.gone(g) || slices.Contains(told, at) {
			continue
		}
		told = append(told, at)
		name := at
		if g.UUID != "" && g.Address != "" {
			name += " (" + g.Address + " when it was chosen)"
		}
		ctids, words := f.having(g.UUID, g.Address)
		f.list = append(f.list, gpufacts.Finding{
			Severity: gpufacts.SeverityCritical, GPU: at, Word: "gone", Containers: ctids,
			Text: "the card " + name + " is not there" + words,
			Mend: "look whether it is still in the machine and whether `lspci -d 10de:` lists it; for another one, change gpu_assignment, or take what was chosen out of the lock file",
		})
	}
}

// gone tells that no card can be the one that is meant: none has its UUID, and none that
// does not tell its own is where it was.
func (f *found) gone(g Given) bool {
	if slices.Contains(f.machine().Gone, g.Address) {
		return false // which is told as such
	}
	may := func(uuid, address string) bool {
		if g.UUID == "" {
			return address == g.Address
		}
		return uuid == g.UUID || uuid == "" && (address == "" || g.Address == "" || address == g.Address)
	}
	for i := range f.host.GPUs {
		if c := &f.host.GPUs[i]; may(c.UUID, c.PCIAddress) {
			return false
		}
	}
	for _, c := range f.host.Cards {
		told := slices.ContainsFunc(f.host.GPUs, func(x gpufacts.GPU) bool { return x.PCIAddress == c.Address })
		if !told && may(c.UUID, c.Address) {
			return false
		}
	}
	return true
}
