// Command agentlet is the helper that phoenix puts on a host: `agentlet serve NONCE`
// takes one job from its standard input, runs it on this machine, and writes what
// happens to its standard output; `agentlet guard TOKEN` is the watchdog of one
// change (package guard). It never listens, never stays longer than that, and is of no
// use by hand. Start reading at agentlet.Server.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"phoenix/tasks/guard"
	"phoenix/tasks/local"
)

func main() {
	if len(os.Args) != 3 || os.Args[1] != "serve" && os.Args[1] != "guard" {
		fmt.Fprintln(os.Stderr, "usage: agentlet serve NONCE | guard TOKEN (phoenix starts it; there is nothing to do by hand)")
		os.Exit(64)
	}
	// A session is over before garbage matters; the limit is for one that is not.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(256 << 20)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	outlive(cancel)
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "agentlet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, verb, word string) error {
	if verb == "guard" {
		return guard.Watch(ctx, &local.Host{}, word)
	}
	server, err := thisMachine()
	if err != nil {
		return err
	}
	return server.Serve(ctx, os.Stdin, os.Stdout, word)
}
