package lxc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// The steps that may bring what the host lacks, by their families or whole IDs. Steps of
// the operator's own may bring anything.
const (
	byNetwork   = "network kernel"
	byStorage   = "storage zpool dataset"
	byTemplate  = "template storage"
	byFile      = "file user"
	byDirectory = "file apt storage zpool dataset nfs samba"
	byDevice    = "kernel nvidia apt reboot"
	byPackage   = "apt"
)

// lackError is something that the host does not have, or not yet.
type lackError struct {
	err error
	by  string
}

func (e *lackError) Error() string { return e.err.Error() }
func (e *lackError) Unwrap() error { return e.err }

func lack(by string, err error) error {
	if err == nil {
		return nil
	}
	return &lackError{err, by}
}

// bringers are the steps that may bring what the error is about.
func bringers(err error) string {
	if l := new(lackError); errors.As(err, &l) {
		return l.by
	}
	return ""
}

// cannot notes at a change why a run would fail over it. What an earlier step may bring
// is no failure yet.
func cannot(ctx context.Context, c *tasks.Change, err error) {
	families := strings.Fields("script feature " + bringers(err))
	first := slices.DeleteFunc(slices.Clone(tasks.ScopeOf(ctx).Earlier), func(id string) bool {
		inside := strings.HasPrefix(id, "feature:") && strings.Contains(id, "/") // of a container
		return inside || !slices.ContainsFunc(families, func(w string) bool { return id == w || strings.HasPrefix(id, w+":") })
	})
	if len(first) > 0 {
		c.Note = joinLines(c.Note, fmt.Sprintf("now: %v; a run takes %s first, which may bring it", err, strings.Join(first, ", ")))
		return
	}
	c.Note = joinLines(c.Note, tasks.NoteCannot+err.Error())
}

// parentSteps are those of a container that a clone comes from.
func parentSteps(ctid int) []string { return []string{StepID(ctid), FinishID(ctid)} }

// foreseeNew looks at what a run looks at before it makes the container.
func (t *task) foreseeNew(ctx context.Context, h tasks.Host, c *tasks.Change) {
	var parent *found
	var err error
	if t.spec.CloneFromCTID != 0 {
		who := ""
		if parent, who, err = t.parent(h); who != "" {
			return // it is waited for, and may be another one then
		}
	}
	if err == nil {
		_, _, err = t.look(h, parent)
	}
	if err == nil {
		return
	}
	if t.spec.CloneFromCTID != 0 {
		err = lack(strings.Join(append(parentSteps(t.spec.CloneFromCTID), bringers(err)), " "), err)
	}
	cannot(ctx, c, err)
}

// foresee notes at the differences of a container that exists what a run would find out
// before it sends them, or before it starts the container with them.
func (t *task) foresee(ctx context.Context, h tasks.Host, f *found, found []finding) error {
	if len(found) == 0 {
		return nil
	}
	if i := slices.IndexFunc(found, func(x finding) bool { return x.op == opReplace }); i >= 0 {
		t.foreseeNew(ctx, h, &found[i].Change)
	}
	sent := slices.DeleteFunc(slices.Clone(found), func(x finding) bool { return !x.sent() })
	set, deletes, err := assign(sent, f.next, f.now)
	if err != nil {
		return fmt.Errorf("change container %d: %w", t.spec.CTID, err)
	}
	next := overlay(f.next, set, deletes)
	raw, err := t.spec.wantRaw(f.conf.Head().Raw(), chosen(found))
	if err != nil {
		return err
	}
	list, err := obstacles(h, next, raw, found)
	if err != nil {
		return err
	}
	start := t.startsFor(ctx, f, found)
	for _, o := range list {
		i := slices.IndexFunc(found, func(x finding) bool {
			return x.sent() && (x.key == o.option || x.op == opAdd && x.entry.locate(next) == o.option)
		})
		switch {
		case i >= 0:
			cannot(ctx, &found[i].Change, o.err)
		case start >= 0:
			cannot(ctx, &found[start].Change, fmt.Errorf("it would not start: %w", o.err))
		}
	}
	if i := slices.IndexFunc(sent, func(x finding) bool { return x.key == "timezone" }); i >= 0 {
		if err := t.zoneThere(h, sent); err != nil {
			cannot(ctx, &found[indexPath(found, sent[i].Path)].Change, err)
		}
	}
	return nil
}

// sent tells whether the difference goes into pct set.
func (x *finding) sent() bool { return (x.op == opSet || x.op == opAdd) && x.refused == nil }

// startsFor is the index of the first difference for which a run starts the container, or
// starts it again; -1 for none. Without its cards it is not started.
func (t *task) startsFor(ctx context.Context, f *found, found []finding) int {
	if !t.spec.Runs() || slices.ContainsFunc(found, func(x finding) bool { return x.op == opGPU }) {
		return -1
	}
	return slices.IndexFunc(found, func(x finding) bool {
		again := x.Effect == tasks.EffectRestart || x.Effect == tasks.EffectPending
		return x.refused == nil && x.op != opByHand && (x.op == opState || f.running && again && t.mayRestart(ctx))
	})
}

// obstacle is what is known to keep the container from starting, at an option of it.
type obstacle struct {
	option string
	err    error
}

// obstacles looks for all that would keep a container from starting, but for the
// directories that the differences make first.
func obstacles(h tasks.Host, options values, raw []pve.RawOption, found []finding) ([]obstacle, error) {
	list, err := guest.Obstacles(h, options, raw)
	if err != nil {
		return nil, err
	}
	var out []obstacle
	for _, o := range list {
		p, err := pve.ParsePropertyString(options[o.Option], "volume")
		dir, _ := p.Get("volume")
		if o.Unknown || err == nil && path.IsAbs(dir) && toBeMade(found, dir) {
			continue
		}
		out = append(out, obstacle{o.Option, lack(by(o.Option), o.Why())})
	}
	return out, nil
}

// by are the steps that may take an obstacle at an option away.
func by(option string) string {
	switch strings.TrimRight(option, "0123456789") {
	case "net":
		return byNetwork
	case "dev", "features":
		return byDevice
	case "rootfs", "mp", "lxc.mount.entry", "hookscript":
		return byDirectory
	case "lxc.apparmor.profile":
		return byPackage // a file alone loads nothing
	}
	return byFile
}

// overlay is base with other values.
func overlay(base values, set map[string]string, deletes []string) values {
	out := make(values, len(base)+len(set))
	maps.Copy(out, base)
	maps.Copy(out, set)
	for _, key := range deletes {
		delete(out, key)
	}
	return out
}

// zones has the time zones that the host knows. Proxmox takes no other.
const zones = "/usr/share/zoneinfo"

// zoneThere refuses a time zone that there is not, where the differences send one.
func (t *task) zoneThere(h tasks.Host, sent []finding) error {
	i := slices.IndexFunc(sent, func(x finding) bool { return x.key == "timezone" })
	if i < 0 || sent[i].To == "host" || sent[i].To == "UTC" {
		return nil
	}
	if _, err := h.Stat(zones); err != nil {
		return nil // what there is cannot be told
	}
	if _, err := h.Stat(path.Join(zones, sent[i].To)); errors.Is(err, fs.ErrNotExist) {
		return lack(byPackage, fmt.Errorf("look for timezone %s: no such zone below %s of the host", sent[i].To, zones))
	}
	return nil
}
