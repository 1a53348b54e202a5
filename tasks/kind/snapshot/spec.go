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
	// Keep is how many snapshots with a name and description that phoenix gave there are
	// to be after this one was taken; older ones are taken away. 0 keeps all.
	Keep int `json:"keep,omitempty"`
}
