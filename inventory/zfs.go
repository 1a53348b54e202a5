package inventory

import (
	"fmt"

	"phoenix/inventory/document"
	"phoenix/tasks/kind/arc"
	"phoenix/tasks/kind/dataset"
	"phoenix/tasks/kind/zpool"
)

// zfsDoc is the typed form of the section zfs.
type zfsDoc struct {
	Pools    map[string]zpool.Spec   `json:"pools"`
	Datasets map[string]dataset.Spec `json:"datasets"`
	ArcMaxGB float64                 `json:"arc_max_gb"`
}

// zfs reads the section zfs.
func (l *loader) zfs(n *document.Node, v *Hypervisor) {
	v.Pools = keyed[zpool.Spec](l, n.Get("pools"), "pool", "name")
	v.Datasets = keyed[dataset.Spec](l, n.Get("datasets"), "dataset", "name")
	if size := n.Get("arc_max_gb"); size != nil && size.Kind == document.Number {
		v.Arc = new(arc.Spec)
		alone := &document.Node{Kind: document.Object, Path: n.Path, Members: []document.Member{{Key: "arc_max_gb", Value: size}}}
		l.decode(section{what: "section zfs", node: alone, at: size.Pos}, v.Arc)
	}
	l.disksOnce(n.Get("pools"))
	l.mountsOnce(n.Get("datasets"))
}

// disksOnce refuses a disk that two pools name.
func (l *loader) disksOnce(pools *document.Node) {
	first := make(map[string]string)
	for _, m := range objects(pools) {
		for _, d := range stringItems(m.Value.Get("disks")) {
			if pool, taken := first[d.Text]; taken && pool != m.Key {
				l.found.Add(d.Fault(fmt.Sprintf("the disk is in pool %s as well", pool), ""))
			} else if !taken {
				first[d.Text] = m.Key
			}
		}
	}
}

// mountsOnce refuses two datasets at one place: the second would hide the first.
func (l *loader) mountsOnce(datasets *document.Node) {
	first := make(map[string]string)
	for _, m := range objects(datasets) {
		at := m.Value.Get("mountpoint")
		if at == nil || at.Kind != document.String || at.Text == "none" || at.Text == "legacy" {
			continue
		}
		if other, taken := first[at.Text]; taken {
			l.found.Add(at.Fault(fmt.Sprintf("dataset %s is mounted there as well", other), ""))
		} else {
			first[at.Text] = m.Key
		}
	}
}
