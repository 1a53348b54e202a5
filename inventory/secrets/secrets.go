// Package secrets finds the values behind references, on the workstation and only
// when they are needed.
//
// A value comes from an environment variable, a file, a program, or a file
// encrypted with age. It is returned to the caller and kept nowhere else: never in
// an error, a log, an argument or another process's environment. Start reading at
// Resolver.
package secrets

import (
	"strings"
	"time"

	"phoenix/tasks"
)

// Source says where the value of one secret comes from. Exactly one of Env, File,
// Command and Age is set.
type Source struct {
	// Env is the name of an environment variable.
	Env string `json:"env,omitempty"`
	// File holds the value; one line end is taken off.
	File string `json:"file,omitempty"`
	// Command prints the value; one line end is taken off. There is no shell.
	Command []string `json:"command,omitempty"`
	// Age is a file encrypted with age that holds a YAML or JSON object.
	Age string `json:"age,omitempty"`
	// Key of the object in the age file; the secret's own name when empty.
	Key string `json:"key,omitempty"`
	// TimeoutS bounds a command, in seconds; 0 means a minute.
	TimeoutS int `json:"timeout_s,omitempty"`
}

// Validate returns the faults of the source, without looking at it.
func (s Source) Validate() []tasks.Problem {
	var set []string
	for name, is := range map[string]bool{"env": s.Env != "", "file": s.File != "", "command": len(s.Command) > 0, "age": s.Age != ""} {
		if is {
			set = append(set, name)
		}
	}
	var out []tasks.Problem
	if len(set) != 1 {
		out = append(out, tasks.Problem{Summary: "exactly one of env, file, command and age says where a secret comes from"})
	}
	if s.Key != "" && s.Age == "" {
		out = append(out, tasks.Problem{Path: "key", Summary: "key has no meaning without age"})
	}
	if s.TimeoutS != 0 && len(s.Command) == 0 {
		out = append(out, tasks.Problem{Path: "timeout_s", Summary: "timeout_s has no meaning without command"})
	}
	if len(s.Command) > 0 && strings.TrimSpace(s.Command[0]) == "" {
		out = append(out, tasks.Problem{Path: "command.0", Summary: "the program has no name"})
	}
	return out
}

// String says where the value comes from, for messages.
func (s Source) String() string {
	switch {
	case s.Env != "":
		return "environment variable " + s.Env
	case s.File != "":
		return "file " + s.File
	case len(s.Command) > 0:
		return "command " + s.Command[0] // the arguments are the person's business
	case s.Age != "":
		return "age file " + s.Age
	}
	return "nowhere"
}

func (s Source) timeout() time.Duration {
	if s.TimeoutS > 0 {
		return time.Duration(s.TimeoutS) * time.Second
	}
	return time.Minute
}
