package lxc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// origin names what a clone is made of.
func (s *Spec) origin() string {
	from := fmt.Sprintf("container %d", s.CloneFromCTID)
	if s.CloneFromSnapshot != "" {
		from += ", snapshot " + s.CloneFromSnapshot
	}
	if s.CloneMode != "" {
		from += " (" + s.CloneMode + ")"
	}
	return from
}

// hostname is the name that a clone gets at once: never that of its parent.
func (s *Spec) hostname() string { return orElse(s.Name, fmt.Sprintf("CT%d", s.CTID)) }

// cloneNote lists what the clone will have of its own. The same run may be about to make
// the parent, which tells some of it only then.
func (t *task) cloneNote(ctx context.Context, h tasks.Host) string {
	var b strings.Builder
	parent, _, _ := t.parent(h) // what is wrong with it is told by foreseeNew
	if t.spec.CloneMode == "" {
		fmt.Fprintf(&b, "clone_mode: %s\n", t.modeNote(ctx, h, parent))
	}
	if t.spec.Name == "" {
		fmt.Fprintf(&b, "name: %s\n", t.spec.hostname())
	}
	if t.spec.StoragePool != "" {
		fmt.Fprintf(&b, "storage_pool: %s\n", t.spec.StoragePool)
	}
	if t.spec.StorageSizeGB != 0 {
		fmt.Fprintf(&b, "storage_size_gb: %s\n", formatGB(t.spec.StorageSizeGB))
	}
	for _, f := range t.spec.compare(values{}) {
		fmt.Fprintf(&b, "%s: %s\n", f.Path, f.To)
	}
	unprivileged, raw := t.spec.unprivileged(), []pve.RawOption(nil)
	if parent != nil {
		unprivileged, _ = pve.ParseBool(parent.now["unprivileged"])
		raw = parent.conf.Head().Raw()
	}
	fmt.Fprintf(&b, "%s%sstate: %s", t.restNote(h, unprivileged, raw), t.spec.endNote(), t.spec.state())
	return b.String()
}

// modeNote says which sort of clone is made where the spec does not.
func (t *task) modeNote(ctx context.Context, h tasks.Host, parent *found) string {
	if parent != nil && !slices.ContainsFunc(parentSteps(t.spec.CloneFromCTID), func(id string) bool { return slices.Contains(tasks.ScopeOf(ctx).Earlier, id) }) {
		source, err := t.source(parent)
		cfg, err2 := pve.ReadStorageCfg(h)
		if err == nil && err2 == nil {
			if linked, _ := t.linked(cfg, parent, source.Values()); linked {
				return CloneLinked
			}
			return CloneFull
		}
	}
	return CloneLinked + " where the parent is a template and its storages can, " + CloneFull + " otherwise"
}

// lookClone looks at what pct clone would look at too late or not at all, and
// returns the arguments for it. pct clone takes no properties but the name: the clone
// is changed afterwards like any container that exists.
func (t *task) lookClone(h tasks.Host, parent *found) (args []string, parts []finding, err error) {
	source, err := t.source(parent)
	if err != nil {
		return nil, nil, err
	}
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return nil, nil, err
	}
	given := source.Values()
	linked, err := t.linked(cfg, parent, given)
	if err != nil {
		return nil, nil, err
	}
	set := map[string]string{"full": written(!linked), "hostname": t.spec.hostname()}
	if t.spec.CloneFromSnapshot != "" {
		set["snapname"] = t.spec.CloneFromSnapshot
	}
	root := storageOf(given["rootfs"])
	if pool := t.spec.StoragePool; !linked && pool != "" && pool != root {
		set["storage"], root = pool, pool
	}
	if err := t.poolsTake(h, cfg, root); err != nil {
		return nil, nil, lack(byStorage, err)
	}
	if err := t.partsExist(h, cfg); err != nil {
		return nil, nil, err
	}
	copied, err := copied(given, set["storage"])
	if err != nil {
		return nil, nil, err
	}
	copied["description"] = canonDescription(copied["description"]) // that of the parent's origin is not the clone's
	text := copied["description"]
	if d := t.spec.Description; d != nil {
		text = canonDescription(*d)
	}
	from := fmt.Sprintf("clone=%d", t.spec.CloneFromCTID)
	if t.spec.CloneFromSnapshot != "" {
		from += " snapshot=" + t.spec.CloneFromSnapshot
	}
	set["description"] = joinDescription(text, t.spec.madeFrom(from))
	if err := t.fits(copied); err != nil {
		return nil, nil, err
	}
	if parts, err = t.lookParts(h, t.spec.compare(copied), copied, copied, source.Raw()); err != nil {
		return nil, nil, err
	}
	return append([]string{"clone", fmt.Sprint(t.spec.CloneFromCTID), fmt.Sprint(t.spec.CTID)}, options(set)...), parts, nil
}

// freeParent reads the parent. While Proxmox works on it, as it does while another
// clone is made of it, it is waited for; a lock that nobody works under is an error.
func (t *task) freeParent(ctx context.Context, h tasks.Host) (*found, error) {
	p := &task{spec: Spec{CTID: t.spec.CloneFromCTID}}
	for pause := time.Second; ; pause = min(2*pause, maxBackoff) {
		f, who, err := t.parent(h)
		if err != nil || f.lock == "" {
			return f, err
		}
		tasks.Logf(ctx, "container %d: container %d is locked%s; waiting", t.spec.CTID, p.spec.CTID, who)
		if err := guest.Pause(ctx, pause); err != nil {
			return nil, fmt.Errorf("wait for container %d%s: %w", p.spec.CTID, who, errors.Join(err, p.locked(f.lock, f.conf)))
		}
	}
}

// parent reads the parent, and who works on it now where it is locked. A lock that
// nobody works under is an error.
func (t *task) parent(h tasks.Host) (f *found, who string, err error) {
	p := &task{spec: Spec{CTID: t.spec.CloneFromCTID}}
	f, err = p.load(h)
	switch {
	case err != nil:
		return nil, "", err
	case f.node != "":
		return nil, "", fmt.Errorf("container %d, of which it is to be a clone, is on node %s, and a clone is made on the node of its parent, not on %s", p.spec.CTID, f.node, f.here)
	case !f.exists:
		return nil, "", fmt.Errorf("container %d, of which it is to be a clone, is not on this host", p.spec.CTID)
	case f.lock == "":
		return f, "", nil
	}
	if who = guest.Holder(h, p.spec.CTID); who == "" {
		return nil, "", p.locked(f.lock, f.conf)
	}
	return f, who, nil
}

// source is the part of the parent's configuration that is cloned.
func (t *task) source(parent *found) (*pve.Section, error) {
	id, name := t.spec.CloneFromCTID, t.spec.CloneFromSnapshot
	switch s := parent.conf.Snapshot(name); {
	case name == "" && parent.running:
		return nil, fmt.Errorf("container %d runs, and Proxmox clones a container that runs only from a snapshot: "+
			"give it template_snapshot_name and name that in clone_from_snapshot, or make it a template (is_template)", id)
	case name == "":
		return parent.conf.Head(), nil
	case s == nil:
		return nil, fmt.Errorf("container %d has no snapshot %s; there are: %s", id, name, orNothing(strings.Join(parent.conf.Snapshots(), ", ")))
	case incomplete(s):
		return nil, fmt.Errorf("snapshot %s of container %d is not complete: take it away with pct delsnapshot %d %s --force 1", name, id, id, name)
	default:
		return s, nil
	}
}

// incomplete tells whether Proxmox has not finished making a snapshot, or removing it.
func incomplete(s *pve.Section) bool {
	_, unfinished := s.Get("snapstate")
	return unfinished
}

// linked decides whether the clone shares the volumes of its parent. One that was not
// asked for is made where it can be.
func (t *task) linked(cfg pve.StorageCfg, parent *found, given values) (bool, error) {
	if t.spec.CloneMode == CloneFull {
		return false, nil
	}
	why := guest.Lacking(cfg, given, pve.FeatureLink)
	if pool := t.spec.StoragePool; pool != "" && pool != storageOf(given["rootfs"]) {
		why = fmt.Sprintf("it is on storage %s, and the clone is to be on %s", storageOf(given["rootfs"]), pool)
	}
	if !parent.template() {
		why = "it is not a template"
	}
	if why != "" && t.spec.CloneMode == CloneLinked {
		return false, fmt.Errorf("container %d cannot be cloned with clone_mode linked: %s", t.spec.CloneFromCTID, why)
	}
	return why == "", nil
}

func storageOf(mount string) string {
	p, err := pve.ParsePropertyString(mount, "volume")
	if err != nil {
		return ""
	}
	volume, _ := p.Get("volume")
	id, _ := pve.ParseVolumeID(volume)
	return id.Storage
}

// copied is what the clone will have before it gets anything of its own: all options
// of its parent but those that are about the parent itself (clone_vm, pve-container
// 5.3.5). pool takes all volumes; "" leaves each on its storage.
func copied(given values, pool string) (values, error) {
	out := make(values)
	for key, value := range given {
		switch {
		case key == "template", key == "parent", key == "snaptime", key == "lock", strings.HasPrefix(key, "unused"):
			continue
		case key == "rootfs", strings.TrimRightFunc(key, unicode.IsDigit) == "mp":
			p, err := pve.ParsePropertyString(value, "volume")
			if err != nil {
				return nil, fmt.Errorf("look at %s of the parent: %w", key, err)
			}
			volume, _ := p.Get("volume")
			id, ok := pve.ParseVolumeID(volume)
			if !ok {
				return nil, fmt.Errorf("look at %s of the parent: Proxmox clones no container with a directory or a device of the host (%s)", key, volume)
			}
			p.Set("volume", orElse(pool, id.Storage)+":clone")
			if value, err = encode(key, p); err != nil {
				return nil, err
			}
		}
		out[key] = value
	}
	return out, nil
}

// fits refuses a clone that would have to be replaced at once, and one that would have
// an address of its parent.
func (t *task) fits(copied values) error {
	for _, x := range t.spec.compare(copied) {
		if x.op == opReplace {
			return fmt.Errorf("a clone of container %d has %s %s, and %s is wanted: change one of the two configurations",
				t.spec.CloneFromCTID, x.Path, orNothing(x.From), orNothing(x.To))
		}
	}
	for _, key := range indexedKeys(copied, "net") {
		p, err := pve.ParsePropertyString(copied[key], "")
		if err != nil {
			return fmt.Errorf("look at %s of the parent: %w", key, err)
		}
		name, _ := p.Get("name")
		for _, family := range []string{"ip", "ip6"} {
			addr, _ := p.Get(family)
			if strings.Contains(addr, "/") && !t.spec.says(name, family) {
				return fmt.Errorf("the clone would have the address %s of container %d: give interface %s an %s of its own in network_config",
					addr, t.spec.CloneFromCTID, name, family)
			}
		}
	}
	return nil
}

// says tells whether the spec has an address for the interface.
func (s *Spec) says(name, family string) bool {
	for _, n := range s.NetworkConfig {
		if n.Name == name {
			return family == "ip" && n.IP != "" || family == "ip6" && n.IP6 != ""
		}
	}
	return false
}
