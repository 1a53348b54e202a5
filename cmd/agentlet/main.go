// Command agentlet is the helper that phoenix puts on a host: `agentlet serve NONCE`
// takes one job from its standard input, runs it on this machine, and writes what
// happens to its standard output; `agentlet inside NONCE FOLDER` is the copy of it that
// works in a container (package inside), and takes away the folder that it lies in;
// `agentlet guard TOKEN` is the watchdog of one change (package guard). It never listens,
// never stays longer than that, and is of no use by hand. Start reading at
// agentlet.Server.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"phoenix/tasks/guard"
	"phoenix/tasks/inside"
	"phoenix/tasks/local"
)

func main() {
	verb, words := "", []string(nil)
	if len(os.Args) > 2 {
		verb, words = os.Args[1], os.Args[2:]
	}
	if n := map[string]int{"serve": 1, "guard": 1, "inside": 2}[verb]; n == 0 || len(words) != n {
		fmt.Fprintln(os.Stderr, "usage: agentlet serve NONCE | inside NONCE FOLDER | guard TOKEN (phoenix starts it; there is nothing to do by hand)")
		os.Exit(64)
	}
	// A session is over before garbage matters; the limit is for one that is not.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(256 << 20)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	outlive(cancel)
	if err := run(ctx, verb, words); err != nil {
		fmt.Fprintln(os.Stderr, "agentlet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, verb string, words []string) error {
	switch verb {
	case "guard":
		return guard.Watch(ctx, &local.Host{}, words[0])
	case "inside":
		if err := vanish(words[1]); err != nil {
			return err
		}
		return inside.Serve(ctx, &local.Host{}, os.Stdin, os.Stdout, words[0])
	}
	server, err := thisMachine()
	if err != nil {
		return err
	}
	return server.Serve(ctx, os.Stdin, os.Stdout, words[0])
}

// vanish takes away the folder that this program was started from, which it needs no
// more.
func vanish(folder string) error {
	if exe, err := os.Executable(); err != nil || !strings.HasPrefix(exe, folder+"/") {
		return fmt.Errorf("take %s away: this program is not in it", folder)
	}
	return os.RemoveAll(folder)
}
