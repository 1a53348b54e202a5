package basesetup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/distro"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/packages"
	"phoenix/tasks/kind/service"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/parts"
	"phoenix/tasks/secret"
)

// dropIn is read after 20auto-upgrades and 50unattended-upgrades, which the package of
// unattended-upgrades brings and its upgrades may replace (apt.conf(5)).
const dropIn = "/etc/apt/apt.conf.d/90phoenix-upgrades"

const localtime = "/etc/localtime"

type task struct{ spec Spec }

// Check reads package databases and files, and asks for locales, timers and what apt makes
// of its files where they are managed.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	all, err := t.parts(h)
	if err != nil {
		return nil, err
	}
	return all.Check(ctx, h)
}

// Apply makes the parts that differ.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	all, err := t.parts(h)
	if err != nil {
		return err
	}
	return all.Apply(ctx, h, d)
}

func (t *task) parts(h tasks.Host) (tasks.Task, error) {
	s := &t.spec
	on, err := distro.Read(h)
	if err == nil && on.Alpine() {
		err = s.alpine()
	}
	if err != nil {
		return nil, err
	}
	all := []parts.Part{{Task: (&packages.Spec{Packages: s.Wanted(on.Debian())}).Task()}}
	if s.Timezone != "" {
		all = append(all, parts.Part{Task: later{"/usr/share/zoneinfo", tasks.Change{Path: "timezone", To: s.Timezone}, (&system.Spec{Timezone: s.Timezone}).Task()}}, parts.Part{Task: zone(s.Timezone)})
	}
	if !on.Debian() {
		return parts.New(all...), nil
	}
	if s.Locale != "" {
		all = append(all, parts.Part{Task: later{"/usr/share/i18n/SUPPORTED", tasks.Change{Path: "locale", To: s.Locale}, (&system.Spec{Locale: s.Locale}).Task()}})
	}
	if s.UnattendedUpgrades != "" {
		text := s.text(on)
		all = append(all, parts.Part{Name: "unattended_upgrades", Task: (&file.Spec{Path: dropIn, Content: &secret.Text{Literal: &text}, Mode: "0644"}).Task()})
	}
	if s.upgrades() {
		yes := true
		for _, timer := range []string{"apt-daily.timer", "apt-daily-upgrade.timer"} {
			all = append(all, parts.Part{Name: "unattended_upgrades." + timer, Task: (&service.Spec{Name: timer, Enabled: &yes, Active: &yes}).Task()})
		}
	}
	if s.UnattendedUpgrades != "" {
		all = append(all, parts.Part{Name: "unattended_upgrades", Task: &effect{s, on}})
	}
	return parts.New(all...), nil
}

// alpine says what cannot be had there.
func (s *Spec) alpine() error {
	var errs []error
	if !slices.Contains([]string{"", "C", "POSIX", "C.UTF-8"}, s.Locale) {
		errs = append(errs, fmt.Errorf("set locale %s: Alpine's C library knows C.UTF-8 only (leave locale out)", s.Locale))
	}
	if s.upgrades() {
		errs = append(errs, fmt.Errorf("set unattended_upgrades to %s: Alpine has nothing that upgrades by itself (leave it out, or set it to off)", s.UnattendedUpgrades))
	}
	return errors.Join(errs...)
}

// later is a task for which a file must be there that one of the packages brings: until
// then all that it is to make differs.
type later struct {
	file   string
	change tasks.Change
	tasks.Task
}

// Check is the task's own where the file is there.
func (l later) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	if _, err := h.Stat(l.file); errors.Is(err, fs.ErrNotExist) {
		var d tasks.Diff
		d.Add(l.change.Path, "", l.change.To, tasks.EffectLive)
		return d, nil
	} else if err != nil {
		return nil, err
	}
	return l.Task.Check(ctx, h)
}

// zone proves that the link which the system family makes leads to a zone: a C library
// that finds anything else there takes UTC and says nothing (tzfile(5)).
type zone string

// Check reads what programs read.
func (z zone) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	info, err := h.Stat(localtime)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !strings.HasSuffix(info.Target, "/zoneinfo/"+string(z)) {
		return nil, nil // still to be made
	}
	if err != nil {
		return nil, err
	}
	data, there, err := tasks.ReadIfExists(h, localtime)
	if err == nil && there && !strings.HasPrefix(string(data), "TZif") {
		err = fmt.Errorf("prove time zone %s: %s leads to no data of a zone, and programs take UTC (install the package tzdata anew)", string(z), localtime)
	}
	return nil, err
}

// Apply has nothing to make.
func (zone) Apply(context.Context, tasks.Host, tasks.Diff) error { return nil }
