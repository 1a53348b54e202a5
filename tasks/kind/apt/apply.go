package apt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
)

const (
	listsDir = "/var/lib/apt/lists"
	// stampFile is touched by Debian's hook after each update that succeeded.
	stampFile = "/var/lib/apt/periodic/update-success-stamp"
	// updatesDir has files while dpkg is at work, and after it was interrupted.
	updatesDir = "/var/lib/dpkg/updates"
)

// Apply installs, removes and holds, as far as d says.
func (t task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if err := t.repair(ctx, h, d); err != nil {
		return err
	}
	status, err := dpkg.Read(h)
	if err != nil {
		return err
	}
	var install, remove, hold []string
	for _, c := range t.diff(status) {
		if !d.Has(c.Path) {
			continue
		}
		name, isPackage := strings.CutPrefix(c.Path, "packages.")
		switch {
		case isPackage && c.To == "":
			remove = append(remove, name)
		case isPackage:
			install = append(install, name)
		default:
			hold = append(hold, strings.TrimPrefix(c.Path, "hold."))
		}
	}
	if len(install) > 0 {
		if err := t.install(ctx, h, install); err != nil {
			return err
		}
	}
	if len(remove) > 0 {
		if err := t.change(ctx, h, "remove", remove); err != nil {
			return err
		}
	}
	if len(hold) > 0 {
		_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: append([]string{"apt-mark", "hold"}, hold...)})
	}
	return err
}

// repair finishes what an interrupted dpkg left; apt-get refuses to do anything
// before that.
func (t task) repair(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	broken := slices.ContainsFunc(d, func(c tasks.Change) bool {
		return slices.Contains([]string{"half-configured", "unpacked"}, c.From)
	})
	left, err := interrupted(h)
	if err != nil {
		return err
	}
	if !broken && !left {
		return nil
	}
	tasks.Logf(ctx, "finishing what an interrupted dpkg left")
	return t.locked(ctx, h, tasks.Cmd{
		Argv: []string{"dpkg", "--force-confdef", "--force-confold", "--configure", "-a"}, Env: quiet(),
	})
}

func interrupted(h tasks.Host) (bool, error) {
	names, err := h.ReadDir(updatesDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return slices.ContainsFunc(names, regexp.MustCompile(`^[0-9]+$`).MatchString), nil
}

// install fetches the lists when they are old, and again when apt-get does not know
// a name. A fetch that failed (one repository of several, the enterprise one
// without a subscription) is told and does not stop an installation that works
// without it.
func (t task) install(ctx context.Context, h tasks.Host, names []string) error {
	stale, err := t.stale(h)
	if err != nil {
		return err
	}
	var updateErr error
	if stale {
		updateErr = t.update(ctx, h)
	}
	err = t.change(ctx, h, "install", names)
	if err != nil && !stale && strings.Contains(err.Error(), "Unable to locate package") {
		updateErr = t.update(ctx, h)
		err = t.change(ctx, h, "install", names)
	}
	if err != nil {
		return errors.Join(err, updateErr)
	}
	return nil
}

func (t task) update(ctx context.Context, h tasks.Host) error {
	err := t.locked(ctx, h, t.get("update"))
	if err != nil {
		tasks.Logf(ctx, "fetching the package lists did not end well, going on with what there is: %v", err)
		return fmt.Errorf("fetch package lists: %w", err)
	}
	return nil
}

// stale tells whether the package lists are missing or old. Their own times are the
// repository's, not those of the fetch, so the directory and the stamp count.
func (t task) stale(h tasks.Host) (bool, error) {
	names, err := h.ReadDir(listsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	has := func(part string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, part) })
	}
	if !has("_Packages") || !has("_InRelease") && !has("_Release") {
		return true, nil
	}
	var newest time.Time
	for _, p := range []string{listsDir, stampFile} {
		fi, err := h.Stat(p)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if err == nil && fi.ModTime.After(newest) {
			newest = fi.ModTime
		}
	}
	limit := time.Duration(t.spec.CacheMaxAgeS) * time.Second
	if limit == 0 {
		limit = 24 * time.Hour
	}
	return t.now().Sub(newest) > limit, nil
}
