// Package application runs the script that makes a container what it is for.
//
// With a check of its own the script is a step like any that the operator writes
// (package script). Without one it is run once: what was run is noted in the container,
// and another text, interpreter or variable has it run again. Whether what it made is
// still there, it alone could tell. Start reading at Spec.
package application

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"phoenix/tasks"
	"phoenix/tasks/kind/script"
	"phoenix/tasks/proof"
)

// Name of the family in steps and in step IDs.
const Name = "application_script"

// Spec is a script, and perhaps another that tells whether it has to be run.
type Spec struct {
	// Check ends with status 0 when all is as wanted, and with 1 when Apply has something
	// to do. Empty leaves that to the note of what was run.
	Check string `json:"check,omitempty"`
	// Apply does the work.
	Apply string `json:"apply"`
	// Interpreter reads a script from its standard input; empty means /bin/sh -s.
	Interpreter []string `json:"interpreter,omitempty"`
	// Env are variables for both scripts, none of them secret.
	Env map[string]string `json:"env,omitempty"`
}

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	checked := s.script()
	if s.Check == "" {
		checked.Check = "true"
	}
	return checked.Validate()
}

// script is the pair of scripts.
func (s *Spec) script() *script.Spec {
	return &script.Spec{Name: Name, Check: s.Check, Apply: s.Apply, Interpreter: s.Interpreter, Env: s.Env}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task {
	if s.Check != "" {
		return s.script().Task()
	}
	return &once{s.script().Task(), s.facts()}
}

// facts are what a run of the script is known by.
func (s *Spec) facts() map[string]string {
	all, err := json.Marshal(s)
	if err != nil {
		panic("encode a script: " + err.Error()) // texts only
	}
	sum := sha256.Sum256(all)
	return map[string]string{"script": hex.EncodeToString(sum[:8])}
}

// once runs a script whose run is not yet noted.
type once struct {
	script tasks.Task
	facts  map[string]string
}

// Check compares with the note.
func (t *once) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	was, err := proof.Read(ctx, h, Name)
	if err != nil || was["script"] == t.facts["script"] {
		return nil, err
	}
	return tasks.Diff{{Path: "apply", From: was["script"], To: t.facts["script"], Effect: tasks.EffectLive, Note: "the script is run"}}, nil
}

// Apply runs the script and notes it.
func (t *once) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if err := t.script.Apply(ctx, h, d); err != nil {
		return err
	}
	return proof.Write(ctx, h, Name, t.facts)
}
