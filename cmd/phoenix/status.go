package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks"
	doing "phoenix/tasks/kind/status"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// statusCmd is `phoenix status`.
type statusCmd struct {
	CTID  []string `arg:"" optional:"" help:"Only these containers, by number, range (900-910) or name; all by default."`
	Reach reach    `embed:""`
	Out   output   `embed:""`
}

// Run is called by kong.
func (c *statusCmd) Run(p *program, g *cli) error {
	return p.lookAt(g, c.CTID, lookRequest{
		request: request{command: "status", mode: tasks.ModeCheck, reach: &c.Reach, output: c.Out, table: statusTable},
		drift:   true,
	})
}

// lookRequest is a question about containers.
type lookRequest struct {
	request
	// drift asks also whether they are as the configuration wants them.
	drift bool
}

// lookAt asks the hosts what their containers are doing: all of them, or those that
// are named.
func (p *program) lookAt(g *cli, words []string, r lookRequest) error {
	ctx := context.Background()
	if err := checkWords(words); err != nil {
		return err
	}
	fleet, hosts, err := p.selected(ctx, g)
	if err != nil {
		return err
	}
	named, err := chooseContainers(fleet.Hosts, hosts, words)
	if err != nil {
		return err
	}
	var work []assignment
	for _, h := range hosts {
		spec, asked := r.spec(h, named)
		if !asked {
			continue
		}
		step, err := tasks.NewStep(doing.Name, doing.Name+":host", spec)
		if err != nil {
			return err
		}
		work = append(work, assignment{host: h, steps: []tasks.Step{step}})
	}
	rec, err := p.carryOut(ctx, g, fleet, work, r.request)
	if err != nil {
		return err
	}
	return rec.finish()
}

// spec is the question to one host; none when containers are named and it has none of
// them.
func (r lookRequest) spec(h *inventory.Host, named []chosen) (*doing.Spec, bool) {
	spec := &doing.Spec{}
	for _, c := range named {
		if c.host == h {
			spec.CTIDs = append(spec.CTIDs, c.ctid)
		}
	}
	for i := range h.Containers {
		s := h.Containers[i].Spec
		if r.drift && (len(named) == 0 || slices.Contains(spec.CTIDs, s.CTID)) {
			spec.Wanted = append(spec.Wanted, s)
		}
	}
	return spec, len(named) == 0 || len(spec.CTIDs) > 0
}

// containerTable writes the lines of each host's containers under a heading.
func containerTable(w io.Writer, r report.Report, s term.Style, heading string, of func(host string, c doing.Container) []string) error {
	return hostTable(w, r, s, heading, func(host string, d doing.Data) (lines, unknown []string) {
		for _, c := range d.Containers {
			lines = append(lines, of(host, c)...)
			if c.DriftUnknown != "" {
				unknown = append(unknown, c.DriftUnknown)
			}
		}
		return lines, append(unknown, d.Unreadable...)
	})
}

// statusTable writes a line per container.
func statusTable(w io.Writer, r report.Report, s term.Style) error {
	return containerTable(w, r, s, "HOST\tCTID\tNAME\tSTATE\tUP\tMEMORY\tIP\tDRIFT", func(host string, c doing.Container) []string {
		up, memory, ip := "-", "-", "-"
		if c.State == doing.StateRunning {
			up, memory, ip = "?", "?", "none"
			if c.UptimeS != nil {
				up = runningFor(*c.UptimeS)
			}
			if c.MemoryBytes != nil {
				memory = inMemory(*c.MemoryBytes) + " of " + inMemory(c.MemoryLimitBytes)
			}
			switch {
			case len(c.Addresses) > 0:
				ip = c.Addresses[0]
			case c.UptimeS == nil:
				ip = "?"
			}
		}
		name := c.Name
		if name == "" {
			name = "-"
		}
		return []string{strings.Join([]string{host, strconv.Itoa(c.CTID), s.Clean(name), s.Clean(containerState(c)), up, memory, s.Clean(ip), s.Clean(drift(c))}, "\t")}
	})
}

// containerState is the state with what is special about it.
func containerState(c doing.Container) string {
	text := c.State
	if c.Node != "" {
		text += " to " + c.Node
	}
	if c.Lock != "" {
		text += " (" + c.Lock + ")"
	}
	return text
}

// driftShown is how many properties the table names.
const driftShown = 2

// drift names what differs from the configuration.
func drift(c doing.Container) string {
	switch {
	case !c.Managed:
		return "not managed"
	case c.DriftUnknown != "":
		return "?"
	case len(c.Drift) == 0:
		return "no"
	case len(c.Drift) > driftShown:
		return fmt.Sprintf("%s and %d more", strings.Join(c.Drift[:driftShown], ", "), len(c.Drift)-driftShown)
	}
	return strings.Join(c.Drift, ", ")
}

// runningFor is like uptime, to the second for what has only just started.
func runningFor(seconds int64) string {
	if seconds < 120 {
		return fmt.Sprintf("%d s", seconds)
	}
	return uptime(seconds)
}

// inMemory is a size of memory.
func inMemory(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// snapshotTable writes a line per snapshot, each container's oldest first.
func snapshotTable(w io.Writer, r report.Report, s term.Style) error {
	return containerTable(w, r, s, "HOST\tCTID\tNAME\tSNAPSHOT\tTAKEN (UTC)\tDESCRIPTION", func(host string, c doing.Container) []string {
		var lines []string
		for _, snap := range c.Snapshots {
			taken, text, name := "?", "-", snap.Name
			if !snap.Taken.IsZero() {
				taken = snap.Taken.UTC().Format("2006-01-02 15:04")
			}
			if first, _, _ := strings.Cut(snap.Description, "\n"); first != "" && !phoenixOwn(snap) {
				text = first
			}
			if snap.Incomplete {
				name += " (incomplete)"
			}
			lines = append(lines, strings.Join([]string{host, strconv.Itoa(c.CTID), s.Clean(c.Name), s.Clean(name), taken, s.Clean(text)}, "\t"))
		}
		return lines
	})
}

// phoenixOwn tells whether a snapshot's description says no more than its name does.
func phoenixOwn(snap doing.Snapshot) bool {
	return strings.HasPrefix(snap.Name, "phoenix-") && strings.HasPrefix(snap.Description, "taken by phoenix (")
}
