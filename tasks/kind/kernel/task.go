// Package kernel keeps modules, their options and blacklist, kernel parameters and the
// kernel's command line as they should be, now and at the next boot.
//
// A check reads files of /etc, /proc, /sys and /boot and starts nothing. What is
// configured and what runs are two properties: "cmdline.X" is in the boot loader's
// configuration, "running.cmdline.X" waits for a reboot. Only phoenix's own files get
// lines (zz-phoenix.conf in modprobe.d, phoenix.conf in modules-load.d, 90-phoenix.conf
// in sysctl.d); what another file already says counts, and what another file says later
// is told and left. The command line is changed where it is kept, for GRUB and for
// proxmox-boot-tool, because which of the two boots the machine is not in any file.
// Nothing is removed because it is not mentioned, and the machine is never rebooted.
// Start reading at Spec; modules.go, sysctl.go, options.go and cmdline.go have a part
// each, grub.go the syntax of /etc/default/grub.
package kernel

import (
	"context"
	"errors"

	"phoenix/tasks"
)

// Name of the family in steps and in step IDs.
const Name = "kernel"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// found is what a comparison finds: the changes, and those that are somebody else's to
// make.
type found struct {
	tasks.Diff
	refused []*tasks.RefusedError
}

// override says that the change added last is refused: a file that is read later says
// something else, and it is the operator's or a package's.
func (f *found) override(file string) {
	c := &f.Diff[len(f.Diff)-1]
	r := &tasks.RefusedError{What: "setting " + c.Path + " against " + file, Instead: file + " is read later; take the line out of it"}
	c.Note = r.Note()
	f.refused = append(f.refused, r)
}

// Check compares every part with what is configured and with what runs.
func (t *task) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	f, err := t.compare(h)
	return f.Diff, err
}

func (t *task) compare(h tasks.Host) (found, error) {
	var f found
	for _, part := range []func(tasks.Host, *found) error{t.checkOptions, t.checkModules, t.checkSysctl, t.checkCmdline} {
		if err := part(h, &f); err != nil {
			return found{}, err
		}
	}
	return f, nil
}

// Apply makes the parts in the order in which one may need another: a module is loaded
// with its options, and a parameter can come with a module. A part that fails does not
// stop the others. What another file overrides is refused after all of them.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	var errs []error
	for _, part := range []func(context.Context, tasks.Host, tasks.Diff) error{t.applyOptions, t.applyModules, t.applySysctl, t.applyCmdline} {
		errs = append(errs, part(ctx, h, d))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	f, err := t.compare(tasks.ReadOnly(h))
	if err == nil && len(f.refused) > 0 {
		return f.refused[0]
	}
	return err
}
