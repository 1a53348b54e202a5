// Package aptget starts apt-get so that it never asks a question, waits for other
// package managers, finishes what an interrupted dpkg left, and says beforehand what
// a change would do.
//
// It is what the families that install, upgrade or fetch lists share. It never
// deletes a lock and never decides by itself what to install. Start reading at Tool;
// plan.go has the simulation.
package aptget

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"phoenix/tasks"
)

const (
	// ListsDir holds what apt-get update fetched.
	ListsDir = "/var/lib/apt/lists"
	// stampFile is touched after each update that succeeded: by Update, and on some
	// machines by a hook of their own. An update that finds nothing new leaves no other
	// trace than the time of lists/partial, and so does one that fails (apt 2.6).
	stampFile = "/var/lib/apt/periodic/update-success-stamp"
	// updatesDir has files while dpkg is at work, and after it was interrupted.
	updatesDir = "/var/lib/dpkg/updates"
)

// Tool is apt-get with a clock.
type Tool struct {
	// Wait bounds the wait for another package manager.
	Wait time.Duration
	// Now is the clock.
	Now func() time.Time
	// Retry is the time between attempts at a lock that apt-get does not wait for.
	Retry time.Duration
}

// New returns a Tool that waits so many seconds for a lock; 0 means five minutes.
func New(lockTimeoutS int) Tool {
	t := Tool{Wait: 5 * time.Minute, Now: time.Now, Retry: 2 * time.Second}
	if lockTimeoutS > 0 {
		t.Wait = time.Duration(lockTimeoutS) * time.Second
	}
	return t
}

// quiet is the environment in which no part of a package asks a question.
func quiet() []string {
	return []string{
		"DEBIAN_FRONTEND=noninteractive", "APT_LISTCHANGES_FRONTEND=none",
		"NEEDRESTART_MODE=a", "UCF_FORCE_CONFFOLD=1",
	}
}

// Run starts an apt-get that never asks: a changed configuration file stays as the
// operator left it.
func (t Tool) Run(ctx context.Context, h tasks.Host, args ...string) error {
	_, err := t.run(ctx, h, args...)
	return err
}

func (t Tool) run(ctx context.Context, h tasks.Host, args ...string) (tasks.Output, error) {
	argv := []string{
		"apt-get", "-y", "-q",
		"-o", fmt.Sprintf("DPkg::Lock::Timeout=%d", int(t.Wait.Seconds())),
		"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
	}
	return t.locked(ctx, h, tasks.Cmd{Argv: append(argv, args...), Env: quiet()})
}

// Update fetches the package lists, all of them: apt-get ends with status 0 when an
// archive cannot be reached, and keeps its old lists.
func (t Tool) Update(ctx context.Context, h tasks.Host) error {
	out, err := t.run(ctx, h, "update")
	if err == nil {
		err = unreached(string(out.Stderr))
	}
	if err != nil {
		return fmt.Errorf("fetch package lists: %w%s", err, subscription(err))
	}
	if _, err := h.Stat(path.Dir(stampFile)); errors.Is(err, fs.ErrNotExist) {
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: path.Dir(stampFile)}); err != nil {
			return err
		}
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: stampFile})
}

// WithLists makes a change that needs package lists. They are fetched first when they
// are older than so many seconds, 0 meaning a day, and again when apt-get does not know
// a name. A fetch that failed (one repository of several, the enterprise one without a
// subscription) is told and does not stop an installation that works without it.
func (t Tool) WithLists(ctx context.Context, h tasks.Host, maxAgeS int, change func() error) error {
	stale, err := t.Stale(h, maxAgeS)
	if err != nil {
		return err
	}
	fetch := func() error {
		err := t.Update(ctx, h)
		if err != nil {
			tasks.Logf(ctx, "fetching the package lists did not end well, going on with what there is: %v", err)
		}
		return err
	}
	var fetched error
	if stale {
		fetched = fetch()
	}
	err = change()
	if err != nil && !stale && strings.Contains(err.Error(), "Unable to locate package") {
		fetched = fetch()
		err = change()
	}
	if err != nil {
		return errors.Join(err, fetched)
	}
	return nil
}

// unreached is the error of an update that warned only.
func unreached(stderr string) error {
	var failed []string
	for _, line := range tasks.Lines(stderr) {
		if strings.Contains(line, "Failed to fetch") {
			failed = append(failed, strings.TrimSpace(strings.TrimPrefix(line, "W: ")))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return errors.New(strings.Join(failed, "; "))
}

// subscription says what to do about the refusal that every Proxmox host without a
// subscription meets.
func subscription(err error) string {
	if text := err.Error(); strings.Contains(text, "enterprise.proxmox.com") && strings.Contains(text, "401") {
		return " (the enterprise archives need a subscription; without one, set apt.repositories and apt.ceph to no-subscription)"
	}
	return ""
}

// Repair finishes what an interrupted dpkg left, where something was left or broken
// says so; apt-get refuses to do anything before that.
func (t Tool) Repair(ctx context.Context, h tasks.Host, broken bool) error {
	names, err := h.ReadDir(updatesDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	left := slices.ContainsFunc(names, regexp.MustCompile(`^[0-9]+$`).MatchString)
	if !broken && !left {
		return nil
	}
	tasks.Logf(ctx, "finishing what an interrupted dpkg left")
	_, err = t.locked(ctx, h, tasks.Cmd{
		Argv: []string{"dpkg", "--force-confdef", "--force-confold", "--configure", "-a"}, Env: quiet(),
	})
	return err
}

// Age is how long ago the package lists were fetched; there is none when some are
// missing. Their own times are the repository's, not those of the fetch, so the
// directory and the stamp count.
func (t Tool) Age(h tasks.Host) (age time.Duration, fetched bool, err error) {
	names, err := h.ReadDir(ListsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	has := func(part string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, part) })
	}
	if !has("_Packages") || !has("_InRelease") && !has("_Release") {
		return 0, false, nil
	}
	var newest time.Time
	for _, p := range []string{ListsDir, stampFile} {
		fi, err := h.Stat(p)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, false, err
		}
		if err == nil && fi.ModTime.After(newest) {
			newest = fi.ModTime
		}
	}
	return t.Now().Sub(newest), true, nil
}

// Stale tells whether the package lists are missing or older than so many seconds;
// 0 means a day.
func (t Tool) Stale(h tasks.Host, maxAgeS int) (bool, error) {
	age, fetched, err := t.Age(h)
	return !fetched || age > MaxAge(maxAgeS), err
}

// MaxAge is the age that so many seconds stand for: a day for 0.
func MaxAge(seconds int) time.Duration {
	if seconds == 0 {
		return 24 * time.Hour
	}
	return time.Duration(seconds) * time.Second
}

// locked runs a program again while another one holds a lock that it does not wait
// for by itself: that of the package lists, and dpkg's for dpkg.
func (t Tool) locked(ctx context.Context, h tasks.Host, c tasks.Cmd) (tasks.Output, error) {
	until := t.Now().Add(t.Wait)
	said := false
	for {
		out, err := tasks.Succeed(ctx, h, c)
		line := lockLine(err)
		if line == "" || !t.Now().Before(until) {
			return out, err
		}
		if !said {
			tasks.Logf(ctx, "another package manager is at work; waiting up to %s: %s", t.Wait, line)
			said = true
		}
		wait := time.NewTimer(t.Retry)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return out, errors.Join(err, ctx.Err())
		}
	}
}

// lockLine is the line in which apt-get or dpkg says that a lock is held.
func lockLine(err error) string {
	var ce *tasks.CommandError
	if !errors.As(err, &ce) {
		return ""
	}
	for _, line := range tasks.Lines(ce.Stderr) {
		if strings.Contains(line, "Could not get lock") || strings.Contains(line, "lock was locked by another process") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
