// Package system keeps what a machine is by itself: its time zone and whether a time
// service runs, its default locale, its name.
//
// It installs nothing, never sets the clock itself and removes no locale. A Proxmox VE
// node that has guests or is part of a cluster is not renamed: Proxmox keeps all of a
// node under its name. Start reading at Spec; locale.go and hostname.go have what
// their names say, this file the time.
package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/systemd"
)

// Name of the family in steps and in step IDs.
const Name = "system"

const (
	zones     = "/usr/share/zoneinfo"
	localtime = "/etc/localtime"
	zoneFile  = "/etc/timezone"
)

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Validate returns every fault of the spec. Whether a zone or a locale exists is known
// on the machine only.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	wrong := func(path, value, pattern, what, hint string) {
		if value != "" && !regexp.MustCompile(pattern).MatchString(value) {
			out.Add(path, fmt.Sprintf("%q is no %s", value, what), hint)
		}
	}
	wrong("timezone", s.Timezone, `^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$`, "time zone name", "use a name below /usr/share/zoneinfo, such as Europe/Berlin or Etc/UTC")
	wrong("locale", s.Locale, `^[A-Za-z]+(_[A-Z]+)?(\.[A-Za-z0-9-]+)?(@[a-z]+)?$`, "name of a locale", "use one of /usr/share/i18n/SUPPORTED, such as en_US.UTF-8")
	if s.Hostname == "localhost" {
		out.Add("hostname", "localhost is every machine's name for itself", "give it one of its own")
	}
	wrong("hostname", s.Hostname, `^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`, "host name", "letters, digits and -, at most 63, without the domain")
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check reads files, asks systemd for the time service and libc for its locales.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	var d tasks.Diff
	if t.spec.Timezone != "" {
		if err := t.checkZone(h, &d); err != nil {
			return nil, err
		}
	}
	if t.spec.NTP != nil {
		units, err := timeUnits(ctx, h)
		if err != nil {
			return nil, err
		}
		t.checkNTP(units, &d)
	}
	if t.spec.Locale != "" {
		if err := t.checkLocale(ctx, h, &d); err != nil {
			return nil, err
		}
	}
	if t.spec.Hostname != "" {
		if err := t.checkHostname(h, &d); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (t *task) checkZone(h tasks.Host, d *tasks.Diff) error {
	if _, err := h.Stat(zones + "/" + t.spec.Timezone); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("find time zone %s: it is not below %s (is it spelled right, and is the package tzdata installed?)", t.spec.Timezone, zones)
	} else if err != nil {
		return err
	}
	link, err := linkedZone(h)
	if err != nil {
		return err
	}
	d.Add("timezone", link, t.spec.Timezone, tasks.EffectLive)
	name, there, err := tasks.ReadIfExists(h, zoneFile)
	if err != nil {
		return err
	}
	// Debian 13 has the file no more; where it is, programs read it.
	if there && link == t.spec.Timezone {
		d.Add("timezone", strings.TrimSpace(string(name))+" in "+zoneFile, t.spec.Timezone+" in "+zoneFile, tasks.EffectLive)
	}
	return nil
}

// linkedZone is the zone that /etc/localtime points to; empty when there is none,
// which means UTC to every program but is not what somebody asked for.
func linkedZone(h tasks.Host) (string, error) {
	fi, err := h.Stat(localtime)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if _, zone, ok := strings.Cut(fi.Target, "zoneinfo/"); ok {
		return zone, nil
	}
	if fi.Target != "" {
		return "a link to " + fi.Target, nil
	}
	return "a copy of an unknown zone", nil
}

// timeUnits returns the time services that the machine has, Proxmox's default
// first.
func timeUnits(ctx context.Context, h tasks.Host) ([]systemd.Unit, error) {
	var out []systemd.Unit
	for _, name := range []string{"chrony.service", "systemd-timesyncd.service"} {
		u, err := systemd.Show(ctx, h, name)
		if err != nil {
			return nil, err
		}
		if u.Exists() {
			out = append(out, u)
		}
	}
	return out, nil
}

func (t *task) checkNTP(units []systemd.Unit, d *tasks.Diff) {
	if !*t.spec.NTP {
		var from, to []string
		for _, u := range units {
			from = append(from, describe(u, u.Enabled(), u.Running()))
			to = append(to, describe(u, false, false))
		}
		d.Add("ntp", strings.Join(from, "; "), strings.Join(to, "; "), tasks.EffectLive)
		return
	}
	if len(units) == 0 {
		d.Add("ntp", "no time service", "enabled and running", tasks.EffectLive)
		return
	}
	u := chosen(units)
	d.Add("ntp", describe(u, u.Enabled(), u.Running()), describe(u, true, true), tasks.EffectLive)
}

// chosen is the service to keep: the one in use, or else the first.
func chosen(units []systemd.Unit) systemd.Unit {
	for _, u := range units {
		if u.Running() || u.Enabled() {
			return u
		}
	}
	return units[0]
}

func describe(u systemd.Unit, enabled, running bool) string {
	words := map[bool][2]string{true: {"enabled", "running"}, false: {"disabled", "stopped"}}
	return strings.TrimSuffix(u.Name, ".service") + " " + words[enabled][0] + ", " + words[running][1]
}

// Apply changes what d says. A refusal is told when all else went well.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	var errs []error
	for _, set := range []struct {
		path string
		make func(context.Context, tasks.Host) error
	}{
		{"timezone", t.setZone}, {"ntp", t.setNTP}, {"locale", t.setLocale}, {"hostname", t.setHostname},
	} {
		if !d.Has(set.path) {
			continue
		}
		err := set.make(ctx, h)
		if refused := new(tasks.RefusedError); errors.As(err, &refused) && errors.Join(errs...) != nil {
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// setZone asks timedatectl, and does by hand what it does where there is no
// systemd-timedated to ask (in many containers).
func (t *task) setZone(ctx context.Context, h tasks.Host) error {
	zone := t.spec.Timezone
	if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"timedatectl", "set-timezone", zone}}); err != nil {
		tasks.Logf(ctx, "%v; setting the link instead", err)
	}
	link, err := linkedZone(h)
	if err != nil {
		return err
	}
	if link != zone {
		if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"ln", "-sfT", zones + "/" + zone, localtime}}); err != nil {
			return err
		}
	}
	name, there, err := tasks.ReadIfExists(h, zoneFile)
	if err != nil || !there || strings.TrimSpace(string(name)) == zone {
		return err
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: zoneFile, Data: []byte(zone + "\n")})
}

func (t *task) setNTP(ctx context.Context, h tasks.Host) error {
	units, err := timeUnits(ctx, h)
	if err != nil {
		return err
	}
	if *t.spec.NTP {
		if len(units) == 0 {
			return errors.New("start time service: neither chrony nor systemd-timesyncd is installed (add chrony to the packages)")
		}
		units = []systemd.Unit{chosen(units)}
	}
	for _, u := range units {
		if u.Running() == *t.spec.NTP && u.Enabled() == *t.spec.NTP {
			continue
		}
		if err := systemd.Set(ctx, h, u, t.spec.NTP, t.spec.NTP); err != nil {
			return err
		}
	}
	return nil
}
