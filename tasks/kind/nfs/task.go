// Package nfs exports directories to other machines: those in our own file
// /etc/exports.d/phoenix.exports, and no others.
//
// A check reads the files of exports(5) and /var/lib/nfs/etab, in which exportfs keeps
// what is really exported, and compares flag by flag, with the defaults filled in. A
// change writes our file and has exportfs read all of them; whether that worked is
// seen in etab, since exportfs reports success for much that it did not do, and
// failure for the mistakes of others. The file is ours as a whole: an export that
// left the configuration leaves it, too. It never touches /etc/exports, never starts
// the server, and changes owner and mode of a directory only where that is asked for.
// Start reading at Spec; exports.go has the grammar, flags.go the flags.
package nfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
)

// Name of the family in steps and in step IDs.
const Name = "nfs"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	for _, path := range tasks.Keys(s.Exports) {
		e, at := s.Exports[path], "exports."+path
		out = append(out, e.Spec.Validate(at+".", at, path)...)
		if len(e.Clients) == 0 {
			out.Add(at+".clients", "is empty", `name who may mount it: {"10.0.0.0/24": ["rw"]}; * is everybody`)
		}
		seen := make(map[string]string)
		for _, c := range tasks.Keys(e.Clients) {
			at := at + ".clients." + c
			if summary, hint := clientFault(c); summary != "" {
				out.Add(at, summary, hint)
			} else if other, twice := seen[canonicalClient(c)]; twice {
				out.Add(at, "is the same client as "+other, "")
			}
			seen[canonicalClient(c)] = c
			for i, f := range e.Clients[c] {
				if _, err := parseFlags([]string{f}); err != nil {
					out.Add(fmt.Sprintf("%s.%d", at, i), err.Error(), "see exports(5): rw, ro, async, no_root_squash, all_squash, anonuid=1000, crossmnt, fsid=0, mountpoint, sec=sys")
				}
			}
		}
	}
	return out
}

// clientFault refuses what is no client. The name of a single host is refused, too:
// exportfs looks it up once, exports to what it found under that one's first name, and
// leaves it out with a mere warning when nothing was found.
func clientFault(c string) (summary, hint string) {
	if p, err := netip.ParsePrefix(c); err == nil {
		if p != p.Masked() {
			return fmt.Sprintf("%q has bits behind its prefix", c), "the network is " + p.Masked().String()
		}
		return "", ""
	}
	_, err := netip.ParseAddr(c)
	switch {
	case err == nil, c == "*":
		return "", ""
	case regexp.MustCompile(`^@[A-Za-z0-9_.-]+$`).MatchString(c):
		return "", ""
	case regexp.MustCompile(`^[A-Za-z0-9_.?*-]+$`).MatchString(c) && strings.ContainsAny(c, "?*"):
		return "", ""
	case regexp.MustCompile(`^[A-Za-z0-9_.-]+$`).MatchString(c):
		return fmt.Sprintf("%q is the name of one host, which is looked up only once", c), "write its address, or a pattern such as *.lan"
	}
	return fmt.Sprintf("%q is no client", c), "an address, a network such as 10.0.0.0/24, *.lan, @netgroup or *"
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check compares our file and the active exports with what is wanted, and looks for
// the same export in the files of others.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	if err := t.others(h); err != nil {
		return nil, err
	}
	d, err := t.diff(h)
	if err != nil {
		return nil, err
	}
	for _, path := range tasks.Keys(t.spec.Exports) {
		more, err := t.spec.Exports[path].Spec.Check(ctx, h, "exports."+path+".", path)
		if err != nil {
			return nil, err
		}
		d = append(d, more...)
	}
	return d, nil
}

// diff compares what is exported, by our file and in truth.
func (t *task) diff(h tasks.Host) (tasks.Diff, error) {
	file, err := read(h, ownFile)
	if err != nil {
		return nil, err
	}
	now, err := read(h, activeFile)
	if err != nil {
		return nil, err
	}
	for i := range now {
		now[i].flags = active(now[i].flags)
	}
	written, exported := index(file), index(now)
	wanted := make(map[entry]string)
	var d tasks.Diff
	for _, path := range tasks.Keys(t.spec.Exports) {
		clients := t.spec.Exports[path].Clients
		for _, c := range tasks.Keys(clients) {
			e := entry{path, canonicalClient(c)}
			want := shown(clients[c])
			wanted[e] = want
			at := "exports." + path + ".clients." + c
			switch {
			case written[e] != want:
				d.Add(at, written[e], want, tasks.EffectLive)
			case exported[e] == "":
				d.Add(at, "written and not exported", want, tasks.EffectLive)
			default:
				d.Add(at, exported[e], want, tasks.EffectLive)
			}
		}
	}
	for _, p := range file {
		if _, ok := wanted[p.entry]; !ok {
			wanted[p.entry] = ""
			d.Add("exports."+p.path+".clients."+p.client, written[p.entry], "", tasks.EffectLive)
		}
	}
	return d, nil
}

// read parses a file; a missing one is empty.
func read(h tasks.Host, path string) ([]placed, error) {
	data, _, err := tasks.ReadIfExists(h, path)
	return parse(string(data)), err
}

// index has the flags of each entry in canonical form.
func index(all []placed) map[entry]string {
	out := make(map[entry]string)
	for _, p := range all {
		out[p.entry] = shown(p.flags)
	}
	return out
}

// shown is a list of flags in canonical form, or as it is where it is not understood.
func shown(list []string) string {
	f, err := parseFlags(list)
	if err != nil {
		return strings.Join(list, ",")
	}
	return f.list()
}

// others finds an export of ours in the file of somebody else: exportfs would take
// one of the two and ignore the other.
func (t *task) others(h tasks.Host) error {
	names, err := h.ReadDir(dropIns)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", dropIns, err)
	}
	files := []string{exportsFile}
	for _, name := range names {
		if at := dropIns + "/" + name; at != ownFile && strings.HasSuffix(name, ".exports") && !strings.HasPrefix(name, ".") {
			files = append(files, at)
		}
	}
	for _, file := range files {
		all, err := read(h, file)
		if err != nil {
			return err
		}
		for _, p := range all {
			for c := range t.spec.Exports[p.path].Clients {
				if canonicalClient(c) == p.client {
					return fmt.Errorf("compare exports: %s:%d exports %s to %s, too (take it out of there or out of the configuration: of two, one is ignored)", file, p.line, p.path, p.client)
				}
			}
		}
	}
	return nil
}

// Apply makes the directories, then writes our file and has it read.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	status, err := dpkg.Read(h)
	if err != nil {
		return err
	}
	if p, ok := status.Find("nfs-kernel-server"); !ok || !p.Installed() {
		return errors.New("export directories: the package nfs-kernel-server is not installed (add it to apt.packages)")
	}
	for _, path := range tasks.Keys(t.spec.Exports) {
		if err := t.spec.Exports[path].Spec.Apply(ctx, h, path); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(d, func(c tasks.Change) bool { return strings.Contains(c.Path, ".clients.") }) {
		return nil
	}
	return t.export(ctx, h)
}

func (t *task) export(ctx context.Context, h tasks.Host) error {
	if _, err := h.Stat(dropIns); errors.Is(err, fs.ErrNotExist) {
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: dropIns}); err != nil {
			return err
		}
	}
	text := []byte(t.spec.text())
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: ownFile, Data: text}); err != nil {
		return err
	}
	c := tasks.Cmd{Argv: []string{"exportfs", "-ra"}}
	out, err := h.Run(ctx, c)
	if err != nil {
		return err
	}
	d, err := t.diff(h)
	if err != nil || len(d) == 0 {
		return err
	}
	said := strings.TrimSpace(string(out.Stderr))
	return &tasks.CommandError{Argv: c.Argv, Code: out.Code, Stderr: said}
}
