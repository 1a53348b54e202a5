package inventory

import (
	"cmp"
	"fmt"
	"net"
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
				l.found.Add(n.Fault(fmt.Sprintf("the gateway %s is the container's own address", gw), ""))
			case !ip.Contains(gw) && !ip.IsSingleIP() && !gw.IsLinkLocalUnicast():
				l.found.Add(n.Fault(fmt.Sprintf("the gateway %s is outside the subnet %s", gw, ip.Masked()), ""))
			}
		}
	}
}

// crossHosts holds the rules between containers and between hosts.
func (l *loader) crossHosts(hosts []*hostEntry) {
	c := claims{l: l, first: make(map[string]claimed)}
	l.sameAddress(hosts)
	for _, h := range hosts {
		if addr, err := netip.ParseAddr(h.Address); err == nil {
			c.add(h, "IP address", addr.Unmap().String(), "host "+h.Name, &document.Node{Pos: h.at}, true)
		}
	}
	for _, h := range hosts {
		c.bridges(h)
		for i := range h.Containers {
			c.container(h, &h.Containers[i])
		}
		l.checkDepends(h, hosts)
		l.sharedGPUs(h)
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

// claims finds what two things have that only one can have.
type claims struct {
	l     *loader
	first map[string]claimed
}

type claimed struct {
	who, cluster string
	at           document.Pos
	host         bool
}

func (c *claims) container(h *hostEntry, ct *Container) {
	if ct.Spec.State == lxc.StateAbsent {
		return
	}
	who := fmt.Sprintf("container %d", ct.Spec.CTID)
	at := func(path ...string) *document.Node { n, _ := ct.node.Find(path); return n }
	if ct.Spec.Name != "" {
		c.add(h, "name", strings.ToLower(ct.Spec.Name), who, at("name"), false)
	}
	for i, nic := range ct.Spec.NetworkConfig {
		for key, text := range map[string]string{"ip": nic.IP, "ip6": nic.IP6} {
			if ip, err := netip.ParsePrefix(text); err == nil {
				c.add(h, "IP address", ip.Addr().Unmap().String(), who, at("network_config", fmt.Sprint(i), key), false)
			}
		}
		if mac, err := net.ParseMAC(nic.MACAddress); err == nil {
			c.add(h, "MAC address", mac.String(), who, at("network_config", fmt.Sprint(i), "mac_address"), false)
		}
	}
}

// add reports the second who has the same thing. Between clusters a name may repeat,
// and an address, which may be on another network, is only warned about. Two hosts
// behind one address (another port, another jump host) are legal.
func (c *claims) add(h *hostEntry, what, value, who string, n *document.Node, host bool) {
	key := what + " " + value
	before, twice := c.first[key]
	switch {
	case !twice:
		c.first[key] = claimed{who: who, cluster: h.Cluster, at: n.Pos, host: host}
		return
	case host && before.host, what == "name" && before.cluster != h.Cluster:
		return
	}
	hint := ""
	if before.at.Source != nil {
		hint = "first at " + before.at.String()
	}
	d := n.Fault(fmt.Sprintf("%s has the same %s as %s, %s", who, what, before.who, value), hint)
	if before.cluster != h.Cluster {
		d.Severity = diag.Warning
	}
	c.l.found.Add(d)
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
			default:
				l.bootOrder(c, dep, n)
			}
		}
	}
	l.checkClones(h, hosts, byID)
	l.cycles(h, byID)
}

func (l *loader) missingNeed(h *hostEntry, hosts []*hostEntry, n *document.Node, need int) {
	for _, other := range hosts {
		if other != h && other.Cluster == h.Cluster && slices.Contains(other.CTIDs, need) {
			l.found.Add(n.Fault(fmt.Sprintf("container %d is on host %s", need, other.Name), "depends_on orders the containers of one host, here "+h.Name))
			return
		}
	}
	l.found.Add(n.Fault(fmt.Sprintf("there is no container %d on host %s", need, h.Name), ""))
}

// bootOrder compares the places in Proxmox's order of starting, in which a
// container without a place comes after all that have one.
func (l *loader) bootOrder(c, dep *Container, n *document.Node) {
	mine, its := c.Spec.BootOrder, dep.Spec.BootOrder
	atBoot := c.Spec.StartAtBoot != nil && *c.Spec.StartAtBoot && dep.Spec.StartAtBoot != nil && *dep.Spec.StartAtBoot
	switch {
	case mine == nil:
	case its != nil && *its > *mine:
		l.found.Add(n.Fault(fmt.Sprintf("container %d depends on %d and starts before it: boot_order %d and %d", c.Spec.CTID, dep.Spec.CTID, *mine, *its), ""))
	case its == nil && atBoot:
		l.found.Add(n.Fault(fmt.Sprintf("container %d depends on %d and starts before it: boot_order %d and none, which comes last",
			c.Spec.CTID, dep.Spec.CTID, *mine), fmt.Sprintf("give %d a boot_order", dep.Spec.CTID)))
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
		l.found.Add(n.Fault(what+strings.Join(words, " -> "), ""))
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
