package storage

import (
	"context"
	"iter"

	"phoenix/tasks"
	"phoenix/tasks/cfslock"
	"phoenix/tasks/pve"
)

// Apply adds the storage, or sets what differs in one call. What a storage is made of
// is refused after everything else, because it is fixed once the storage exists.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if err := pve.Writable(h); err != nil {
		return err
	}
	if d.Has("exists") {
		argv := []string{"pvesm", "add", t.spec.Type, t.spec.ID}
		for _, w := range t.spec.words() {
			if w.want != "" && kinds()[t.spec.Type].isFixed(w.path) {
				argv = append(argv, "--"+w.key, w.want)
			}
		}
		return t.pvesm(ctx, h, append(argv, flat(t.options(nil))...), t.spec.Password != nil)
	}
	opts := flat(t.options(d))
	if len(opts) > 0 || d.Has("password") {
		if err := t.pvesm(ctx, h, append([]string{"pvesm", "set", t.spec.ID}, opts...), d.Has("password")); err != nil {
			return err
		}
	}
	for _, c := range d.With(tasks.EffectReplace) {
		return t.fixed(c)
	}
	return nil
}

// options are the arguments for the properties that d names or, where d is nil, for
// all that the spec has; without those that are fixed.
func (t *task) options(d tasks.Diff) iter.Seq2[string, string] {
	named := func(path string) bool { return d == nil || d.Has(path) }
	return func(yield func(string, string) bool) {
		s := t.spec
		if len(s.Content) > 0 && named("content") && !yield("--content", joined(s.Content)) {
			return
		}
		if len(s.Nodes) > 0 && named("nodes") && !yield("--nodes", joined(s.Nodes)) {
			return
		}
		for _, b := range s.switches() {
			if b.want == nil || !named(b.path) || d == nil && !*b.want {
				continue
			}
			if !yield("--"+b.key, map[bool]string{true: "1", false: "0"}[*b.want]) {
				return
			}
		}
		for _, w := range s.words() {
			if w.want == "" || !named(w.path) || kinds()[s.Type].isFixed(w.path) {
				continue
			}
			if !yield("--"+w.key, w.want) {
				return
			}
		}
		if s.PruneBackups != "" && named("prune_backups") {
			yield("--prune-backups", joined(pve.SplitSet(s.PruneBackups)))
		}
	}
}

func flat(opts iter.Seq2[string, string]) []string {
	var out []string
	for k, v := range opts {
		out = append(out, k, v)
	}
	return out
}

// pvesm runs the program, again while another writer holds the lock. What it reports
// is not believed: the runner's second check reads the file. A password goes through
// its standard input: with the option but no value, pvesm reads a line from there
// (pve-storage, PVE::CLI::pvesm param_mapping).
func (t *task) pvesm(ctx context.Context, h tasks.Host, argv []string, password bool) error {
	c := tasks.Cmd{Argv: argv}
	if password {
		value, err := secretLine(ctx, t.spec.Password.Name)
		if err != nil {
			return err
		}
		c.Argv, c.Stdin = append(argv, "--password"), []byte(value+"\n")
	}
	return cfslock.Run(ctx, h, c)
}
