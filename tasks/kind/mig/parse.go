package mig

import (
	"errors"
	"slices"
	"sort"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
)

// instance is one GPU instance of a card.
type instance struct {
	id, start int
	profile   string
	// parts are its compute instances by profile, in the order of their places; ids are
	// their numbers.
	parts []string
	ids   []int
	// add are compute instances that it is to get.
	add []string
	// given are the containers that are configured with it, whether they run or not.
	given []string
}

// status is what nvidia-smi says of one card. A mode of [N/A] is that of a card that
// cannot be divided.
type status struct{ index, address, uuid, current, pending, name string }

const wordOn = "Enabled"

// statusKeys are asked for; the name comes last: it alone may have a comma.
const statusKeys = "--query-gpu=index,pci.bus_id,uuid,mig.mode.current,mig.mode.pending,name"

// parseStatus reads what nvidia-smi says to statusKeys, as CSV without a heading.
func parseStatus(text string) ([]*status, error) {
	var out []*status
	for _, line := range tasks.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ", ", 6)
		if len(f) != 6 {
			return nil, unread(f)
		}
		address, ok := gpu.CardName(f[1])
		uuid, is := gpu.CardName(f[2])
		if !ok || !is || !gpu.IsIndex(f[0]) || !gpu.IsUUID(uuid) || !strings.Contains(address, ":") {
			return nil, unread(f)
		}
		out = append(out, &status{f[0], address, uuid, f[3], f[4], f[5]})
	}
	return out, nil
}

func unread(words []string) error {
	return errors.New("read nvidia-smi: " + strconv.Quote(strings.TrimSpace(strings.Join(words, " "))) + " is not understood")
}

// rows are the lines of one of nvidia-smi's tables that name a profile, as their words
// without the MIG before it: "|   0  MIG 1g.5gb  19  7  4:1 |".
func rows(text string) (out [][]string) {
	for _, line := range tasks.Lines(text) {
		f := strings.Fields(strings.Trim(strings.TrimSpace(line), "|"))
		if i := slices.Index(f, "MIG"); i > 0 {
			out = append(out, append(f[:i:i], f[i+1:]...))
		}
	}
	return out
}

// start is the first number of a place, START:SIZE.
func start(word string) int {
	word, _, _ = strings.Cut(word, ":")
	return number(word)
}

// parseInstances reads of one card `nvidia-smi mig -lgi` (GPU, name, profile, instance,
// place) and `-lci` (GPU, GPU instance, name, profile, instance, place; older drivers tell
// no place).
func parseInstances(index, gpus, computes string) (out []*instance, err error) {
	for _, f := range rows(gpus) {
		f = append(f, "", "", "", "") // a short row has no numbers there
		g := &instance{id: number(f[3]), start: start(f[4]), profile: f[1]}
		if _, _, n, _ := shape(f[1]); n == 0 || g.id < 0 || g.start < 0 || f[0] == index && byID(out, g.id) != nil {
			err = unread(f)
		} else if f[0] == index {
			out = append(out, g)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].start < out[j].start })
	for _, f := range rows(computes) {
		f = append(f, "", "", "", "")
		g, id := byID(out, number(f[1])), number(f[4])
		if _, _, n, _ := shape(f[2]); n == 0 || id < 0 || f[0] == index && g == nil {
			err = unread(f)
		} else if f[0] == index {
			g.parts, g.ids = append(g.parts, f[2]), append(g.ids, id)
		}
	}
	return out, err
}

func byID(list []*instance, id int) *instance {
	for _, g := range list {
		if g.id == id {
			return g
		}
	}
	return nil
}

// offer is one profile that a card has, and where its GPU instances can be.
type offer struct {
	name, id    string
	total, size int
	starts      []int
}

// parseOffers reads of one card `nvidia-smi mig -lgip` (GPU, name, profile, free/total) and
// `-lgipp`: "GPU  0 Profile ID 19 Placements: {0,1,2,3,4,5,6}:1", or "Placement : {0}:8".
func parseOffers(index, profiles, places string) (out []*offer, err error) {
	for _, f := range rows(profiles) {
		f = append(f, "", "")
		_, total, _ := strings.Cut(f[3], "/")
		if f[0] == index {
			out = append(out, &offer{name: f[1], id: f[2], total: number(total)})
		}
	}
	for _, line := range tasks.Lines(places) {
		head, tail, _ := strings.Cut(line, "{")
		list, size, is := strings.Cut(strings.TrimSpace(tail), "}:")
		f := strings.Fields(head)
		if !is || len(f) < 5 || f[1] != index {
			continue
		}
		for _, o := range out {
			if o.id != f[4] {
				continue
			}
			o.size = number(size)
			for _, w := range strings.Split(list, ",") {
				o.starts = append(o.starts, number(w))
			}
			if o.size < 1 || slices.Contains(o.starts, -1) {
				return nil, unread([]string{line})
			}
		}
	}
	return out, nil
}
