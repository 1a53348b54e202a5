package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"phoenix/inventory"
	"phoenix/inventory/plan"
	"phoenix/tasks"
	cards "phoenix/tasks/kind/gpus"
	"phoenix/tasks/kind/reboot"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
	"phoenix/transport/fleet"
)

// runCmd is `phoenix run`.
type runCmd struct {
	DryRun       bool       `help:"Only report what would be changed; the same as check, in the words of a run."`
	NoRestart    bool       `help:"Restart no container; what needs it stays pending. Services are restarted all the same."`
	AllowDestroy []flagCTID `placeholder:"CTID" help:"Containers that may be destroyed or replaced, without being asked."`
	AllowReboot  bool       `help:"Reboot the hosts that need it, wait for them, and go on."`
	AllowWipe    []string   `placeholder:"DISK" help:"Disks, as /dev/disk/by-id/…, whose content may be lost to a new pool."`
	Selection    selection  `embed:""`
	Reach        reach      `embed:""`
	Out          output     `embed:""`
}

// Run is called by kong.
func (c *runCmd) Run(p *program, g *cli) error {
	for _, disk := range c.AllowWipe {
		if name, ok := strings.CutPrefix(disk, "/dev/disk/by-id/"); !ok || name == "" || strings.Contains(name, "/") {
			return &usageError{fmt.Sprintf("--allow-wipe %q: want a path below /dev/disk/by-id, as the configuration names the disk", disk)}
		}
	}
	mode := tasks.ModeRun
	if c.DryRun {
		mode = tasks.ModeCheck
	}
	return p.converge(g, request{
		command: "run", mode: mode, dryRun: c.DryRun, asks: !c.DryRun, selection: c.Selection, reach: &c.Reach, output: c.Out,
		consent: tasks.Consent{Destroy: ctids(c.AllowDestroy), Restart: !c.NoRestart, Reboot: c.AllowReboot, Wipe: c.AllowWipe},
	})
}

// checkCmd is `phoenix check`.
type checkCmd struct {
	Boot      bool      `help:"Also say which containers would start if their host were rebooted now, and what to mend."`
	Selection selection `embed:""`
	Reach     reach     `embed:""`
	Out       output    `embed:""`
}

// Run is called by kong.
func (c *checkCmd) Run(p *program, g *cli) error {
	return p.converge(g, request{
		command: "check", mode: tasks.ModeCheck, boot: c.Boot, cards: gpuQuestion(), selection: c.Selection, reach: &c.Reach, output: c.Out,
		consent: tasks.Consent{Restart: true}, // as a run without further flags
	})
}

// request is one command that sends jobs to hosts.
type request struct {
	command string
	mode    tasks.Mode
	dryRun  bool
	// boot asks also what would start after a reboot.
	boot bool
	// cards asks also how the cards of hosts that have some to manage are; nil does not.
	cards     *cards.Spec
	selection selection
	reach     *reach
	output    output
	consent   tasks.Consent
	// asks tells whether the operator is asked for what consent does not cover.
	asks bool
	// start replaces the start of a helper; nil starts one.
	start fleet.StartFunc
	// live, when set, shows the result as it comes, in place of the report in text.
	live *execSink
	// table, when set, is the report in text, unless -v asks for the steps.
	table func(io.Writer, report.Report, term.Style) error
	// watch, when set, sees every event as well.
	watch report.Sink
	// amend, when set, adds to what a host answered what the configuration says of it.
	amend func(host string, e tasks.Event) tasks.Event
	// values are the secrets of the work, where they were resolved before; answered is what
	// the operator was asked for then.
	values   map[string]string
	answered *answers
}

// amended is emit behind amend.
func (r request) amended(emit func(report.Event)) func(report.Event) {
	if r.amend == nil {
		return emit
	}
	return func(e report.Event) {
		if e.Step != nil && e.Step.Result != nil {
			step := r.amend(e.Host, *e.Step)
			e.Step = &step
		}
		emit(e)
	}
}

// converge plans every selected host from its configuration and carries it out.
func (p *program) converge(g *cli, r request) error {
	ctx := context.Background()
	fleet, err := p.loadTelling(ctx, g, true)
	if err != nil {
		return err
	}
	fleet, hosts, err := p.among(fleet, g)
	if err != nil {
		return err
	}
	work, err := p.plan(hosts, r)
	if err != nil {
		return err
	}
	if err := r.pointless(work); err != nil {
		return err
	}
	chosen, err := p.chooseGPUs(ctx, g, fleet, work, &r)
	if err == nil && chosen {
		work, err = p.plan(hosts, r)
	}
	if err != nil {
		return err
	}
	rec, err := p.carryOut(ctx, g, fleet, work, r)
	if err != nil {
		return err
	}
	return rec.finish()
}

// pointless is the error of a consent to something that no selected host is asked for:
// most likely another one is meant.
func (r request) pointless(work []assignment) error {
	reboots, disks, containers := false, map[string]bool{}, map[int]bool{}
	for _, a := range work {
		reboots = reboots || slices.ContainsFunc(a.steps, func(s tasks.Step) bool { return s.Kind == reboot.Name })
		for _, c := range a.host.Containers {
			containers[c.Spec.CTID] = true
		}
		if v := a.host.Hypervisor; v != nil {
			for _, pool := range v.Pools {
				for _, d := range pool.Disks {
					disks[d] = true
				}
			}
		}
	}
	for _, d := range r.consent.Wipe {
		if !disks[d] {
			return &usageError{fmt.Sprintf("--allow-wipe %s: no pool of the selected hosts has that disk", d)}
		}
	}
	for _, id := range r.consent.Destroy {
		if !containers[id] {
			return &usageError{fmt.Sprintf("--allow-destroy %d: the selected hosts have no container %d in their configuration", id, id)}
		}
	}
	if r.consent.Reboot && !reboots && len(r.selection.Tags)+len(r.selection.SkipTags) > 0 {
		return &usageError{"--allow-reboot: the chosen tags leave out the reboot (add the tag reboot)"}
	}
	return nil
}

// plan makes the steps of every host. Hosts of which nothing is wanted stay in, so
// that the report names them.
func (p *program) plan(hosts []*inventory.Host, r request) ([]assignment, error) {
	s := r.selection
	sel := plan.Selection{Tags: s.Tags, SkipTags: s.SkipTags, Boot: r.boot, GPUs: r.cards}
	faults := []error{sel.Validate(hosts)}
	var work []assignment
	var steps [][]tasks.Step
	for _, h := range hosts {
		made, err := plan.Build(h, sel)
		faults = append(faults, err)
		steps = append(steps, made.Steps)
		work = append(work, assignment{host: h, steps: made.Steps, secrets: made.Secrets, limits: made.Limits})
	}
	if err := errors.Join(faults...); err == nil && len(slices.Concat(steps...)) == 0 && len(s.Tags)+len(s.SkipTags) > 0 {
		faults = append(faults, errNoStep)
	}
	if err := errors.Join(faults...); err != nil {
		fmt.Fprintf(p.stderr, "phoenix: %v\nphoenix: nothing was contacted\n", err)
		return nil, exitError(exitInvalid)
	}
	plan.Elect(hosts, steps)
	return work, nil
}

// errNoStep is a choice of steps that every tag exists for and that leaves none: to
// contact hosts for nothing and report them as in sync would be a lie.
var errNoStep = errors.New("select steps: --tags and --skip-tags together leave no step of the selected hosts")
