package file

import "phoenix/tasks/secret"

// Spec is one file or directory.
type Spec struct {
	// Path is absolute and clean.
	Path string `json:"path"`
	// State is "file" (the default), "directory" or "absent". A directory that is
	// to be absent is removed only when it is empty.
	State string `json:"state,omitempty"`
	// Content of a file: text, or a reference to a secret (then no diff is shown).
	// Without it the content is not managed, and a missing file is made empty.
	Content *secret.Text `json:"content,omitempty"`
	// Mode is octal: "0644". Without it the mode is not managed.
	Mode string `json:"mode,omitempty"`
	// Owner and Group are names known on the machine, or numbers.
	Owner string `json:"owner,omitempty"`
	Group string `json:"group,omitempty"`
}
