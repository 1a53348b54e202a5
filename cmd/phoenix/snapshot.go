package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/kind/rollback"
	"phoenix/tasks/kind/snapshot"
	"phoenix/tasks/report"
)

// snapshotCmd is `phoenix snapshot`.
type snapshotCmd struct {
	Create snapshotCreateCmd `cmd:"" help:"Take a snapshot of containers."`
	Delete snapshotDeleteCmd `cmd:"" help:"Take away snapshots of containers."`
	List   snapshotListCmd   `cmd:"" help:"List the snapshots of containers."`
}

// snapshotCreateCmd is `phoenix snapshot create`.
type snapshotCreateCmd struct {
	named
	All         bool   `help:"All containers that the inventory places on the selected hosts."`
	Name        string `placeholder:"NAME" help:"Name of the snapshot; made of the time by default, as phoenix-20261123-061132."`
	Description string `placeholder:"TEXT" help:"Kept with the snapshot, and shown in Proxmox."`
	Keep        int    `placeholder:"N" help:"Of the snapshots without a name and description of their own, keep the newest N; all by default."`
	Reach       reach  `embed:""`
	Out         output `embed:""`
}

// Run is called by kong.
func (c *snapshotCreateCmd) Run(p *program, g *cli) error {
	spec := snapshot.Spec{Name: c.Name, Description: c.Description, State: snapshot.StatePresent, Keep: c.Keep}
	switch own := c.Name != "" || c.Description != ""; {
	case c.Keep < 0:
		return &usageError{fmt.Sprintf("--keep %d: is a number of snapshots; 0 keeps all", c.Keep)}
	case c.Keep > 0 && own:
		return &usageError{"--keep counts only snapshots without --name and --description: leave these out"}
	case !own:
		spec.Description = guest.SortManual.Description()
	}
	if spec.Name == "" {
		spec.Name = guest.SortManual.Name(p.now())
	}
	return p.snapshots(g, snapshotRequest{
		command: "snapshot create", named: c.named, all: c.All, reach: &c.Reach, out: c.Out,
		specs: []snapshot.Spec{spec},
		idle:  "container %s has a snapshot %s already: none was made",
	})
}

// sources refuses to count the snapshots of a container while the configuration says that
// another is a clone of one of them.
func (r snapshotRequest) sources(hosts []*inventory.Host, list []chosen) error {
	if len(r.specs) == 0 || r.specs[0].Keep == 0 {
		return nil
	}
	for _, h := range hosts {
		for i := range h.Containers {
			s := &h.Containers[i].Spec
			taken := slices.ContainsFunc(list, func(c chosen) bool { return c.host == h && c.ctid == s.CloneFromCTID })
			if taken && guest.SortManual.Named(s.CloneFromSnapshot) {
				return &usageError{fmt.Sprintf("--keep %d: container %d is a clone of snapshot %s of container %d (clone_from_snapshot), which may be taken away: give that one a name of its own",
					r.specs[0].Keep, s.CTID, s.CloneFromSnapshot, s.CloneFromCTID)}
			}
		}
	}
	return nil
}

// snapshotDeleteCmd is `phoenix snapshot delete`.
type snapshotDeleteCmd struct {
	named
	All   bool     `help:"All containers that the inventory places on the selected hosts."`
	Name  []string `required:"" sep:"none" placeholder:"NAME" help:"Name of the snapshot. May be repeated."`
	Reach reach    `embed:""`
	Out   output   `embed:""`
}

// Run is called by kong.
func (c *snapshotDeleteCmd) Run(p *program, g *cli) error {
	r := snapshotRequest{
		command: "snapshot delete", named: c.named, all: c.All, reach: &c.Reach, out: c.Out,
		idle: "container %s has no snapshot %s: nothing was taken away",
	}
	for _, name := range c.Name {
		if slices.ContainsFunc(r.specs, func(s snapshot.Spec) bool { return s.Name == name }) {
			return &usageError{fmt.Sprintf("snapshot %q is named twice", name)}
		}
		r.specs = append(r.specs, snapshot.Spec{Name: name, State: snapshot.StateAbsent})
	}
	return p.snapshots(g, r)
}

// snapshotRequest is what both commands have in common.
type snapshotRequest struct {
	command string
	named   named
	all     bool
	// specs are wanted of each container; they lack the number.
	specs []snapshot.Spec
	// idle says, of a CTID and a snapshot, that there was nothing to do.
	idle  string
	reach *reach
	out   output
}

// steps are those of one container.
func (r snapshotRequest) steps(c chosen) ([]tasks.Step, error) {
	var steps []tasks.Step
	for _, s := range r.specs {
		s.CTID = c.ctid
		step, err := tasks.NewStep(snapshot.Name, snapshot.StepID(c.ctid, s.Name), &s)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// snapshots sends every container that was chosen its steps.
func (p *program) snapshots(g *cli, r snapshotRequest) error {
	ctx := context.Background()
	if err := r.named.check(r.all); err != nil {
		return err
	}
	for _, s := range r.specs {
		s.CTID = 100
		if problems := s.Validate(); len(problems) > 0 {
			return &usageError{problems[0].String()}
		}
	}
	fleet, hosts, err := p.selected(ctx, g)
	if err != nil {
		return err
	}
	list, err := chooseContainers(fleet.Hosts, hosts, r.named.CTID)
	if err != nil {
		return err
	}
	if r.all {
		list = slices.DeleteFunc(everyContainer(hosts), chosen.template)
	}
	if err := r.sources(hosts, list); err != nil {
		return err
	}
	work, err := byHost(list, r.steps)
	if err != nil {
		return err
	}
	idle := &nothingToDo{text: r.idle}
	rec, err := p.carryOut(ctx, g, fleet, work, request{command: r.command, mode: tasks.ModeRun, reach: r.reach, output: r.out, watch: idle})
	if err != nil {
		return err
	}
	idle.tell(rec.stream)
	return rec.finish()
}

// nothingToDo gathers the steps of snapshots that were as wanted: who asks for a
// snapshot has to know when it is an older one that is there.
type nothingToDo struct {
	text  string
	notes []report.Event
}

// Event is report.Sink's.
func (n *nothingToDo) Event(e report.Event) {
	if e.Step == nil || e.Step.Result == nil || e.Step.Result.Status != tasks.StatusOK {
		return
	}
	ctid, name, _ := strings.Cut(strings.TrimPrefix(e.Step.Step, snapshot.Name+":"), "@")
	n.notes = append(n.notes, report.Event{Host: e.Host, Note: &report.Note{
		Level: report.NoteWarning, Text: fmt.Sprintf(n.text, ctid, name),
	}})
}

// tell puts them into the record.
func (n *nothingToDo) tell(stream *report.Stream) {
	for _, e := range n.notes {
		stream.Emit(e)
	}
}

// rollbackCmd is `phoenix rollback`.
type rollbackCmd struct {
	CTID          string     `arg:"" help:"Container, by number or by name."`
	Snapshot      string     `arg:"" help:"Snapshot that it goes back to."`
	AllowRollback []flagCTID `placeholder:"CTID" help:"Roll back this container without asking for its name. May be repeated."`
	Stop          stopping   `embed:""`
	Reach         reach      `embed:""`
	Out           output     `embed:""`
}

// Run is called by kong.
func (c *rollbackCmd) Run(p *program, g *cli) error {
	ctx := context.Background()
	if err := checkWords([]string{c.CTID}); err != nil {
		return err
	}
	spec := rollback.Spec{CTID: 100, Snapshot: c.Snapshot, StopS: c.Stop.seconds()}
	if problems := spec.Validate(); len(problems) > 0 {
		return &usageError{problems[0].String()}
	}
	fleet, hosts, err := p.selected(ctx, g)
	if err != nil {
		return err
	}
	one, err := chooseContainer(fleet.Hosts, hosts, c.CTID)
	if err != nil {
		return err
	}
	if err := p.agreeRollback(ctx, one, c.Snapshot, ctids(c.AllowRollback)); err != nil {
		return err
	}
	spec.CTID = one.ctid
	step, err := tasks.NewStep(rollback.Name, rollback.StepID(one.ctid), &spec)
	if err != nil {
		return err
	}
	work := []assignment{{host: one.host, steps: []tasks.Step{step}}}
	rec, err := p.carryOut(ctx, g, fleet, work, request{
		command: "rollback", mode: tasks.ModeRun, reach: &c.Reach, output: c.Out,
		consent: tasks.Consent{Restart: true, Rollback: []int{one.ctid}},
	})
	if err != nil {
		return err
	}
	return rec.finish()
}

// agreeRollback has the operator type the container's name, unless a flag names it.
func (p *program) agreeRollback(ctx context.Context, c chosen, to string, allowed []int) error {
	if slices.Contains(allowed, c.ctid) {
		return nil
	}
	what := fmt.Sprintf("Container %d on %s will go back to snapshot %s. What it has written since is lost.", c.ctid, c.host.Name, to)
	return p.consent(ctx, what, typed(c.name(), c.ctid), fmt.Sprintf("rolling back container %d", c.ctid), fmt.Sprintf("--allow-rollback %d", c.ctid))
}

// snapshotListCmd is `phoenix snapshot list`.
type snapshotListCmd struct {
	CTID  []string `arg:"" optional:"" help:"Only these containers, by number, range (900-910) or name; all by default."`
	Reach reach    `embed:""`
	Out   output   `embed:""`
}

// Run is called by kong.
func (c *snapshotListCmd) Run(p *program, g *cli) error {
	return p.lookAt(g, c.CTID, lookRequest{
		request: request{command: "snapshot list", mode: tasks.ModeCheck, reach: &c.Reach, output: c.Out, table: snapshotTable},
	})
}
