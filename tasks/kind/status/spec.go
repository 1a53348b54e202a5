package status

import "phoenix/tasks/kind/lxc"

// Spec asks what the containers of a node are doing.
type Spec struct {
	// CTIDs limits the answer to these; empty means all.
	CTIDs []int `json:"ctids,omitempty"`
	// Wanted is what the configuration says of the containers that live on the node,
	// to tell which of them differ from it.
	Wanted []lxc.Spec `json:"wanted,omitempty"`
}
