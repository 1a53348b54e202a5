package snapshot

// Spec asks for a snapshot of a container that is there, or is not.
type Spec struct {
	// CTID is Proxmox's number of the container.
	CTID int `json:"ctid"`
	// Name of the snapshot: a letter, then letters, digits, _ and -, 2 to 40 in all.
	Name string `json:"name"`
	// Description is kept with a snapshot that is made; it is not compared later.
	Description string `json:"description,omitempty"`
	// State is "present" or "absent".
	State string `json:"state"`
}
