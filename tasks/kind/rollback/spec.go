package rollback

// Spec asks for a container to go back to a snapshot.
type Spec struct {
	// CTID is Proxmox's number of the container.
	CTID int `json:"ctid"`
	// Snapshot is the name of the snapshot.
	Snapshot string `json:"snapshot"`
	// StopS is how long a container that runs may take to stop by itself before it is
	// stopped by force, in seconds; 0 means 60.
	StopS int `json:"stop_s,omitempty"`
}
