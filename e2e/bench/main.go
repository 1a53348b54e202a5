// Command bench says how far a warm `phoenix check` is from the floor, as ratios
// within one run: against `bare`, a client that dials and runs true, and against
// `minimal`, the same client running a static program that checks the same things
// with no protocol, journal or report around it. Then it says what a host with a
// hundred containers costs, beside what Proxmox's own program would.
//
// All programs talk to the same OpenSSH servers on this machine, take turns for at
// least five rounds, and are compared round by round; medians and spread are
// printed, and a target that is missed is printed as missed. It exits with 0 either
// way: a figure is for people to read, and a noisy machine is no broken build.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"phoenix/e2e/realhost"
)

// settings of one run of the benchmark.
type settings struct {
	hosts, many, lab, rounds int
	phoenix                  string
	dir                      string
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "client" {
		exit(client(context.Background(), os.Args[2:]))
	}
	var s settings
	flag.IntVar(&s.hosts, "hosts", 50, "hosts behind real sshds")
	flag.IntVar(&s.many, "many", 200, "hosts for the memory and processor figures")
	flag.IntVar(&s.lab, "lab", 1000, "hosts in the lab's one process")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds of each program")
	flag.StringVar(&s.phoenix, "phoenix", "bin/phoenix", "the built program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, s))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, s settings) error {
	var err error
	if s.phoenix, err = filepath.Abs(s.phoenix); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "phoenix-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	simulator, err := build(ctx, s.dir, "pvesim")
	if err != nil {
		return err
	}
	minimal, err := build(ctx, s.dir, "minimal")
	if err != nil {
		return err
	}
	fmt.Printf("starting %d OpenSSH servers ...\n", s.many)
	fleet, err := realhost.Start(ctx, realhost.Options{Dir: s.dir, Hosts: s.many, Simulator: simulator, Programs: []string{minimal}, Prepare: prepare()})
	if err != nil {
		return err
	}
	defer fleet.Stop()
	b := bench{settings: s, fleet: fleet}
	if err := b.speed(ctx); err != nil {
		return err
	}
	if err := b.cost(ctx); err != nil {
		return err
	}
	if err := b.containers(ctx); err != nil {
		return err
	}
	return b.thousand(ctx)
}

// build builds one of the static programs that run on the hosts.
func build(ctx context.Context, dir, name string) (string, error) {
	bin := filepath.Join(dir, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "phoenix/e2e/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", name, err, out)
	}
	return bin, nil
}

// prepare makes the files that the configurations ask for.
func prepare() string {
	return fmt.Sprintf(`i=0
mkdir -p /etc/bench
while [ $i -lt %d ]; do printf '%s' $i > /etc/bench/file$i; chmod 0644 /etc/bench/file$i; i=$((i+1)); done
`, filesFor(300), contentFormat)
}
