// Command phoenix turns a fleet of Proxmox VE hosts into what two JSON files say
// they should be, over plain SSH, and audits them property by property.
//
//	phoenix check -i hosts.yaml    what differs; changes nothing
//	phoenix run   -i hosts.yaml    make it so, and write a report
//
// Data goes to stdout; progress, warnings and hints go to stderr. The exit codes
// are listed in docs/exit-codes.md and by `phoenix --help`.
//
// Each command has a file of its own; cli.go is the grammar, session.go is what
// the commands that reach hosts share.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
)

func main() {
	// A run is short and makes much garbage in little memory: collecting less often
	// saves a tenth of the processor time of a large fleet.
	debug.SetGCPercent(300)
	if err := forgetEmpty(os.Environ()); err != nil {
		fmt.Fprintln(os.Stderr, "phoenix: read the environment:", err)
		os.Exit(exitFailed)
	}
	os.Exit(processProgram().main(os.Args[1:]))
}
