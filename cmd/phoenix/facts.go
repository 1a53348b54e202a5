package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/kind/facts"
	cards "phoenix/tasks/kind/gpus"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// factsCmd is `phoenix facts`.
type factsCmd struct {
	Reach reach  `embed:""`
	Out   output `embed:""`
}

// Run is called by kong.
func (c *factsCmd) Run(p *program, g *cli) error {
	step, err := tasks.NewStep(cards.Name, gpuStep, gpuQuestion())
	if err != nil {
		return err
	}
	return p.ask(g, question{
		request: request{command: "facts", mode: tasks.ModeCheck, reach: &c.Reach, output: c.Out, table: factsTable},
		kind:    facts.Name, id: facts.Name + ":host", spec: &facts.Spec{}, also: []tasks.Step{step},
	})
}

// gpuStep is the step that asks for the cards, beside what else a host is.
const gpuStep = cards.Name + ":host"

// cardNames are the names of the cards of each host, by host and PCI address, as far as
// the driver told them.
func cardNames(r report.Report) map[string]string {
	names := map[string]string{}
	for _, h := range r.Hosts {
		for _, step := range h.Steps {
			var data gpufacts.Host
			if step.ID != gpuStep || json.Unmarshal(step.Data, &data) != nil {
				continue
			}
			for _, g := range data.GPUs {
				names[h.Name+" "+g.PCIAddress] = g.Name
			}
		}
	}
	return names
}

// factsTable writes a line per host. All that is known is in -o json.
func factsTable(w io.Writer, r report.Report, s term.Style) error {
	names := cardNames(r)
	return hostTable(w, r, s, "HOST\tPVE\tKERNEL\tCORES\tFREE MEMORY\tUP\tCONTAINERS\tGPUS", func(host string, f facts.Facts) (lines, unknown []string) {
		return []string{strings.Join([]string{
			host, known(s.Clean(f.PVEVersion)), known(s.Clean(f.Kernel)), number(f.Cores), memory(f), uptime(f.UptimeS),
			containers(f.Containers), known(s.Clean(gpus(f.GPUs, func(address string) string { return names[host+" "+address] }))),
		}, "\t")}, f.Unreadable
	})
}

// hostTable writes the lines of each host, which it makes of what the host told, under
// a heading, and below them what could not be told and why.
func hostTable[T any](w io.Writer, r report.Report, s term.Style, heading string, of func(host string, data T) (lines, unknown []string)) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, heading)
	var troubles []string
	for _, h := range r.Hosts {
		name := s.Clean(h.Name)
		data, why := dataOf[T](h)
		if why != "" {
			said := s.Lines(why)
			troubles = append(troubles, s.Paint(term.Bad, "! ")+name+": "+said[0])
			for _, hint := range said[1:] {
				troubles = append(troubles, "    "+hint)
			}
			fmt.Fprintf(tab, "%s\t%s\n", name, h.Status)
			continue
		}
		lines, unknown := of(name, data)
		for _, line := range lines {
			fmt.Fprintln(tab, line)
		}
		for _, u := range unknown {
			troubles = append(troubles, s.Paint(term.Change, "? ")+name+": "+s.Clean(u))
		}
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	for _, t := range troubles {
		if _, err := fmt.Fprintln(w, t); err != nil {
			return err
		}
	}
	return nil
}

// dataOf reads what a host told in its one step, or says why it did not.
func dataOf[T any](h report.Host) (data T, why string) {
	if h.Error != nil {
		return data, strings.TrimSpace(h.Error.Error() + "\n" + h.Error.Hint)
	}
	if len(h.Steps) == 0 {
		return data, string(h.Status)
	}
	step := h.Steps[0]
	if step.Why != "" {
		return data, step.Why
	}
	if err := json.Unmarshal(step.Data, &data); err != nil {
		return data, "read what the host told: " + err.Error()
	}
	return data, ""
}

// known marks what a host did not tell, so that a column is never empty.
func known(s string) string {
	if s == "" {
		return "?"
	}
	return s
}

func number(n int) string {
	if n == 0 {
		return "?"
	}
	return strconv.Itoa(n)
}

// memory is what is free of all there is, in GiB.
func memory(f facts.Facts) string {
	if f.MemoryMB == 0 {
		return "?"
	}
	return fmt.Sprintf("%.1f of %.1f GiB", float64(f.MemoryAvailableMB)/1024, float64(f.MemoryMB)/1024)
}

func uptime(seconds int64) string {
	switch d := time.Duration(seconds) * time.Second; {
	case seconds == 0:
		return "?"
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
}

func containers(list []facts.Container) string {
	running := 0
	for _, c := range list {
		if c.Running {
			running++
		}
	}
	if len(list) == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, %d running", len(list), running)
}

// gpus names the devices by what the driver calls them, or else the PCI bus, same ones
// together: "2x NVIDIA GeForce RTX 4090 (nvidia)", "1x 10de:2684 (vfio-pci)".
func gpus(list []facts.GPU, nameOf func(address string) string) string {
	count := make(map[string]int)
	var names []string
	for _, g := range list {
		driver := g.Driver
		if driver == "" {
			driver = "no driver"
		}
		name := fmt.Sprintf("%s (%s)", cmp.Or(nameOf(g.Address), g.PCIID), driver)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		count[name]++
	}
	for i, n := range names {
		names[i] = fmt.Sprintf("%dx %s", count[n], n)
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}
