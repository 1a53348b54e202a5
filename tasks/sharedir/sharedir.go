// Package sharedir keeps the directory that is given to others over the network: that
// it is there, and its owner and mode where they are asked for.
//
// It is what the families that share directories have in common. A directory is made
// only where that is asked for: the folder below a pool that is not mounted would take
// what belongs on the pool. Nothing below the directory is ever looked at. Start
// reading at Spec.
package sharedir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"phoenix/tasks"
	"phoenix/tasks/account"
	"phoenix/tasks/kind/file"
)

// Spec is what may be asked of the directory.
type Spec struct {
	// Create makes a directory that is missing; else it has to be there.
	Create bool `json:"create,omitempty"`
	// Owner and Group are names known on the machine, or numbers; empty is not managed.
	Owner string `json:"owner,omitempty"`
	Group string `json:"group,omitempty"`
	// Mode is octal: "0770"; empty is not managed.
	Mode string `json:"mode,omitempty"`
}

func (s Spec) file(path string) *file.Spec {
	return &file.Spec{Path: path, State: file.StateDirectory, Owner: s.Owner, Group: s.Group, Mode: s.Mode}
}

// Validate returns the faults of the directory at path, which is a key of the spec
// called pathKey; at is where the spec stands.
func (s Spec) Validate(at, pathKey, path string) []tasks.Problem {
	out := s.file(path).Validate()
	for i := range out {
		if out[i].Path == "path" {
			out[i].Path = pathKey
		} else {
			out[i].Path = at + out[i].Path
		}
	}
	return out
}

// Check compares; at is put before the path of each change.
func (s Spec) Check(ctx context.Context, h tasks.Host, at, path string) (tasks.Diff, error) {
	_, err := h.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, err
	}
	if missing && !s.Create {
		return tasks.Diff{{
			Path: at + "directory", From: "missing", To: "present", Effect: tasks.EffectLive,
			Note: "it has to be there by then: made by a dataset, a storage or files, or here with create",
		}}, nil
	}
	known, unborn, err := s.owners(h)
	if err != nil {
		return nil, err
	}
	d, err := known.file(path).Task().Check(ctx, h)
	d = append(d, unborn...)
	for i := range d {
		if d[i].Path == "state" {
			d[i].Path = "directory"
		}
		d[i].Path = at + d[i].Path
	}
	return d, err
}

// owners leaves out an owner and a group that do not exist yet, and has the changes
// for them: a step before this one may make them.
func (s Spec) owners(h tasks.Host) (known Spec, unborn tasks.Diff, err error) {
	missing := func(key, name string) {
		unborn = append(unborn, tasks.Change{Path: key, To: name, Effect: tasks.EffectLive, Note: "there is no " + name + " yet; a step before has to make it"})
	}
	if _, number := strconv.Atoi(s.Owner); s.Owner != "" && number != nil {
		_, ok, err := account.FindUser(h, s.Owner)
		if err != nil {
			return s, nil, err
		}
		if !ok {
			missing("owner", s.Owner)
			s.Owner = ""
		}
	}
	if _, number := strconv.Atoi(s.Group); s.Group != "" && number != nil {
		_, ok, err := account.FindGroup(h, s.Group)
		if err != nil {
			return s, nil, err
		}
		if !ok {
			missing("group", s.Group)
			s.Group = ""
		}
	}
	return s, unborn, nil
}

// Apply makes the directory as wanted, as far as it differs.
func (s Spec) Apply(ctx context.Context, h tasks.Host, path string) error {
	_, err := h.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && !s.Create {
		return fmt.Errorf("share %s: the directory does not exist (make it in a step before this one, or set create)", path)
	}
	t := s.file(path).Task()
	d, err := t.Check(ctx, h)
	if err != nil || len(d) == 0 {
		return err
	}
	return t.Apply(ctx, h, d)
}
