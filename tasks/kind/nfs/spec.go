package nfs

import "phoenix/tasks/sharedir"

// Spec is every export of this machine that is ours.
type Spec struct {
	// Exports by the absolute path of the directory.
	Exports map[string]Export `json:"exports,omitempty"`
}

// Export is one directory.
type Export struct {
	// Clients who may mount it, with the flags for each: "10.0.0.0/24": ["rw"]. A client
	// is an address, a network, a pattern of names (*.lan), a netgroup (@hosts), or * for
	// everybody. Flags that are not named have the defaults of exports(5).
	Clients map[string][]string `json:"clients"`

	sharedir.Spec `json:",inline"`
}
