package tasks

import (
	"context"
	"encoding/json"
	"fmt"
)

// Spec is what a person may ask of one kind of thing. A Spec is decoded from the
// JSON of a Step; the zero value of each field means "not managed".
type Spec interface {
	// Validate returns every fault of the spec, without any I/O. It may be called
	// any number of times, on the workstation and again on the host.
	Validate() []Problem
	// Task returns the work that the spec describes. It is called only on a spec
	// whose Validate returned nothing; each call returns a fresh task.
	Task() Task
}

// Task compares one thing with what is wanted of it, and changes it.
//
// The contract: after Apply(ctx, h, d) with the d that Check returned, Check
// returns an empty Diff, or only Changes that wait for a restart (EffectPending).
type Task interface {
	// Check reads and never writes; the Host it is given refuses writing. An empty
	// Diff means that everything managed is as wanted. It may be called any number
	// of times. An error of type *UnknownError means that the state could not be
	// told; any other error is a failure.
	Check(ctx context.Context, h Host) (Diff, error)
	// Apply makes the given Diff true and nothing else. It is never called in a dry
	// run and never with an empty Diff. Changes that need a consent which the job
	// does not carry (ConsentOf) are left undone and reported as *RefusedError,
	// after all others have been made.
	Apply(ctx context.Context, h Host, d Diff) error
}

// Problem is one fault of a Spec.
type Problem struct {
	// Path is the logical path inside the spec: "network_config.0.ip".
	Path string `json:"path"`
	// Summary says what is wrong, in one line.
	Summary string `json:"summary"`
	// Hint says how to mend it; it may be empty.
	Hint string `json:"hint,omitempty"`
}

func (p Problem) String() string {
	s := p.Summary
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Problems collects the faults of a Spec.
type Problems []Problem

// Add appends a fault.
func (p *Problems) Add(path, summary, hint string) {
	*p = append(*p, Problem{Path: path, Summary: summary, Hint: hint})
}

// Kind is one family of manageable things.
type Kind struct {
	// Name is the registry key and the first part of a step's ID: "lxc".
	Name string
	// New returns an empty Spec to decode into; it must return a pointer.
	New func() Spec
}

// Registry finds a Kind by its name. The zero value knows none.
type Registry map[string]Kind

// NewRegistry lists the given kinds by name. A name that appears twice is a
// mistake in the program and panics.
func NewRegistry(kinds ...Kind) Registry {
	r := make(Registry, len(kinds))
	for _, k := range kinds {
		if _, twice := r[k.Name]; twice {
			panic("register kind " + k.Name + ": registered twice")
		}
		r[k.Name] = k
	}
	return r
}

// Decode turns the JSON of a step into its validated Spec. Unknown keys are
// errors: a key that one side knows and the other does not must never be dropped.
func (r Registry) Decode(s Step) (Spec, error) {
	k, ok := r[s.Kind]
	if !ok {
		return nil, fmt.Errorf("decode step %s: unknown kind %q", s.ID, s.Kind)
	}
	spec := k.New()
	if err := UnmarshalStrict(s.Spec, spec); err != nil {
		return nil, fmt.Errorf("decode step %s: %w", s.ID, err)
	}
	if problems := spec.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("decode step %s: %s", s.ID, problems[0])
	}
	return spec, nil
}

// NewStep encodes a spec as a step of the given kind. The spec must marshal.
func NewStep(kind, id string, spec Spec) (Step, error) {
	raw, err := json.Marshal(spec)
	if err != nil {
		return Step{}, fmt.Errorf("encode step %s: %w", id, err)
	}
	return Step{ID: id, Kind: kind, Spec: raw}, nil
}
