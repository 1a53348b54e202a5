// Package nvidia keeps the driver of NVIDIA's cards at one version: installed for the
// running kernel and every newer one, loaded, and with its device nodes there before
// guests start.
//
// What is wanted, what is installed and what is loaded are compared separately: "driver"
// is the programs and libraries, "modules.KERNEL" the kernel module on the disk, and
// "running.driver" what waits for a reboot. A check reads files; it starts modinfo for
// the version of a module file that is there, and systemctl for units. It never removes
// a driver, never mixes two ways of installing, never builds a module that a machine
// with Secure Boot would not load, and never reboots. On a machine without NVIDIA cards,
// or whose cards all belong to virtual machines, there is nothing to do.
// Start reading at Spec; found.go looks, diff.go compares, apply.go changes, apt.go and
// runfile.go install, units.go has the units.
package nvidia

import (
	"context"

	"phoenix/tasks"
)

// Name of the family in steps and in step IDs.
const Name = "nvidia"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// installs tells whether phoenix puts the driver onto the machine.
func (t *task) installs() bool {
	return t.spec.Install == InstallAPT || t.spec.Install == InstallRunfile
}

func (t *task) nodes() bool { return t.spec.DeviceNodes == nil || *t.spec.DeviceNodes }

// Check looks at the machine once and compares.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	m, err := t.look(ctx, h)
	if err != nil {
		return nil, err
	}
	if len(m.cards) == 0 {
		tasks.Logf(ctx, "no NVIDIA card for containers: nothing to do")
		return nil, nil
	}
	return t.diff(m), nil
}
