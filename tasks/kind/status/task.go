// Package status finds out what the containers of a Proxmox VE node are doing: which
// run, since when, with what memory and addresses, their snapshots, and whether they
// are as the configuration wants them.
//
// It is what `phoenix status` and `phoenix snapshot list` send. It reads files only,
// starts no program and changes nothing. What cannot be read is left out and listed, so
// that it is never taken for known. Start reading at Data.
package status

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/kind/lxc"
)

// Name of the family in steps and in step IDs.
const Name = "status"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// The states of a container.
const (
	StateRunning  = "running"
	StateStopped  = "stopped"
	StateTemplate = "template"
	// StateMissing: the configuration wants it on this node, and it is not there.
	StateMissing = "missing"
	// StateMoved: it is on another node of the cluster.
	StateMoved = "moved"
)

// Data is what the step reports.
type Data struct {
	// Containers by their number.
	Containers []Container `json:"containers"`
	// Unreadable lists what could not be told, and why.
	Unreadable []string `json:"unreadable,omitempty"`
}

// Container is what one is doing.
type Container struct {
	CTID int    `json:"ctid"`
	Name string `json:"name,omitempty"`
	// State is one of the constants above.
	State string `json:"state"`
	// Node has it, where it has moved.
	Node string `json:"node,omitempty"`
	// Lock is why Proxmox does not touch it: "backup".
	Lock string `json:"lock,omitempty"`
	// UptimeS is how long it has run, in seconds; nil where it does not, or nobody can
	// tell.
	UptimeS *int64 `json:"uptime_s,omitempty"`
	// MemoryBytes is what it uses, without the page cache; MemoryLimitBytes what it may.
	MemoryBytes      *int64 `json:"memory_bytes,omitempty"`
	MemoryLimitBytes int64  `json:"memory_limit_bytes,omitempty"`
	// Addresses are those of the interfaces that Proxmox gave it.
	Addresses []string `json:"addresses,omitempty"`
	// Managed tells whether the configuration says anything about it.
	Managed bool `json:"managed"`
	// Drift lists the properties that differ from the configuration.
	Drift []string `json:"drift,omitempty"`
	// DriftUnknown is why it could not be told whether any do.
	DriftUnknown string `json:"drift_unknown,omitempty"`
	// Snapshots, the oldest first.
	Snapshots []Snapshot `json:"snapshots,omitempty"`
}

// Snapshot is one snapshot of a container.
type Snapshot struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Taken is when it was made.
	Taken time.Time `json:"taken,omitzero"`
	// Current tells whether the container has gone on from this one.
	Current bool `json:"current,omitempty"`
	// Incomplete tells whether Proxmox has not finished making or removing it.
	Incomplete bool `json:"incomplete,omitempty"`
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out []tasks.Problem
	for i := range s.Wanted {
		for _, p := range s.Wanted[i].Validate() {
			p.Path = fmt.Sprintf("wanted.%d.%s", i, p.Path)
			out = append(out, p)
		}
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{spec: *s} }

type task struct{ spec Spec }

// Check looks; nothing ever differs.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	guests, err := guest.List(h)
	if err != nil {
		return nil, err
	}
	var d Data
	seen := make(map[int]bool)
	for _, g := range guests {
		if seen[g.CTID] = true; t.asked(g.CTID) {
			d.Containers = append(d.Containers, t.look(ctx, h, g, &d))
		}
	}
	if err := t.gone(ctx, h, seen, &d); err != nil {
		return nil, err
	}
	sort.Slice(d.Containers, func(i, j int) bool { return d.Containers[i].CTID < d.Containers[j].CTID })
	return nil, tasks.SetData(ctx, d)
}

// Apply has nothing to do.
func (t *task) Apply(context.Context, tasks.Host, tasks.Diff) error { return nil }

func (t *task) asked(ctid int) bool {
	return len(t.spec.CTIDs) == 0 || slices.Contains(t.spec.CTIDs, ctid)
}

// wanted is what the configuration says about the container, or nil.
func (t *task) wanted(ctid int) *lxc.Spec {
	i := slices.IndexFunc(t.spec.Wanted, func(s lxc.Spec) bool { return s.CTID == ctid })
	if i < 0 {
		return nil
	}
	return &t.spec.Wanted[i]
}

// look describes one container.
func (t *task) look(ctx context.Context, h tasks.Host, g *guest.Guest, d *Data) Container {
	c := Container{CTID: g.CTID, Name: g.Name(), State: StateStopped, Lock: g.Lock(), MemoryLimitBytes: g.MemoryLimit(), Snapshots: snapshots(g)}
	switch {
	case g.Running():
		c.State = StateRunning
		for _, err := range running(h, g, &c) {
			d.Unreadable = append(d.Unreadable, fmt.Sprintf("container %d: %v", g.CTID, err))
		}
	case g.Template():
		c.State = StateTemplate
	}
	if w := t.wanted(g.CTID); w != nil {
		c.compare(ctx, h, w)
	}
	return c
}

// compare tells which properties are not as the configuration wants them.
func (c *Container) compare(ctx context.Context, h tasks.Host, w *lxc.Spec) {
	c.Managed = true
	diff, err := w.Task().Check(ctx, h)
	if err != nil {
		c.DriftUnknown = err.Error()
	}
	for _, change := range diff {
		c.Drift = append(c.Drift, change.Path)
	}
}

// running fills in what only a container that runs has.
func running(h tasks.Host, g *guest.Guest, c *Container) (faults []error) {
	if used, err := g.Memory(h); err != nil {
		faults = append(faults, err)
	} else {
		c.MemoryBytes = &used
	}
	pid, err := g.FirstProcess(h)
	if err != nil {
		return append(faults, err)
	}
	if up, err := guest.Uptime(h, pid); err != nil {
		faults = append(faults, err)
	} else {
		seconds := int64(up.Seconds())
		c.UptimeS = &seconds
	}
	addresses, err := g.Reachable(h, pid)
	for _, a := range addresses {
		c.Addresses = append(c.Addresses, a.String())
	}
	if err != nil {
		faults = append(faults, err)
	}
	return faults
}

// gone adds the containers that are wanted or asked for and are not on this node.
func (t *task) gone(ctx context.Context, h tasks.Host, seen map[int]bool, d *Data) error {
	var list []Container
	for i := range t.spec.Wanted {
		w := &t.spec.Wanted[i]
		if !seen[w.CTID] && t.asked(w.CTID) && w.State != lxc.StateAbsent {
			list = append(list, Container{CTID: w.CTID, Name: w.Name, State: StateMissing, Managed: true, Drift: []string{"exists"}})
		}
	}
	for _, ctid := range t.spec.CTIDs {
		if !seen[ctid] && t.wanted(ctid) == nil {
			list = append(list, Container{CTID: ctid, State: StateMissing})
		}
	}
	if len(list) == 0 {
		return nil
	}
	cluster, err := guest.Cluster(h)
	if err != nil {
		return fmt.Errorf("look for the containers that are not here: %w", err)
	}
	for i := range list {
		c := &list[i]
		if other, ok := cluster[c.CTID]; ok && other.Type == "lxc" {
			c.State, c.Node, c.Drift = StateMoved, other.Node, nil
			if w := t.wanted(c.CTID); w != nil {
				c.compare(ctx, h, w)
			}
		}
	}
	d.Containers = append(d.Containers, list...)
	return nil
}

// snapshots lists those of a container, the oldest first.
func snapshots(g *guest.Guest) []Snapshot {
	var out []Snapshot
	for _, s := range g.Snapshots() {
		out = append(out, Snapshot(s))
	}
	return out
}
