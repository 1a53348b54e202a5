// Package systemd asks systemd about its units and changes them through systemctl.
//
// It is what the families that manage services share. It starts one systemctl per
// question and never reads systemd's own files, whose meaning depends on presets,
// generators and drop-ins. Start reading at Show.
package systemd

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
)

// Unit is the state of one unit, in systemd's own words.
type Unit struct {
	// Name with its suffix: "chrony.service".
	Name string
	// Load is "loaded", "not-found", "masked", "error", "bad-setting".
	Load string
	// Active is "active", "reloading", "inactive", "failed", "activating",
	// "deactivating".
	Active string
	// File is "enabled", "disabled", "static", "masked", "alias", "indirect",
	// "generated", "enabled-runtime", …; empty when there is no unit file.
	File string
	// NeedReload says that the unit's file changed after systemd read it.
	NeedReload bool
}

// Suffixes of the kinds of units that can be named.
func suffixes() []string {
	return []string{".service", ".socket", ".timer", ".target", ".path", ".mount", ".automount", ".swap", ".slice"}
}

// FullName adds .service to a name without a suffix.
func FullName(name string) string {
	for _, s := range suffixes() {
		if strings.HasSuffix(name, s) {
			return name
		}
	}
	return name + ".service"
}

// ValidName tells whether the text can be a unit's name; it never can be taken for
// an option.
func ValidName(name string) bool {
	return len(name) <= 255 && regexp.MustCompile(`^[A-Za-z0-9_.:\\@][A-Za-z0-9_.:\\@-]*$`).MatchString(name)
}

// Show asks for the state of a unit. A unit that does not exist is no error.
func Show(ctx context.Context, h tasks.Host, name string) (Unit, error) {
	u := Unit{Name: FullName(name)}
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{
		Argv:     []string{"systemctl", "show", "-p", "LoadState,ActiveState,UnitFileState,NeedDaemonReload", u.Name},
		ReadOnly: true,
	})
	if err != nil {
		return u, err
	}
	for _, line := range tasks.Lines(string(out.Stdout)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "LoadState":
			u.Load = value
		case "ActiveState":
			u.Active = value
		case "UnitFileState":
			u.File = value
		case "NeedDaemonReload":
			u.NeedReload = value == "yes"
		}
	}
	if u.Load == "" || u.Active == "" {
		return u, fmt.Errorf("read systemctl show %s: no LoadState and ActiveState in %q", u.Name, out.Stdout)
	}
	return u, nil
}

// Exists tells whether systemd knows the unit.
func (u Unit) Exists() bool { return u.Load != "not-found" }

// Enabled tells whether the unit starts at boot. A runtime link is lost at boot.
func (u Unit) Enabled() bool {
	return slices.Contains([]string{"enabled", "alias", "generated", "indirect"}, u.File)
}

// Static tells whether there is nothing to enable or disable.
func (u Unit) Static() bool { return u.File == "static" || u.File == "transient" }

// Running tells whether the unit is up.
func (u Unit) Running() bool { return u.Active == "active" || u.Active == "reloading" }

// Set enables or disables, starts or stops the unit; nil leaves it. A changed unit
// file is read in first.
func Set(ctx context.Context, h tasks.Host, u Unit, enabled, active *bool) error {
	if u.NeedReload {
		if err := systemctl(ctx, h, "daemon-reload"); err != nil {
			return err
		}
	}
	if enabled != nil {
		verb := map[bool]string{true: "enable", false: "disable"}[*enabled]
		if err := systemctl(ctx, h, verb, u.Name); err != nil {
			return err
		}
	}
	if active == nil {
		return nil
	}
	verb := map[bool]string{true: "start", false: "stop"}[*active]
	err := systemctl(ctx, h, verb, u.Name)
	if err != nil && *active {
		logJournal(ctx, h, u.Name)
	}
	return err
}

// Verb has systemd restart or reload a unit, after it has read changed unit files. The
// error has the end of the unit's journal.
func Verb(ctx context.Context, h tasks.Host, verb, name string) error {
	u, err := Show(ctx, h, name)
	if err == nil && u.NeedReload {
		err = systemctl(ctx, h, "daemon-reload")
	}
	if err != nil {
		return err
	}
	if err = systemctl(ctx, h, verb, u.Name); err == nil {
		return nil
	}
	if text := journal(ctx, h, u.Name); text != "" {
		return fmt.Errorf("%w; its journal ends with: %s", err, text)
	}
	return err
}

func systemctl(ctx context.Context, h tasks.Host, args ...string) error {
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: append([]string{"systemctl"}, args...)})
	return err
}

// logJournal says why a unit did not start, as far as the journal knows.
func logJournal(ctx context.Context, h tasks.Host, unit string) {
	for _, line := range tasks.Lines(journal(ctx, h, unit)) {
		tasks.Logf(ctx, "journal of %s: %s", unit, strings.TrimRight(line, "\n"))
	}
}

// journal is the end of what a unit said, empty where nothing tells.
func journal(ctx context.Context, h tasks.Host, unit string) string {
	c := tasks.Cmd{Argv: []string{"journalctl", "--unit", unit, "--lines", "10", "--no-pager", "--output", "cat"}, ReadOnly: true}
	out, err := tasks.Succeed(ctx, h, c)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out.Stdout))
}
