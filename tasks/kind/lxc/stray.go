package lxc

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// strayPath is the property that wants a line which another tool appended to a
// snapshot; "" when none does. A volume is not among them: the one that is wanted
// would be a new one.
func (s *Spec) strayPath(o pve.RawOption) string {
	for _, p := range s.rawProperties() {
		if slices.Contains(p.want, o) {
			return p.path
		}
	}
	if strings.HasPrefix(o.Key, "lxc.") {
		if s.LXCOptions != nil {
			if want, err := parseRaw(*s.LXCOptions); err == nil && slices.Contains(want, o) {
				return pathRaw
			}
		}
		return ""
	}
	v := values{o.Key: o.Value}
	for _, e := range s.entries() {
		if e.volume == nil && strings.HasPrefix(o.Key, e.prefix) && e.locate(v) != "" && !slices.ContainsFunc(e.compare(o.Key, v), elsewhere) {
			return e.path
		}
	}
	at := ""
	for _, f := range s.scalars() {
		if f.key == o.Key {
			if f.present(v) != f.want {
				return ""
			}
			at = orElse(at, f.path)
		}
	}
	return at
}

// elsewhere tells whether an entry mounts something else.
func elsewhere(x finding) bool { return x.op == opReplace || x.sub == "volume" }

// strayFindings tells of wanted lines that stand in a snapshot, at what is missing for
// it or, where nothing is and the snapshot has them twice, by themselves.
func (t *task) strayFindings(f *found, out []finding) []finding {
	lines := make(map[string][]string)
	strays := f.conf.Strays()
	for _, x := range strays {
		at := t.spec.strayPath(x.RawOption)
		missing := slices.ContainsFunc(out, func(o finding) bool { return under(o.Path, at) })
		if at != "" && !x.Doubt && (missing || !x.Only) {
			lines[at] = append(lines[at], x.String())
		}
	}
	for _, x := range strays {
		at := t.spec.strayPath(x.RawOption)
		if lines[at] == nil {
			continue
		}
		text := strings.Join(lines[at], "; ")
		delete(lines, at)
		note := fmt.Sprintf("another tool wrote it into snapshot %s, where it has no effect: %s", x.Snapshot, text)
		missing := false
		for i := range out {
			if under(out[i].Path, at) {
				out[i].Note, missing = joinLines(out[i].Note, note), true
			}
		}
		if !missing {
			c := tasks.Change{Path: at, From: text + " (also in snapshot " + x.Snapshot + ")", To: text, Effect: tasks.EffectLive, Note: note}
			out = append(out, finding{Change: c, op: opStray})
		}
	}
	return out
}

func under(path, at string) bool { return path == at || strings.HasPrefix(path, at+".") }

// Data is what a check has to say of a container beside its differences; nothing where
// there is nothing to say.
type Data struct {
	Notes []string `json:"notes"`
}

// tellStrays names the lines that nothing wants, or that may be Proxmox's own. They stay
// where they are, and are no difference: they have no effect.
func (t *task) tellStrays(ctx context.Context, f *found) error {
	var d Data
	for _, x := range f.conf.Strays() {
		if x.Doubt || t.spec.strayPath(x.RawOption) == "" {
			d.Notes = append(d.Notes, fmt.Sprintf("%q stands in snapshot %s behind what Proxmox writes there; if another tool wrote it for the container, it has no effect; it is left there",
				x, x.Snapshot))
		}
	}
	if d.Notes == nil {
		return nil
	}
	return tasks.SetData(ctx, d)
}

// strays takes wanted lines out of the snapshot, before anything else is sent: with
// every change, Proxmox sorts them into it as if they were its own. What they say is
// then missing in the current section like anything that is.
func (a *applier) strays(ctx context.Context) error {
	f, found, err := a.read()
	if err != nil {
		return err
	}
	ours := func(o pve.RawOption) bool {
		at := a.task.spec.strayPath(o)
		return at != "" && slices.ContainsFunc(found, func(x finding) bool { return under(x.Path, at) })
	}
	if !slices.ContainsFunc(f.conf.Strays(), func(x pve.Stray) bool { return ours(x.RawOption) }) {
		return nil
	}
	return a.edit(ctx, "take stray lines out of a snapshot of", func(c *pve.Config) error {
		c.DropStrays(ours)
		return nil
	})
}
