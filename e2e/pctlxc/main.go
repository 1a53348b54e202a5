// Command pctlxc is pct for end-to-end tests with real containers: the simulated pct
// keeps the books (configurations in Proxmox's grammar, volumes, locks, what it prints
// and refuses), and Debian's LXC has the files and the processes. What it leaves running
// is LXC's own, so that lxc-attach and lxc-info are the real programs.
//
// It acts on the root file system it runs in, which must be a throw-away one with a
// simulated Proxmox host laid over it (e2e/realhost). It does not enforce sizes of
// volumes nor limits of memory and processors, asks nobody for an address, and refuses
// the verbs that reach into a container from outside. Start reading at lxc.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"

	"phoenix/tasks/sim"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "pctlxc:", err)
		code = 1
	}
	os.Exit(code)
}

func run(args []string) (int, error) {
	if len(args) > 0 && args[0] == "exec" {
		return 0, enter(args[1:])
	}
	if len(args) > 0 && slices.Contains([]string{"enter", "push", "pull", "mount", "unmount", "suspend", "resume"}, args[0]) {
		return 0, fmt.Errorf("pct %s: not made for real containers", args[0])
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer stop()
	m, err := sim.Open("/", sim.Options{Seed: uint64(os.Getpid())})
	if err != nil {
		return 0, err
	}
	m.Containers = lxc{}
	return m.Exec(ctx, append([]string{"pct"}, args...), sim.Streams{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}), nil
}

// enter becomes lxc-attach, as `pct exec CTID -- PROGRAM` does.
func enter(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("pct exec: not enough arguments")
	}
	attach, err := exec.LookPath("lxc-attach")
	if err != nil {
		return err
	}
	command := args[1:]
	if command[0] == "--" {
		command = command[1:]
	}
	return syscall.Exec(attach, append([]string{"lxc-attach", "-n", args[0], "--clear-env", "--"}, command...), os.Environ())
}
