package gpus

import (
	"regexp"

	"phoenix/tasks"
)

// Spec asks for the cards of one machine.
type Spec struct {
	// Probe is the SHA-256 of the probe's file (cmd/agentlet-nvml), by which it lies on
	// the machine: 64 digits. Without one there is no probe for the architecture.
	Probe string `json:"probe,omitempty"`
}

var sha256hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Validate refuses what is no hash: it becomes part of the path of a program that is
// started as root.
func (s *Spec) Validate() []tasks.Problem {
	var p tasks.Problems
	if s.Probe != "" && !sha256hex.MatchString(s.Probe) {
		p.Add("probe", "want 64 digits and lower-case letters from a to f", "this is a fault of phoenix itself: report it")
	}
	return p
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{spec: s} }
