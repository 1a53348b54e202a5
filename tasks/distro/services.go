package distro

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"phoenix/tasks"
	"phoenix/tasks/systemd"
)

type systemdServices struct{}

func (*systemdServices) State(ctx context.Context, h tasks.Host, name string) (Service, error) {
	u, err := systemd.Show(ctx, h, name)
	return Service{Exists: u.Exists() && err == nil, Enabled: u.Enabled(), Active: u.Running()}, err
}

func (*systemdServices) Enable(ctx context.Context, h tasks.Host, name string) error {
	u, err := systemd.Show(ctx, h, name)
	if err != nil {
		return err
	}
	on := true
	return systemd.Set(ctx, h, u, &on, &on)
}

func (*systemdServices) Restart(ctx context.Context, h tasks.Host, name string) error {
	return systemd.Verb(ctx, h, "restart", name)
}

func (*systemdServices) Reload(ctx context.Context, h tasks.Host, name string) error {
	return systemd.Verb(ctx, h, "reload", name)
}

// openrc is the service manager of Alpine. What starts at boot are links in the folders
// of its runlevels (rc-update(8)).
type openrc struct{}

const runlevels = "/etc/runlevels"

// What `rc-service NAME status` ends with, as OpenRC's own scripts have it: 3 is stopped,
// 64 runs without its supervisor.
const (
	openrcStarted = 0
	openrcCrashed = 32
)

func (*openrc) State(ctx context.Context, h tasks.Host, name string) (Service, error) {
	if there, err := exists(h, "/etc/init.d/"+name); err != nil || !there {
		return Service{}, err
	}
	s := Service{Exists: true}
	var err error
	if s.Enabled, err = inRunlevel(h, name); err != nil {
		return s, err
	}
	code, err := openrcStatus(ctx, h, name)
	s.Active = code == openrcStarted
	return s, err
}

func inRunlevel(h tasks.Host, name string) (bool, error) {
	levels, err := h.ReadDir(runlevels)
	if err != nil {
		return false, fmt.Errorf("list the runlevels: %w", err)
	}
	for _, level := range levels {
		// That of a shutdown starts nothing at boot.
		if level == "shutdown" {
			continue
		}
		if there, err := exists(h, runlevels+"/"+level+"/"+name); err != nil || there {
			return there, err
		}
	}
	return false, nil
}

func openrcStatus(ctx context.Context, h tasks.Host, name string) (int, error) {
	out, err := h.Run(ctx, tasks.Cmd{Argv: []string{"rc-service", name, "status"}, ReadOnly: true})
	return out.Code, err
}

func (*openrc) Enable(ctx context.Context, h tasks.Host, name string) error {
	enabled, err := inRunlevel(h, name)
	if err != nil {
		return err
	}
	if !enabled {
		if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"rc-update", "add", name, "default"}}); err != nil {
			return err
		}
	}
	code, err := openrcStatus(ctx, h, name)
	switch {
	case err != nil || code == openrcStarted:
		return err
	case code >= openrcCrashed:
		// It counts as started: another start does nothing.
		return rcService(ctx, h, name, "restart")
	}
	return rcService(ctx, h, name, "start")
}

func (*openrc) Restart(ctx context.Context, h tasks.Host, name string) error {
	return rcService(ctx, h, name, "restart")
}

func (*openrc) Reload(ctx context.Context, h tasks.Host, name string) error {
	return rcService(ctx, h, name, "reload")
}

func rcService(ctx context.Context, h tasks.Host, name, verb string) error {
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"rc-service", name, verb}})
	return err
}

func exists(h tasks.Host, path string) (bool, error) {
	_, err := h.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
