package apt

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptget"
	"phoenix/tasks/dpkg"
)

// Apply installs, removes and holds, as far as d says.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	// A package in the middle of its installation is finished first.
	broken := slices.ContainsFunc(d, func(c tasks.Change) bool {
		return slices.Contains([]string{"half-configured", "unpacked"}, c.From)
	})
	if err := t.tool.Repair(ctx, h, broken); err != nil {
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
		err := t.tool.WithLists(ctx, h, t.spec.CacheMaxAgeS, func() error { return t.change(ctx, h, "install", install) })
		if err != nil {
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

// change installs or removes, after a simulation said that nothing goes that must
// stay, unless the spec removes it by name.
func (t *task) change(ctx context.Context, h tasks.Host, verb string, names []string) error {
	args := []string{verb}
	if verb == "install" {
		args = append(args, "--no-install-recommends")
	}
	args = append(args, names...)
	plan, err := aptget.Simulate(ctx, h, args...)
	if err != nil {
		return err
	}
	lost := slices.DeleteFunc(plan.Lost(), func(n string) bool { return slices.Contains(t.spec.Packages, "-"+n) })
	if len(lost) > 0 {
		return &tasks.RefusedError{What: fmt.Sprintf("removing %s, which apt-get %s %s would do,", strings.Join(lost, ", "), verb, strings.Join(names, " "))}
	}
	return t.tool.Run(ctx, h, args...)
}
