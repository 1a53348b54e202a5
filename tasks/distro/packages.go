package distro

import (
	"context"
	"fmt"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptget"
	"phoenix/tasks/dpkg"
)

// apt is the package manager of Debian and Ubuntu.
type apt struct{}

func (*apt) Version(h tasks.Host, name string) (string, bool, error) {
	status, err := dpkg.Read(h)
	if err != nil {
		return "", false, err
	}
	p, ok := status.Find(name)
	if !ok || !p.Installed() {
		return "", false, nil
	}
	return p.Version, true, nil
}

func (*apt) Install(ctx context.Context, h tasks.Host, names ...string) error {
	t := aptget.New(0)
	if err := t.Repair(ctx, h, false); err != nil {
		return err
	}
	return t.WithLists(ctx, h, 0, func() error {
		return t.Run(ctx, h, append([]string{"install", "--no-install-recommends"}, names...)...)
	})
}

func (*apt) Remove(ctx context.Context, h tasks.Host, names ...string) error {
	status, err := dpkg.Read(h)
	if err != nil {
		return err
	}
	// apt-get refuses names that it has never heard of.
	args := []string{"remove"}
	for _, name := range names {
		if p, ok := status.Find(name); ok && !p.Gone() {
			args = append(args, name)
		}
	}
	if len(args) == 1 {
		return nil
	}
	return aptget.New(0).Run(ctx, h, args...)
}

// apk is the package manager of Alpine (apk(8) of apk-tools 2.14).
type apk struct{}

const apkDatabase = "/lib/apk/db/installed"

func (*apk) Version(h tasks.Host, name string) (string, bool, error) {
	data, err := h.ReadFile(apkDatabase)
	if err != nil {
		return "", false, fmt.Errorf("read apk's database: %w", err)
	}
	version := apkVersion(string(data), name)
	return version, version != "", nil
}

// apkVersion finds a package, or one that provides the name, in apk's database: records
// of lines like "P:curl", with an empty line after each. It is empty for one that lacks
// files or whose script failed, which "f:" says with an f or an s (database.c of
// apk-tools). The other letters are no fault: x, which an unprivileged container cannot
// help, and S, a form of checksums.
func apkVersion(db, name string) string {
	provider := ""
	for _, record := range strings.Split(db, "\n\n") {
		var p, version string
		provides, broken := false, false
		for _, line := range tasks.Lines(record) {
			switch key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ":"); key {
			case "P":
				p = value
			case "V":
				version = value
			case "p":
				provides = stands(value, name)
			case "f":
				broken = strings.ContainsAny(value, "fs")
			}
		}
		switch {
		case broken:
		case p == name:
			return version
		case provides:
			provider = version
		}
	}
	return provider
}

// stands tells whether a list of what a package provides, "so:libcurl.so.4=4.8.0
// cmd:curl=8.9.1-r2 mta", has the name.
func stands(list, name string) bool {
	for _, item := range strings.Fields(list) {
		if item, _, _ = strings.Cut(item, "="); item == name {
			return true
		}
	}
	return false
}

func (a *apk) Install(ctx context.Context, h tasks.Host, names ...string) error {
	// Without the option, apk knows no names before somebody's first apk update.
	if err := runAPK(ctx, h, append([]string{"add", "--update-cache"}, names...)); err != nil {
		return err
	}
	// What is there in part stays so: mending is a command of its own.
	mend := []string{"fix"}
	for _, name := range names {
		if _, there, err := a.Version(h, name); err != nil {
			return err
		} else if !there {
			mend = append(mend, name)
		}
	}
	if len(mend) == 1 {
		return nil
	}
	return runAPK(ctx, h, mend)
}

func (a *apk) Remove(ctx context.Context, h tasks.Host, names ...string) error {
	if err := runAPK(ctx, h, append([]string{"del"}, names...)); err != nil {
		return err
	}
	// What others need stays, and apk ends with status 0.
	for _, name := range names {
		if _, there, err := a.Version(h, name); err != nil || there {
			if err == nil {
				err = fmt.Errorf("remove %s: apk keeps it, since another package needs it", name)
			}
			return err
		}
	}
	return nil
}

// runAPK waits for another apk as long as for another apt-get. It never asks: that is
// its default.
func runAPK(ctx context.Context, h tasks.Host, args []string) error {
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: append([]string{"apk", "--no-progress", "--wait", "300"}, args...)})
	return err
}
