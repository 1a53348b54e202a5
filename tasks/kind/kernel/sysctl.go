package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dropin"
	"phoenix/tasks/modprobe"
)

// sysctlFile keeps phoenix's kernel parameters and nothing else: a line in it that is not
// wanted is taken out. Its number leaves room for the operator's own last word, which is
// told where it is another.
const sysctlFile = "/etc/sysctl.d/90-phoenix.conf"

const sysctlHeader = "# Written by phoenix: kernel parameters. Those that its configuration lacks are taken out.\n"

// stays is told of a line that goes.
const stays = "the line goes; the running kernel keeps its value until the next boot"

// canonical is the path of a parameter below /proc/sys. Where a dot comes first, dots
// separate and a slash stands for a dot in a name; otherwise slashes separate
// (sysctl.d(5)): net.ipv4.conf.eth0/100.forwarding.
func canonical(name string) string {
	if i := strings.IndexAny(name, "./"); i < 0 || name[i] == '/' {
		return name
	}
	return swapped(name)
}

// swapped exchanges dots and slashes, which makes a path of a dotted name and the other
// way round.
func swapped(name string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, name)
}

// setting is what the files say of one parameter at boot.
type setting struct{ value, file string }

// settings reads what systemd-sysctl sets at boot; the last file wins. A pattern only
// counts where no file names the parameter, which phoenix then does.
func settings(h tasks.Host) (map[string]setting, error) {
	files, err := dropin.Read(h, ".conf", dropin.Folders("sysctl.d")...)
	if err != nil {
		return nil, err
	}
	out := make(map[string]setting)
	for _, f := range files {
		for _, line := range tasks.Lines(string(f.Data)) {
			if name, value, ok := assignment(line); ok {
				out[name] = setting{value, f.Path}
			}
		}
	}
	return out, nil
}

// assignment reads one line of a sysctl.d file. A dash in front means that it may fail.
func assignment(line string) (name, value string, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == ';' {
		return "", "", false
	}
	name, value, ok = strings.Cut(line, "=")
	name = strings.TrimSpace(strings.TrimPrefix(name, "-"))
	return canonical(name), fold(value), ok && name != "" && !strings.ContainsAny(name, "*?[")
}

func (t *task) checkSysctl(h tasks.Host, f *found) error {
	if t.spec.Sysctl == nil {
		return nil
	}
	if err := t.known(h); err != nil {
		return err
	}
	atBoot, err := settings(h)
	if err != nil {
		return err
	}
	for _, name := range tasks.Keys(t.spec.Sysctl) {
		want := t.spec.Sysctl[name].String()
		now, err := live(h, name)
		if err != nil {
			return err
		}
		boot := atBoot[canonical(name)]
		if now == want && boot.value == want {
			continue
		}
		f.Add("sysctl."+name, sysctlState(now, boot.value), want, tasks.EffectLive)
		if boot.value != want && later(boot.file, sysctlFile) {
			f.override(boot.file)
		}
	}
	left, err := t.leftovers(h)
	for _, name := range tasks.Keys(left) {
		f.Diff = append(f.Diff, tasks.Change{Path: "sysctl." + swapped(name), From: left[name], Effect: tasks.EffectLive, Note: stays})
	}
	return err
}

// leftovers are the parameters in phoenix's own file that are not wanted any more, by
// their paths.
func (t *task) leftovers(h tasks.Host) (map[string]string, error) {
	data, _, err := tasks.ReadIfExists(h, sysctlFile)
	out := make(map[string]string)
	for _, line := range tasks.Lines(string(data)) {
		if name, value, ok := assignment(line); ok {
			out[name] = value
		}
	}
	for name := range t.spec.Sysctl {
		delete(out, canonical(name))
	}
	return out, err
}

// known refuses a name that the kernel has no parameter of, before it is written to a
// file. A module that is still to be loaded may bring it.
func (t *task) known(h tasks.Host) error {
	present, err := modprobe.Present(h)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(t.spec.Modules, func(m string) bool { return !present.Has(m) }) {
		return nil
	}
	for _, name := range tasks.Keys(t.spec.Sysctl) {
		if err := exists(h, name); err != nil {
			return err
		}
	}
	return nil
}

func exists(h tasks.Host, name string) error {
	file := "/proc/sys/" + canonical(name)
	_, err := h.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("find the kernel parameter %s: there is no %s (correct the name, or list the module that brings it in kernel.modules)", name, file)
	}
	return err
}

// later tells whether a file of one folder is read after phoenix's own.
func later(file, own string) bool { return path.Base(file) > path.Base(own) }

// live is the value in the running kernel; empty for a parameter that it has not, as
// long as the module it comes with is not loaded.
func live(h tasks.Host, name string) (string, error) {
	data, _, err := tasks.ReadIfExists(h, "/proc/sys/"+canonical(name))
	return fold(string(data)), err
}

func sysctlState(now, boot string) string {
	if now == boot {
		return now
	}
	word := func(v string) string {
		if v == "" {
			return "unset"
		}
		return v
	}
	return word(now) + ", at boot " + word(boot)
}

func (t *task) applySysctl(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	var names []string
	var errs []error
	for _, name := range tasks.Keys(t.spec.Sysctl) {
		if !d.Has("sysctl." + name) {
			continue
		}
		if err := exists(h, name); err != nil {
			errs = append(errs, err) // no module brought it
			continue
		}
		names = append(names, name)
	}
	if err := t.writeSysctl(ctx, h, names, d); err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, name := range names {
		now, err := live(h, name)
		want := t.spec.Sysctl[name].String()
		if err == nil && now != want {
			_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"sysctl", "-w", name + "=" + want}})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// writeSysctl puts the parameters into phoenix's file that no file sets rightly, and
// takes out those that d names and the configuration does not.
func (t *task) writeSysctl(ctx context.Context, h tasks.Host, names []string, d tasks.Diff) error {
	gone, err := t.leftovers(h)
	if err != nil {
		return err
	}
	maps.DeleteFunc(gone, func(name, _ string) bool { return !d.Has("sysctl." + swapped(name)) })
	atBoot, err := settings(h)
	if err != nil {
		return err
	}
	values := make(map[string]string)
	for _, name := range names {
		if want := t.spec.Sysctl[name].String(); atBoot[canonical(name)].value != want {
			values[name] = want
		}
	}
	if len(values)+len(gone) == 0 {
		return nil
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: sysctlFile, Update: func(old []byte) ([]byte, error) {
		return setSysctl(old, values, gone)
	}})
}

// setSysctl returns the file with the values in it and without the parameters that are
// gone, which are named by their paths; all other lines stay.
func setSysctl(old []byte, values, gone map[string]string) ([]byte, error) {
	written := make(map[string]bool)
	var out strings.Builder
	for _, line := range tasks.Lines(started(old, sysctlHeader)) {
		at, _, is := assignment(line)
		if _, drop := gone[at]; is && drop {
			continue
		}
		i := slices.IndexFunc(tasks.Keys(values), func(n string) bool { return is && canonical(n) == at })
		if i < 0 {
			out.WriteString(line)
			continue
		}
		name := tasks.Keys(values)[i]
		if !written[name] {
			out.WriteString(name + " = " + values[name] + "\n")
		}
		written[name] = true
	}
	for _, name := range tasks.Keys(values) {
		if strings.ContainsAny(name+values[name], "\n\r") {
			return nil, fmt.Errorf("write %s: %q has a line break", sysctlFile, name)
		}
		if !written[name] {
			out.WriteString(name + " = " + values[name] + "\n")
		}
	}
	return []byte(out.String()), nil
}
