package ruleset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
)

// ClusterFile has the switch of the whole firewall, and the groups, sets and aliases that
// every other file can name.
const ClusterFile = "/etc/pve/firewall/cluster.fw"

// GuestFile is the file of a guest.
func GuestFile(ctid int) string { return fmt.Sprintf("/etc/pve/firewall/%d.fw", ctid) }

// GuestLock is Proxmox's lock of that file.
func GuestLock(ctid int) string { return fmt.Sprintf("/etc/pve/priv/lock/firewall-vm-%d", ctid) }

// Read parses a file; a missing one is empty.
func Read(h tasks.Host, path string) (*fwfile.File, error) {
	data, _, err := tasks.ReadIfExists(h, path)
	return fwfile.Parse(data), err
}

// On tells whether the file of the cluster switches the firewall on.
func On(cluster *fwfile.File) bool {
	v, _ := cluster.Option("enable")
	return Canonical("enable", v) == "1"
}

// Write replaces the file, as a whole under Proxmox's lock, with what update makes of it.
func (w *Wanted) Write(ctx context.Context, h tasks.Host, update func(old []byte) ([]byte, error)) error {
	if err := folder(ctx, h, path.Dir(w.Path)); err != nil {
		return err
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: w.Path, Lock: w.Lock, Update: update})
}

// WriteChecked is Write for a file that Proxmox reads already. Proxmox skips lines that
// it cannot read and reports success, so that what it says of the new file is compared
// with what it said before; the old file goes back when there is more.
func (w *Wanted) WriteChecked(ctx context.Context, h tasks.Host, update func(old []byte) ([]byte, error)) error {
	before, err := complaints(ctx, h)
	if err != nil {
		return err
	}
	var old []byte
	existed := false
	err = w.Write(ctx, h, func(now []byte) ([]byte, error) {
		old, existed = slices.Clone(now), now != nil
		return update(now)
	})
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
	back := tasks.Edit{Verb: tasks.VerbPut, Path: w.Path, Data: old, Lock: w.Lock}
	if !existed {
		back.Verb = tasks.VerbRemove
	}
	err = fmt.Errorf("check %s: Proxmox does not understand it, the old file is back: %s", w.Path, strings.Join(after, "; "))
	return errors.Join(err, h.Write(ctx, back))
}

// folder makes the folder of the firewall's files, which is there from the first rule on.
func folder(ctx context.Context, h tasks.Host, dir string) error {
	_, err := h.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: dir})
	}
	return err
}

// Set makes everything in the file as wanted, and leaves what is.
func (w *Wanted) Set(f *fwfile.File) {
	different := w.Diff(f)
	for _, o := range w.Options {
		if different.Has(w.At + o.Path) {
			f.SetOption(o.Key, o.Want)
		}
	}
	for _, name := range tasks.Keys(w.Aliases) {
		if different.Has(w.At + "aliases." + name) {
			f.SetAlias(name, fwfile.Entry{Address: fwfile.CanonicalAddress(w.Aliases[name])})
		}
	}
	for _, name := range tasks.Keys(w.IPSets) {
		if different.Has(w.At + "ipsets." + name) {
			had, _ := f.IPSet(name)
			f.SetIPSet(name, entries(w.IPSets[name], had))
		}
	}
	for _, name := range tasks.Keys(w.Groups) {
		if different.Has(w.At + "groups." + name) {
			f.SetGroup(name, w.Groups[name])
		}
	}
	if len(w.rulesDiff(f.Rules())) > 0 {
		f.SetRules(ours, append(slices.Clone(w.Management), w.Rules...))
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
	for _, line := range tasks.Lines(string(out.Stderr)) {
		if line = strings.TrimSpace(number.ReplaceAllString(line, "")); line != "" {
			said = append(said, line)
		}
	}
	return said, nil
}
