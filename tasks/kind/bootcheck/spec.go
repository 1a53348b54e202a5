package bootcheck

import (
	"fmt"

	"phoenix/tasks"
)

// Spec asks which containers of a node would start after a reboot.
type Spec struct {
	// DependsOn lists for a container, by its CTID, those that have to start before it.
	DependsOn map[int][]int `json:"depends_on,omitempty"`
}

// Data is what the step reports.
type Data struct {
	// Containers that are to start at boot, in the order in which Proxmox starts them.
	Containers []Container `json:"containers"`
	// DelayS is how long Proxmox waits before the first, in seconds.
	DelayS int `json:"delay_s,omitempty"`
}

// Container is one that is to start at boot.
type Container struct {
	CTID int    `json:"ctid"`
	Name string `json:"name"`
	// Starts tells whether it would start: "yes", "no" or "unknown".
	Starts string `json:"starts"`
	// Order is the one of its option startup; nil where it has none, which is last.
	Order *int `json:"order,omitempty"`
	// AfterS is how long all delays before its start take together, in seconds. The
	// starts themselves come on top.
	AfterS int `json:"after_s"`
	// HA says that the cluster's resource manager starts it, out of this order.
	HA bool `json:"ha,omitempty"`
	// Findings are what keeps it from starting, or will be wrong once it has started.
	Findings []Finding `json:"findings,omitempty"`
}

// Finding is one thing about a container that is not as it has to be at the next boot.
type Finding struct {
	// Option of the container that it is about: "mp0", "net0"; or "host".
	Option string `json:"option"`
	// Effect is "stops", "disturbs" or "unknown".
	Effect Effect `json:"effect"`
	// What is wrong.
	What string `json:"what"`
	// Mend says how to mend it; it may be empty.
	Mend string `json:"mend,omitempty"`
}

// Effect is what a Finding does to a container.
type Effect string

// The effects.
const (
	// EffectStops: it would not start.
	EffectStops Effect = "stops"
	// EffectDisturbs: it would start, and not be as it is to be: an address that
	// another one has, an empty directory.
	EffectDisturbs Effect = "disturbs"
	// EffectUnknown: it cannot be told whether it would start.
	EffectUnknown Effect = "unknown"
)

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	for ctid, before := range s.DependsOn {
		for _, id := range append([]int{ctid}, before...) {
			if id < 100 {
				out.Add(fmt.Sprintf("depends_on.%d", ctid), fmt.Sprintf("%d is no CTID", id), "CTIDs begin at 100")
			}
		}
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }
