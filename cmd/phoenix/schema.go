package main

import (
	"fmt"
	"strings"

	"phoenix/schemas"
)

// schemaCmd is `phoenix schema`.
type schemaCmd struct {
	Name string `arg:"" optional:"" help:"hypervisor, lxc, inventory, feature or report; without it, the names."`
}

// Run is called by kong.
func (c *schemaCmd) Run(p *program) error {
	if c.Name == "" {
		_, err := fmt.Fprintln(p.stdout, strings.Join(schemas.Names(), "\n"))
		return err
	}
	raw, err := schemas.Get(c.Name)
	if err != nil {
		return &usageError{err.Error()}
	}
	_, err = p.stdout.Write(raw)
	return err
}
