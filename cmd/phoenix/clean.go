package main

import (
	"context"
	"errors"
	"io"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/transport"
	"phoenix/transport/deploy"
	"phoenix/transport/fleet"
)

// cleanCmd is `phoenix clean`.
type cleanCmd struct {
	Reach reach  `embed:""`
	Out   output `embed:""`
}

// cleanStep is the one step of a clean, so that it has the report of any other.
const cleanStep = "clean:host"

// Run is called by kong.
func (c *cleanCmd) Run(p *program, g *cli) error {
	ctx := context.Background()
	inv, hosts, err := p.selected(ctx, g)
	if err != nil {
		return err
	}
	var work []assignment
	for _, h := range hosts {
		work = append(work, assignment{host: h, steps: []tasks.Step{{ID: cleanStep, Kind: "clean"}}})
	}
	rec, err := p.carryOut(ctx, g, inv, work, request{
		command: "clean", mode: tasks.ModeRun, reach: &c.Reach, output: c.Out, start: startClean,
	})
	if err != nil {
		return err
	}
	return rec.finish()
}

// startClean cleans a host in place of starting a helper there: a helper could not
// remove the folder that it runs from and its own record.
func startClean(ctx context.Context, conn transport.Conn, h fleet.Host) (fleet.Started, error) {
	removed, err := deploy.Clean(ctx, conn, h.Target, deploy.Options{})
	var held *deploy.HeldError
	switch {
	case errors.As(err, &held):
		return fleet.Started{Agent: &told{{Done: &wire.Done{Holder: &held.Holder}}}}, nil
	case err != nil:
		return fleet.Started{}, err
	}
	result := tasks.Result{Status: tasks.StatusOK}
	for _, path := range removed {
		result.Status = tasks.StatusChanged
		result.Changes = append(result.Changes, tasks.Change{Path: path, From: "present", Effect: tasks.EffectLive})
	}
	return fleet.Started{Agent: &told{
		{Event: &tasks.Event{Step: cleanStep, Started: &tasks.Started{Index: 1, Total: 1}}},
		{Event: &tasks.Event{Step: cleanStep, Result: &result}},
		{Done: &wire.Done{}},
	}}, nil
}

// told is an agent that has said all it will say.
type told []wire.Message

// Receive returns the next message.
func (t *told) Receive() (wire.Message, error) {
	if len(*t) == 0 {
		return wire.Message{}, io.EOF
	}
	m := (*t)[0]
	*t = (*t)[1:]
	return m, nil
}

// Send drops the message: there is nothing left to cancel.
func (t *told) Send(wire.Message) error { return nil }

func (t *told) Close() error { return nil }
