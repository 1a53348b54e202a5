package lxc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// shutdownSeconds is how long a container may take to stop by itself before it is
// stopped by force; it is Proxmox's own default.
const shutdownSeconds = "60"

// A container that was started is looked for a number of times: pct start waits for
// it, but where the monitor is missing it returns before the container is up.
const (
	startTries = 12
	startPause = 250 * time.Millisecond
	// haTries is for a container of Proxmox's high availability: there pct only asks,
	// and the cluster's manager acts some rounds of 10 s later (pve-container 5.3.5).
	haTries = 480
)

// await looks until the container runs, or does not, as wanted; false when it does
// not come to that.
func (t *task) await(ctx context.Context, h tasks.Host, wanted bool, tries int) (bool, error) {
	if t.highlyAvailable(h) {
		tries = haTries
	}
	for n := 0; ; n++ {
		running, err := t.running(h)
		if err != nil || running == wanted || n >= tries {
			return err == nil && running == wanted, err
		}
		if err := sleep(ctx, startPause); err != nil {
			return false, err
		}
	}
}

// highlyAvailable tells whether the cluster's resource manager starts and stops the
// container: it has a section in resources.cfg and is not ignored there.
func (t *task) highlyAvailable(h tasks.Host) bool {
	data, _, err := tasks.ReadIfExists(h, "/etc/pve/ha/resources.cfg")
	if err != nil {
		return false
	}
	mine, managed := false, false
	for line := range strings.Lines(string(data)) {
		switch f := strings.Fields(line); {
		case len(f) == 0:
		case line[0] != ' ' && line[0] != '\t':
			mine = slices.Equal(f, []string{"ct:", strconv.Itoa(t.spec.CTID)})
			managed = managed || mine
		case mine && slices.Equal(f, []string{"state", "ignored"}):
			managed = false
		}
	}
	return managed
}

// restartOrStart brings the container into the wanted state, at the end.
func (a *applier) restartOrStart(ctx context.Context) error {
	f, found, err := a.read()
	if err != nil {
		return err
	}
	if a.task.spec.state() != StateRunning {
		return nil
	}
	if !f.running {
		if indexPath(found, pathState) < 0 {
			return nil
		}
		return a.task.start(ctx, a.host, f)
	}
	waiting := slices.ContainsFunc(found, func(x finding) bool { return x.op == opStaged })
	if !waiting && !a.restart {
		return nil
	}
	if a.task.spec.Restart == RestartNever || !tasks.ConsentOf(ctx).Restart {
		tasks.Logf(ctx, "container %d: changes wait for a restart, which is not allowed", a.task.spec.CTID)
		return nil
	}
	if err := a.task.startable(a.host, f); err != nil {
		return fmt.Errorf("restart container %d: it would not start again: %w", a.task.spec.CTID, err)
	}
	if err := a.task.shutdown(ctx, a.host); err != nil {
		return err
	}
	if f, err = a.task.load(a.host); err != nil {
		return err
	}
	if err := a.task.start(ctx, a.host, f); err != nil {
		return fmt.Errorf("container %d was stopped for a restart and is stopped now: %w", a.task.spec.CTID, err)
	}
	return nil
}

// startable looks for what is known to keep a container from starting.
func (t *task) startable(h tasks.Host, f *found) error {
	if err := bridgesExist(h, usedBridges(f.next)); err != nil {
		return err
	}
	if err := mtusFit(h, f.next); err != nil {
		return err
	}
	for _, key := range indexedKeys(f.next, "mp") {
		p, err := pve.ParsePropertyString(f.next[key], "volume")
		if err != nil {
			return err
		}
		dir, _ := p.Get("volume")
		if !strings.HasPrefix(dir, "/") {
			continue
		}
		if _, err := h.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look at %s: directory %s is not there on the host", key, dir)
		}
	}
	return nil
}

// start starts the container and sees it run.
func (t *task) start(ctx context.Context, h tasks.Host, f *found) error {
	if err := t.startable(h, f); err != nil {
		return fmt.Errorf("start container %d: %w", t.spec.CTID, err)
	}
	args := []string{"start", fmt.Sprint(t.spec.CTID)}
	out, err := t.pct(ctx, h, args...)
	if err != nil {
		if running, look := t.running(h); look == nil && running {
			return nil // somebody else was faster
		}
		return fmt.Errorf("start container %d: %w%s", t.spec.CTID, err, t.startLog(h))
	}
	switch runs, err := t.await(ctx, h, true, startTries); {
	case err != nil:
		return fmt.Errorf("start container %d: %w", t.spec.CTID, err)
	case runs:
		return nil
	}
	return t.notDone(out, args, "start container %d: it does not run afterwards%s", t.spec.CTID, t.startLog(h))
}

// startLog is what LXC said at the last start, where it said something.
func (t *task) startLog(h tasks.Host) string {
	data, err := h.ReadFile(fmt.Sprintf("/run/pve/ct-%d.stderr", t.spec.CTID))
	text := strings.TrimSpace(string(data))
	if err != nil || text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	return "\n" + strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// shutdown stops the container and sees it stopped. One that does not stop by itself
// is stopped by force.
func (t *task) shutdown(ctx context.Context, h tasks.Host) error {
	args := []string{"shutdown", fmt.Sprint(t.spec.CTID), "--timeout", shutdownSeconds, "--forceStop", "1"}
	out, err := t.pct(ctx, h, args...)
	stopped, look := t.await(ctx, h, false, 0)
	switch {
	case stopped:
		return nil
	case err != nil:
		return fmt.Errorf("stop container %d: %w", t.spec.CTID, err)
	case look != nil:
		return fmt.Errorf("stop container %d: %w", t.spec.CTID, look)
	}
	return t.notDone(out, args, "stop container %d: it still runs", t.spec.CTID)
}

func (t *task) running(h tasks.Host) (bool, error) {
	active, err := pve.ActiveContainers(h)
	return active[t.spec.CTID], err
}

// destroy takes the container and all its volumes away. With --purge, which only a
// wanted absence gets, it is also taken out of backup jobs, replication and high
// availability; a replaced container keeps its place there. Volumes that the
// configuration does not name are left alone.
func (t *task) destroy(ctx context.Context, h tasks.Host, f *found, verb string, extra ...string) error {
	id := t.spec.CTID
	if err := t.consent(ctx, f, fmt.Sprintf("%s container %d", verb, id)); err != nil {
		return err
	}
	if f.running {
		if err := t.shutdown(ctx, h); err != nil {
			return fmt.Errorf("destroy container %d: %w", id, err)
		}
	}
	args := append([]string{"destroy", fmt.Sprint(id)}, extra...)
	out, err := t.pct(ctx, h, args...)
	if err != nil {
		return fmt.Errorf("destroy container %d: %w", id, err)
	}
	if _, err := h.Stat(confPath(id)); !errors.Is(err, fs.ErrNotExist) {
		return t.notDone(out, args, "destroy container %d: its configuration is still there", id)
	}
	return nil
}

// replace destroys the container and makes it anew from its template. What is needed
// for the second is looked at before the first.
func (t *task) replace(ctx context.Context, h tasks.Host, f *found) error {
	if err := t.prepareCreate(ctx, h); err != nil {
		return fmt.Errorf("replace container %d: %w", t.spec.CTID, err)
	}
	if _, err := t.template(h); err != nil {
		return fmt.Errorf("replace container %d: %w", t.spec.CTID, err)
	}
	tasks.Logf(ctx, "container %d: destroying it to make it anew", t.spec.CTID)
	if err := t.destroy(ctx, h, f, "replacing"); err != nil {
		return err
	}
	return t.create(ctx, h)
}
