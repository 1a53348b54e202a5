// Package reboot starts a machine anew when something that is installed or written
// takes effect only then, and only with the operator's consent.
//
// A reboot stops every guest for minutes, so a run without --allow-reboot leaves it
// pending and says why one is needed. The workstation waits for the machine and goes on with the
// steps that are left. Start reading at Check.
package reboot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/boot"
	"phoenix/tasks/gpu"
)

// Name of the family in steps and in step IDs.
const Name = "reboot"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Spec asks for a machine that runs what is installed on it; there is nothing to say
// about how.
type Spec struct{}

// Validate finds nothing: there is nothing that could be wrong.
func (s *Spec) Validate() []tasks.Problem { return nil }

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{} }

type task struct{}

const (
	// delay gives the announcement time to leave the machine before its network does.
	delay = "2s"
	// downLimit is how long a machine may take to go down; its guests have three
	// minutes each by default to stop.
	downLimit = 15 * time.Minute
	poll      = 100 * time.Millisecond
)

// Check lists what waits for a reboot: of the machine itself, and of the steps before
// this one.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	reasons, err := boot.Needed(h)
	if err != nil {
		return nil, err
	}
	for _, w := range tasks.ScopeOf(ctx).Waiting {
		reasons = append(reasons, w+" waits for it")
	}
	if len(reasons) == 0 {
		return nil, nil
	}
	change := tasks.Change{Path: "reboot", To: "needed", Effect: tasks.EffectReboot, Note: strings.Join(reasons, "\n")}
	if !tasks.ConsentOf(ctx).Reboot {
		change.Note += "\n" + tasks.NoteNoReboot
	}
	refused, err := refusal(h)
	if refused != nil {
		change.Note += "\n" + refused.Note()
	}
	return tasks.Diff{change}, err
}

// refusal is why the machine is not rebooted though it may be: it would come up without
// the driver that it has now, and with that without its guests' cards.
func refusal(h tasks.Host) (*tasks.RefusedError, error) {
	next, _, err := boot.Next(h)
	if err != nil {
		return nil, err
	}
	unbuilt, err := gpu.Unbuilt(h)
	if err != nil || !slices.Contains(unbuilt, next) {
		return nil, err
	}
	return &tasks.RefusedError{
		What:    "rebooting into kernel " + next + ", for which no module of the NVIDIA driver lies ready,",
		Instead: "install its headers and run `dkms autoinstall -k " + next + "` first",
	}, nil
}

// Apply reboots. On a real machine it does not return; whoever follows the run comes
// back for what is left. Without consent it stays pending, and asks for that where
// consent is all it lacks.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	scope := tasks.ScopeOf(ctx)
	refused, err := refusal(h)
	switch {
	case err != nil:
		return err
	case refused != nil && !scope.Consent.Reboot:
		return nil
	case refused != nil:
		return refused
	case !scope.Consent.Reboot:
		reasons, _, _ := strings.Cut(d[0].Note, "\n"+tasks.NoteNoReboot)
		return &tasks.RefusedError{What: "rebooting", Allow: []tasks.Allow{{
			Flag: tasks.AllowReboot, Loss: "the host reboots, and its running guests stop with it\n" + reasons,
		}}}
	}
	if scope.Reboot == nil {
		return errors.New("reboot: nobody follows the run who would wait for the machine")
	}
	before, err := boot.BootID(h)
	if err != nil {
		return err
	}
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{
		"systemd-run", "--quiet", "--collect", "--on-active=" + delay, "--unit=phoenix-reboot", "systemctl", "reboot",
	}})
	if err != nil {
		return err
	}
	scope.Reboot(tasks.Reboot{BootID: before, Changes: d})
	return t.down(ctx, h, before)
}

// down waits for the end.
func (t *task) down(ctx context.Context, h tasks.Host, before string) error {
	limit := time.NewTimer(downLimit)
	defer limit.Stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if id, err := boot.BootID(h); err == nil && id != before {
			return nil
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return fmt.Errorf("reboot: the machine did not go down within %s; `systemctl list-jobs` there says what it waits for", downLimit)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
