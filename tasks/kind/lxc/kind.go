package lxc

import (
	"bytes"
	"fmt"

	"phoenix/tasks"
)

// Name is the family's name in the registry.
const Name = "lxc"

// Kind describes the family.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// The values of Spec.State, Spec.Restart and Spec.CloneMode.
const (
	StateRunning = "running"
	StateStopped = "stopped"
	StateAbsent  = "absent"

	RestartAllowed = "allowed"
	RestartNever   = "never"

	CloneLinked = "linked"
	CloneFull   = "full"
)

// StepID is the ID of the step of a container.
func StepID(ctid int) string { return fmt.Sprintf("%s:%d", Name, ctid) }

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{spec: *s, end: *s} }

// state is the wanted state, with its default. A template cannot run.
func (s *Spec) state() string {
	switch {
	case s.State != "":
		return s.State
	case s.template():
		return StateStopped
	}
	return StateRunning
}

// Runs tells whether the container is to run.
func (s *Spec) Runs() bool { return s.state() == StateRunning }

// template tells whether the container is to be a template.
func (s *Spec) template() bool { return s.IsTemplate != nil && *s.IsTemplate }

// unprivileged is how the container is made.
func (s *Spec) unprivileged() bool { return s.Unprivileged == nil || *s.Unprivileged }

// UnmarshalJSON reads a list of interfaces, or a single one. Unknown keys are errors.
func (i *Interfaces) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		var one Interface
		if err := tasks.UnmarshalStrict(data, &one); err != nil {
			return fmt.Errorf("read interface: %w", err)
		}
		*i = Interfaces{one}
		return nil
	}
	var list []Interface
	if err := tasks.UnmarshalStrict(data, &list); err != nil {
		return fmt.Errorf("read interfaces: %w", err)
	}
	*i = list
	return nil
}
