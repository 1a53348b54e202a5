// Package containers looks at the containers of a Proxmox VE node together: which of
// them no configuration names, and whether those that are to run fit into its memory.
//
// It is what a check or a run adds for a host whose containers are configured. What it
// finds is information and no difference. It reads files only, and of the containers
// that the configuration names as few as it can; it starts no program and changes
// nothing. Start reading at Data.
package containers

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// Name of the family in steps, and StepID the one step of a host.
const (
	Name   = "containers"
	StepID = Name + ":host"
)

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Spec says which containers of the node the configuration names.
type Spec struct {
	Configured []Configured `json:"configured"`
}

// Configured is a container that the configuration names.
type Configured struct {
	CTID int `json:"ctid"`
	// MemoryMB is what it may use, in MiB; 0 for what it has.
	MemoryMB int `json:"memory_mb,omitempty"`
	// Runs tells whether it is to run.
	Runs bool `json:"runs,omitempty"`
}

// Data is what the step reports; nothing where there is nothing to say.
type Data struct {
	// Unmanaged are the containers that no configuration names, by their number.
	Unmanaged []Container `json:"unmanaged,omitempty"`
	// Memory is set where the containers that are to run may use more than the node has.
	Memory *Memory `json:"memory,omitempty"`
}

// Container is one that no configuration names.
type Container struct {
	CTID int    `json:"ctid"`
	Name string `json:"name"`
	// State is "running", "stopped" or "template".
	State string `json:"state"`
}

// Memory compares what containers may use with what there is, in bytes.
type Memory struct {
	MayUse int64 `json:"may_use"`
	Has    int64 `json:"has"`
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem { return nil }

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{spec: *s} }

type task struct{ spec Spec }

// Apply has nothing to do.
func (t *task) Apply(context.Context, tasks.Host, tasks.Diff) error { return nil }

// Check looks; nothing ever differs.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	if _, err := pve.Node(h); err != nil && len(t.spec.Configured) == 0 {
		return nil, nil // a host that reads the file of others and is no node of Proxmox
	}
	var told []int // those whose configuration says all that is asked here
	for _, c := range t.spec.Configured {
		if c.MemoryMB != 0 || !c.Runs {
			told = append(told, c.CTID)
		}
	}
	read, err := guest.List(h, told...)
	if err != nil {
		return nil, err
	}
	var d Data
	var used int64
	limits := make(map[int]int64) // of configured ones that were read
	for _, g := range read {
		if slices.ContainsFunc(t.spec.Configured, func(c Configured) bool { return c.CTID == g.CTID }) {
			limits[g.CTID] = g.MemoryLimit()
			continue
		}
		c := Container{CTID: g.CTID, Name: g.Name(), State: "stopped"}
		switch {
		case g.Running():
			c.State = "running"
			used += g.MemoryLimit()
		case g.Template():
			c.State = "template"
		}
		d.Unmanaged = append(d.Unmanaged, c)
	}
	if d.Memory, err = t.memory(h, used, limits); err != nil {
		return nil, err
	}
	if d.Unmanaged == nil && d.Memory == nil {
		return nil, nil
	}
	return nil, tasks.SetData(ctx, d)
}

// memory adds up what the containers may use that are to run here: used by those that
// no configuration names, and the others. One that has moved to another node uses
// none, and one that is still to be made and of which nothing is said is not counted.
// The answer is nil where all of it fits.
func (t *task) memory(h tasks.Host, used int64, limits map[int]int64) (*Memory, error) {
	node, err := pve.Node(h)
	if err != nil {
		return nil, fmt.Errorf("add up the memory of containers: %w", err)
	}
	cluster, err := guest.Cluster(h)
	if err != nil {
		return nil, fmt.Errorf("add up the memory of containers: %w", err)
	}
	for _, c := range t.spec.Configured {
		switch g, there := cluster[c.CTID]; {
		case !c.Runs, there && g.Node != node:
		case c.MemoryMB != 0:
			used += int64(c.MemoryMB) << 20
		default:
			used += limits[c.CTID]
		}
	}
	data, err := h.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, fmt.Errorf("add up the memory of containers: %w", err)
	}
	m := regexp.MustCompile(`^MemTotal: *([0-9]+) *kB`).FindSubmatch(data)
	if m == nil {
		return nil, errors.New("read /proc/meminfo: its first line is not MemTotal")
	}
	kib, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read /proc/meminfo: %w", err)
	}
	if has := kib << 10; used > has {
		return &Memory{MayUse: used, Has: has}, nil
	}
	return nil, nil
}
