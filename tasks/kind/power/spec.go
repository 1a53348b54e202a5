package power

// Spec asks for a container that runs, or does not.
type Spec struct {
	// CTID is Proxmox's number of the container.
	CTID int `json:"ctid"`
	// State is "running" or "stopped".
	State string `json:"state"`
	// Restart stops a container that runs before it is started. It needs State running.
	Restart bool `json:"restart,omitempty"`
	// ReadyS is how long a container that runs may take to be ready, in seconds: it can
	// be entered, and its interfaces have their addresses. 0 does not wait for that.
	ReadyS int `json:"ready_s,omitempty"`
	// StopS is how long it may take to stop by itself, in seconds; 0 means 60.
	StopS int `json:"stop_s,omitempty"`
	// Force stops by force what has not stopped by itself in time.
	Force bool `json:"force,omitempty"`
}
