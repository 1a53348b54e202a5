package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"phoenix/inventory"
)

// validateCmd is `phoenix validate`.
type validateCmd struct {
	Out listing `embed:""`
}

// Run is called by kong.
func (c *validateCmd) Run(p *program, g *cli) error {
	fleet, found := p.read(context.Background(), g)
	if c.Out.Output == "json" {
		raw, err := json.MarshalIndent(map[string]any{"valid": !found.HasErrors(), "diagnostics": found}, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%s\n", raw)
	} else if err := found.Render(p.stderr, p.faultStyle(g)); err != nil {
		return err
	}
	switch {
	case found.HasErrors():
		if c.Out.Output == "text" {
			fmt.Fprintf(p.stderr, "phoenix: %s; nothing was contacted\n", found.Counts())
		}
		return exitError(exitInvalid)
	case c.Out.Output == "text" && !g.Quiet:
		fmt.Fprintln(p.stdout, census(fleet))
	}
	return nil
}

// census is "valid: 3 hosts, 12 containers".
func census(f *inventory.Fleet) string {
	containers := 0
	for _, h := range f.Hosts {
		containers += len(h.Containers)
	}
	return "valid: " + strings.Join([]string{count(len(f.Hosts), "host"), count(containers, "container")}, ", ")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
