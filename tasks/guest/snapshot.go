package guest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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
	slices.SortStableFunc(out, func(a, b Snapshot) int { return a.Taken.Compare(b.Taken) })
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
