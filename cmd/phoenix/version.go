package main

import (
	"fmt"
	"runtime"

	"phoenix/agentlet/dist"
)

// versionCmd is `phoenix version`.
type versionCmd struct{}

// Run is called by kong.
func (c *versionCmd) Run(p *program) error {
	fmt.Fprintf(p.stdout, "phoenix %s (%s, %s/%s)\n", p.version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, arch := range dist.Arches() {
		gz, sha, err := dist.Helper(arch)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "helper %-5s %s, %d bytes compressed\n", arch, sha, len(gz))
	}
	return nil
}
