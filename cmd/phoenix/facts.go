package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/facts"
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
	return p.ask(g, question{
		request: request{command: "facts", mode: tasks.ModeCheck, reach: &c.Reach, output: c.Out, table: factsTable},
		kind:    facts.Name, id: facts.Name + ":host", spec: &facts.Spec{},
	})
}

// factsTable writes a line per host. All that is known is in -o json.
func factsTable(w io.Writer, r report.Report, s term.Style) error {
	return hostTable(w, r, s, "HOST\tPVE\tKERNEL\tCORES\tFREE MEMORY\tUP\tCONTAINERS\tGPUS", func(host string, f facts.Facts) (lines, unknown []string) {
		return []string{strings.Join([]string{
			host, known(s.Clean(f.PVEVersion)), known(s.Clean(f.Kernel)), number(f.Cores), memory(f), uptime(f.UptimeS),
			containers(f.Containers), known(s.Clean(gpus(f.GPUs))),
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

// gpus names the devices by what the PCI bus calls them, same ones together:
// "2x 10de:2684 (nvidia)".
func gpus(list []facts.GPU) string {
	count := make(map[string]int)
	var names []string
	for _, g := range list {
		driver := g.Driver
		if driver == "" {
			driver = "no driver"
		}
		name := fmt.Sprintf("%s (%s)", g.PCIID, driver)
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
