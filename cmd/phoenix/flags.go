package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"phoenix/inventory/diag"
)

// reach is the flags of every command that reaches hosts.
type reach struct {
	Forks             int           `default:"256" placeholder:"N" help:"Hosts worked on at once; 256 by default."`
	DialLimit         int           `default:"64" placeholder:"N" help:"Connections opened at once; 64 by default."`
	Timeout           time.Duration `placeholder:"DURATION" help:"Bound for the whole run, such as 30m; none by default."`
	HostTimeout       time.Duration `placeholder:"DURATION" help:"Bound for one host; none by default."`
	DialTimeout       time.Duration `default:"20s" placeholder:"DURATION" help:"Bound for connecting to and authenticating at one host; 20s by default."`
	StepTimeout       time.Duration `default:"1h" placeholder:"DURATION" help:"Bound for one step, in whole seconds; 1h by default."`
	MaxFailures       int           `placeholder:"N" help:"Start no further host once this many have failed or are unreachable."`
	AcceptNewHostKeys bool          `help:"Record the key of a host that is not in known_hosts yet. A changed key is refused all the same."`
	KnownHosts        string        `type:"path" placeholder:"FILE" help:"Use this known_hosts file instead of the ssh configuration's."`
	Identity          []string      `type:"path" sep:"none" placeholder:"FILE" help:"Private key to offer, beside the inventory's. May be repeated."`
}

// Validate is called by kong. A bound of nothing would read as no bound at all
// further down, so it is refused here.
func (r *reach) Validate() error {
	if r.Forks < 1 {
		return &usageError{fmt.Sprintf("--forks %d: at least one host has to be worked on", r.Forks)}
	}
	if r.DialLimit < 1 {
		return &usageError{fmt.Sprintf("--dial-limit %d: at least one connection has to be opened", r.DialLimit)}
	}
	if r.MaxFailures < 0 {
		return &usageError{fmt.Sprintf("--max-failures %d: is a number of hosts; 0 is no limit", r.MaxFailures)}
	}
	if r.StepTimeout < time.Second {
		return &usageError{fmt.Sprintf("--step-timeout %s: is at least 1s", r.StepTimeout)}
	}
	if r.DialTimeout <= 0 {
		return &usageError{fmt.Sprintf("--dial-timeout %s: is a time above 0, such as 20s", r.DialTimeout)}
	}
	for _, path := range r.Identity {
		// A public key alone chooses among the agent's.
		if _, err := os.Stat(path); err != nil && !exists(path+".pub") {
			return &usageError{fmt.Sprintf("--identity %s: %v", path, errors.Unwrap(err))}
		}
	}
	for name, d := range map[string]time.Duration{"timeout": r.Timeout, "host-timeout": r.HostTimeout} {
		if d < 0 {
			return &usageError{fmt.Sprintf("--%s %s: is a time, such as 30m; 0 is no bound", name, d)}
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// output is the flag of every command that has a report to give.
type output struct {
	Output []string `short:"o" sep:"none" placeholder:"FORMAT[=FILE]" help:"text, json, ndjson or junit, to standard output or to a file. May be repeated."`
}

// listing is the flag of commands that answer from the files alone. It has a variable
// of its own: PHOENIX_OUTPUT=junit, set for the runs of a pipeline, says nothing about
// them.
type listing struct {
	Output string `short:"o" enum:"text,json" default:"text" env:"PHOENIX_LISTING_OUTPUT" help:"text or json."`
}

// selection is the flags that pick steps.
type selection struct {
	Tags     []string `short:"t" placeholder:"TAG" help:"Only steps with one of these tags: a family, the ID of a step, ct900, inside, or a tag of the configuration."`
	SkipTags []string `placeholder:"TAG" help:"All steps but those with one of these tags."`
}

// given refuses what was written on the command line and would quietly mean something
// else: an empty choice (`-l "$HOST"` with nothing in it) would mean every host, and
// of two limits the last alone would count. An empty variable is no choice.
func given(c *kong.Context) error {
	limits := 0
	for _, e := range c.Path {
		if e.Flag == nil || e.Resolved {
			continue
		}
		switch name := e.Flag.Name; name {
		case "limit":
			limits++
			if strings.Trim(e.Flag.Target.String(), " :,") == "" {
				return &usageError{"--limit is empty; leave it out to take every host"}
			}
		case "tags", "skip-tags":
			tags, _ := e.Flag.Target.Interface().([]string)
			if len(tags) == 0 || slices.Contains(tags, "") {
				return &usageError{fmt.Sprintf("--%s has an empty tag; leave the flag out to take every step", name)}
			}
		}
	}
	if limits > 1 {
		return &usageError{"--limit is given twice; join its parts: --limit pve1:pve2"}
	}
	return nil
}

// misspelled warns of variables that look like a flag's and are none: PHOENIX_LIMT
// would make a run reach every host.
func (p *program) misspelled(app *kong.Application) {
	known := variables(app.Node)
	for _, v := range p.variables() {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "PHOENIX_") || slices.Contains(known, name) {
			continue
		}
		// What is far from every flag is somebody's own, such as a secret's source.
		if near := diag.Suggest(strings.TrimPrefix(name, "PHOENIX_"), bare(known)); near != "" {
			p.warn(fmt.Sprintf("%s sets nothing; did you mean PHOENIX_%s?", name, near))
		}
	}
}

func bare(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, strings.TrimPrefix(n, "PHOENIX_"))
	}
	return out
}

// variables are the names of all variables that flags listen to.
func variables(n *kong.Node) []string {
	var out []string
	for _, f := range n.Flags {
		out = append(out, f.Envs...)
	}
	for _, child := range n.Children {
		out = append(out, variables(child)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
