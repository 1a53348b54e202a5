package inventory

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
	"phoenix/tasks/kind/lxc"
)

// checkAlone holds the rules between the properties of one container.
func (l *loader) checkAlone(e *entry, c *Container) {
	at := func(path ...string) *document.Node { n, _ := c.node.Find(path); return n }
	s := &c.Spec
	if s.Template == "" && s.State != lxc.StateAbsent && c.node.Get("template") == nil && c.node.Get("clone_from_ctid") == nil {
		d := document.At(e.at, c.node.Path, fmt.Sprintf("container %d has no template", s.CTID),
			"it is managed where it exists and cannot be created; set template or clone_from_ctid")
		d.Severity = diag.Warning
		l.found.Add(d)
	}
	if n := c.node.Get("health_checks"); len(c.HealthChecks) > 0 && !s.Runs() {
		d := n.Fault("health_checks are asked inside a container that runs, and this one is not to run", "")
		d.Severity = diag.Warning
		l.found.Add(d)
	}
	for _, h := range c.HealthChecks {
		if h.Spec.AsksItself() {
			l.found.Add(at("health_checks", h.Spec.Name).Fault("the Proxmox host would ask itself: http and tcp are not asked from inside the container",
				"say the container's own address, or ask inside with a command"))
		}
	}
	if p := s.PctOptions; p != nil && p.Keyctl != nil && *p.Keyctl && s.Unprivileged != nil && !*s.Unprivileged {
		l.found.Add(at("pct_options", "keyctl").Fault("keyctl is for unprivileged containers", "take it out, or set unprivileged to true"))
	}
	for i, nic := range s.NetworkConfig {
		for _, f := range []struct{ gwKey, gw, ipKey, ip string }{{"gw", nic.GW, "ip", nic.IP}, {"gw6", nic.GW6, "ip6", nic.IP6}} {
			gw, err1 := netip.ParseAddr(f.gw)
			ip, err2 := netip.ParsePrefix(f.ip)
			if err1 != nil || err2 != nil {
				continue
			}
			n := at("network_config", fmt.Sprint(i), f.gwKey)
			switch {
			case gw == ip.Addr():
				l.found.Add(n.Fault(fmt.Sprintf("the gateway %s is the container's own address", gw), "say that of the router, or leave it out"))
			case !ip.Contains(gw) && !ip.IsSingleIP() && !gw.IsLinkLocalUnicast():
				l.found.Add(n.Fault(fmt.Sprintf("the gateway %s is outside the subnet %s", gw, ip.Masked()), "name a router of that subnet, or widen the prefix of the address"))
			}
		}
	}
}

// crossHosts holds the rules between containers and between hosts.
func (l *loader) crossHosts(hosts []*hostEntry) {
	c := claims{l: l, first: make(map[claim]claimed)}
	l.sameAddress(hosts)
	for _, h := range hosts {
		if addr, err := netip.ParseAddr(h.Address); err == nil {
			c.add(h, claim{what: "IP address", value: addr.Unmap().String(), who: "host " + h.Name, host: true}, &document.Node{Pos: h.at})
		}
	}
	for _, h := range hosts {
		c.bridges(h)
		for i := range h.Containers {
			c.container(h, &h.Containers[i])
			l.subnets(h, &h.Containers[i])
			l.storages(h, &h.Containers[i])
		}
		l.checkDepends(h, hosts)
		l.found.Add(h.GPUFaults()...)
		l.checkGuestFirewalls(h)
	}
}

// sameAddress finds two names for one machine: both would be worked on at once.
func (l *loader) sameAddress(hosts []*hostEntry) {
	first := make(map[string]string)
	for _, h := range hosts {
		port := cmp.Or(h.Port, 22)
		key := fmt.Sprintf("%s port %d via %s", strings.ToLower(h.Address), port, strings.Join(h.Jump, ","))
		if before, twice := first[key]; twice {
			at, path := h.at, h.node.Path
			if n := h.node.Get("address"); n != nil && strings.HasPrefix(n.Path, path+".") {
				at, path = n.Pos, n.Path // its own, not one of the defaults or of a group
			}
			l.found.Add(document.At(at, path, fmt.Sprintf("hosts %s and %s have the same address %s and the same port %d", before, h.Name, h.Address, port),
				"one machine is one host; two behind one address have a port each"))
			continue
		}
		first[key] = h.Name
	}
}

// checkDepends holds depends_on: it exists, on the same host, without a cycle, and
// the order of starting agrees with it.
func (l *loader) checkDepends(h *hostEntry, hosts []*hostEntry) {
	byID := make(map[int]*Container)
	for i := range h.Containers {
		byID[h.Containers[i].Spec.CTID] = &h.Containers[i]
	}
	for i := range h.Containers {
		c := &h.Containers[i]
		for at, need := range c.Spec.DependsOn {
			n, _ := c.node.Find([]string{"depends_on", fmt.Sprint(at)})
			dep, here := byID[need]
			switch {
			case need == c.Spec.CTID: // the family says so
			case !here:
				l.missingNeed(h, hosts, n, need)
			case dep.Spec.State == lxc.StateAbsent && c.Spec.State != lxc.StateAbsent:
				l.found.Add(n.Fault(fmt.Sprintf("container %d is to be absent", need), "take it out of depends_on"))
			default:
				l.bootOrder(c, dep, n)
			}
		}
	}
	l.checkClones(h, hosts, byID)
	l.inherit(h)
	l.cycles(h, byID)
}

func (l *loader) missingNeed(h *hostEntry, hosts []*hostEntry, n *document.Node, need int) {
	for _, other := range hosts {
		if other != h && other.Cluster == h.Cluster && slices.Contains(other.CTIDs, need) {
			l.found.Add(n.Fault(fmt.Sprintf("container %d is on host %s", need, other.Name), "depends_on orders the containers of one host, here "+h.Name))
			return
		}
	}
	l.found.Add(n.Fault(fmt.Sprintf("there is no container %d on host %s", need, h.Name), "depends_on names containers of the LXC file, also those made by hand"))
}

// bootOrder compares the places in Proxmox's order of starting, in which a container
// without a place comes after all that have one, and of two alike the lower CTID first
// (get_start_stop_list, pve-manager 8).
func (l *loader) bootOrder(c, dep *Container, n *document.Node) {
	mine, its := c.Spec.BootOrder, dep.Spec.BootOrder
	both := c.Spec.StartAtBoot != nil && *c.Spec.StartAtBoot && dep.Spec.StartAtBoot != nil && *dep.Spec.StartAtBoot
	before := fmt.Sprintf("container %d depends on %d and starts before it: ", c.Spec.CTID, dep.Spec.CTID)
	hint := fmt.Sprintf("give %d a boot_order above that of %d", c.Spec.CTID, dep.Spec.CTID)
	switch {
	case mine != nil && its != nil && *its > *mine:
		l.found.Add(n.Fault(fmt.Sprintf("%sboot_order %d and %d", before, *mine, *its), hint))
	case !both:
	case mine != nil && its == nil:
		l.found.Add(n.Fault(fmt.Sprintf("%sboot_order %d and none, which comes last", before, *mine), fmt.Sprintf("give %d a boot_order", dep.Spec.CTID)))
	case mine != nil && *mine == *its && dep.Spec.CTID > c.Spec.CTID:
		l.found.Add(n.Fault(fmt.Sprintf("%sboth have boot_order %d, and the lower CTID is first", before, *mine), hint))
	case mine == nil && its == nil && dep.Spec.CTID > c.Spec.CTID:
		d := n.Fault(before+"neither has a boot_order, and the lower CTID is first", fmt.Sprintf("give %d a boot_order", dep.Spec.CTID))
		d.Severity = diag.Warning
		l.found.Add(d)
	}
}

// cycles reports each ring of dependencies and clones once, at its lowest CTID.
func (l *loader) cycles(h *hostEntry, byID map[int]*Container) {
	for i := range h.Containers {
		c := &h.Containers[i]
		path := ring(byID, c.Spec.CTID, []int{c.Spec.CTID}, make(map[int]bool))
		if len(path) < 3 || slices.Min(path) != c.Spec.CTID {
			continue
		}
		words := make([]string, len(path))
		for j, id := range path {
			words[j] = fmt.Sprint(id)
		}
		n, what := c.node.Get("depends_on"), "the containers depend on each other: "
		if isClone(c) && c.Spec.CloneFromCTID == path[1] {
			n, what = c.node.Get("clone_from_ctid"), "the containers need each other: "
		}
		l.found.Add(n.Fault(what+strings.Join(words, " -> "), "take one of them out"))
	}
}

// finishedFirst are the containers that are finished before this one.
func finishedFirst(c *Container) []int {
	if !isClone(c) {
		return c.Spec.DependsOn
	}
	return append([]int{c.Spec.CloneFromCTID}, c.Spec.DependsOn...)
}

// ring finds a way from the last of path back to target.
func ring(byID map[int]*Container, target int, path []int, seen map[int]bool) []int {
	for _, need := range finishedFirst(byID[path[len(path)-1]]) {
		if need == target {
			return append(path, need)
		}
		if byID[need] == nil || seen[need] {
			continue
		}
		seen[need] = true
		if found := ring(byID, target, append(slices.Clone(path), need), seen); found != nil {
			return found
		}
	}
	return nil
}
