package kernel

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/bootimage"
	"phoenix/tasks/modprobe"
)

// wanted is the blacklist and the options with what belongs to nouveau, whose driver
// would otherwise still set the mode of the screen.
func (t *task) wanted() modprobe.Wanted {
	w := modprobe.Wanted{Blacklist: t.spec.Blacklist, Options: make(map[string][]string)}
	for m, text := range t.spec.ModuleOptions {
		w.Options[m] = strings.Fields(text)
	}
	if slices.Contains(t.spec.Blacklist, "nouveau") && len(w.Options["nouveau"]) == 0 {
		w.Options["nouveau"] = []string{"modeset=0"}
	}
	return w
}

func (t *task) checkOptions(h tasks.Host, f *found) error {
	want := t.wanted()
	if want.Empty() {
		return nil
	}
	cfg, err := modprobe.Read(h)
	if err != nil {
		return err
	}
	present, err := modprobe.Present(h)
	if err != nil {
		return err
	}
	for _, m := range want.Blacklist {
		if !cfg.Blacklisted(m) {
			f.Add("blacklist."+m, "", "blacklisted", tasks.EffectLive)
		}
		if present.Loaded(m) {
			f.Add("running.blacklist."+m, "loaded", "", tasks.EffectReboot)
		}
	}
	for _, m := range tasks.Keys(want.Options) {
		if err := compareOptions(h, f, cfg, m, want.Options[m]); err != nil {
			return err
		}
	}
	return bootimage.Check(h, bootimage.Initramfs, &f.Diff)
}

// compareOptions compares the parameters of one module: what is configured, and, where
// the module is loaded and shows them, what it was loaded with.
func compareOptions(h tasks.Host, f *found, cfg modprobe.Config, module string, words []string) error {
	var from []string
	var against string
	for _, w := range words {
		o, ok := cfg.Option(module, w)
		if ok {
			from = append(from, o.Word)
		}
		if ok && o.Word != w && later(o.File, modprobe.Own) {
			against = o.File
		}
	}
	f.Add("module_options."+module, strings.Join(from, " "), strings.Join(words, " "), tasks.EffectLive)
	if against != "" {
		f.override(against)
	}
	var now, then []string
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		data, shown, err := tasks.ReadIfExists(h, fmt.Sprintf("/sys/module/%s/parameters/%s", modprobe.Canonical(module), key))
		if err != nil {
			return err
		}
		if have := strings.TrimSpace(string(data)); shown && parameter(have) != parameter(value) {
			now, then = append(now, key+"="+have), append(then, w)
		}
	}
	f.Add("running.module_options."+module, strings.Join(now, " "), strings.Join(then, " "), tasks.EffectReboot)
	return nil
}

// parameter is a value as the kernel may print it: Y for 1, decimal for hexadecimal. A
// word without a value switches on.
func parameter(v string) string {
	switch v {
	case "", "Y", "y", "on", "true":
		return "1"
	case "N", "n", "off", "false":
		return "0"
	}
	if n, err := strconv.ParseInt(v, 0, 64); err == nil {
		return strconv.FormatInt(n, 10)
	}
	return v
}

// applyOptions writes what d says of options and blacklist, and has the initial RAM
// disks made again, which carry a copy.
func (t *task) applyOptions(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	want := t.wanted()
	want.Blacklist = slices.DeleteFunc(slices.Clone(want.Blacklist), func(m string) bool { return !d.Has("blacklist." + m) })
	maps.DeleteFunc(want.Options, func(m string, _ []string) bool { return !d.Has("module_options." + m) })
	if want.Empty() && !d.Has(string(bootimage.Initramfs)) {
		return nil
	}
	var edits []tasks.Edit
	if !want.Empty() {
		edits = append(edits, tasks.Edit{Verb: tasks.VerbPut, Path: modprobe.Own, Update: want.Add})
	}
	return bootimage.Make(ctx, h, bootimage.Initramfs, edits...)
}
