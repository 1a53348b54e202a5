package storage

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// lockAttempts bounds how often pvesm is started again when another writer holds
// the lock of storage.cfg; each attempt waits about ten seconds by itself.
const lockAttempts = 6

// Apply adds the storage, or sets what differs in one call. A path that differs is
// refused after everything else, because it is fixed once the storage exists.
func (t task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if err := pve.Writable(h); err != nil {
		return err
	}
	if d.Has("exists") {
		argv := []string{"pvesm", "add", "dir", t.spec.ID, "--path", t.spec.Path}
		return pvesm(ctx, h, append(argv, flat(t.options(nil))...))
	}
	if opts := flat(t.options(d)); len(opts) > 0 {
		if err := pvesm(ctx, h, append([]string{"pvesm", "set", t.spec.ID}, opts...)); err != nil {
			return err
		}
	}
	for _, c := range d.With(tasks.EffectReplace) {
		return t.fixed(c)
	}
	return nil
}

// options are the arguments for the properties that d names, or, where d is nil,
// for all that the spec has.
func (t task) options(d tasks.Diff) iter.Seq2[string, string] {
	named := func(path string) bool { return d == nil || d.Has(path) }
	return func(yield func(string, string) bool) {
		s := t.spec
		if len(s.Content) > 0 && named("content") && !yield("--content", joined(s.Content)) {
			return
		}
		if len(s.Nodes) > 0 && named("nodes") && !yield("--nodes", joined(s.Nodes)) {
			return
		}
		for _, b := range t.switches() {
			if b.want == nil || !named(b.path) || d == nil && !*b.want {
				continue
			}
			if !yield("--"+b.key, map[bool]string{true: "1", false: "0"}[*b.want]) {
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

// pvesm runs the program, again while another writer holds the lock. What it
// reports is not believed: the runner's second check reads the file.
func pvesm(ctx context.Context, h tasks.Host, argv []string) error {
	var err error
	for range lockAttempts {
		_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: argv})
		var ce *tasks.CommandError
		if !errors.As(err, &ce) || !strings.Contains(ce.Stderr, "got lock request timeout") {
			return err
		}
		tasks.Logf(ctx, "another writer holds the lock of storage.cfg; trying again")
	}
	return err
}

// contents are the kinds of content of a directory storage (pve-storage 8.4).
func contents() []string {
	return []string{"images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"}
}

func validContent(c string) bool { return slices.Contains(contents(), c) }
