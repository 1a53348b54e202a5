package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"phoenix/inventory"
	"phoenix/inventory/plan"
	"phoenix/tasks"
	"phoenix/tasks/kind/power"
)

// readiness is the flag of commands that start containers.
type readiness struct {
	ReadyTimeout time.Duration `default:"2m" placeholder:"DURATION" help:"How long a container may take until it can be entered and has its addresses; 2m by default, 0 does not wait."`
}

// Validate is called by kong.
func (r *readiness) Validate() error {
	if r.ReadyTimeout != 0 && r.ReadyTimeout < time.Second {
		return &usageError{fmt.Sprintf("--ready-timeout %s: is at least 1s, or 0", r.ReadyTimeout)}
	}
	return nil
}

// stopping is the flag of commands that stop containers.
type stopping struct {
	StopTimeout time.Duration `default:"60s" placeholder:"DURATION" help:"How long a container may take to stop by itself; 60s by default."`
}

// Validate is called by kong.
func (s *stopping) Validate() error {
	if s.StopTimeout < time.Second {
		return &usageError{fmt.Sprintf("--stop-timeout %s: is at least 1s", s.StopTimeout)}
	}
	return nil
}

func (s *stopping) seconds() int { return int(s.StopTimeout.Seconds()) }

// startCmd is `phoenix start`.
type startCmd struct {
	named
	All   bool      `help:"All containers of the selected hosts that are to run."`
	Ready readiness `embed:""`
	Reach reach     `embed:""`
	Out   output    `embed:""`
}

// Run is called by kong.
func (c *startCmd) Run(p *program, g *cli) error {
	spec := power.Spec{State: power.StateRunning, ReadyS: int(c.Ready.ReadyTimeout.Seconds())}
	return p.power(g, powerRequest{command: "start", named: c.named, all: c.All, spec: spec, reach: &c.Reach, out: c.Out})
}

// stopCmd is `phoenix stop`.
type stopCmd struct {
	named
	All   bool     `help:"All containers that the inventory places on the selected hosts."`
	Force bool     `help:"Stop by force what has not stopped by itself in time."`
	Stop  stopping `embed:""`
	Reach reach    `embed:""`
	Out   output   `embed:""`
}

// Run is called by kong.
func (c *stopCmd) Run(p *program, g *cli) error {
	spec := power.Spec{State: power.StateStopped, StopS: c.Stop.seconds(), Force: c.Force}
	return p.power(g, powerRequest{command: "stop", named: c.named, all: c.All, spec: spec, reach: &c.Reach, out: c.Out})
}

// restartCmd is `phoenix restart`.
type restartCmd struct {
	named
	All   bool      `help:"All containers of the selected hosts that are to run."`
	Force bool      `help:"Stop by force what has not stopped by itself in time."`
	Stop  stopping  `embed:""`
	Ready readiness `embed:""`
	Reach reach     `embed:""`
	Out   output    `embed:""`
}

// Run is called by kong.
func (c *restartCmd) Run(p *program, g *cli) error {
	spec := power.Spec{State: power.StateRunning, Restart: true, StopS: c.Stop.seconds(), Force: c.Force, ReadyS: int(c.Ready.ReadyTimeout.Seconds())}
	return p.power(g, powerRequest{command: "restart", named: c.named, all: c.All, spec: spec, reach: &c.Reach, out: c.Out})
}

// upCmd is `phoenix up`.
type upCmd struct {
	CTID  []string  `arg:"" optional:"" help:"Only these containers, by number, range (900-910) or name, and what they depend on."`
	Ready readiness `embed:""`
	Reach reach     `embed:""`
	Out   output    `embed:""`
}

// Run is called by kong.
func (c *upCmd) Run(p *program, g *cli) error {
	spec := power.Spec{State: power.StateRunning, ReadyS: int(c.Ready.ReadyTimeout.Seconds())}
	return p.power(g, powerRequest{
		command: "up", named: named{c.CTID}, all: len(c.CTID) == 0, spec: spec, reach: &c.Reach, out: c.Out, up: true,
	})
}

// powerRequest is what the commands above have in common.
type powerRequest struct {
	command string
	named   named
	all     bool
	// spec is what is wanted of each container; it lacks the number.
	spec  power.Spec
	reach *reach
	out   output
	// up takes only containers that are to run, and with them what they depend on.
	up bool
}

// power sends every container that was chosen its step.
func (p *program) power(g *cli, r powerRequest) error {
	ctx := context.Background()
	if err := r.named.check(r.all); err != nil {
		return err
	}
	fleet, hosts, err := p.selected(ctx, g)
	if err != nil {
		return err
	}
	list, err := r.choose(fleet.Hosts, hosts)
	if err != nil {
		return err
	}
	work, err := r.work(list)
	if err != nil {
		return err
	}
	rec, err := p.carryOut(ctx, g, fleet, work, request{
		command: r.command, mode: tasks.ModeRun, reach: r.reach, output: r.out, consent: tasks.Consent{Restart: true},
	})
	if err != nil {
		return err
	}
	return rec.finish()
}

func (r powerRequest) stops() bool { return r.spec.State == power.StateStopped }

func (r powerRequest) choose(all, hosts []*inventory.Host) ([]chosen, error) {
	if !r.all {
		list, err := chooseContainers(all, hosts, r.named.CTID)
		if err != nil || !r.up {
			return list, err
		}
		return withNeeded(list, everyContainer(hosts))
	}
	list := slices.DeleteFunc(everyContainer(hosts), func(c chosen) bool { return c.template() || !r.stops() && !c.runs() })
	if len(list) == 0 {
		return nil, &usageError{"the selected hosts have no such container"}
	}
	return list, nil
}

// withNeeded adds to containers that are to run what they depend on.
func withNeeded(list, all []chosen) ([]chosen, error) {
	for i := 0; i < len(list); i++ {
		c := list[i]
		switch {
		case c.template():
			return nil, &usageError{fmt.Sprintf("container %d is a template, which cannot run; make a clone of it", c.ctid)}
		case !c.runs():
			return nil, &usageError{fmt.Sprintf("container %d is not to run by its configuration; phoenix start %d starts it all the same", c.ctid, c.ctid)}
		}
		for _, other := range all {
			there := slices.ContainsFunc(list, func(o chosen) bool { return o.ctid == other.ctid && o.host == other.host })
			if dependsOn(c, other) && other.runs() && !there {
				list = append(list, other)
			}
		}
	}
	return list, nil
}

// work makes a step per container. What starts comes after all that it depends on, and
// what stops after all that depends on it.
func (r powerRequest) work(list []chosen) ([]assignment, error) {
	sortByBoot(list)
	if r.stops() {
		slices.Reverse(list)
	}
	return byHost(list, func(c chosen) ([]tasks.Step, error) {
		spec := r.spec
		spec.CTID = c.ctid
		step, err := tasks.NewStep(power.Name, power.StepID(c.ctid), &spec)
		for _, other := range list {
			if !r.stops() && dependsOn(c, other) || r.stops() && dependsOn(other, c) {
				step.Needs = append(step.Needs, power.StepID(other.ctid))
			}
		}
		if err != nil || c.is == nil || r.stops() || r.spec.ReadyS == 0 {
			return []tasks.Step{step}, err
		}
		checks, err := plan.ContainerHealth(c.is, step.ID)
		return append([]tasks.Step{step}, checks...), err
	})
}
