package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/gpufacts"
)

// element is one of nvidia-smi's document.
type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

// at returns the text of the first of some paths ("fb_memory_usage/total") that has one;
// empty where nvidia-smi knows nothing.
func (e element) at(paths ...string) string {
	for _, path := range paths {
		at := []element{e}
		for word := range strings.SplitSeq(path, "/") {
			if at = at[0].all(word); len(at) == 0 {
				break
			}
		}
		if len(at) == 0 {
			continue
		}
		if text := strings.TrimSpace(at[0].Text); text != "" && text != "N/A" && !strings.Contains(text, "deprecated") {
			return text
		}
	}
	return ""
}

func (e element) all(name string) []element {
	var found []element
	for _, c := range e.Children {
		if c.XMLName.Local == name {
			found = append(found, c)
		}
	}
	return found
}

// line is one fact from both sides.
type line struct {
	card             int
	fact, probe, smi string
	same             bool
}

func (l line) String() string {
	mark := "same   "
	if !l.same {
		mark = "DIFFERS"
	}
	return fmt.Sprintf("%s  card %d  %-22s  probe %-42q  nvidia-smi %q", mark, l.card, l.fact, l.probe, l.smi)
}

// compare lists the facts that either side has. A measured value may move between the
// two questions, by as much as its fact allows.
func compare(document []byte, doc *gpufacts.Document) ([]line, error) {
	var log element
	if err := xml.Unmarshal(document, &log); err != nil {
		return nil, fmt.Errorf("read nvidia-smi's document: %w", err)
	}
	cards := log.all("gpu")
	lines := []line{
		exactly(-1, "driver_version", doc.DriverVersion, log.at("driver_version")),
		exactly(-1, "cuda_version", doc.CUDAVersion, log.at("cuda_version")),
		exactly(-1, "cards", strconv.Itoa(len(doc.GPUs)), strconv.Itoa(len(cards))),
	}
	for i, g := range doc.GPUs {
		if i < len(cards) {
			lines = append(lines, texts(g, cards[i])...)
			lines = append(lines, measures(g, cards[i])...)
			lines = append(lines, processes(g, cards[i]))
		}
		if g.Error != nil {
			lines = append(lines, line{g.Index, "error", g.Error.Text, "", false})
		}
		for _, f := range g.GroupErrors {
			lines = append(lines, line{g.Index, f.Group, f.Text, "", false})
		}
	}
	return slices.DeleteFunc(lines, func(l line) bool { return l.probe == "" && l.smi == "" }), nil
}

func exactly(card int, fact, probe, smi string) line {
	return line{card, fact, probe, smi, probe == smi}
}

// texts are the facts that do not move.
func texts(g gpufacts.GPU, e element) []line {
	id := e.at("pci/pci_device_id")
	if len(id) == 8 {
		id = strings.ToLower(id[4:] + ":" + id[:4])
	}
	all := [][3]string{
		{"uuid", g.UUID, e.at("uuid")},
		{"name", g.Name, e.at("product_name")},
		{"architecture", g.Architecture, e.at("product_architecture")},
		{"serial", g.Serial, e.at("serial")},
		{"vbios_version", g.VBIOSVersion, e.at("vbios_version")},
		{"minor", whole(g.Minor), e.at("minor_number")},
		{"pci_address", g.PCIAddress, strings.ToLower(strings.TrimPrefix(e.at("pci/pci_bus_id"), "0000"))},
		{"pci_id", g.PCIID, strings.TrimPrefix(id, "0x")},
		{"persistence_mode", enabled(g.PersistenceMode), e.at("persistence_mode")},
		{"compute_mode", g.ComputeMode, strings.ToLower(e.at("compute_mode"))},
	}
	if g.ECC != nil || e.at("ecc_mode/current_ecc") != "" {
		ecc := gpufacts.ECC{}
		if g.ECC != nil {
			ecc = *g.ECC
		}
		all = append(all, [3]string{"ecc", enabled(&ecc.Enabled), e.at("ecc_mode/current_ecc")}, [3]string{"ecc pending", enabled(ecc.Pending), e.at("ecc_mode/pending_ecc")})
	}
	if g.MIG != nil {
		all = append(all, [3]string{"mig", enabled(&g.MIG.Enabled), e.at("mig_mode/current_mig")},
			[3]string{"mig instances", strconv.Itoa(len(g.MIG.Instances)), strconv.Itoa(len(at(e, "mig_devices").all("mig_device")))})
	}
	if r := g.RowRemapping; r != nil {
		all = append(all, [3]string{"rows corrected", strconv.Itoa(r.Corrected), e.at("remapped_rows/remapped_row_corr")},
			[3]string{"rows uncorrected", strconv.Itoa(r.Uncorrected), e.at("remapped_rows/remapped_row_unc")},
			[3]string{"rows pending", yes(r.Pending != nil && *r.Pending), e.at("remapped_rows/remapped_row_pending")},
			[3]string{"rows failed", yes(r.Failed != nil && *r.Failed), e.at("remapped_rows/remapped_row_failure")})
	}
	lines := make([]line, len(all))
	for i, f := range all {
		lines[i] = exactly(g.Index, f[0], f[1], f[2])
	}
	return lines
}

// at is the first child of a name, or an empty element.
func at(e element, name string) element {
	if found := e.all(name); len(found) > 0 {
		return found[0]
	}
	return element{}
}

// measures are the facts that are numbers, in nvidia-smi's units.
func measures(g gpufacts.GPU, e element) []line {
	number := func(fact string, probe *float64, near float64, paths ...string) line {
		l := line{card: g.Index, fact: fact, smi: e.at(paths...)}
		word, _, _ := strings.Cut(l.smi, " ")
		v, err := strconv.ParseFloat(strings.TrimPrefix(word, "P"), 64)
		if probe != nil {
			l.probe = strconv.FormatFloat(*probe, 'f', -1, 64)
		}
		l.same = probe == nil && l.smi == "" || probe != nil && err == nil && math.Abs(*probe-v) <= near
		return l
	}
	memory, use, heat := deref(g.Memory), deref(g.Utilization), deref(g.Temperature)
	power, clocks := deref(g.Power), deref(g.Clocks)
	const anything = 1e6 // a value that moves freely: only that both have it
	lines := []line{
		number("temperature", scaled(heat.GPU, 1), 5, "temperature/gpu_temp"),
		number("power draw", scaled(power.Draw, 1000), 100, "gpu_power_readings/instant_power_draw", "gpu_power_readings/power_draw", "power_readings/power_draw"),
		number("power limit", scaled(power.Limit, 1000), 0.01, "gpu_power_readings/current_power_limit", "gpu_power_readings/enforced_power_limit", "power_readings/enforced_power_limit", "power_readings/current_power_limit"),
		number("power default", scaled(power.Default, 1000), 0.01, "gpu_power_readings/default_power_limit", "power_readings/default_power_limit"),
		number("power min", scaled(power.Min, 1000), 0.01, "gpu_power_readings/min_power_limit", "power_readings/min_power_limit"),
		number("power max", scaled(power.Max, 1000), 0.01, "gpu_power_readings/max_power_limit", "power_readings/max_power_limit"),
		number("graphics clock", scaled(clocks.Graphics, 1), anything, "clocks/graphics_clock"),
		number("sm clock", scaled(clocks.SM, 1), anything, "clocks/sm_clock"),
		number("memory clock", scaled(clocks.Memory, 1), anything, "clocks/mem_clock"),
		number("max graphics clock", scaled(clocks.MaxGraphics, 1), 0, "max_clocks/graphics_clock"),
		number("max sm clock", scaled(clocks.MaxSM, 1), 0, "max_clocks/sm_clock"),
		number("max memory clock", scaled(clocks.MaxMemory, 1), 0, "max_clocks/mem_clock"),
		number("performance state", scaled(g.PerformanceState, 1), 15, "performance_state", "power_readings/power_state"),
	}
	if g.Utilization != nil {
		lines = append(lines, number("utilization", scaled(&use.GPU, 1), anything, "utilization/gpu_util"), number("memory utilization", scaled(&use.Memory, 1), anything, "utilization/memory_util"))
	}
	if len(g.FansPercent) > 0 {
		lines = append(lines, number("fan", scaled(&g.FansPercent[0], 1), 20, "fan_speed"))
	}
	if g.Memory != nil {
		lines = append(lines, number("memory total", mebibytes(memory.Total), 1, "fb_memory_usage/total"), number("memory used", mebibytes(memory.Used), 256, "fb_memory_usage/used"))
		if memory.Reserved != nil {
			lines = append(lines, number("memory reserved", mebibytes(*memory.Reserved), 1, "fb_memory_usage/reserved"))
		}
	}
	return lines
}

// processes compares the numbers of the processes, each once.
func processes(g gpufacts.GPU, e element) line {
	var probe, smi []string
	for _, p := range g.Processes {
		probe = append(probe, strconv.Itoa(p.PID))
	}
	for _, p := range at(e, "processes").all("process_info") {
		smi = append(smi, p.at("pid"))
	}
	list := func(pids []string) string {
		slices.Sort(pids)
		return strings.Join(slices.Compact(pids), " ")
	}
	return exactly(g.Index, "processes", list(probe), list(smi))
}

func deref[T any](p *T) T {
	var none T
	if p == nil {
		return none
	}
	return *p
}

func scaled(n *int, by float64) *float64 {
	if n == nil {
		return nil
	}
	v := float64(*n) / by
	return &v
}

func mebibytes(n uint64) *float64 {
	v := float64(n >> 20)
	return &v
}

func whole(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func enabled(b *bool) string {
	switch {
	case b == nil:
		return ""
	case *b:
		return "Enabled"
	}
	return "Disabled"
}

func yes(b bool) string {
	if b {
		return "Yes"
	}
	return "No"
}
