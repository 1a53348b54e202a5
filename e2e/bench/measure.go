package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"phoenix/e2e/floor"
	"phoenix/e2e/realhost"
)

// bench is a running fleet and what is measured on it.
type bench struct {
	settings
	fleet *realhost.Fleet
}

// program is one competitor: a command line and what it reads.
type program struct {
	name  string
	argv  []string
	stdin []byte
}

// sample is one run of a program.
type sample struct {
	wall, cpu time.Duration
	peakKB    int64
}

// start runs a program once and returns what it cost. Exit status 0 is demanded:
// a check that finds differences, or fails, is no measurement.
func (p program) start(ctx context.Context, env []string) (sample, error) {
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Stdin = bytes.NewReader(p.stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), env...)
	begin := time.Now()
	err := cmd.Run()
	wall := time.Since(begin)
	if err != nil {
		tail := out.Bytes()
		return sample{}, fmt.Errorf("run %s: %w: %s", p.name, err, tail[max(0, len(tail)-2000):])
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return sample{}, errors.New("this system does not tell what a process used")
	}
	return sample{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), usage.Maxrss}, nil
}

// floors are the two yardsticks on the given hosts.
func (b bench) floors(hosts []*realhost.Host) (bare, minimal program, err error) {
	self, err := os.Executable()
	if err != nil {
		return bare, minimal, err
	}
	wanted, err := minimalInput(30)
	if err != nil {
		return bare, minimal, err
	}
	in := clientInput{Identity: b.fleet.IdentityFile, Wanted: wanted}
	for _, h := range hosts {
		in.Hosts = append(in.Hosts, floor.Host{Addr: fmt.Sprintf("%s:%d", h.Address, h.Port), HostKey: h.HostKey})
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return bare, minimal, err
	}
	return program{"bare", []string{self, "client", "bare"}, raw},
		program{"minimal", []string{self, "client", "minimal"}, raw}, nil
}

// check is a `phoenix check` of the given hosts with that many properties.
func (b bench) check(hosts []*realhost.Host, properties int) (program, error) {
	inventory, err := configure(b.dir, hosts, properties)
	if err != nil {
		return program{}, err
	}
	return program{
		name: fmt.Sprintf("check %d", properties),
		argv: []string{b.phoenix, "check", "-i", inventory, "--known-hosts", b.fleet.KnownHosts},
	}, nil
}

// env keeps the benchmark's runs out of the person's own.
func (b bench) env() []string {
	return []string{"XDG_STATE_HOME=" + b.dir, "HOME=" + b.dir, "SSH_AUTH_SOCK="}
}

// rounds runs the programs in turn, after one round that does not count and that
// puts the helper on the hosts.
func (b bench) turns(ctx context.Context, programs ...program) (map[string][]sample, error) {
	samples := map[string][]sample{}
	for round := -1; round < b.rounds; round++ {
		for _, p := range programs {
			s, err := p.start(ctx, b.env())
			if err != nil {
				return nil, err
			}
			if round >= 0 {
				samples[p.name] = append(samples[p.name], s)
			}
		}
	}
	return samples, nil
}

// ratios divides the walls of two programs round by round.
func ratios(a, b []sample) []float64 {
	var out []float64
	for i := range a {
		out = append(out, a[i].wall.Seconds()/b[i].wall.Seconds())
	}
	slices.Sort(out)
	return out
}

func median[T float64 | int64 | time.Duration](sorted []T) T { return sorted[len(sorted)/2] }

func sorted[T float64 | int64 | time.Duration](list []sample, of func(sample) T) []T {
	var out []T
	for _, s := range list {
		out = append(out, of(s))
	}
	slices.Sort(out)
	return out
}

// exitedWith tells whether a program ended with the given status.
func exitedWith(err error, code int) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == code
}
