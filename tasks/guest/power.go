package guest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// A container that was started is looked for a number of times: pct start waits for
// it, but where the monitor is missing it returns before the container is up.
const (
	startTries = 12
	startPause = 250 * time.Millisecond
	// haTries is for a container of Proxmox's high availability: there pct only asks,
	// and the cluster's manager acts some rounds of 10 s later (pve-container 5.3.5).
	haTries = 480
)

// StopSeconds is how long a container may take to stop by itself where nothing else is
// said; it is Proxmox's own default.
const StopSeconds = 60

// Start starts the container and sees it run. One that runs already is left alone.
func Start(ctx context.Context, h tasks.Host, ctid int) error {
	args := []string{"start", strconv.Itoa(ctid)}
	out, err := Pct(ctx, h, ctid, args...)
	if err != nil {
		if active, look := pve.ActiveContainers(h); look == nil && active[ctid] {
			return nil // somebody else was faster
		}
		return fmt.Errorf("start container %d: %w%s", ctid, err, startLog(h, ctid))
	}
	switch runs, err := await(ctx, h, ctid, true, startTries); {
	case err != nil:
		return fmt.Errorf("start container %d: %w", ctid, err)
	case runs:
		return nil
	}
	return NotDone(out, args, "start container %d: it does not run afterwards%s", ctid, startLog(h, ctid))
}

// Stop stops the container and sees it stopped. It has the given seconds to stop by
// itself; then it is stopped by force, if that is allowed.
func Stop(ctx context.Context, h tasks.Host, ctid, seconds int, force bool) error {
	args := []string{"shutdown", strconv.Itoa(ctid), "--timeout", strconv.Itoa(seconds)}
	if force {
		args = append(args, "--forceStop", "1")
	}
	out, err := Pct(ctx, h, ctid, args...)
	stopped, look := await(ctx, h, ctid, false, 0)
	switch {
	case stopped:
		return nil
	case err != nil && !force && didNotStop(err):
		return fmt.Errorf("stop container %d: it has not stopped by itself within %d s, and still runs; --force stops it then: %w", ctid, seconds, err)
	case err != nil:
		return fmt.Errorf("stop container %d: %w", ctid, err)
	case look != nil:
		return fmt.Errorf("stop container %d: %w", ctid, look)
	}
	return NotDone(out, args, "stop container %d: it still runs", ctid)
}

func didNotStop(err error) bool {
	var failed *tasks.CommandError
	return errors.As(err, &failed) && strings.Contains(failed.Stderr, "container did not stop")
}

// await looks until the container runs, or does not, as wanted; false when it does
// not come to that.
func await(ctx context.Context, h tasks.Host, ctid int, wanted bool, tries int) (bool, error) {
	if managed, err := HighlyAvailable(h, ctid); err == nil && managed {
		tries = haTries
	}
	for n := 0; ; n++ {
		active, err := pve.ActiveContainers(h)
		if err != nil || active[ctid] == wanted || n >= tries {
			return err == nil && active[ctid] == wanted, err
		}
		if err := Pause(ctx, startPause); err != nil {
			return false, err
		}
	}
}
