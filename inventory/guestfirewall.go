package inventory

import (
	"fmt"
	"slices"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/guestfirewall"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/ruleset"
)

// guestFirewall reads the key of a container that says what Proxmox's firewall does for
// it; nil when it is absent.
func (l *loader) guestFirewall(ctid int, n *document.Node) *guestfirewall.Spec {
	if n == nil || n.Kind != document.Object {
		return nil
	}
	s := new(guestfirewall.Spec)
	l.decode(section{what: fmt.Sprintf("firewall of container %d", ctid), node: n, at: n.Pos, extra: map[string]any{"ctid": ctid}}, s)
	return s
}

// checkGuestFirewalls holds what a container's firewall, its interfaces and its host must
// agree on. Which groups there are only the host can tell.
func (l *loader) checkGuestFirewalls(h *hostEntry) {
	byID := make(map[int]*Container)
	for i := range h.Containers {
		byID[h.Containers[i].Spec.CTID] = &h.Containers[i]
	}
	for i := range h.Containers {
		c := &h.Containers[i]
		if c.Firewall == nil || c.Spec.State == lxc.StateAbsent {
			continue
		}
		at := c.node.Get("firewall")
		names, filtered := interfaces(c, byID)
		for _, use := range c.Firewall.Interfaces() {
			if len(names) > 0 && use.Number >= len(names) {
				n, _ := at.Find(strings.Split(use.Path, "."))
				l.found.Add(n.Fault(fmt.Sprintf("container %d has no interface net%d", c.Spec.CTID, use.Number),
					fmt.Sprintf("its interfaces are counted from net0: %s", strings.Join(names, ", "))))
			}
		}
		path := ruleset.GuestFile(c.Spec.CTID)
		if v := h.Hypervisor; v != nil && slices.ContainsFunc(v.Files, func(f file.Spec) bool { return f.Path == path }) {
			l.found.Add(at.Fault("the section files of the hypervisor writes "+path+" as well", "leave one of them out"))
		}
		if on := c.Firewall.Enabled; on == nil || !*on {
			continue
		}
		warn := func(summary, hint string) {
			d := at.Fault(summary, hint)
			d.Severity = diag.Warning
			l.found.Add(d)
		}
		if !filtered {
			warn(fmt.Sprintf("no interface of container %d has firewall: true, so its firewall has no effect", c.Spec.CTID), "set firewall in network_config")
		}
		if v := h.Hypervisor; v != nil && v.Firewall != nil && v.Firewall.Cluster != nil && v.Firewall.Cluster.Enabled != nil && !*v.Firewall.Cluster.Enabled {
			warn(fmt.Sprintf("the firewall of the cluster is to be off, so that of container %d has no effect", c.Spec.CTID), "set firewall.cluster.enabled of the hypervisor")
		}
	}
}

// interfaces lists the names of a container's interfaces in the order of their numbers,
// and tells whether the firewall sees any of them. A clone has those of its parent, as far
// as it does not say otherwise.
func interfaces(c *Container, byID map[int]*Container) (names []string, filtered bool) {
	var line []*Container
	for seen := map[int]bool{}; c != nil && !seen[c.Spec.CTID]; c = byID[c.Spec.CloneFromCTID] {
		seen[c.Spec.CTID] = true // the parents may go round in a ring
		line = append(line, c)
	}
	on := map[string]bool{}
	for _, c := range slices.Backward(line) {
		for _, nic := range c.Spec.NetworkConfig {
			if !slices.Contains(names, nic.Name) {
				names = append(names, nic.Name)
			}
			if nic.Firewall != nil {
				on[nic.Name] = *nic.Firewall
			}
		}
	}
	for _, is := range on {
		filtered = filtered || is
	}
	return names, filtered
}
