package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"phoenix/inventory"
	"phoenix/inventory/diag"
)

// inventoryCmd is `phoenix inventory`.
type inventoryCmd struct {
	List  inventoryListCmd  `cmd:"" help:"List the selected hosts and what they carry."`
	Show  inventoryShowCmd  `cmd:"" help:"Show the effective settings of a host and where each comes from."`
	Graph inventoryGraphCmd `cmd:"" help:"Show groups, their hosts and their containers."`
}

type inventoryListCmd struct {
	Out listing `embed:""`
}

// listed is a host in the JSON of `inventory list`.
type listed struct {
	Name       string   `json:"name"`
	Address    string   `json:"address"`
	Groups     []string `json:"groups"`
	Containers []int    `json:"containers"`
}

// Run is called by kong.
func (c *inventoryListCmd) Run(p *program, g *cli) error {
	_, hosts, err := p.selected(context.Background(), g)
	if err != nil {
		return err
	}
	if c.Out.Output == "json" {
		out := []listed{}
		for _, h := range hosts {
			out = append(out, listed{h.Name, h.Address, append([]string{}, h.Groups...), append([]int{}, h.CTIDs...)})
		}
		return p.printJSON(out)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tADDRESS\tGROUPS\tCONTAINERS")
	for _, h := range hosts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", h.Name, h.Address, dash(strings.Join(h.Groups, ",")), dash(ranges(h.CTIDs)))
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// ranges writes ascending numbers the way an inventory does: "900-903,950".
func ranges(ids []int) string {
	var parts []string
	for i := 0; i < len(ids); {
		j := i
		for j+1 < len(ids) && ids[j+1] == ids[j]+1 {
			j++
		}
		part := strconv.Itoa(ids[i])
		if j > i {
			part += "-" + strconv.Itoa(ids[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

type inventoryShowCmd struct {
	Host string  `arg:"" help:"Name of the host in the inventory."`
	Out  listing `embed:""`
}

// Run is called by kong.
func (c *inventoryShowCmd) Run(p *program, g *cli) error {
	fleet, err := p.load(context.Background(), g)
	if err != nil {
		return err
	}
	h := fleet.Host(c.Host)
	if h == nil {
		var names []string
		for _, other := range fleet.Hosts {
			names = append(names, other.Name)
		}
		text := fmt.Sprintf("no host is called %q", c.Host)
		if hint := diag.DidYouMean(c.Host, names); hint != "" {
			text += " (" + hint + ")"
		}
		return &usageError{text}
	}
	if c.Out.Output == "json" {
		return p.printJSON(h.Settings())
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, s := range h.Settings() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Key, diag.Clean(s.Value), s.Origin)
	}
	return w.Flush()
}

type inventoryGraphCmd struct{}

// Run is called by kong.
func (c *inventoryGraphCmd) Run(p *program, g *cli) error {
	fleet, hosts, err := p.selected(context.Background(), g)
	if err != nil {
		return err
	}
	for _, b := range fleet.Graph() {
		b.Hosts = slices.DeleteFunc(b.Hosts, func(l inventory.Leaf) bool {
			return !slices.ContainsFunc(hosts, func(h *inventory.Host) bool { return h.Name == l.Name })
		})
		if len(b.Hosts) == 0 && g.Limit != "" {
			continue
		}
		name := "@" + b.Name
		if b.Name == "" {
			name = "(no group)"
		}
		fmt.Fprintln(p.stdout, name)
		for _, child := range b.Children {
			fmt.Fprintln(p.stdout, "  @"+child)
		}
		for _, h := range b.Hosts {
			fmt.Fprintln(p.stdout, "  "+h.Name)
			for _, guest := range h.Containers {
				fmt.Fprintf(p.stdout, "    %d %s\n", guest.CTID, diag.Clean(guest.Name))
			}
		}
	}
	return nil
}

// printJSON writes a value as indented JSON.
func (p *program) printJSON(v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n", raw)
	return err
}
