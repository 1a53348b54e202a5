// Package gpus finds out what NVIDIA cards a Proxmox VE host has, what they are doing,
// and for whom: host, card, container, process, memory.
//
// It is what `phoenix gpus` and `phoenix facts` send. It starts the probe
// (cmd/agentlet-nvml) where that lies on the host, asks nvidia-smi and the kernel where
// the probe gives nothing, and changes nothing; on a host without a card it starts no
// program at all. It does not read nvidia-smi's XML, which goes to the workstation
// (package smixml). Start reading at task.Check.
package gpus

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
	"phoenix/tasks/gpufacts"
)

// Name of the family in steps and in step IDs.
const Name = "gpus"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

type task struct{ spec *Spec }

// Check gathers the facts, a gpufacts.Host; nothing ever differs.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	if t.spec.EveryMS > 0 {
		return nil, t.watch(ctx, h)
	}
	f, err := t.gather(ctx, h, nil)
	if err != nil {
		return nil, err
	}
	return nil, tasks.SetData(ctx, f)
}

// gather is one answer; s is that of many samples, nil for one.
func (t *task) gather(ctx context.Context, h tasks.Host, s *stream) (*answer, error) {
	cards, err := gpu.Cards(h)
	if err != nil {
		return nil, err
	}
	g := &gatherer{h: h, spec: t.spec, probe: t.spec.Probe, cards: cards, stream: s}
	g.f.GPUs = []json.RawMessage{}
	if len(cards) > 0 || t.spec.Inspect && left(h) {
		g.all(ctx)
	}
	return &g.f, nil
}

// Apply has nothing to do.
func (*task) Apply(context.Context, tasks.Host, tasks.Diff) error { return nil }

// gatherer reads one thing after another and remembers what it could not read.
type gatherer struct {
	h     tasks.Host
	spec  *Spec
	probe string
	cards []gpu.Card
	bound []gpu.Bound
	f     answer
	// parts are the MIG instances in f.Cards by the nodes of their capabilities.
	parts map[string]*string
	// pids of the processes on the cards, in order.
	pids []int
	// stream is the probe at work for many samples; nil for one.
	stream *stream
}

func (g *gatherer) all(ctx context.Context) {
	var err error
	if g.bound, err = gpu.BoundCards(g.h); err != nil {
		g.unreadable(err)
	}
	for _, c := range g.cards {
		card := gpufacts.Card{Address: c.Address, Driver: c.Driver}
		for _, b := range g.bound {
			if b.Address == c.Address {
				card.Node, card.UUID = b.Node(), b.UUID
			}
		}
		g.f.Cards = append(g.f.Cards, card)
	}
	if fault := g.library(ctx); fault != nil {
		g.missed(gpufacts.SourceNVML, fault)
		if fault = g.secondBest(ctx, fault.Kind); fault != nil {
			g.missed(gpufacts.SourceSMI, fault)
		}
		g.kernel()
	}
	g.owners()
	g.divided()
	if err := g.containers(); err != nil {
		g.unreadable(err)
	}
	if g.spec.Inspect {
		g.inspect(ctx)
	}
}

func (g *gatherer) missed(source string, f *gpufacts.Fault) {
	g.f.Missed = append(g.f.Missed, gpufacts.Missed{Source: source, Fault: *f})
}

func (g *gatherer) unreadable(err error) { g.f.Unreadable = append(g.f.Unreadable, err.Error()) }

// mostProcesses is how many processes are looked up.
const mostProcesses = 4096

// lastPID is the highest number that Linux gives a process (PID_MAX_LIMIT).
const lastPID = 1 << 22

// uses notes that a process is on a card.
func (g *gatherer) uses(pid int) {
	if pid > 0 && pid <= lastPID && len(g.pids) < mostProcesses && !slices.Contains(g.pids, pid) {
		g.pids = append(g.pids, pid)
	}
}

// owners looks at each process. One that has ended is left out, and one of which only
// its group cannot be read is none of the host's for that.
func (g *gatherer) owners() {
	slices.Sort(g.pids)
	for _, pid := range g.pids {
		dir := "/proc/" + strconv.Itoa(pid)
		group, there, err := tasks.ReadIfExists(g.h, dir+"/cgroup")
		if !there {
			if err != nil && !gone(err) {
				g.unreadable(err)
			}
			continue
		}
		o := gpufacts.Owner{PID: pid}
		o.CTID, o.Runtime, o.Container = ownerOf(string(group))
		if name, err := g.h.ReadFile(dir + "/comm"); err == nil {
			o.Name = printable(string(name))
		}
		g.f.Owners = append(g.f.Owners, o)
	}
}
