package kernel

import (
	"context"
	"errors"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/modprobe"
)

// loadFile names the modules that phoenix has loaded at boot.
const loadFile = "/etc/modules-load.d/phoenix.conf"

const loadHeader = "# Written by phoenix: modules to load at boot. What others write here stays.\n"

func (t *task) checkModules(h tasks.Host, f *found) error {
	if len(t.spec.Modules) == 0 {
		return nil
	}
	present, err := modprobe.Present(h)
	if err != nil {
		return err
	}
	atBoot, err := modprobe.AtBoot(h)
	if err != nil {
		return err
	}
	for _, m := range t.spec.Modules {
		if present.Builtin(m) {
			continue // there is nothing to load
		}
		f.Add("modules."+m, moduleState(present.Loaded(m), atBoot[modprobe.Canonical(m)]), moduleState(true, true), tasks.EffectLive)
	}
	return nil
}

func moduleState(now, boot bool) string {
	return map[bool]string{true: "loaded", false: "not loaded"}[now] + ", " + map[bool]string{true: "at boot", false: "not at boot"}[boot]
}

// applyModules loads first: a module that does not exist is not put into a file that
// would make every boot complain.
func (t *task) applyModules(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	var boot []string
	var errs []error
	present, err := modprobe.Present(h)
	if err != nil {
		return err
	}
	for _, m := range t.spec.Modules {
		if !d.Has("modules." + m) {
			continue
		}
		if !present.Loaded(m) {
			if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"modprobe", m}}); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		boot = append(boot, m)
	}
	return errors.Join(append(errs, addToBoot(ctx, h, boot))...)
}

func addToBoot(ctx context.Context, h tasks.Host, modules []string) error {
	listed, err := modprobe.AtBoot(h)
	if err != nil {
		return err
	}
	var lines string
	for _, m := range modules {
		if !listed[modprobe.Canonical(m)] {
			lines += m + "\n"
		}
	}
	if lines == "" {
		return nil
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: loadFile, Update: func(old []byte) ([]byte, error) {
		return []byte(started(old, loadHeader) + lines), nil
	}})
}

// started is the text of a file that ends in a line break, or its first line.
func started(old []byte, header string) string {
	text := string(old)
	switch {
	case text == "":
		return header
	case !strings.HasSuffix(text, "\n"):
		return text + "\n"
	}
	return text
}
