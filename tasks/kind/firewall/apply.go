package firewall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
	"phoenix/tasks/guard"
	"phoenix/tasks/pve"
)

// Proxmox's daemon takes a new file up within 10 s; started anew, at once.
const (
	settlePoll  = 500 * time.Millisecond
	settleLimit = 15 * time.Second
)

// Apply writes the files, each as a whole. What could shut people out is made under
// guard, with the old files put back unless somebody confirms.
func (t task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if err := pve.Writable(h); err != nil {
		return err
	}
	node, err := pve.Node(h)
	if err != nil {
		return err
	}
	if refused := t.spec.shutOut(ctx); refused != nil {
		return refused
	}
	for _, p := range t.parts(node) {
		if !slices.ContainsFunc(d, func(c tasks.Change) bool { return strings.HasPrefix(c.Path, p.at+".") }) {
			continue
		}
		if err := t.change(ctx, h, p); err != nil {
			return err
		}
	}
	return nil
}

func (t task) change(ctx context.Context, h tasks.Host, p part) error {
	on, err := t.on(h)
	if err != nil {
		return err
	}
	if !on {
		return t.write(ctx, h, p)
	}
	timeout := time.Minute
	if t.spec.ConfirmTimeoutS > 0 {
		timeout = time.Duration(t.spec.ConfirmTimeoutS) * time.Second
	}
	restart := []string{"pve-firewall", "restart"}
	c := guard.Change{What: "firewall", Files: []string{p.path}, Restore: [][]string{restart}, Release: [][]string{{"pve-firewall", "stop"}}, Timeout: timeout}
	return guard.Make(ctx, h, c, func(ctx context.Context) error {
		if err := t.write(ctx, h, p); err != nil {
			return err
		}
		if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: restart}); err != nil {
			return err
		}
		return settle(ctx, h)
	})
}

// on tells whether the firewall of the cluster will be on once the spec is true; only
// then can a rule shut anybody out.
func (t task) on(h tasks.Host) (bool, error) {
	if c := t.spec.Cluster; c != nil && c.Enabled != nil {
		return *c.Enabled, nil
	}
	file, err := readFile(h, clusterFile)
	if err != nil {
		return false, err
	}
	v, _ := file.Option("enable")
	return canonical("enable", v) == "1", nil
}

// write replaces the file under Proxmox's lock. Proxmox skips lines that it cannot
// read and reports success, so that what it says of the new file is compared with
// what it said before; the old file goes back when there is more.
func (t task) write(ctx context.Context, h tasks.Host, p part) error {
	before, err := complaints(ctx, h)
	if err != nil {
		return err
	}
	if err := folder(ctx, h, path.Dir(p.path)); err != nil {
		return err
	}
	var old []byte
	existed := false
	err = h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: p.path, Lock: p.lock, Update: func(now []byte) ([]byte, error) {
		old, existed = slices.Clone(now), now != nil
		return t.updated(ctx, h, p, now)
	}})
	if err != nil {
		return err
	}
	after, err := complaints(ctx, h)
	if err != nil {
		return err
	}
	after = slices.DeleteFunc(after, func(s string) bool { return slices.Contains(before, s) })
	if len(after) == 0 {
		return nil
	}
	back := tasks.Edit{Verb: tasks.VerbPut, Path: p.path, Data: old, Lock: p.lock}
	if !existed {
		back.Verb = tasks.VerbRemove
	}
	err = fmt.Errorf("check %s: Proxmox does not understand it, the old file is back: %s", p.path, strings.Join(after, "; "))
	return errors.Join(err, h.Write(ctx, back))
}

// folder makes the folder of the cluster's file, which is there from the first rule on.
func folder(ctx context.Context, h tasks.Host, dir string) error {
	_, err := h.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: dir})
	}
	return err
}

// updated is the file with everything in it that is wanted.
func (t task) updated(ctx context.Context, h tasks.Host, p part, now []byte) ([]byte, error) {
	f := fwfile.Parse(now)
	management, err := t.spec.management(ctx, h, f)
	if err != nil {
		return nil, err
	}
	p.management = management
	p.set(f)
	return f.Bytes(), nil
}

// set makes everything in the file as wanted, and leaves what is.
func (p part) set(f *fwfile.File) {
	different := p.diff(f)
	for _, o := range p.options {
		if different.Has(p.at + "." + o.path) {
			f.SetOption(o.key, o.want)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.aliases)) {
		if different.Has(p.at + ".aliases." + name) {
			f.SetAlias(name, fwfile.Entry{Address: fwfile.CanonicalAddress(p.aliases[name])})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.ipsets)) {
		if different.Has(p.at + ".ipsets." + name) {
			had, _ := f.IPSet(name)
			f.SetIPSet(name, entries(p.ipsets[name], had))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.groups)) {
		if different.Has(p.at + ".groups." + name) {
			f.SetGroup(name, p.groups[name])
		}
	}
	if len(p.rulesDiff(f.Rules())) > 0 {
		f.SetRules(ours, append(slices.Clone(p.management), p.rules...))
	}
}

// entries are the lines of a set; one that was there keeps its comment.
func entries(want []string, had []fwfile.Entry) []fwfile.Entry {
	var out []fwfile.Entry
	for _, address := range want {
		e := fwfile.Entry{Address: fwfile.CanonicalAddress(address)}
		for _, old := range had {
			if fwfile.CanonicalAddress(old.Address) == e.Address {
				e.Comment = old.Comment
			}
		}
		out = append(out, e)
	}
	return out
}

// complaints are what Proxmox says of the files as they are, without the numbers of
// lines, which move.
func complaints(ctx context.Context, h tasks.Host) ([]string, error) {
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"pve-firewall", "compile"}, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	number := regexp.MustCompile(` \(line \d+\)`)
	var said []string
	for line := range strings.Lines(string(out.Stderr)) {
		if line = strings.TrimSpace(number.ReplaceAllString(line, "")); line != "" {
			said = append(said, line)
		}
	}
	return said, nil
}

// settle waits until the daemon has put the files into effect: a confirmation before
// that would confirm the old rules.
func settle(ctx context.Context, h tasks.Host) error {
	limit := time.NewTimer(settleLimit)
	defer limit.Stop()
	for {
		out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"pve-firewall", "status"}, ReadOnly: true})
		if err != nil {
			return err
		}
		status := string(out.Stdout)
		switch {
		case strings.Contains(status, "/stopped"):
			return errors.New("put the firewall into effect: its daemon does not run (systemctl start pve-firewall)")
		case !strings.Contains(status, "pending changes"):
			return nil
		}
		select {
		case <-time.After(settlePoll):
		case <-limit.C:
			tasks.Logf(ctx, "pve-firewall still speaks of pending changes after %s", settleLimit)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
