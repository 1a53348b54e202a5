package basesetup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/distro"
)

// setting is one of apt's, with its value, or with the items of a list.
type setting struct {
	key    string
	values []string
	// list tells which it is; more lets other items stand beside these.
	list, more bool
}

// settings are those of the policy: when to upgrade (apt's script of its daily timers
// reads it), from where, and what not.
func (s *Spec) settings(on distro.Distro) []setting {
	const periodic, upgrade = "APT::Periodic::", "Unattended-Upgrade::"
	if !s.upgrades() {
		return []setting{{key: periodic + "Unattended-Upgrade", values: []string{"0"}}}
	}
	// As in the two distributions' own files, whose lists differ in form only.
	origins := []string{"origin=Debian,codename=${distro_codename},label=Debian-Security", "origin=Debian,codename=${distro_codename}-security,label=Debian-Security"}
	all := s.UnattendedUpgrades == policyAll
	switch {
	case all:
		origins = []string{"origin=*"}
	case on.ID == "ubuntu":
		origins = []string{"origin=Ubuntu,archive=${distro_codename}-security", "origin=UbuntuESMApps,archive=${distro_codename}-apps-security", "origin=UbuntuESM,archive=${distro_codename}-infra-security"}
	}
	var held []string
	for _, name := range s.Hold {
		// Each is a regular expression for the beginning of a name.
		name, _, _ = strings.Cut(name, ":")
		held = append(held, regexp.QuoteMeta(name)+"$")
	}
	one := []string{"1"}
	return []setting{
		{key: periodic + "Enable", values: one},
		{key: periodic + "Update-Package-Lists", values: one},
		{key: periodic + "Unattended-Upgrade", values: one},
		{key: upgrade + "Allowed-Origins", list: true, more: all},
		{key: upgrade + "Origins-Pattern", values: origins, list: true, more: all},
		{key: upgrade + "Package-Blacklist", values: held, list: true, more: true},
	}
}

// text is that of the drop-in. What 50unattended-upgrades allows goes first: Debian's
// allows more than security.
func (s *Spec) text(on distro.Distro) string {
	text := "// Written by phoenix (base_setup), which undoes changes by hand.\n"
	for _, w := range s.settings(on) {
		switch {
		case !w.list:
			text += w.key + " \"" + w.values[0] + "\";\n"
			continue
		case !strings.HasSuffix(w.key, "Blacklist"):
			text += "#clear " + w.key + ";\n"
		}
		if len(w.values) > 0 {
			// No item has a quote.
			text += w.key + " {\n\t\"" + strings.Join(w.values, "\";\n\t\"") + "\";\n};\n"
		}
	}
	return text
}

// effect is what comes of the drop-in, after all files that apt reads.
type effect struct {
	spec *Spec
	on   distro.Distro
}

// Check asks apt, once the drop-in is as wanted. What another file has made of it is not
// ours to take out.
func (e *effect) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	have, _, err := tasks.ReadIfExists(h, dropIn)
	if err != nil || string(have) != e.spec.text(e.on) {
		return nil, err
	}
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{ReadOnly: true, Argv: []string{"apt-config", "dump", "APT::Periodic", "Unattended-Upgrade"}})
	if err != nil {
		return nil, err
	}
	lines := tasks.Lines(string(out.Stdout))
	var d tasks.Diff
	for _, w := range e.spec.settings(e.on) {
		is := w.in(lines)
		lacks := func(v string) bool { return !slices.Contains(is, v) }
		if !slices.ContainsFunc(w.values, lacks) && (w.more || len(is) == len(w.values)) {
			continue
		}
		by, err := w.changedBy(h)
		if err != nil {
			return nil, err
		}
		d = append(d, tasks.Change{Path: w.key, From: strings.Join(is, ", "), To: strings.Join(w.values, ", "), Effect: tasks.EffectLive,
			Note: tasks.NoteCannot + fmt.Sprintf("%s, which apt reads after %s, makes it %q (take it out there)", by, dropIn, strings.Join(is, ", "))})
	}
	if !e.spec.upgrades() {
		return d, nil
	}
	for _, unit := range []string{"apt-daily.service", "apt-daily-upgrade.service"} {
		info, err := h.Stat("/etc/systemd/system/" + unit)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if info.Target == "/dev/null" {
			d = append(d, tasks.Change{Path: unit, From: "masked", To: "started by its timer", Effect: tasks.EffectLive,
				Note: tasks.NoteCannot + unit + " is masked, and its timer starts nothing (systemctl unmask " + unit + ")"})
		}
	}
	return d, nil
}

// Apply says who stands in the way.
func (e *effect) Apply(_ context.Context, _ tasks.Host, d tasks.Diff) error {
	var errs []error
	for _, c := range d {
		errs = append(errs, fmt.Errorf("set %s to %q: %s", c.Path, c.To, strings.TrimPrefix(c.Note, tasks.NoteCannot)))
	}
	return errors.Join(errs...)
}

// in reads the values from what apt-config prints, a line for each: NAME "VALUE";, with ::
// after the name of a list's item. Names are the same in either case (apt.conf(5)).
func (w *setting) in(lines []string) []string {
	var out []string
	for _, line := range lines {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ` "`)
		name, value = strings.ToLower(name), strings.TrimSuffix(value, `";`)
		if want := strings.ToLower(w.key); value != "" && (name == want || strings.HasPrefix(name, want+"::")) {
			out = append(out, value)
		}
	}
	return out
}

// changedBy finds the last file that names the setting among those that apt reads after
// the drop-in: the later ones of its directory, then apt.conf.
func (w *setting) changedBy(h tasks.Host) (string, error) {
	const main = "/etc/apt/apt.conf"
	names, err := h.ReadDir(main + ".d")
	if err != nil {
		return "", err
	}
	files := []string{}
	for _, name := range names {
		if name > path.Base(dropIn) {
			files = append(files, main+".d/"+name)
		}
	}
	// Its last word, in a line that is no comment, and no scope where it is none.
	end := `"?\s*("|$)`
	if w.list {
		end = `(::\w*)?"?\s*(["{;]|$)`
	}
	named := regexp.MustCompile(`(?im)^\s*(#clear\s)?[^#/\n]*\b` + path.Base(strings.ReplaceAll(w.key, "::", "/")) + end)
	by := "something that is no file of " + main + ".d"
	for _, file := range append(files, main) {
		data, _, err := tasks.ReadIfExists(h, file)
		if err != nil {
			return "", err
		}
		if named.Match(data) {
			by = file
		}
	}
	return by, nil
}
