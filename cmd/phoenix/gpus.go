package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"phoenix/agentlet/dist"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/gpufacts/findings"
	cards "phoenix/tasks/kind/gpus"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// gpusCmd is `phoenix gpus`.
type gpusCmd struct {
	Watch bool           `help:"Show them again and again, until Ctrl-C."`
	Every *time.Duration `placeholder:"DURATION" help:"With --watch: how often; 2s by default."`
	Reach reach          `embed:""`
	Out   output         `embed:""`
}

// Validate is called by kong.
func (c *gpusCmd) Validate() error {
	if c.Every != nil && *c.Every < 500*time.Millisecond {
		return &usageError{fmt.Sprintf("--every %s: is at least 500ms", *c.Every)}
	}
	if c.Every != nil && *c.Every > 24*time.Hour {
		return &usageError{fmt.Sprintf("--every %s: is at most 24h", *c.Every)}
	}
	if c.Watch && slices.ContainsFunc(c.Out.Output, func(v string) bool { return v != "text" }) {
		return &usageError{"--watch shows text; leave it out to have the facts once, with -o json"}
	}
	return nil
}

// Run is called by kong.
func (c *gpusCmd) Run(p *program, g *cli) error {
	if c.Watch {
		return c.watch(p, g)
	}
	if _, env := p.lookup("PHOENIX_EVERY"); c.Every != nil && !env {
		return &usageError{"--every is for --watch, and there is none"}
	}
	return p.ask(g, question{
		request: request{command: "gpus", mode: tasks.ModeCheck, reach: &c.Reach, output: c.Out, table: p.gpuTable(c.Out)},
		kind:    cards.Name, id: gpuStep, spec: gpuQuestion(), ledger: true,
	})
}

// gpuQuestion names the probe of the usual architecture. A host of another one says so,
// and is asked again by its own name (transport/fleet).
func gpuQuestion() *cards.Spec {
	_, hash, err := dist.Probe("amd64")
	if err != nil {
		return &cards.Spec{} // this phoenix has none; the answer says what came of that
	}
	return &cards.Spec{Probe: hash}
}

// gpuTable is how GPUs are shown: within the terminal's width where that is where they
// go, and with every column elsewhere.
func (p *program) gpuTable(o output) func(io.Writer, report.Report, term.Style) error {
	columns := p.gpuColumns(o)
	return func(w io.Writer, r report.Report, s term.Style) error { return gpuLines(w, r, s, columns) }
}

// gpuColumns is the width of the terminal that GPUs are shown on; 0 is no limit.
func (p *program) gpuColumns(o output) int {
	if !p.stdoutTTY || slices.ContainsFunc(o.Output, func(v string) bool { return strings.HasPrefix(v, "text=") }) {
		return 0
	}
	return p.columns()
}

// gpuLines writes the GPUs of all hosts, grouped by host, the processes on each below it.
// A columns of 0 is no limit.
func gpuLines(w io.Writer, r report.Report, s term.Style, columns int) error {
	return gpuSheetOf(r, s, nil).write(w, columns)
}

// gpuSheetOf is the sheet of a report. A mark is said of a host before all else, or, where
// it has not told anything yet, in place of it.
func gpuSheetOf(r report.Report, s term.Style, marks map[string]string) *gpuSheet {
	t := &gpuSheet{style: s, all: gpuTotals{asked: len(r.Hosts)}}
	for _, h := range r.Hosts {
		name, mark := s.Clean(h.Name), marks[h.Name]
		data, why := dataOf[gpufacts.Host](h)
		if mark != "" && len(h.Steps) == 0 {
			t.about(name, mark)
			continue
		}
		if why != "" {
			t.troubled(name, why)
			t.about(name, string(h.Status))
			continue
		}
		at := len(t.lines)
		t.host(name, &data)
		if mark != "" {
			t.lines[at].text = mark + ": " + t.lines[at].text
		}
	}
	if len(r.Hosts) > 1 {
		t.about("fleet", t.all.text())
	}
	return t
}

// gpuTotals adds up the cards of a host or of the fleet.
type gpuTotals struct {
	asked, hosts     int // 0 for those of one host
	cards, processes int
	used, total      uint64 // bytes of memory
	unmeasured       int    // cards whose memory is not known
	draw, limit      int    // milliwatts
}

func (t *gpuTotals) add(g *gpufacts.GPU) {
	t.cards++
	t.processes += len(g.Processes)
	if m := g.Memory; m != nil {
		t.used += m.Used
		t.total += m.Total
	} else {
		t.unmeasured++
	}
	if p := g.Power; p != nil && p.Draw != nil && p.Limit != nil {
		t.draw += *p.Draw
		t.limit += *p.Limit
	}
}

func (t *gpuTotals) join(o gpuTotals) {
	t.cards += o.cards
	t.processes += o.processes
	t.used += o.used
	t.total += o.total
	t.unmeasured += o.unmeasured
	t.draw += o.draw
	t.limit += o.limit
}

func (t *gpuTotals) text() string {
	var parts []string
	switch {
	case t.asked > t.hosts:
		parts = append(parts, fmt.Sprintf("%d of %s", t.hosts, counted(t.asked, "host")))
	case t.asked > 0:
		parts = append(parts, counted(t.hosts, "host"))
	}
	parts = append(parts, counted(t.cards, "GPU"))
	if t.total > 0 {
		memory := usedOf(t.used, t.total) + " used"
		if t.unmeasured > 0 {
			memory += fmt.Sprintf(" (%d unknown)", t.unmeasured)
		}
		parts = append(parts, memory)
	}
	if t.limit > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d W", watts(t.draw), watts(t.limit)))
	}
	if t.total > 0 {
		parts = append(parts, counted(t.processes, "process"))
	}
	return strings.Join(parts, ", ")
}

// counted is "1 GPU", "2 GPUs", "2 processes".
func counted(n int, what string) string { return findings.Counted(uint64(max(n, 0)), what) }

// usedOf is "24 MiB of 24.0 GiB".
func usedOf(used, total uint64) string { return memorySize(used) + " of " + memorySize(total) }

// memorySize is a size that a host told.
func memorySize(n uint64) string { return inMemory(int64(min(n, 1<<62))) }

func watts(milli int) int { return (milli + 500) / 1000 }

// gpuState is what is wrong with a card, or special; "ok" where nothing is, and "?" where
// nobody could tell.
func gpuState(source string, g *gpufacts.GPU) (state string, role term.Role) {
	switch faults, worst := gpuFaults(g); {
	case worst == gpufacts.SeverityCritical:
		return strings.Join(faults, ", "), term.Bad
	case len(faults) > 0:
		return strings.Join(faults, ", "), term.Change
	case source != gpufacts.SourceNVML && source != gpufacts.SourceSMI:
		return "?", term.Change
	case g.MIG != nil && g.MIG.Enabled:
		return "ok, MIG", term.Good
	}
	return "ok", term.Good
}

// gpuFaults are the faults of a card in a word or two each, the worst first, as phoenix
// check finds them.
func gpuFaults(g *gpufacts.GPU) (words []string, worst gpufacts.Severity) {
	list := findings.OfCard(g)
	for _, f := range list {
		if f.Severity != gpufacts.SeverityNote {
			words = append(words, f.Word)
		}
	}
	return words, findings.Worst(list)
}

// gpuOwner is whom a process belongs to: the container or "host", the container inside
// it, and the process.
func gpuOwner(s term.Style, h *gpufacts.Host, pid int) (who, inner, process string) {
	o := h.Owner(pid)
	if o == nil {
		return "?", "-", fmt.Sprintf("? (%d)", pid)
	}
	who, inner = "host", "-"
	if o.CTID != 0 {
		who = container(s, h, o.CTID)
	}
	if o.Container != "" {
		inner = s.Clean(cmp.Or(o.Runtime, "container") + " " + shortID(o.Container))
	}
	return who, inner, fmt.Sprintf("%s (%d)", s.Clean(cmp.Or(o.Name, "?")), pid)
}

// container is a container's number and name.
func container(s term.Style, h *gpufacts.Host, ctid int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", ctid, s.Clean(h.ContainerName(ctid))))
}

// shortID is a container's ID as docker shows it.
func shortID(id string) string { return id[:min(len(id), 12)] }

// shortUUID tells cards apart that one person has: "GPU-5c0a4b3d".
func shortUUID(uuid string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(uuid, "GPU-"), "MIG-"), "-")
	return uuid[:min(len(uuid), 4)] + first[:min(len(first), 8)]
}
