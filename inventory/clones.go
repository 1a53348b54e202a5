package inventory

import (
	"fmt"
	"strings"

	"phoenix/inventory/document"
	"phoenix/tasks/kind/lxc"
)

// defaultSizeGB is what the family gives a root volume of which nothing is said.
const defaultSizeGB = 4

// isClone tells whether the container needs its parent: one that is to go needs none.
func isClone(c *Container) bool {
	return c.Spec.CloneFromCTID != 0 && c.Spec.State != lxc.StateAbsent
}

// ClonesOf lists the containers of the host that are clones of the given one in the
// configuration, by ascending CTID. Those that are to be absent are among them.
func (h *Host) ClonesOf(ctid int) []int {
	var out []int
	for i := range h.Containers {
		if s := &h.Containers[i].Spec; s.CloneFromCTID == ctid && s.CTID != ctid {
			out = append(out, s.CTID)
		}
	}
	return out
}

// checkClones holds what a clone and its parent must agree on: Proxmox copies the parent
// as it is, and only some of that can be changed afterwards.
func (l *loader) checkClones(h *hostEntry, hosts []*hostEntry, byID map[int]*Container) {
	for i := range h.Containers {
		c := &h.Containers[i]
		parent := c.Spec.CloneFromCTID
		if !isClone(c) || parent == c.Spec.CTID { // of itself: the family says so
			continue
		}
		p, here := byID[parent]
		if !here {
			l.missingParent(h, hosts, c.node.Get("clone_from_ctid"), parent)
			continue
		}
		f := family{l: l, clone: c, parent: p, byID: byID}
		f.state()
		f.mode()
		f.fixed()
		f.addresses()
	}
}

func (l *loader) missingParent(h *hostEntry, hosts []*hostEntry, n *document.Node, parent int) {
	for _, other := range hosts {
		for _, id := range other.CTIDs {
			if id == parent && other != h && other.Cluster == h.Cluster {
				l.found.Add(n.Fault(fmt.Sprintf("container %d is on host %s", parent, other.Name), "a clone is made on the host of its parent, and this one is on "+h.Name))
				return
			}
		}
	}
	l.found.Add(n.Fault(fmt.Sprintf("there is no container %d on host %s", parent, h.Name), "the parent of a clone is in the LXC file, too, also when it was made by hand"))
}

// family is a clone and its parent.
type family struct {
	l             *loader
	clone, parent *Container
	byID          map[int]*Container
}

// fault reports a fault at a key of the clone, or at the key that makes it a clone where
// that is not written.
func (f *family) fault(key, hint, format string, args ...any) {
	n := f.clone.node.Get(key)
	if n == nil {
		n = f.clone.node.Get("clone_from_ctid")
	}
	f.l.found.Add(n.Fault(fmt.Sprintf(format, args...), hint))
}

// state looks whether Proxmox can clone the parent as it will be found.
func (f *family) state() {
	p, s := &f.parent.Spec, &f.clone.Spec
	template := p.IsTemplate != nil && *p.IsTemplate
	switch running := p.State == "" || p.State == lxc.StateRunning; {
	case p.State == lxc.StateAbsent:
		f.fault("clone_from_ctid", "take clone_from_ctid out: a container that exists needs its parent no more, unless it is a linked clone",
			"container %d is to be absent", p.CTID)
	case template && s.CloneFromSnapshot != "":
		f.fault("clone_from_snapshot", "take it out", "container %d is a template, and a template has no snapshots", p.CTID)
	case !template && running && s.CloneFromSnapshot == "" && p.TemplateSnapshotName != "":
		f.fault("clone_from_ctid", fmt.Sprintf("set clone_from_snapshot to %q", p.TemplateSnapshotName),
			"container %d runs, and Proxmox clones a container that runs only from a snapshot", p.CTID)
	case !template && running && s.CloneFromSnapshot == "":
		f.fault("clone_from_ctid", fmt.Sprintf("set is_template for %d, or template_snapshot_name there and clone_from_snapshot here", p.CTID),
			"container %d runs, and Proxmox clones a container that runs only from a snapshot", p.CTID)
	}
	if len(p.MountPoints) > 0 {
		f.fault("clone_from_ctid", "give the mount_points to its clones", "container %d has directories of the host, with which Proxmox clones none", p.CTID)
	}
}

// mode looks whether the clone can share the volumes of its parent.
func (f *family) mode() {
	p, s := &f.parent.Spec, &f.clone.Spec
	if s.CloneMode != lxc.CloneLinked {
		return
	}
	if p.IsTemplate == nil || !*p.IsTemplate {
		f.fault("clone_mode", fmt.Sprintf("set is_template for %d, or clone_mode to full", p.CTID), "a linked clone needs a template, and container %d is none", p.CTID)
	}
	pool := f.inherited(func(s *lxc.Spec) bool { return s.StoragePool != "" })
	if pool != nil && s.StoragePool != "" && s.StoragePool != pool.StoragePool {
		f.fault("storage_pool", "leave it out, or set clone_mode to full", "a linked clone is on the storage of its parent, %s", pool.StoragePool)
	}
}

// ancestors are the parent, its parent, and so on.
func (f *family) ancestors() []*Container {
	var out []*Container
	seen := map[int]bool{f.clone.Spec.CTID: true}
	for c := f.parent; c != nil && !seen[c.Spec.CTID]; c = f.byID[c.Spec.CloneFromCTID] {
		seen[c.Spec.CTID] = true // the parents may go round in a ring
		out = append(out, c)
	}
	return out
}

// inherited finds the nearest ancestor that says something, or nil.
func (f *family) inherited(says func(*lxc.Spec) bool) *lxc.Spec {
	for _, c := range f.ancestors() {
		if says(&c.Spec) {
			return &c.Spec
		}
	}
	return nil
}

// fixed looks at what a clone has of its parent for good: the privilege, and the size,
// which only grows.
func (f *family) fixed() {
	s := &f.clone.Spec
	from := f.inherited(func(s *lxc.Spec) bool { return s.Unprivileged != nil })
	have := from == nil || *from.Unprivileged
	switch {
	case s.Unprivileged != nil && have != *s.Unprivileged:
		f.fault("unprivileged", "a clone has the privilege of its parent: set both alike, or create this one from a template",
			"unprivileged is %t for container %d, of which this is a clone", have, f.parent.Spec.CTID)
	case s.Unprivileged == nil && !have && s.PctOptions != nil && s.PctOptions.Keyctl != nil && *s.PctOptions.Keyctl:
		n, _ := f.clone.node.Find([]string{"pct_options", "keyctl"})
		f.l.found.Add(n.Fault(fmt.Sprintf("keyctl is for unprivileged containers, and this is a clone of container %d, which is none", f.parent.Spec.CTID), "take it out"))
	}
	size := float64(defaultSizeGB)
	if from := f.inherited(func(s *lxc.Spec) bool { return s.StorageSizeGB != 0 }); from != nil {
		size = from.StorageSizeGB
	}
	if s.StorageSizeGB != 0 && s.StorageSizeGB < size {
		f.fault("storage_size_gb", "a volume can only grow", "%v is smaller than the %v of container %d, of which this is a clone", s.StorageSizeGB, size, f.parent.Spec.CTID)
	}
}

// addresses finds static addresses that the clone would share with an ancestor: what is
// not said of an interface is as it is there.
func (f *family) addresses() {
	said := make(map[string]bool)
	for _, c := range append([]*Container{f.clone}, f.ancestors()...) {
		for _, n := range c.Spec.NetworkConfig {
			for _, a := range [][2]string{{"ip", n.IP}, {"ip6", n.IP6}} {
				about := n.Name + " " + a[0]
				if a[1] == "" || said[about] {
					continue
				}
				said[about] = true
				if c != f.clone && strings.Contains(a[1], "/") {
					f.fault("network_config", fmt.Sprintf("give its interface %s an %s of its own", n.Name, a[0]),
						"container %d would have the address %s of container %d, of which it is a clone", f.clone.Spec.CTID, a[1], c.Spec.CTID)
				}
			}
		}
	}
}

// StoragePool is the storage of the container's root volume: its own, or that of the
// nearest ancestor which names one; empty where none does.
func (h *Host) StoragePool(c *lxc.Spec) string {
	seen := make(map[int]bool) // clones may go round in a ring before they are validated
	for c != nil && !seen[c.CTID] {
		if c.StoragePool != "" {
			return c.StoragePool
		}
		seen[c.CTID] = true
		parent := c.CloneFromCTID
		c = nil
		for i := range h.Containers {
			if h.Containers[i].Spec.CTID == parent {
				c = &h.Containers[i].Spec
			}
		}
	}
	return ""
}
