package gpus

import (
	"regexp"
	"strconv"

	"phoenix/tasks"
)

// Spec asks for the cards of one machine.
type Spec struct {
	// Probe is the SHA-256 of the probe's file (cmd/agentlet-nvml), by which it lies on
	// the machine: 64 digits. Without one there is no probe for the architecture.
	Probe string `json:"probe,omitempty"`
	// Inspect asks also for what a check judges beside the cards: the driver's versions,
	// its modules for each kernel, and the device nodes.
	Inspect bool `json:"inspect,omitempty"`
	// Guests are the containers that are asked, where they run, for the version of the
	// driver's libraries in them; only with Inspect.
	Guests []int `json:"guests,omitempty"`
	// EveryMS, when set, has the step go on and hand over a sample each time this long has
	// passed, in milliseconds, until it is asked to end.
	EveryMS int `json:"every_ms,omitempty"`
}

// The bounds of EveryMS.
const (
	fastest = 100
	slowest = 24 * 60 * 60 * 1000
)

var sha256hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Validate refuses what is no hash: it becomes part of the path of a program that is
// started as root.
func (s *Spec) Validate() []tasks.Problem {
	var p tasks.Problems
	if s.Probe != "" && !sha256hex.MatchString(s.Probe) {
		p.Add("probe", "want 64 digits and lower-case letters from a to f", "this is a fault of phoenix itself: report it")
	}
	for i, ctid := range s.Guests {
		if ctid < 100 || !s.Inspect {
			p.Add("guests."+strconv.Itoa(i), "want the number of a container, and inspect", "this is a fault of phoenix itself: report it")
		}
	}
	if s.EveryMS != 0 && (s.EveryMS < fastest || s.EveryMS > slowest) {
		p.Add("every_ms", "want 100 milliseconds to a day", "leave it out for one answer")
	}
	return p
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{spec: s} }
