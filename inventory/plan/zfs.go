package plan

import (
	"path"
	"slices"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks/kind/arc"
	"phoenix/tasks/kind/dataset"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/zpool"
)

func poolID(name string) string { return zpool.Name + ":" + name }

// zfs adds the steps of the section zfs.
func (b *builder) zfs(v *inventory.Hypervisor) {
	packages := []string{packagesID}
	if v.Arc != nil {
		b.add(arc.Name, arc.StepID, "zfs", v.Arc, packages, nil)
	}
	for i := range v.Pools {
		b.add(zpool.Name, poolID(v.Pools[i].Name), "zfs", &v.Pools[i], packages, nil)
	}
	for i := range v.Datasets {
		d := &v.Datasets[i]
		b.add(dataset.Name, dataset.StepID(d.Name), "zfs", d, datasetNeeds(v, path.Dir(d.Name)), nil)
	}
}

// datasetNeeds is the step that makes a dataset or, where it is not configured, the
// nearest one above it, and last its pool.
func datasetNeeds(v *inventory.Hypervisor, name string) []string {
	for ; strings.Contains(name, "/"); name = path.Dir(name) {
		if slices.ContainsFunc(v.Datasets, func(d dataset.Spec) bool { return d.Name == name }) {
			return []string{dataset.StepID(name)}
		}
	}
	if slices.ContainsFunc(v.Pools, func(p zpool.Spec) bool { return p.Name == name }) {
		return []string{poolID(name)}
	}
	return nil
}

// pathNeeds is the step that mounts what a path of the host lies on, where that is a
// configured dataset or pool.
func pathNeeds(v *inventory.Hypervisor, p string) []string {
	if !path.IsAbs(p) {
		return nil
	}
	best, at := "", ""
	consider := func(name, mountpoint string) {
		if path.IsAbs(mountpoint) && below(p, mountpoint) && len(mountpoint) > len(at) {
			best, at = name, mountpoint
		}
	}
	for _, pool := range v.Pools {
		consider(pool.Name, mountpoint(v, pool.Name))
	}
	for _, d := range v.Datasets {
		consider(d.Name, mountpoint(v, d.Name))
	}
	if best == "" {
		return nil
	}
	return datasetNeeds(v, best)
}

func below(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// mountpoint is where a configured dataset is mounted: at its own mount point, or
// below that of the nearest configured one above it.
func mountpoint(v *inventory.Hypervisor, name string) string {
	for above := name; ; above = path.Dir(above) {
		own := ""
		if i := slices.IndexFunc(v.Datasets, func(d dataset.Spec) bool { return d.Name == above }); i >= 0 {
			own = v.Datasets[i].Mountpoint
		}
		if i := slices.IndexFunc(v.Pools, func(p zpool.Spec) bool { return p.Name == above }); i >= 0 {
			own = v.Pools[i].DatasetProperties["mountpoint"]
		}
		switch {
		case own != "" && !path.IsAbs(own):
			return own
		case own != "":
			return path.Join(own, strings.TrimPrefix(name, above))
		case !strings.Contains(above, "/"):
			return "/" + name
		}
	}
}

// storageMakers are the steps that make what a storage lies on.
func storageMakers(v *inventory.Hypervisor, s *storage.Spec) []string {
	switch s.Type {
	case "zfspool":
		return datasetNeeds(v, s.Pool)
	case "dir", "btrfs":
		return pathNeeds(v, s.Path)
	}
	return nil
}
