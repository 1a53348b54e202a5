package lxc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

const (
	pathTemplate = "is_template"
	pathParent   = "clone_from_ctid"
	pathSnapshot = "template_snapshot_name"
)

// compareOrigin looks at what the container is, and at the parent that its root volume
// is linked to. Where that does not tell, its description records one: people can change
// that, so it is told, and never a reason to destroy the container.
func (s *Spec) compareOrigin(v values, root pve.VolumeID) []finding {
	var out []finding
	parent, linked := root.LinkedTo()
	recorded := false
	if !linked {
		parent, recorded = recordedParent(v["description"], s.CTID)
	}
	if want := s.CloneFromCTID; (linked || recorded) && want != 0 && parent != want {
		x := replacing(pathParent, strconv.Itoa(parent), strconv.Itoa(want))
		if recorded {
			x.Effect, x.op = tasks.EffectLive, opKept
			x.refused = &tasks.RefusedError{
				What: fmt.Sprintf("cloning container %d from %d instead of %d", s.CTID, want, parent),
				Instead: fmt.Sprintf("only the line of phoenix in its description says what it was cloned from: set %s to %d or, where the line is wrong, "+
					"take that out of the description; phoenix destroy %d and a run make it anew", pathParent, parent, s.CTID),
			}
		}
		out = append(out, x)
	}
	if s.IsTemplate == nil {
		return out
	}
	have := (&field{key: "template", def: "false", canon: canonBool}).present(v)
	switch want := strconv.FormatBool(*s.IsTemplate); {
	case have == want:
	case *s.IsTemplate:
		c := tasks.Change{Path: pathTemplate, From: have, To: want, Effect: tasks.EffectLive, Note: "a template stays one, and never runs again"}
		out = append(out, finding{Change: c, op: opTemplate, key: "template"})
	default:
		out = append(out, replacing(pathTemplate, have, want))
	}
	return out
}

// snapshotFinding tells whether the snapshot for clones is missing. One that is there
// is left as it is, however the container has changed since.
func (t *task) snapshotFinding(f *found) []finding {
	name := t.spec.TemplateSnapshotName
	if name == "" {
		return nil
	}
	s := f.conf.Snapshot(name)
	c := tasks.Change{Path: pathSnapshot, To: name, Effect: tasks.EffectLive}
	switch {
	case s == nil:
		return []finding{{Change: c, op: opSnapshot}}
	case incomplete(s):
		c.From = "(incomplete)"
		return []finding{{Change: c, op: opSnapshot, refused: &tasks.RefusedError{
			What: fmt.Sprintf("making snapshot %s of container %d anew", name, t.spec.CTID),
			Instead: fmt.Sprintf("Proxmox has not finished the one that is there: take it away with pct delsnapshot %d %s --force 1",
				t.spec.CTID, name),
		}}}
	}
	return nil
}

// refuse marks what Proxmox would not do, with what to do instead.
func (t *task) refuse(h tasks.Host, f *found, found []finding) ([]finding, error) {
	if !f.template() && t.spec.IsTemplate == nil && t.spec.TemplateSnapshotName == "" {
		return found, nil
	}
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return nil, err
	}
	id := t.spec.CTID
	refused := slices.ContainsFunc(found, func(x finding) bool { return x.op == opReplace })
	for i := range found {
		x := &found[i]
		instead := ""
		switch {
		case x.op == opTemplate:
			instead = t.notTemplate(cfg, f)
		case x.op == opSnapshot && x.refused == nil:
			instead = notSnapshot(cfg, f, refused)
		case f.template() && (x.op == opResize || x.op == opAdd && x.entry.prefix == "mp"):
			instead = "the volumes of a template stay as they are: make a clone of it, change that, and make it a template"
		}
		if instead != "" {
			x.refused = &tasks.RefusedError{What: fmt.Sprintf("%s %s -> %s of container %d", x.Path, orNothing(x.From), x.To, id), Instead: instead}
		}
		refused = refused || x.refused != nil
	}
	return t.dropState(f, found), nil
}

// dropState takes the state out of the differences where it only follows from what is
// refused: a container is not stopped for a template that it does not become, nor is a
// template started that has to be replaced.
func (t *task) dropState(f *found, found []finding) []finding {
	i := indexPath(found, pathTemplate)
	if i < 0 || found[i].op == opTemplate && (found[i].refused == nil || t.spec.State != "") {
		return found
	}
	return slices.DeleteFunc(found, func(x finding) bool {
		return x.op == opState && (f.template() || x.To == StateStopped)
	})
}

// notTemplate is what keeps a container from becoming a template; "" when nothing does.
func (t *task) notTemplate(cfg pve.StorageCfg, f *found) string {
	if names := f.conf.Snapshots(); len(names) > 0 {
		calls := make([]string, len(names))
		for i, n := range names {
			calls[i] = fmt.Sprintf("pct delsnapshot %d %s", t.spec.CTID, n)
		}
		return "a container with snapshots cannot be a template: take them away first with " + strings.Join(calls, ", ")
	}
	return guest.Lacking(cfg, f.now, pve.FeatureTemplate)
}

// notSnapshot is what keeps a container from a snapshot that its clones can come from.
func notSnapshot(cfg pve.StorageCfg, f *found, unfinished bool) string {
	switch {
	case unfinished:
		return "the container is not finished: see what else is refused"
	case f.template():
		return "a template has no snapshots: clone it without one"
	}
	return guest.Lacking(cfg, f.now, pve.FeatureSnapshot)
}

// convert makes the container a template. pct exits 0 even when that failed
// (pve-container 5.3.5).
func (a *applier) convert(ctx context.Context) error {
	return a.end(ctx, opTemplate, "make container %d a template", "template")
}

// snapshot takes the snapshot that clones come from.
func (a *applier) snapshot(ctx context.Context) error {
	return a.end(ctx, opSnapshot, "take a snapshot of container %d", "snapshot", a.task.spec.TemplateSnapshotName)
}

// end makes what a finished container is for, and sees it made.
func (a *applier) end(ctx context.Context, what op, doing, verb string, more ...string) error {
	_, found, err := a.read()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(found, func(x finding) bool { return x.op == what })
	if i < 0 {
		return nil
	}
	args := append([]string{verb, strconv.Itoa(a.task.spec.CTID)}, more...)
	out, err := a.task.pct(ctx, a.host, args...)
	if err != nil {
		return fmt.Errorf(doing+": %w", a.task.spec.CTID, err)
	}
	return a.verify(out, args, found[i:i+1])
}

// refused returns the first difference that was left as it is because Proxmox would not
// make it, after all others were made.
func (a *applier) refused(context.Context) error {
	f, err := a.task.load(a.host)
	if err != nil {
		return err
	}
	found, err := a.task.findings(a.host, f)
	if err != nil {
		return err
	}
	for _, x := range found {
		if x.refused != nil && (a.diff == nil || a.diff.Has(x.Path)) {
			return x.refused
		}
	}
	return nil
}

// findClones looks for the containers that share the volumes of this one, where the
// differences would have it destroyed. Proxmox itself notices while it destroys, when
// other volumes are gone already; on LVM and btrfs clones share nothing that has a name.
func (t *task) findClones(h tasks.Host, f *found, d tasks.Diff) error {
	if len(d.With(tasks.EffectReplace))+len(d.With(tasks.EffectDestroy)) == 0 {
		return nil
	}
	const nodes = "/etc/pve/nodes"
	names, err := h.ReadDir(nodes)
	if err != nil {
		return fmt.Errorf("look for clones of container %d: %w", t.spec.CTID, err)
	}
	f.clones = nil
	for _, node := range names {
		dir := path.Join(nodes, node, "lxc")
		files, err := h.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for clones of container %d: %w", t.spec.CTID, err)
		}
		for _, file := range files {
			id, ok := ctidOf(file)
			if !ok || id == t.spec.CTID {
				continue
			}
			data, there, err := tasks.ReadIfExists(h, path.Join(dir, file))
			if err != nil {
				return fmt.Errorf("look for clones of container %d: %w", t.spec.CTID, err)
			}
			if there && slices.Contains(pve.ParseConfig(data).LinkedTo(), t.spec.CTID) {
				f.clones = append(f.clones, id)
			}
		}
	}
	slices.Sort(f.clones)
	return nil
}

// ctidOf reads the number in CTID.conf.
func ctidOf(file string) (int, bool) {
	digits, ok := strings.CutSuffix(file, ".conf")
	id, err := strconv.Atoi(digits)
	return id, ok && err == nil
}

func joinNumbers(numbers []int) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ", ")
}
