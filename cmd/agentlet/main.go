// Command agentlet is the helper that phoenix puts on a host: `agentlet serve NONCE`
// takes one job from its standard input, runs it on this machine, and writes what
// happens to its standard output. It never listens, never stays, and is of no use
// by hand. Start reading at agentlet.Server.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
)

func main() {
	if len(os.Args) != 3 || os.Args[1] != "serve" {
		fmt.Fprintln(os.Stderr, "usage: agentlet serve NONCE (phoenix starts it; there is nothing to do by hand)")
		os.Exit(64)
	}
	// A session is over before garbage matters; the limit is for one that is not.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(256 << 20)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	outlive(cancel)
	server, err := thisMachine()
	if err == nil {
		err = server.Serve(ctx, os.Stdin, os.Stdout, os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "agentlet:", err)
		os.Exit(1)
	}
}
