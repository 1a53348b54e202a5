package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"phoenix/transport/lab"
)

// labCmd is `phoenix lab`.
type labCmd struct {
	Hosts   int           `default:"3" help:"Number of simulated hosts."`
	GPUs    int           `name:"gpus" placeholder:"N" help:"NVIDIA devices on each host."`
	Latency time.Duration `placeholder:"DURATION" help:"Delay of everything sent, in each direction: 25ms makes a round trip of 50 ms."`
	Release string        `enum:"8.4,9.1" default:"8.4" help:"Proxmox VE release to simulate: 8.4 or 9.1."`
	Dir     string        `default:"phoenix-lab" type:"path" placeholder:"DIR" help:"Keeps the hosts' state, the inventory, both configurations and a key."`
	Command []string      `arg:"" optional:"" passthrough:"" help:"Command to run in DIR; the lab stops with it and takes over its exit status. Put -- before it."`
}

// Run is called by kong.
func (c *labCmd) Run(p *program) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	l, err := lab.Start(context.Background(), lab.Options{Dir: c.Dir, Hosts: c.Hosts, GPUs: c.GPUs, Latency: c.Latency, Release: c.Release})
	if err != nil {
		return err
	}
	defer l.Close()
	argv := c.Command
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	if len(argv) > 0 {
		return c.command(p, argv, signals)
	}
	fmt.Fprintf(p.stderr, "lab: %s of Proxmox VE %s on 127.0.0.1, in %s\n", count(len(l.Hosts), "host"), c.Release, c.Dir)
	fmt.Fprintf(p.stderr, "try: cd %s && phoenix check; phoenix run\nCtrl-C stops the lab; the hosts keep their state.\n", c.Dir)
	<-signals
	return nil
}

// command runs a program with the lab's folder as its working directory and waits
// for it to end. A Ctrl-C of the terminal reaches it by itself, and the hosts go on until it
// has ended; a SIGTERM is passed on.
func (c *labCmd) command(p *program, argv []string, signals <-chan os.Signal) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	if _, err := exec.LookPath(argv[0]); err != nil && argv[0] == "phoenix" {
		// Not installed yet: the one that is running is meant.
		if own, err := os.Executable(); err == nil {
			cmd.Path, cmd.Err = own, nil
		}
	}
	if strings.ContainsRune(argv[0], filepath.Separator) {
		// A relative path means the folder that the person is in, not the lab's.
		path, err := filepath.Abs(argv[0])
		if err != nil {
			return err
		}
		cmd.Path = path
	}
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Dir, p.stdin, p.stdout, p.stderr
	if c, ok := p.stdout.(*checked); ok {
		cmd.Stdout = c.Writer // the file itself, which may be a terminal
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the command: %w", err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGTERM {
					_ = cmd.Process.Signal(s)
				}
			case <-ended:
				return
			}
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exitError(exit.ExitCode())
	case errors.As(err, &exit):
		return exitError(128 + int(exit.Sys().(syscall.WaitStatus).Signal()))
	}
	return fmt.Errorf("wait for the command: %w", err)
}
