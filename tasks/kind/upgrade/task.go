// Package upgrade keeps the installed packages of a machine up to date, as far as it
// is asked to.
//
// A check asks apt-get what it would do with the package lists that are there, and
// says so where these are too old to tell. A change fetches old lists, then upgrades
// with apt-get dist-upgrade: Proxmox VE breaks under a plain upgrade, which holds
// back whatever needs a new package. Changed configuration files stay as the operator
// left them. It never lets Proxmox's own packages go, never moves a host to another
// release of Debian or Proxmox VE, removes nothing that is merely not needed any
// more, and reboots nothing: phoenix/tasks/boot tells whether a reboot is due.
// Start reading at Spec.
package upgrade

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/aptget"
	"phoenix/tasks/boot"
	"phoenix/tasks/dpkg"
)

// Name of the family in steps and in step IDs.
const Name = "upgrade"

// securityLabel is how Debian labels its security archive. Proxmox has none of its
// own: its security fixes come with its other packages.
const securityLabel = "Debian-Security"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if !slices.Contains([]string{"", Never, Security, Full}, s.Upgrade) {
		out.Add("upgrade", fmt.Sprintf("%q is no way to upgrade", s.Upgrade), "never, security or full")
	}
	if s.CacheMaxAgeS < 0 {
		out.Add("cache_max_age_s", "is negative", "seconds; 0 means a day")
	}
	if s.LockTimeoutS < 0 {
		out.Add("lock_timeout_s", "is negative", "seconds; 0 means five minutes")
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{spec: *s, tool: aptget.New(s.LockTimeoutS)} }

type task struct {
	spec Spec
	tool aptget.Tool
}

func (t *task) never() bool { return t.spec.Upgrade == "" || t.spec.Upgrade == Never }

// Check lists each package with the version it has and the one it would get.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	if t.never() {
		return nil, nil
	}
	var d tasks.Diff
	age, fetched, err := t.tool.Age(h)
	if err != nil {
		return nil, err
	}
	if limit := aptget.MaxAge(t.spec.CacheMaxAgeS); !fetched || age > limit {
		d = append(d, tasks.Change{
			Path: "lists", From: ageText(age, fetched), To: "at most " + limit.String() + " old", Effect: tasks.EffectLive,
			Note: "what there is to upgrade is known after they are fetched",
		})
	}
	left, err := unfinished(h)
	if err != nil {
		return nil, err
	}
	d = append(d, left...)
	if !fetched {
		return d, nil
	}
	plan, _, err := t.plan(ctx, h)
	if err != nil && len(left) > 0 {
		return d, nil // apt-get plans nothing before these are finished
	}
	if err != nil {
		return nil, err
	}
	return append(d, packages(plan, left)...), nil
}

func ageText(age time.Duration, fetched bool) string {
	if !fetched {
		return "never fetched"
	}
	return age.Truncate(time.Hour).String() + " old"
}

// unfinished are the packages that dpkg unpacked and did not configure.
func unfinished(h tasks.Host) (tasks.Diff, error) {
	status, err := dpkg.Read(h)
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	for name, entries := range status {
		for _, e := range entries {
			if (e.State == "unpacked" || e.State == "half-configured") && !d.Has("packages."+name) {
				d.Add("packages."+name, e.State, "configured", tasks.EffectLive)
			}
		}
	}
	sort.Slice(d, func(i, j int) bool { return d[i].Path < d[j].Path })
	return d, nil
}

// plan asks apt-get what it would do, and returns the arguments that would do it;
// none when there is nothing to upgrade.
func (t *task) plan(ctx context.Context, h tasks.Host) (aptget.Plan, []string, error) {
	if t.spec.Upgrade == Full {
		args := []string{"dist-upgrade"}
		plan, err := aptget.Simulate(ctx, h, args...)
		return plan, args, err
	}
	release, err := aptget.Codename(h)
	if err != nil {
		return aptget.Plan{}, nil, err
	}
	// The release that is asked for is preferred, so that a package whose newest version
	// comes from a point release gets at least its security update.
	suite := []string{"-t", release + "-security"}
	all, err := aptget.Simulate(ctx, h, append(suite, "dist-upgrade")...)
	if err != nil {
		return aptget.Plan{}, nil, err
	}
	args := append(suite, "install", "--no-install-recommends")
	none := len(args)
	for _, p := range all.Install {
		if p.From != "" && slices.Contains(p.Labels, securityLabel) {
			args = append(args, p.Name+"="+p.To)
		}
	}
	if len(args) == none {
		return aptget.Plan{}, nil, nil
	}
	plan, err := aptget.Simulate(ctx, h, args...)
	return plan, args, err
}

// packages is a plan as changes. A plan that would be refused is refused as a whole.
func packages(plan aptget.Plan, left tasks.Diff) tasks.Diff {
	var d tasks.Diff
	for _, p := range plan.Install {
		if !left.Has("packages." + p.Name) {
			d.Add("packages."+p.Name, p.From, p.To, tasks.EffectLive)
		}
	}
	for _, p := range plan.Remove {
		d.Add("packages."+p.Name, p.Version, "", tasks.EffectLive)
	}
	if refused := refusal(plan); refused != nil {
		for i := range d {
			d[i].Note = refused.Note()
		}
	}
	return d
}

// refusal says why a plan must not be carried out, nil when it may.
func refusal(plan aptget.Plan) *tasks.RefusedError {
	if lost := plan.Lost(); len(lost) > 0 {
		return &tasks.RefusedError{
			What:    "upgrading, which would remove " + strings.Join(lost, ", ") + ",",
			Instead: "look at apt-get -s dist-upgrade: an archive is missing or of another release",
		}
	}
	for _, p := range plan.Install {
		if (p.Name == "pve-manager" || p.Name == "base-files") && p.From != "" && major(p.From) != major(p.To) {
			return &tasks.RefusedError{
				What:    fmt.Sprintf("upgrading %s from %s to %s", p.Name, p.From, p.To),
				Instead: "that is another release: follow Proxmox's guide (pve8to9), then run phoenix again",
			}
		}
	}
	return nil
}

func major(version string) string {
	m, _, _ := strings.Cut(version, ".")
	return m
}

// Apply finishes what was interrupted, fetches old lists, and upgrades.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	broken := slices.ContainsFunc(d, func(c tasks.Change) bool { return c.To == "configured" })
	if err := t.tool.Repair(ctx, h, broken); err != nil {
		return err
	}
	if d.Has("lists") {
		if err := t.tool.Update(ctx, h); err != nil {
			return err
		}
	}
	plan, args, err := t.plan(ctx, h)
	if err != nil || len(plan.Install)+len(plan.Remove) == 0 {
		return err
	}
	if refused := refusal(plan); refused != nil {
		return refused
	}
	for _, p := range plan.Install {
		tasks.Logf(ctx, "upgrading %s", strings.Join(strings.Fields(p.Name+" "+p.From+" to "+p.To), " "))
	}
	if err := t.tool.Run(ctx, h, args...); err != nil {
		return err
	}
	reasons, err := boot.Needed(h)
	for _, r := range reasons {
		tasks.Logf(ctx, "a reboot is needed: %s", r)
	}
	return err
}
