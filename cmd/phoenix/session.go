package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"phoenix/inventory"
	"phoenix/inventory/diag"
	"phoenix/inventory/plan"
	"phoenix/inventory/secrets"
	"phoenix/tasks"
	"phoenix/tasks/report/term"
	"phoenix/transport"
	"phoenix/transport/ssh"
)

// load reads and validates the inventory and every configuration. Its faults are
// told here; then the error is only the exit code.
func (p *program) load(ctx context.Context, g *cli) (*inventory.Fleet, error) {
	return p.loadTelling(ctx, g, false)
}

// loadTelling is load. Warnings stop nothing, and most commands are about something else:
// only where detailed is set they are told in full.
func (p *program) loadTelling(ctx context.Context, g *cli, detailed bool) (*inventory.Fleet, error) {
	fleet, found := p.read(ctx, g)
	if n := len(found.Warnings()); n > 0 && !found.HasErrors() && (!detailed || g.Quiet) {
		them := "them"
		if n == 1 {
			them = "it"
		}
		fmt.Fprintf(p.stderr, "phoenix: %s: phoenix validate shows %s\n", found.Counts(), them)
		return fleet, nil
	}
	if err := found.Render(p.stderr, p.faultStyle(g)); err != nil {
		return nil, err
	}
	if found.HasErrors() {
		fmt.Fprintf(p.stderr, "phoenix: %s; nothing was contacted\n", found.Counts())
		return nil, exitError(exitInvalid)
	}
	return fleet, nil
}

// read reads and validates everything; the fleet is nil when the list has errors.
func (p *program) read(ctx context.Context, g *cli) (*inventory.Fleet, diag.List) {
	fleet, found := inventory.Load(ctx, p.inventoryOptions(g))
	if fleet == nil {
		return nil, found
	}
	found.Add(plan.Faults(fleet)...)
	if found.Sort(); found.HasErrors() {
		return nil, found
	}
	return fleet, found
}

func (p *program) inventoryOptions(g *cli) inventory.Options {
	return inventory.Options{Sources: g.Inventory, Stdin: p.stdin, Home: p.home, UID: os.Getuid()}
}

func (p *program) faultStyle(g *cli) diag.Style {
	return diag.Style{Color: p.style(g, p.stderrTTY).Color, Caret: p.stderrTTY}
}

// style is how text may be put on a stream.
func (p *program) style(g *cli, terminal bool) term.Style {
	return term.Decide(term.Input{Color: term.ColorMode(g.Color), Getenv: p.environ, Terminal: terminal})
}

// verbosity is what -q and -v say.
func (g *cli) verbosity() term.Verbosity {
	if g.Quiet {
		return term.Quiet
	}
	return term.Normal + term.Verbosity(min(g.Verbose, 2))
}

// selected loads the inventory and picks the hosts.
func (p *program) selected(ctx context.Context, g *cli) (*inventory.Fleet, []*inventory.Host, error) {
	fleet, err := p.load(ctx, g)
	if err != nil {
		return nil, nil, err
	}
	return p.among(fleet, g)
}

// among picks the hosts of --limit.
func (p *program) among(fleet *inventory.Fleet, g *cli) (*inventory.Fleet, []*inventory.Host, error) {
	hosts, err := fleet.Select(g.Limit)
	if err != nil {
		fmt.Fprintf(p.stderr, "phoenix: %v; nothing was contacted\n", err)
		return nil, nil, exitError(exitInvalid)
	}
	return fleet, hosts, nil
}

// assignment is what one host is asked to do.
type assignment struct {
	host  *inventory.Host
	steps []tasks.Step
	// secrets are the names that the steps refer to.
	secrets []string
	// limits are those of the plan.
	limits map[string]int
	// agreed is what the operator agreed to on this host alone.
	agreed tasks.Consent
}

// resolve finds the value of every secret that is needed, all faults at once.
func (p *program) resolve(ctx context.Context, fleet *inventory.Fleet, work []assignment) (map[string]string, error) {
	needed := map[string]bool{}
	for _, a := range work {
		for _, name := range a.secrets {
			needed[name] = true
		}
		if a.host.BecomePassword != "" {
			needed[a.host.BecomePassword] = true
		}
	}
	if len(needed) == 0 {
		return map[string]string{}, nil
	}
	resolver := secrets.Resolver{Sources: fleet.Secrets, Env: p.lookup, Home: p.home, UID: os.Getuid(), Stderr: p.stderr}
	if p.interactive() {
		resolver.Prompt = func(question string) (string, error) { return p.askSecret(ctx, question) }
	}
	values, err := resolver.Resolve(ctx, slices.Sorted(maps.Keys(needed)))
	if errors.Is(err, errInterrupted) {
		return nil, p.interrupted()
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "phoenix: %v\nphoenix: nothing was contacted\n", err)
		return nil, exitError(exitInvalid)
	}
	return values, nil
}

// target is how a host is reached.
func target(h *inventory.Host, r *reach, values map[string]string) transport.Target {
	return transport.Target{
		Name: h.Name, Address: h.Address, Port: h.Port, User: h.User, Jump: h.Jump,
		IdentityFiles: slices.Concat(h.IdentityFiles, r.Identity), HostKey: h.HostKey,
		Become: h.Become, BecomePassword: values[h.BecomePassword],
	}
}

// dialer is the SSH side. ask is called for passphrases; nil when nobody is there.
func (p *program) dialer(r *reach, warn func(string), ask func(context.Context, string) (string, error)) *ssh.Dialer {
	d := &ssh.Dialer{
		AcceptNew: r.AcceptNewHostKeys, Prompt: ask, MaxDials: r.DialLimit, Log: warn,
		Home: p.home, Env: p.environ, Now: p.now,
		Timeouts: transport.Timeouts{Dial: r.DialTimeout},
	}
	if r.KnownHosts != "" {
		d.KnownHosts = []string{r.KnownHosts}
	}
	return d
}

// interrupted is the end of a command whose operator pressed Ctrl-C at a question.
func (p *program) interrupted() error {
	fmt.Fprintln(p.stderr, "phoenix: interrupted; nothing was contacted")
	return exitError(exitInterrupted)
}

// errNoTerminal is the answer to a question that nobody is there to be asked.
var errNoTerminal = errors.New("there is no terminal to ask on")
