package exec

// Spec is one command to run once, on the host or inside a container.
type Spec struct {
	// Argv is the program and its arguments; there is no shell.
	Argv []string `json:"argv"`
	// CTID is the container to run it in; 0 is the host.
	CTID int `json:"ctid,omitempty"`
	// Stdin is given to the program.
	Stdin string `json:"stdin,omitempty"`
}
