package tasks

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Step is one thing to check and, in a run, to converge. A step holds references
// to secrets, never their values.
type Step struct {
	// ID is unique within a job and names the thing: "lxc:900", "file:/etc/motd".
	ID string `json:"id"`
	// Kind is the family that the spec belongs to.
	Kind string `json:"kind"`
	// Needs lists the IDs of steps that must end well first.
	Needs []string `json:"needs,omitempty"`
	// Tags select steps with --tags and --skip-tags.
	Tags []string `json:"tags,omitempty"`
	// Uses names what the step works on together with other steps at the same time: in a
	// run as many steps use one thing as the job's Limits say. A step that names nothing
	// is taken alone.
	Uses []string `json:"uses,omitempty"`
	// TimeoutS bounds the whole step, in seconds; 0 means the job's default.
	TimeoutS int `json:"timeout_s,omitempty"`
	// Leader, when set, names another machine of the cluster that makes what this step
	// is about for all of them, at the same time. This one waits for it and verifies.
	Leader string `json:"leader,omitempty"`
	// Inside, when set, has the step taken inside a container of the machine.
	Inside *Inside `json:"inside,omitempty"`
	// Asks tells that the step is taken also where one of those that it needs was refused, or
	// left out for that: what they make is there as it was.
	Asks bool `json:"asks,omitempty"`
	// Spec is the JSON of the family's Spec.
	Spec json.RawMessage `json:"spec"`
}

// Inside is where a step is taken that is not about the machine itself.
type Inside struct {
	// CTID is the container.
	CTID int `json:"ctid"`
	// Receipt is set where the container does not run in the end, and so cannot be looked
	// into: all that is made inside, as a digest. The container's description has the same
	// once it was made.
	Receipt string `json:"receipt,omitempty"`
	// Safety is what a run does before the first change inside; nil does nothing.
	Safety *Safety `json:"safety,omitempty"`
}

// Safety is the way back of a container in which something is changed.
type Safety struct {
	// Step is that of the container. One that it has made in the same run needs no way
	// back.
	Step string `json:"step"`
	// IfPossible makes the changes also where no snapshot can be taken.
	IfPossible bool `json:"if_possible,omitempty"`
	// Rollback puts the container back when a step inside fails.
	Rollback bool `json:"rollback,omitempty"`
	// Keep is how many snapshots from before changes stay.
	Keep int `json:"keep"`
}

// Mode says what a job may do to the machine.
type Mode string

// The modes of a job.
const (
	// ModeCheck reads only; `phoenix check` and `phoenix run --dry-run` use it.
	ModeCheck Mode = "check"
	// ModeRun checks, applies what differs and checks again.
	ModeRun Mode = "run"
)

// Job is everything that one machine is asked to do, in one message.
type Job struct {
	// RunID names the run that the job belongs to, the same on every host.
	RunID string `json:"run_id"`
	// Operator is who asked, for the lock and the journal: "ann@laptop".
	Operator string `json:"operator,omitempty"`
	// Mode is what the job may do.
	Mode Mode `json:"mode"`
	// Steps in any order; Needs decides.
	Steps []Step `json:"steps"`
	// Limits is how many steps use a thing at a time, by its name; 1 where nothing is said.
	Limits map[string]int `json:"limits,omitempty"`
	// Secrets holds the values behind the references in the steps, by name.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Consent is what the operator agreed to beforehand.
	Consent Consent `json:"consent,omitzero"`
	// AfterBoot is the ID of a boot of the machine that must be over; a helper that
	// still finds it refuses the job. Empty demands nothing.
	AfterBoot string `json:"after_boot,omitempty"`
	// StepTimeoutS bounds a step that has no bound of its own; 0 means an hour.
	StepTimeoutS int `json:"step_timeout_s,omitempty"`
	// QuietAfterS is how long a step may say nothing before that is said, in seconds;
	// 0 means for ever.
	QuietAfterS int `json:"quiet_after_s,omitempty"`
}

// Consent is what the operator agreed to before the job was sent. The zero value
// agrees to nothing that is critical.
type Consent struct {
	// Destroy lists the CTIDs that may be destroyed or replaced.
	Destroy []int `json:"destroy,omitempty"`
	// Restart allows containers and services to be restarted where a change needs it.
	Restart bool `json:"restart,omitempty"`
	// Reboot allows the machine itself to be rebooted.
	Reboot bool `json:"reboot,omitempty"`
	// Wipe lists the disks, by /dev/disk/by-id path, whose content may be lost.
	Wipe []string `json:"wipe,omitempty"`
	// Rollback lists the CTIDs that may lose what they have written since a snapshot.
	Rollback []int `json:"rollback,omitempty"`
}

// The flags that give a consent.
const (
	AllowDestroy  = "--allow-destroy"
	AllowReboot   = "--allow-reboot"
	AllowWipe     = "--allow-wipe"
	AllowRollback = "--allow-rollback"
)

// Allow is one consent that a step lacks: to one critical change of one thing.
type Allow struct {
	// Flag gives it beforehand: AllowDestroy.
	Flag string `json:"flag"`
	// Name is what the flag names: a CTID, a /dev/disk/by-id path. It is empty where the
	// machine itself is meant.
	Name string `json:"name,omitempty"`
	// Loss says what it costs, for people; it may have several lines.
	Loss string `json:"loss,omitempty"`
}

// String is the flag as it is typed.
func (a Allow) String() string {
	if a.Name == "" {
		return a.Flag
	}
	return a.Flag + " " + a.Name
}

// DestroyAllowed tells whether the container may be destroyed.
func (c Consent) DestroyAllowed(ctid int) bool { return slices.Contains(c.Destroy, ctid) }

// RollbackAllowed tells whether the container may be rolled back to a snapshot.
func (c Consent) RollbackAllowed(ctid int) bool { return slices.Contains(c.Rollback, ctid) }

// Validate returns the first fault of the job's own form: an unknown mode, a step
// without or with a repeated ID, a need that names no step, a dependency cycle.
func (j Job) Validate() error {
	if j.Mode != ModeCheck && j.Mode != ModeRun {
		return fmt.Errorf("validate job: unknown mode %q", j.Mode)
	}
	_, err := Order(j.Steps)
	return err
}

// timeout is the bound of one step.
func (j Job) timeout(s Step) time.Duration {
	for _, seconds := range []int{s.TimeoutS, j.StepTimeoutS} {
		if seconds > 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	return time.Hour
}
