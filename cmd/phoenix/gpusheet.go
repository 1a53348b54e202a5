package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/gpufacts"
	"phoenix/tasks/report/term"
)

// gpuSheet collects the lines of `phoenix gpus`, so that the columns of all hosts are as
// wide as the widest of them.
type gpuSheet struct {
	style    term.Style
	lines    []gpuLine
	troubles []string
	all      gpuTotals
}

// gpuLine is a line about a host, a card's, or a process's.
type gpuLine struct {
	host, text    string
	card, process []string
	role          term.Role // of the card's state
}

// cardHeading names the columns of a card.
func cardHeading() []string {
	return []string{"GPU", "NAME", "UUID", "MEMORY", "UTIL", "TEMP", "POWER", "STATE", "POLICY", "CONTAINERS"}
}

// policyColumn is there only where a card has a policy.
const policyColumn = 8

// stateColumn is where a card's state is.
const stateColumn = 7

// How far cards and processes are indented.
const (
	cardIndent    = "  "
	processIndent = "       "
)

// cardDrop and processDrop are the columns that go where the terminal is too narrow, the
// least important first.
func cardDrop() []int    { return []int{2, 5, 6, 8, 1, 4} }
func processDrop() []int { return []int{1} }

func (t *gpuSheet) about(host, text string) {
	t.lines = append(t.lines, gpuLine{host: host, text: text})
}

// troubled notes what went wrong at a host.
func (t *gpuSheet) troubled(host, why string) {
	said := t.style.Lines(why)
	t.troubles = append(t.troubles, t.style.Paint(term.Bad, "! ")+host+": "+said[0])
	for _, hint := range said[1:] {
		t.troubles = append(t.troubles, "    "+hint)
	}
}

func (t *gpuSheet) doubt(host, what string) {
	t.troubles = append(t.troubles, t.style.Paint(term.Change, "? ")+host+": "+t.style.Clean(what))
}

// host adds what a host told.
func (t *gpuSheet) host(name string, h *gpufacts.Host) {
	t.all.hosts++
	s := t.style
	others := h.All()[len(h.GPUs):]
	if len(h.GPUs)+len(others) == 0 {
		t.about(name, "no NVIDIA GPU")
		t.ledger(name, h)
		return
	}
	var sum gpuTotals
	at := len(t.lines)
	t.about(name, "")
	for i := range h.GPUs {
		sum.add(&h.GPUs[i])
		t.card(name, h, &h.GPUs[i])
	}
	for _, g := range others {
		c := h.Card(g.PCIAddress)
		sum.cards++
		sum.unmeasured++
		t.lines = append(t.lines, gpuLine{role: term.Change, card: []string{
			"-", s.Clean(c.Address), "?", "?", "?", "?", "?", s.Clean("driver " + cmp.Or(c.Driver, "none")), "", t.shares(h, &gpufacts.GPU{Index: -1, PCIAddress: c.Address}),
		}})
	}
	heading := sum.text()
	if h.DriverVersion != "" {
		heading += ", driver " + s.Clean(h.DriverVersion)
	}
	t.lines[at].text = heading
	t.all.join(sum)
	if h.Source != gpufacts.SourceNVML && h.Source != "" {
		t.doubt(name, "the facts are those of "+sourceName(h.Source))
	}
	t.ledger(name, h)
	for _, m := range h.Missed {
		t.doubt(name, fmt.Sprintf("no facts from %s: %s: %s", sourceName(m.Source), m.Kind, m.Text))
	}
	for _, u := range h.Unreadable {
		t.doubt(name, u)
	}
}

// sourceName is what people call a source of facts.
func sourceName(source string) string {
	names := map[string]string{
		gpufacts.SourceNVML: "NVIDIA's library", gpufacts.SourceSMI: "nvidia-smi",
		gpufacts.SourceProc: "/proc/driver/nvidia", gpufacts.SourceSysfs: "the PCI bus",
	}
	return cmp.Or(names[source], source)
}

// card adds a card with what runs on it.
func (t *gpuSheet) card(host string, h *gpufacts.Host, g *gpufacts.GPU) {
	s := t.style
	state, role := gpuState(h.Source, g)
	if c := h.Card(g.PCIAddress); c != nil && c.Driver != "nvidia" && role != term.Bad {
		state, role = "driver "+cmp.Or(c.Driver, "none"), term.Change
		unloaded := func(m gpufacts.Missed) bool { return m.Kind == gpufacts.KindDriverNotLoaded }
		if c.Driver == "" && slices.ContainsFunc(h.Missed, unloaded) {
			state = gpufacts.KindDriverNotLoaded
		}
	}
	t.lines = append(t.lines, gpuLine{role: role, card: []string{
		strconv.Itoa(g.Index), s.Clean(known(cmp.Or(g.Name, g.PCIID))), s.Clean(known(shortUUID(g.UUID))),
		cardMemory(g.Memory), cardUse(g.Utilization), cardTemperature(g.Temperature), cardPower(g.Power), s.Clean(state), policyOf(h, g), t.shares(h, g),
	}})
	if g.Error != nil {
		t.troubled(host, fmt.Sprintf("GPU %d: %s: %s", g.Index, g.Error.Kind, g.Error.Text))
	}
	for _, e := range g.GroupErrors {
		t.doubt(host, fmt.Sprintf("GPU %d: %s: %s: %s", g.Index, e.Group, e.Kind, e.Text))
	}
	if g.MIG != nil {
		t.instances(host, h, g)
	}
	for _, p := range g.Processes {
		who, inner, process := gpuOwner(s, h, p.PID)
		memory := "?"
		if p.Memory != nil {
			memory = memorySize(*p.Memory)
		}
		t.lines = append(t.lines, gpuLine{process: []string{who, inner, process, memory}})
	}
}

// instances adds the instances of a divided card with the containers that have them.
func (t *gpuSheet) instances(host string, h *gpufacts.Host, g *gpufacts.GPU) {
	s, unsized := t.style, false
	for k := range g.MIG.Instances {
		i := &g.MIG.Instances[k]
		unsized = unsized || i.Memory == nil
		var names []string
		for _, id := range h.Holders(g, i) {
			names = append(names, container(s, h, id))
		}
		t.lines = append(t.lines, gpuLine{process: []string{
			"MIG " + s.Clean(known(i.Profile)), cmp.Or(strings.Join(names, ", "), "-"), s.Clean(known(shortUUID(i.UUID))), cardMemory(i.Memory),
		}})
	}
	if unsized {
		t.doubt(host, fmt.Sprintf("GPU %d: the driver does not tell the memory of each of its MIG instances", g.Index))
	}
}

// assigned are the containers whose configuration has the card.
func (t *gpuSheet) assigned(h *gpufacts.Host, address string) string {
	var names []string
	if c := h.Card(address); c != nil {
		for _, id := range c.Assigned {
			names = append(names, container(t.style, h, id))
		}
	}
	return cmp.Or(strings.Join(names, ", "), "-")
}

func cardMemory(m *gpufacts.Memory) string {
	if m == nil {
		return "?"
	}
	return usedOf(m.Used, m.Total)
}

func cardUse(u *gpufacts.Utilization) string {
	if u == nil {
		return "?"
	}
	return fmt.Sprintf("%d%%", u.GPU)
}

func cardTemperature(c *gpufacts.Temperature) string {
	if c == nil || c.GPU == nil {
		return "?"
	}
	return fmt.Sprintf("%d C", *c.GPU)
}

func cardPower(p *gpufacts.Power) string {
	switch {
	case p == nil || p.Draw == nil:
		return "?"
	case p.Limit == nil:
		return fmt.Sprintf("%d W", watts(*p.Draw))
	}
	return fmt.Sprintf("%d / %d W", watts(*p.Draw), watts(*p.Limit))
}

// write writes the sheet within that many columns; 0 is no limit.
func (t *gpuSheet) write(w io.Writer, columns int) error {
	cards, processes := [][]string{cardHeading()}, [][]string(nil)
	for _, l := range t.lines {
		switch {
		case l.card != nil:
			cards = append(cards, l.card)
		case l.process != nil:
			processes = append(processes, l.process)
		}
	}
	if !slices.ContainsFunc(cards[1:], func(row []string) bool { return row[policyColumn] != "" }) {
		cards[0][policyColumn] = ""
	}
	for _, row := range cards {
		if cards[0][policyColumn] != "" && row[policyColumn] == "" {
			row[policyColumn] = "-"
		}
	}
	card := fitColumns(cards, cardDrop(), columns, len(cardIndent))
	process := fitColumns(processes, processDrop(), columns, len(processIndent))
	var out []string
	if len(cards) > 1 {
		out = append(out, t.row(cardIndent, cards[0], card, term.Plain, columns))
	}
	for _, l := range t.lines {
		switch {
		case l.card != nil:
			out = append(out, t.row(cardIndent, l.card, card, l.role, columns))
		case l.process != nil:
			out = append(out, t.row(processIndent, l.process, process, term.Plain, columns))
		default:
			out = append(out, t.line(l, columns))
		}
	}
	for _, trouble := range t.troubles {
		out = append(out, t.wrapped(trouble, columns)...)
	}
	for _, line := range out {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// wrapped is a line about a trouble within that many columns. A word that is longer than a
// line is cut: on a terminal, a row more would be one that nobody has counted.
func (t *gpuSheet) wrapped(line string, columns int) []string {
	out := term.Wrap(line, columns)
	for i := range out {
		if columns > 0 && term.Width(unpainted(out[i])) > columns {
			out[i] = t.style.Fit(unpainted(out[i]), columns, false)
		}
	}
	return out
}

// unpainted is a line without what Style.Paint puts around its parts.
func unpainted(line string) string {
	before, after, painted := strings.Cut(line, "\x1b[")
	for painted {
		_, after, _ = strings.Cut(after, "m")
		var next string
		next, after, painted = strings.Cut(after, "\x1b[")
		before += next
	}
	return before
}

// line is one about a host.
func (t *gpuSheet) line(l gpuLine, columns int) string {
	host, text := l.host, strings.Repeat(" ", columnGap)+l.text
	if columns > 0 {
		host = t.style.Fit(host, columns, false)
		text = t.style.Fit(text, columns-term.Width(host), false)
	}
	return t.style.Paint(term.Strong, host) + text
}

// fitColumns is the width of each column; 0 for those that are left out.
func fitColumns(rows [][]string, drop []int, columns, indent int) []int {
	if len(rows) == 0 {
		return nil
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], term.Width(cell))
		}
	}
	for _, i := range drop {
		if columns == 0 || rowWidth(widths, indent) <= columns {
			break
		}
		widths[i] = 0
	}
	return widths
}

// columnGap is between two columns.
const columnGap = 2

func rowWidth(widths []int, indent int) int {
	sum := indent - columnGap
	for _, w := range widths {
		if w > 0 {
			sum += w + columnGap
		}
	}
	return sum
}

// row is one line of columns, cut where even the columns that are left do not fit.
func (t *gpuSheet) row(indent string, cells []string, widths []int, state term.Role, columns int) string {
	var b strings.Builder
	b.WriteString(indent)
	room, last := columns-len(indent), lastColumn(widths)
	for i, cell := range cells {
		if widths[i] == 0 {
			continue
		}
		width := widths[i]
		if columns > 0 {
			width = min(width, max(room, 0))
		}
		text := t.style.Fit(cell, width, i != last)
		room -= width + columnGap
		if i == stateColumn && state != term.Plain {
			text = t.style.Paint(state, text)
		}
		b.WriteString(text)
		if i != last {
			b.WriteString(strings.Repeat(" ", columnGap))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

func lastColumn(widths []int) int {
	last := 0
	for i, w := range widths {
		if w > 0 {
			last = i
		}
	}
	return last
}
