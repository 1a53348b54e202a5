package guest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// TimeFormat is how the time of a snapshot is told to people.
const TimeFormat = "2006-01-02 15:04:05 UTC"

// Snapshot is one snapshot of a container.
type Snapshot struct {
	// Name is unique in the container.
	Name string
	// Description is the text that was given with it.
	Description string
	// Taken is when it was made; the zero time where the file does not say.
	Taken time.Time
	// Current tells whether the container has gone on from this one.
	Current bool
	// Incomplete tells whether Proxmox has not finished making or removing it.
	Incomplete bool
}

// Snapshots lists the snapshots, the oldest first.
func (g *Guest) Snapshots() []Snapshot {
	parent, _ := g.Config.Head().Get("parent")
	var out []Snapshot
	for _, name := range g.Config.Snapshots() {
		section := g.Config.Snapshot(name)
		s := Snapshot{Name: name, Description: strings.TrimSuffix(section.Description(), "\n"), Current: name == parent}
		if text, ok := section.Get("snaptime"); ok {
			if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
				s.Taken = time.Unix(seconds, 0).UTC()
			}
		}
		_, s.Incomplete = section.Get("snapstate")
		out = append(out, s)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Taken.Before(out[j].Taken) })
	return out
}

// Snapshot finds a snapshot by its name. It is an error for one that Proxmox has not
// finished to be used.
func (g *Guest) Snapshot(name string) (s Snapshot, found bool, err error) {
	all := g.Snapshots()
	i := slices.IndexFunc(all, func(s Snapshot) bool { return s.Name == name })
	if i < 0 {
		return Snapshot{}, false, nil
	}
	if all[i].Incomplete {
		err = fmt.Errorf("look at snapshot %s of container %d: Proxmox has not finished making or removing it: "+
			"take it away with pct delsnapshot %d %s --force 1", name, g.CTID, g.CTID, name)
	}
	return all[i], true, err
}

// Lacking says which volume keeps a container with these options from a feature of its
// storages; "" when all have it. Proxmox only says that the feature is not available.
func Lacking(cfg pve.StorageCfg, options map[string]string, f pve.Feature) string {
	for _, key := range append([]string{"rootfs"}, pve.IndexedKeys(options, "mp")...) {
		p, err := pve.ParsePropertyString(options[key], "volume")
		if err != nil {
			continue // told where it is compared
		}
		volume, _ := p.Get("volume")
		id, ok := pve.ParseVolumeID(volume)
		if !ok {
			return fmt.Sprintf("%s is %s of the host, not a volume", key, volume)
		}
		if st, ok := cfg.Find(id.Storage); ok && !st.Can(f) {
			return fmt.Sprintf("%s is on storage %s of type %s, which cannot (%s)", key, id.Storage, st.Type, f)
		}
	}
	return ""
}

// Blockers lists the snapshots that have to go before the container can be rolled back
// to the named one: ZFS only goes back to the newest (pve-storage 8.3.8).
func (g *Guest) Blockers(cfg pve.StorageCfg, name string) []string {
	options := g.Config.Snapshot(name).Values()
	onZFS := false
	for _, key := range append([]string{"rootfs"}, pve.IndexedKeys(options, "mp")...) {
		storage, _, _ := strings.Cut(strings.TrimPrefix(options[key], "volume="), ":")
		st, _ := cfg.Find(storage)
		onZFS = onZFS || st.Type == "zfspool"
	}
	if !onZFS {
		return nil
	}
	var out []string
	all := g.Snapshots()
	at := slices.IndexFunc(all, func(s Snapshot) bool { return s.Name == name })
	for _, s := range all[at+1:] {
		out = append(out, s.Name)
	}
	return out
}

// Sort is one of the sorts of snapshots that phoenix takes by itself. The name of one
// has the time after it.
type Sort string

// The sorts.
const (
	// SortManual is what `phoenix snapshot create` takes where no name is given.
	SortManual Sort = "phoenix-"
	// SortBefore is taken before a container is changed.
	SortBefore Sort = "phoenix-before-"
	// SortChanged is taken after a container was changed.
	SortChanged Sort = "phoenix-changed-"
)

// Created is the name of the snapshot of a container that phoenix has just made.
const Created = "phoenix-created"

// timed is the time in the name of a snapshot, and a number where it is not the first
// of its second.
var timed = regexp.MustCompile(`^\d{8}-\d{6}(-\d+)?$`)

// Named tells whether a snapshot's name is one of the sort's.
func (s Sort) Named(name string) bool {
	rest, ok := strings.CutPrefix(name, string(s))
	return ok && timed.MatchString(rest)
}

// Name is the name of a snapshot of the sort that is taken at a time.
func (s Sort) Name(now time.Time) string { return string(s) + now.UTC().Format("20060102-150405") }

// FreeName is a name of the sort that no snapshot of the container has.
func (g *Guest) FreeName(sort Sort, now time.Time) string {
	base := sort.Name(now)
	name := base
	for n := 2; slices.Contains(g.Config.Snapshots(), name); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// Description marks a snapshot as phoenix's own. One without the mark was made by a
// person, whatever its name.
func (s Sort) Description() string { return "taken by phoenix (" + strings.Trim(string(s), "-") + ")" }

// Surplus lists the oldest snapshots of a sort that are more than keep, the oldest
// first. Only those are among them that are phoenix's by name and by description, and
// that Proxmox has finished.
func (g *Guest) Surplus(sort Sort, keep int) []Snapshot {
	own := slices.DeleteFunc(g.Snapshots(), func(s Snapshot) bool {
		return !sort.Named(s.Name) || s.Description != sort.Description() || s.Incomplete
	})
	return own[:max(0, len(own)-keep)]
}

// TakeSnapshot takes a snapshot and sees it there.
func TakeSnapshot(ctx context.Context, h tasks.Host, ctid int, name, description string) error {
	args := []string{"snapshot", strconv.Itoa(ctid), name}
	if description != "" {
		args = append(args, "--description", description)
	}
	return snapshots(ctx, h, ctid, name, args, true)
}

// DeleteSnapshot takes a snapshot away and sees it gone.
func DeleteSnapshot(ctx context.Context, h tasks.Host, ctid int, name string) error {
	return snapshots(ctx, h, ctid, name, []string{"delsnapshot", strconv.Itoa(ctid), name}, false)
}

func snapshots(ctx context.Context, h tasks.Host, ctid int, name string, args []string, wanted bool) error {
	doing := fmt.Sprintf("take away snapshot %s of container %d", name, ctid)
	if wanted {
		doing = fmt.Sprintf("take snapshot %s of container %d", name, ctid)
	}
	out, err := Pct(ctx, h, ctid, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	g, err := Read(h, ctid)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if _, there, unfinished := g.Snapshot(name); there != wanted || unfinished != nil {
		return NotDone(out, args, "%s", doing)
	}
	return nil
}

// The bounds of a way back by itself, when something has failed.
const (
	// GoBackLimit is for all of it.
	GoBackLimit = 5 * time.Minute
	// KillSeconds is how long the container may take to stop, whose files go back anyway.
	KillSeconds = 10
)

// GoBack stops the container, by force after the given seconds, puts it back to the
// snapshot and sees it there. With start it is started then, also when it could not be
// put back. back tells whether it was put back.
func GoBack(ctx context.Context, h tasks.Host, ctid int, name string, seconds int, start bool) (back bool, err error) {
	active, err := pve.ActiveContainers(h)
	if err == nil && active[ctid] {
		err = Stop(ctx, h, ctid, seconds, true)
	}
	if err != nil {
		return false, fmt.Errorf("roll back container %d: %w", ctid, err)
	}
	failed := rollback(ctx, h, ctid, name)
	if !start {
		return failed == nil, failed
	}
	if err := Start(ctx, h, ctid); err != nil {
		return failed == nil, errors.Join(failed, fmt.Errorf("container %d was stopped for a rollback and is stopped now: %w", ctid, err))
	}
	return failed == nil, failed
}

// rollback puts the stopped container back and sees it there.
func rollback(ctx context.Context, h tasks.Host, ctid int, name string) error {
	args := []string{"rollback", strconv.Itoa(ctid), name}
	out, err := Pct(ctx, h, ctid, args...)
	if err != nil {
		return fmt.Errorf("roll back container %d: %w", ctid, err)
	}
	g, err := Read(h, ctid)
	if err != nil {
		return fmt.Errorf("roll back container %d: %w", ctid, err)
	}
	if s, _, err := g.Snapshot(name); err != nil || !s.Current {
		return NotDone(out, args, "roll back container %d: it has not gone back to %s", ctid, name)
	}
	return nil
}
