// Package docker keeps Docker in a container: its packages, daemon.json, the users that
// may use it, compose projects, and a proof that containers run.
//
// A check reads the package database and files, and asks the daemon itself: what its
// storage driver is, which containers of a project run and of which configuration.
// daemon.json is merged key by key; keys that nothing mentions stay. The proof is a
// container of an image that is made here, of one static program, so that no registry is
// needed; it is run when Docker, containerd, runc, the kernel or the storage driver is
// another than when it was last run, and never in a check. A daemon that does not start
// with a new daemon.json gets its old one back.
//
// It never removes packages, images, volumes, users, or projects that nothing mentions,
// and never lets Docker use the storage driver vfs. Findings in the configuration of the
// container on its host are told and not mended: they are the host's.
//
// Start reading at Spec and Task; packages.go installs, daemon.go has daemon.json,
// engine.go asks the daemon, compose.go has projects, proof.go the proof, trouble.go
// what is known to break Docker in LXC, nvidia.go the GPUs.
package docker

import (
	"context"
	"fmt"
	"slices"

	"phoenix/tasks"
	"phoenix/tasks/account"
	"phoenix/tasks/distro"
	"phoenix/tasks/parts"
)

// Name of the family in steps and in step IDs.
const Name = "docker"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task {
	all := []parts.Part{{Task: &packages{s}}, {Task: &daemon{s}}, {Name: "users", Task: &members{s}}}
	if s.NVIDIA != nil {
		all = append(all, parts.Part{Name: "nvidia", Task: &gpus{s}})
	}
	return parts.New(append(all, parts.Part{Task: &engine{s}})...)
}

// members are the users in the group docker.
type members struct{ spec *Spec }

const group = "docker"

// Check reads the databases of users and groups.
func (m *members) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	var d tasks.Diff
	for _, name := range m.spec.Users {
		u, known, err := account.FindUser(h, name)
		if err != nil {
			return nil, err
		}
		g, grouped, err := account.FindGroup(h, group)
		if err != nil {
			return nil, err
		}
		if known && grouped && g.Has(u) {
			continue
		}
		c := tasks.Change{Path: name, To: "member of " + group, Effect: tasks.EffectLive}
		if !known {
			c.Note = tasks.NoteCannot + "the container has no user " + name
		}
		d = append(d, c)
	}
	return d, nil
}

// Apply adds those that are missing.
func (m *members) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	what, err := distro.Read(h)
	if err != nil {
		return err
	}
	for _, name := range m.spec.Users {
		if !d.Has(name) {
			continue
		}
		if _, known, err := account.FindUser(h, name); err != nil {
			return err
		} else if !known {
			return fmt.Errorf("add %s to the group %s: there is no such user (make it with a feature of your own that is listed before docker)", name, group)
		}
		argv := []string{"gpasswd", "-a", name, group}
		if what.Alpine() {
			argv = []string{"addgroup", name, group} // BusyBox
		}
		if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: argv}); err != nil {
			return err
		}
	}
	return nil
}

// sorted is a copy in order.
func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
