package lxc

import (
	"context"
	"fmt"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// groupPath is the path of a device's group.
func groupPath(d *Device) string { return "devices." + d.Path + ".group" }

// grouped lists the devices whose group is given by its name in the container.
func (t *task) grouped() []*Device {
	var out []*Device
	for i := range t.spec.Devices {
		if d := &t.spec.Devices[i]; d.Group != "" {
			out = append(out, d)
		}
	}
	return out
}

// findGroups looks the groups of devices up inside the container, which alone knows their
// numbers: they differ between distributions and their releases. While it does not run
// they are not known, and the devices keep the group that they have.
func (t *task) findGroups(ctx context.Context, h tasks.Host, f *found) error {
	devices := t.grouped()
	for _, d := range devices {
		d.GID = nil
	}
	if len(devices) == 0 || !f.running {
		return nil
	}
	groups, err := guest.Groups(ctx, h, t.spec.CTID)
	if err != nil {
		return err
	}
	unprivileged, _ := pve.ParseBool(f.now["unprivileged"])
	users := idmap(unprivileged, f.conf.Head().Raw(), "g")
	for _, d := range devices {
		gid, ok := groups[d.Group]
		if !ok {
			return fmt.Errorf("find the group of device %s: container %d has no group %s; it has: %s",
				d.Path, t.spec.CTID, d.Group, some(tasks.Keys(groups)))
		}
		if _, mapped := users.host(gid); !mapped {
			return fmt.Errorf("find the group of device %s: group %s is number %d in container %d, which its map of users does not have",
				d.Path, d.Group, gid, t.spec.CTID)
		}
		d.GID = &gid
	}
	return nil
}

// some lists the first of many names.
func some(names []string) string {
	const most = 30
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// up brings the container into the wanted state, and gives devices the group that they
// are to have, which shows only then.
func (a *applier) up(ctx context.Context) error {
	if err := a.restartOrStart(ctx); err != nil {
		return err
	}
	devices := a.task.grouped()
	if len(devices) == 0 || a.task.spec.state() != StateRunning {
		return nil
	}
	f, err := a.task.load(a.host)
	if err != nil || !f.running {
		return err
	}
	if err := a.task.findGroups(ctx, a.host, f); err != nil {
		return err
	}
	var d tasks.Diff
	for _, device := range devices {
		d = append(d, tasks.Change{Path: groupPath(device)})
	}
	again := applier{task: a.task, host: a.host, diff: d}
	if err := again.set(ctx); err != nil {
		return err
	}
	return again.restartOrStart(ctx)
}
