package lxc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// What Proxmox itself gives a container (pve-container 5.3.5).
const (
	defaultSizeGB   = 4
	defaultMemoryMB = 512
)

// sizeGB is the size of a new root volume.
func (s *Spec) sizeGB() float64 {
	if s.StorageSizeGB == 0 {
		return defaultSizeGB
	}
	return s.StorageSizeGB
}

// create makes the container and what was left out then, and starts it.
func (t *task) create(ctx context.Context, h tasks.Host) error {
	id := t.spec.CTID
	args, err := t.prepared(ctx, h)
	if err != nil {
		return fmt.Errorf("create container %d: %w", id, err)
	}
	out, err := t.pct(ctx, h, args...)
	if err != nil {
		return fmt.Errorf("create container %d: %w", id, err)
	}
	f, err := t.load(h)
	if err != nil {
		return errors.Join(err, guest.NotDone(out, args, "create container %d", id))
	}
	if _, ok := f.now["rootfs"]; !ok {
		return guest.NotDone(out, args, "create container %d: there is none afterwards", id)
	}
	if err := t.rootThere(h, f); err != nil {
		return t.unmake(ctx, h, guest.NotDone(out, args, "create container %d: %v", id, err))
	}
	a := applier{task: t, host: h, fresh: true} // pct create knows no raw options, pct clone nearly nothing
	return a.run(ctx)
}

// prepared sees to all that the new container needs, and returns the arguments for pct
// that make it: with every property in one call, or as a clone.
func (t *task) prepared(ctx context.Context, h tasks.Host) ([]string, error) {
	var parent *found
	if t.spec.CloneFromCTID != 0 {
		var err error
		if parent, err = t.freeParent(ctx, h); err != nil {
			return nil, err
		}
	}
	args, parts, err := t.look(h, parent)
	if err != nil {
		return nil, err
	}
	return args, t.prepare(ctx, h, parts)
}

// look sees that all is there that the new container needs, and changes nothing. It
// returns the arguments for pct, and what has parts on the host that are made before.
func (t *task) look(h tasks.Host, parent *found) (args []string, parts []finding, err error) {
	if parent != nil {
		return t.lookClone(h, parent)
	}
	if parts, err = t.lookCreate(h); err != nil {
		return nil, nil, err
	}
	volume, err := t.template(h)
	if err != nil {
		return nil, nil, lack(byTemplate, err)
	}
	args, err = t.createArgs(volume)
	return args, parts, err
}

// lookCreate looks at what pct would look at too late: it allocates and formats
// the volume before it sees that the template is missing, and a bridge that does not
// exist shows only at the start.
func (t *task) lookCreate(h tasks.Host) ([]finding, error) {
	if t.spec.Template == "" || t.spec.StoragePool == "" {
		return nil, errors.New("it does not exist, and to create it both template and storage_pool are needed, or clone_from_ctid")
	}
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return nil, err
	}
	if err := t.poolsTake(h, cfg, t.spec.StoragePool); err != nil {
		return nil, lack(byStorage, err)
	}
	if err := t.partsExist(h, cfg); err != nil {
		return nil, err
	}
	fresh := t.spec.compare(values{})
	unprivileged := values{"unprivileged": written(t.spec.unprivileged())}
	return t.lookParts(h, fresh, values{}, unprivileged, nil)
}

// poolsTake looks whether the storages of the root volume and of the others can take
// volumes of containers.
func (t *task) poolsTake(h tasks.Host, cfg pve.StorageCfg, root string) error {
	pools := []string{root}
	for _, v := range t.spec.Volumes {
		pools = append(pools, v.Storage)
	}
	for _, pool := range pools {
		st, ok := cfg.Find(pool)
		if !ok {
			return fmt.Errorf("storage %s does not exist; there are: %s", pool, strings.Join(cfg.IDs(), ", "))
		}
		if !st.Allows("rootdir") {
			return fmt.Errorf("storage %s takes no containers: its content is %s, without rootdir", pool, strings.Join(st.Content(), ", "))
		}
		if err := enabled(h, st); err != nil {
			return err
		}
		if t.spec.EnableLifecycleSnapshots == TakeAlways && !t.spec.template() && !st.Can(pve.FeatureSnapshot) {
			return fmt.Errorf("storage %s is of type %s, which has no snapshots: take another, or set enable_lifecycle_snapshots to %q or false", pool, st.Type, TakeIfPossible)
		}
	}
	return nil
}

// lookParts looks at the bridges and directories that the differences bring in, and
// whether the container could start then. base is what the differences are built on. It
// returns them with those of the directories.
func (t *task) lookParts(h tasks.Host, fresh []finding, base, owner values, raw []pve.RawOption) ([]finding, error) {
	if err := guest.BridgesExist(h, wantedBridges(fresh)); err != nil {
		return nil, lack(byNetwork, err)
	}
	unprivileged, _ := pve.ParseBool(owner["unprivileged"])
	if why, err := t.idmapRefused(h, unprivileged, raw); err != nil || why != "" {
		return nil, lack(byFile, cmp.Or(err, fmt.Errorf("idmap cannot be had: %s", why)))
	}
	set, deletes, err := assign(fresh, base, base)
	if err != nil {
		return nil, err
	}
	if err := guest.MTUsFit(h, set); err != nil {
		return nil, lack(byNetwork, err)
	}
	if err := t.zoneThere(h, fresh); err != nil {
		return nil, err
	}
	raw, err = t.spec.wantRaw(raw, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	dirs, err := t.directories(h, owner, raw)
	if err != nil {
		return nil, err
	}
	parts := append(fresh, dirs...)
	if err := directoriesThere(h, parts); err != nil {
		return nil, lack(byDirectory, err)
	}
	if !t.spec.Runs() {
		return parts, nil
	}
	all := overlay(base, set, deletes)
	all["unprivileged"] = owner["unprivileged"]
	list, err := obstacles(h, all, raw, parts)
	if err != nil || len(list) == 0 {
		return parts, err
	}
	return nil, list[0].err
}

// enabled refuses a storage that is switched off, or that this node does not have.
func enabled(h tasks.Host, st pve.Storage) error {
	if st.Bool("disable") {
		return fmt.Errorf("storage %s is disabled", st.ID)
	}
	node, err := pve.Node(h)
	if err != nil {
		return err
	}
	if nodes := st.Set("nodes"); len(nodes) > 0 && !slices.Contains(nodes, node) {
		return fmt.Errorf("storage %s is not for this node, %s: it is limited to %s", st.ID, node, strings.Join(nodes, ", "))
	}
	return nil
}

// partsExist looks for the devices and the hook script, without which pct create fails.
func (t *task) partsExist(h tasks.Host, cfg pve.StorageCfg) error {
	if p := t.spec.passed; p != nil && p.missing != "" {
		return lack(byDevice, fmt.Errorf("give it GPU %s: %s", t.spec.wantedGPUs(), p.missing))
	}
	for _, d := range t.spec.Devices {
		if _, err := h.Stat(d.Path); err != nil {
			return lack(byDevice, fmt.Errorf("look for device %s: %w", d.Path, err))
		}
	}
	id, ok := pve.ParseVolumeID(t.spec.Hookscript)
	if !ok {
		return nil
	}
	st, ok := cfg.Find(id.Storage)
	if !ok {
		return lack(byStorage, fmt.Errorf("look for hookscript %s: storage %s does not exist", t.spec.Hookscript, id.Storage))
	}
	dir := st.ContentDir("snippets")
	if dir == "" {
		return nil
	}
	if _, err := h.Stat(path.Join(dir, path.Base(id.Name))); err != nil {
		return lack(byDirectory, fmt.Errorf("look for hookscript %s: %w", t.spec.Hookscript, err))
	}
	return nil
}

// createArgs are the arguments of pct create.
func (t *task) createArgs(volume string) ([]string, error) {
	set, _, err := assign(t.spec.compare(values{}), values{}, values{})
	if err != nil {
		return nil, err
	}
	for _, f := range t.spec.scalars() {
		if f.sub == "" && f.want != "" {
			set[f.key] = f.written() // defaults, too: they differ between versions
		}
	}
	root, err := pve.ParsePropertyString(set["rootfs"], "volume")
	if err != nil {
		return nil, err
	}
	root.Set("volume", t.spec.StoragePool+":"+formatGB(t.spec.sizeGB()))
	if set["rootfs"], err = encode("rootfs", root); err != nil {
		return nil, err
	}
	set["description"] = joinDescription(set["description"], t.spec.madeFrom("template="+volume))
	set["unprivileged"] = written(t.spec.unprivileged())
	return append([]string{"create", fmt.Sprint(t.spec.CTID), volume}, options(set)...), nil
}

func written(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// options are "--key value" pairs in the order of the keys.
func options(set map[string]string) []string {
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var out []string
	for _, k := range keys {
		out = append(out, "--"+k, set[k])
	}
	return out
}

// template finds the volume id of the template: of a series, the newest file that is
// on the storage.
func (t *task) template(h tasks.Host) (string, error) {
	name, id := t.spec.Template, t.spec.TemplateStorage
	if v, ok := pve.ParseVolumeID(name); ok {
		id, name = v.Storage, strings.TrimPrefix(v.Name, "vztmpl/")
	}
	if id == "" {
		id = "local"
	}
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return "", err
	}
	st, ok := cfg.Find(id)
	if !ok {
		return "", fmt.Errorf("find template %s: storage %s does not exist; there are: %s", name, id, strings.Join(cfg.IDs(), ", "))
	}
	dir := st.ContentDir("vztmpl")
	if dir == "" || !st.Allows("vztmpl") {
		return "", fmt.Errorf("find template %s: storage %s keeps no templates: its content is %s", name, id, strings.Join(st.Content(), ", "))
	}
	if err := enabled(h, st); err != nil {
		return "", fmt.Errorf("find template %s: %w", name, err)
	}
	files, err := h.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("find template %s: %w", name, err)
	}
	file := name
	if !slices.Contains(files, name) {
		if file, ok = pve.NewestTemplate(files, name); !ok {
			return "", fmt.Errorf("find template %s: it is not on storage %s (%s); add it to templates in the hypervisor's configuration, "+
				"or fetch it with pveam download %s", name, id, dir, id)
		}
	}
	return id + ":vztmpl/" + file, nil
}

// rootThere looks for the root volume where the storage keeps files; other storages
// cannot be looked at without their own programs.
func (t *task) rootThere(h tasks.Host, f *found) error {
	p, err := pve.ParsePropertyString(f.now["rootfs"], "volume")
	if err != nil {
		return err
	}
	volume, _ := p.Get("volume")
	return volumeThere(h, volume)
}

func volumeThere(h tasks.Host, volume string) error {
	id, ok := pve.ParseVolumeID(volume)
	if !ok {
		return nil
	}
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return err
	}
	st, ok := cfg.Find(id.Storage)
	if !ok || st.Path() == "" || !strings.Contains(id.Name, "/") || st.Type == "btrfs" {
		return nil
	}
	if _, err := h.Stat(path.Join(st.Path(), "images", id.Name)); err != nil {
		return fmt.Errorf("look for volume %s: %w", volume, err)
	}
	return nil
}
