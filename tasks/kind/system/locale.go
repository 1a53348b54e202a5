package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptget"
)

const (
	// supported lists the locales that Debian can generate, localeGen those that it
	// generates, also when a new libc comes: "en_US.UTF-8 UTF-8".
	supported = "/usr/share/i18n/SUPPORTED"
	localeGen = "/etc/locale.gen"
)

// locale is the state of the default locale.
type locale struct {
	// lang is the default, empty where nothing says one.
	lang string
	// line is what the wanted one is called in supported and localeGen.
	line string
	// listed: localeGen has the line. generated: programs can use it.
	listed, generated bool
}

func (t *task) readLocale(ctx context.Context, h tasks.Host) (locale, error) {
	var l locale
	data, there, err := tasks.ReadIfExists(h, supported)
	if err != nil {
		return l, err
	}
	if !there {
		return l, errors.New("find locales: there is no " + supported + " (add the package locales)")
	}
	if l.line = lineOf(data, t.spec.Locale); l.line == "" && !builtIn(t.spec.Locale) {
		return l, fmt.Errorf("find locale %s: %s does not list it (is it spelled right?)", t.spec.Locale, supported)
	}
	file, err := defaultFile(h)
	if err != nil {
		return l, err
	}
	if data, _, err = tasks.ReadIfExists(h, file); err != nil {
		return l, err
	}
	l.lang = variable(data, "LANG")
	if data, _, err = tasks.ReadIfExists(h, localeGen); err != nil {
		return l, err
	}
	l.listed = builtIn(t.spec.Locale) || lineOf(data, t.spec.Locale) != ""
	// What was generated is in an archive of libc's, which no file lists.
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"locale", "-a"}, ReadOnly: true})
	if err != nil {
		return l, err
	}
	l.generated = slices.ContainsFunc(strings.Fields(string(out.Stdout)), func(n string) bool { return normal(n) == normal(t.spec.Locale) })
	return l, nil
}

// builtIn locales are part of libc.
func builtIn(name string) bool { return name == "C" || name == "POSIX" || normal(name) == "C.utf8" }

// normal is a locale's name with its character set as libc writes it: "en_US.utf8".
func normal(name string) string {
	base, set, found := strings.Cut(name, ".")
	if !found {
		return name
	}
	set, modifier, modified := strings.Cut(set, "@")
	set = strings.ToLower(strings.ReplaceAll(set, "-", ""))
	if modified {
		set += "@" + modifier
	}
	return base + "." + set
}

// lineOf finds the line of a locale in one of the lists, without blanks around it.
func lineOf(list []byte, name string) string {
	for _, line := range tasks.Lines(string(list)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			return f[0] + " " + f[1]
		}
	}
	return ""
}

// defaultFile is where logins take their locale from: another one since Debian 13. On
// Ubuntu it is whichever of the two is there.
func defaultFile(h tasks.Host) (string, error) {
	const old, fresh = "/etc/default/locale", "/etc/locale.conf"
	codename, err := aptget.Codename(h)
	if err != nil || codename == "bookworm" {
		return old, err
	}
	if !slices.Contains([]string{"jammy", "noble"}, codename) {
		return fresh, nil
	}
	for _, file := range []string{old, fresh} {
		if _, err := h.Stat(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return old, nil
}

// variable reads NAME=VALUE; the last one counts.
func variable(data []byte, name string) string {
	value := ""
	for _, line := range tasks.Lines(string(data)) {
		if key, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && key == name {
			value = strings.Trim(v, `"'`)
		}
	}
	return value
}

func (t *task) checkLocale(ctx context.Context, h tasks.Host, d *tasks.Diff) error {
	l, err := t.readLocale(ctx, h)
	if err != nil {
		return err
	}
	from := l.lang
	if from == t.spec.Locale && !l.generated {
		from += ", not generated"
	}
	if from == t.spec.Locale && !l.listed {
		from += ", not in " + localeGen
	}
	d.Add("locale", from, t.spec.Locale, tasks.EffectLive)
	return nil
}

// setLocale lists, generates and makes default. locale-gen ends with status 0 whatever
// happens; the check afterwards tells.
func (t *task) setLocale(ctx context.Context, h tasks.Host) error {
	l, err := t.readLocale(ctx, h)
	if err != nil {
		return err
	}
	if !l.listed {
		err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: localeGen, Update: func(old []byte) ([]byte, error) { return []byte(listed(string(old), l.line)), nil }})
		if err != nil {
			return err
		}
	}
	if !l.generated {
		// Without the option it would first delete all that there are.
		if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"locale-gen", "--keep-existing"}}); err != nil {
			return err
		}
	}
	if l.lang == t.spec.Locale {
		return nil
	}
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"update-locale", "LANG=" + t.spec.Locale}})
	return err
}

// listed adds a line to the list: it takes the # from the one that is there, or
// appends it.
func listed(text, line string) string {
	lines := tasks.Lines(text)
	for i, l := range lines {
		if strings.Join(strings.Fields(strings.TrimLeft(l, "# \t")), " ") == line {
			lines[i] = line + "\n"
			return strings.Join(lines, "")
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + line + "\n"
}
