package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/gpu"
)

// chosenCards are those that -i names, or else all.
func (c *call) chosenCards(cards []gpu.Bound) []gpu.Bound {
	i := slices.Index(c.argv, "-i")
	if i < 0 || i+1 >= len(c.argv) {
		return cards
	}
	id, _ := gpu.CardName(c.argv[i+1])
	for i, b := range cards {
		if b.Address == id || b.UUID == id || strconv.Itoa(i) == id {
			return []gpu.Bound{b}
		}
	}
	return nil
}

// brokenCard tells whether the driver has lost one of the cards, and says so: then there is
// no answer at all, only a list of the others. The status is NVML_ERROR_GPU_IS_LOST.
func (c *call) brokenCard(cards, chosen []gpu.Bound) bool {
	found := false
	for i, b := range cards {
		if slices.Contains(chosen, b) && c.lost(b) {
			c.printf("Unable to determine the device handle for GPU%d: %s: Unknown Error\n", i, b.Address)
			found = true
		}
	}
	return found
}

func (c *call) lost(b gpu.Bound) bool {
	kernel := c.m.kernelOf()
	return kernel.ailing(kernel.gpuFacts(0, b)).Error != nil
}

// migCommand are those uses of nvidia-smi that are about the division of cards; known is
// false for all others.
func (c *call) migCommand(cards, chosen []gpu.Bound) (code int, known bool) {
	option := func(name string) (string, bool) {
		i := slices.Index(c.argv, name)
		if i < 0 || i+1 >= len(c.argv) || strings.HasPrefix(c.argv[i+1], "-") {
			return "", i >= 0
		}
		return c.argv[i+1], true
	}
	switch mode, is := option("-mig"); {
	case is:
		return c.migMode(chosen, mode == "1"), true
	case slices.Contains(c.argv, "--gpu-reset"):
		return c.migReset(chosen), true
	case len(c.argv) > 1 && strings.HasPrefix(c.argv[1], "--query-gpu=") && strings.Contains(c.argv[1], "mig.mode"):
		return c.migQuery(cards, chosen, strings.Split(strings.TrimPrefix(c.argv[1], "--query-gpu="), ",")), true
	case len(c.argv) < 3 || c.argv[1] != "mig":
		return 0, false
	}
	for name, list := range map[string]func([]gpu.Bound, []gpu.Bound) int{"-lgi": c.migLGI, "-lci": c.migLCI, "-lgip": c.migLGIP, "-lgipp": c.migLGIPP} {
		if slices.Contains(c.argv, name) {
			return list(cards, chosen), true
		}
	}
	card := c.m.MIG()[chosen[0].Address]
	gi, _ := option("-gi")
	first, rest, several := strings.Cut(gi, ",")
	id, _ := strconv.Atoi(first)
	if specs, is := option("-cgi"); is {
		return c.migCGI(chosen[0], card, specs), true
	}
	i := slices.IndexFunc(card.Instances, func(g MIGInstance) bool { return g.ID == id })
	if i < 0 {
		c.printf("Unable to find GPU instance ID %2d on GPU\nNo GPU instances found: Not Found\n", id)
		return 6, true
	}
	if parts, is := option("-cci"); is {
		return c.migCCI(chosen[0], card, i, parts), true
	}
	code = c.migDestroy(chosen[0], card, i, slices.Contains(c.argv, "-dci"))
	if code == 0 && several {
		c.argv[slices.Index(c.argv, "-gi")+1] = rest
		return c.migCommand(cards, chosen)
	}
	return code, true
}

func (c *call) migQuery(cards, chosen []gpu.Bound, keys []string) int {
	for i, b := range cards {
		if !slices.Contains(chosen, b) {
			continue
		}
		card, can := c.m.kernelOf().MIG()[b.Address]
		now, then := "[N/A]", "[N/A]"
		if can {
			now, then = migWord(card.On), migWord(card.Pending)
		}
		all := map[string]string{"index": strconv.Itoa(i), "pci.bus_id": "0000" + strings.ToUpper(b.Address), "uuid": b.UUID, "mig.mode.current": now, "mig.mode.pending": then, "name": c.m.migName(b)}
		var words []string
		for _, k := range keys {
			words = append(words, all[k])
		}
		c.printf("%s\n", strings.Join(words, ", "))
	}
	return 0
}

// migMode sets the mode. The driver tries to reset the card, and leaves the mode pending
// where something uses it; the status is 0 all the same.
func (c *call) migMode(cards []gpu.Bound, on bool) int {
	for _, b := range cards {
		card, can := c.m.MIG()[b.Address]
		bus := "0000" + strings.ToUpper(b.Address)
		switch {
		case !can:
			c.printf("Unable to enable MIG Mode for GPU %s: Not Supported\nTreating as warning and moving on.\n", bus)
			continue
		case !on && len(card.Instances) > 0:
			c.printf("Unable to disable MIG Mode for GPU %s: In use by another client\nTerminating early due to previous errors.\n", bus)
			return 19
		}
		card.Pending = on
		if card.NoReset || len(c.m.gpuProcesses(b.Node())) > 0 {
			c.printf("Warning: MIG mode is in pending %s state for GPU %s:In use by another client\n", map[bool]string{true: "enable", false: "disable"}[on], bus)
		} else {
			card.On = on
			c.printf("%s MIG Mode for GPU %s\n", migWord(on), bus)
		}
		if err := c.m.SetMIG(b.Address, card); err != nil {
			return c.died(err, 1)
		}
	}
	c.printf("All done.\n")
	return 0
}

func (c *call) migReset(cards []gpu.Bound) int {
	for _, b := range cards {
		card := c.m.MIG()[b.Address]
		bus := "0000" + strings.ToUpper(b.Address)
		if card.NoReset || len(c.m.gpuProcesses(b.Node())) > 0 {
			c.printf("The following GPUs could not be reset:\n  GPU %s: In use by another client\n", bus)
			return 255
		}
		card.On = card.Pending
		card.Instances = nil
		if err := c.m.SetMIG(b.Address, card); err != nil {
			return c.died(err, 1)
		}
		c.printf("GPU %s was successfully reset.\n", bus)
	}
	c.printf("All done.\n")
	return 0
}

// migRows visits the cards that are on, with their indexes.
func (c *call) migRows(cards, chosen []gpu.Bound, visit func(i int, card MIGCard)) (on bool) {
	for i, b := range cards {
		if card := c.m.kernelOf().MIG()[b.Address]; card.On && slices.Contains(chosen, b) {
			on = true
			visit(i, card)
		}
	}
	return on
}

func (c *call) migTable(what, head, rows string, on bool) int {
	switch {
	case !on:
		c.printf("No MIG-enabled devices found.\n")
		return 6
	case rows == "":
		c.printf("No %s found: Not Found\n", what)
		return 6
	}
	c.printf("%s%s", head, rows)
	return 0
}

func (c *call) migLGI(cards, chosen []gpu.Bound) int {
	const line = "+-------------------------------------------------------+\n"
	rows := ""
	on := c.migRows(cards, chosen, func(i int, card MIGCard) {
		for _, g := range card.Instances {
			p, _ := migProfileOf(g.Profile)
			rows += fmt.Sprintf("| %3d  MIG %-15s %3d      %3d          %d:%d     |\n", i, g.Profile, p.id, g.ID, g.Start, p.size) + line
		}
	})
	return c.migTable("GPU instances", line+"| GPU instances:                                        |\n| GPU   Name             Profile  Instance   Placement  |\n|                          ID       ID       Start:Size |\n|=======================================================|\n", rows, on)
}

func (c *call) migLCI(cards, chosen []gpu.Bound) int {
	const line = "+--------------------------------------------------------------------+\n"
	rows := ""
	on := c.migRows(cards, chosen, func(i int, card MIGCard) {
		for _, g := range card.Instances {
			start := 0
			for _, ci := range sortedNumbers(g.Computes) {
				rows += fmt.Sprintf("| %3d    %3d       MIG %-16s %2d        %2d          %d:%d     |\n", i, g.ID, computeName(g, ci), g.Computes[ci]-1, ci, start, g.Computes[ci]) + line
				start += g.Computes[ci]
			}
		}
	})
	return c.migTable("compute instances", line+"| Compute instances:                                                 |\n| GPU     GPU       Name             Profile   Instance   Placement  |\n|       Instance                       ID        ID       Start:Size |\n|         ID                                                         |\n|====================================================================|\n", rows, on)
}

func (c *call) migLGIP(cards, chosen []gpu.Bound) int {
	const line = "+-----------------------------------------------------------------------------+\n"
	rows := ""
	on := c.migRows(cards, chosen, func(i int, card MIGCard) {
		for _, p := range migProfiles() {
			free := 0
			for try := card; migFree(try, p, -1) >= 0; free++ {
				try.Instances = append(slices.Clone(try.Instances), MIGInstance{ID: -1, Profile: p.name, Start: migFree(try, p, -1)})
			}
			rows += fmt.Sprintf("| %3d  MIG %-14s %2d     %d/%d        %-7s    No    %3d     0     0   |\n|                                                            %2d     0     0   |\n", i, p.name, p.id, free, p.total, p.memory, p.sms, p.jobs) + line
		}
	})
	return c.migTable("GPU instance profiles", line+"| GPU instance profiles:                                                      |\n| GPU   Name             ID    Instances   Memory     P2P    SM    DEC   ENC  |\n|                              Free/Total   GiB              CE    JPEG  OFA  |\n|=============================================================================|\n", rows, on)
}

func (c *call) migLGIPP(cards, chosen []gpu.Bound) int {
	rows := ""
	on := c.migRows(cards, chosen, func(i int, _ MIGCard) {
		for _, p := range migProfiles() {
			word := "Placements:"
			if len(p.starts) == 1 {
				word = "Placement :"
			}
			rows += fmt.Sprintf("GPU %2d Profile ID %2d %s {%s}:%d\n", i, p.id, word, strings.Trim(strings.ReplaceAll(fmt.Sprint(p.starts), " ", ","), "[]"), p.size)
		}
	})
	return c.migTable("GPU instance placements", "", rows, on)
}

// migFree is a place for one more instance, or the wanted one if it is free; -1 for none.
func migFree(card MIGCard, p migProfile, want int) int {
	same := 0
	for _, g := range card.Instances {
		if g.Profile == p.name {
			same++
		}
	}
	for _, start := range p.starts {
		taken := same >= p.total || want >= 0 && start != want
		for _, g := range card.Instances {
			o, _ := migProfileOf(g.Profile)
			taken = taken || start < g.Start+o.size && g.Start < start+p.size
		}
		if !taken {
			return start
		}
	}
	return -1
}

// migCGI makes GPU instances of "PROFILE[:START],…", and with -C what fills each.
func (c *call) migCGI(b gpu.Bound, card MIGCard, specs string) int {
	if !card.On {
		c.printf("No MIG-enabled devices found.\n")
		return 6
	}
	for _, spec := range strings.Split(specs, ",") {
		name, place, placed := strings.Cut(spec, ":")
		p, known := migProfileOf(name)
		want := -1
		if placed {
			want, _ = strconv.Atoi(place)
		}
		start := migFree(card, p, want)
		switch {
		case !known:
			c.printf("Option \"%s\" is not a valid GPU instance profile name\n", name)
			return 2
		case start < 0:
			c.printf("Unable to create a GPU instance on GPU  %d using profile %d: Insufficient Resources\nFailed to create GPU instances: Insufficient Resources\n", b.Minor, p.id)
			return 23
		}
		g := MIGInstance{ID: migID(p, start), Profile: p.name, Start: start}
		if slices.Contains(c.argv, "-C") {
			g.Computes = map[int]int{0: p.jobs}
		}
		card.Instances = append(card.Instances, g)
		if err := c.m.SetMIG(b.Address, card); err != nil {
			return c.died(err, 1)
		}
		c.printf("Successfully created GPU instance ID %2d on GPU %2d using profile MIG %s (ID %2d)\n", g.ID, b.Minor, p.name, p.id)
	}
	return 0
}

// migCCI makes compute instances in a GPU instance: "1c.3g.20gb,…", or one of all of it.
func (c *call) migCCI(b gpu.Bound, card MIGCard, i int, parts string) int {
	g := card.Instances[i]
	p, _ := migProfileOf(g.Profile)
	set := map[int]int{}
	used := 0
	for ci, n := range g.Computes {
		set[ci] = n
		used += n
	}
	if parts == "" {
		parts = g.Profile
	}
	for _, part := range strings.Split(parts, ",") {
		n := p.jobs
		if slices, rest, is := strings.Cut(part, "c."); is && rest == g.Profile {
			n, _ = strconv.Atoi(slices)
		} else if part != g.Profile {
			c.printf("Option \"%s\" is not a valid compute instance profile name\n", part)
			return 2
		}
		if used += n; used > p.jobs {
			c.printf("Unable to create a compute instance on GPU  %d GPU instance ID %2d: Insufficient Resources\nFailed to create compute instances: Insufficient Resources\n", b.Minor, g.ID)
			return 23
		}
		ci := 0
		for ; set[ci] > 0; ci++ {
		}
		set[ci] = n
		c.printf("Successfully created compute instance ID %2d on GPU %2d GPU instance ID %2d using profile MIG %s (ID %2d)\n", ci, b.Minor, g.ID, part, n-1)
	}
	card.Instances[i].Computes = set
	if err := c.m.SetMIG(b.Address, card); err != nil {
		return c.died(err, 1)
	}
	return 0
}

// migDestroy takes away a GPU instance that has nothing in it, or its compute instances.
func (c *call) migDestroy(b gpu.Bound, card MIGCard, i int, computes bool) int {
	g := card.Instances[i]
	if len(c.m.gpuProcesses(b.Node())) > 0 || !computes && len(g.Computes) > 0 {
		c.printf("Unable to destroy GPU instance ID %2d from GPU %2d: In use by another client\nFailed to destroy GPU instances: In use by another client\n", g.ID, b.Minor)
		return 19
	}
	if computes {
		j := slices.Index(c.argv, "-ci")
		if j < 0 || j+1 == len(c.argv) {
			card.Instances[i].Computes = nil
		} else if ci, err := strconv.Atoi(c.argv[j+1]); err == nil {
			delete(card.Instances[i].Computes, ci)
		}
	} else {
		card.Instances = slices.Delete(card.Instances, i, i+1)
	}
	if err := c.m.SetMIG(b.Address, card); err != nil {
		return c.died(err, 1)
	}
	c.printf("Successfully destroyed GPU instance ID %2d from GPU %2d\n", g.ID, b.Minor)
	return 0
}
