package plan

import (
	"fmt"

	"phoenix/inventory"
	"phoenix/tasks/kind/guestfirewall"
	"phoenix/tasks/kind/lxc"
)

// guestFirewall adds the step that writes a container's firewall, beside that of the
// container, which was added last.
//
// It comes first, so that the container never runs without its rules and is not started
// when they cannot be written: pct create leaves the file as it is, and nothing reads it
// before there is the container. Not so for a clone: pct clone puts the parent's file in
// its place (PVE::Firewall::Helpers::clone_vmfw_conf), so the clone begins with the
// parent's rules, and its own come when it has been made. A container that is to go takes
// the file with it (pct destroy).
func (b *builder) guestFirewall(c *inventory.Container) {
	if c.Firewall == nil || c.Spec.State == lxc.StateAbsent {
		return
	}
	container := &b.steps[len(b.steps)-1]
	id := guestFirewallID(c.Spec.CTID)
	needs := []string{firewallID}
	if c.Spec.CloneFromCTID != 0 {
		needs = append(needs, container.ID)
	} else {
		container.Needs = append(container.Needs, id)
	}
	b.add(guestfirewall.Name, id, "lxc_configs", c.Firewall, needs, append([]string{"firewall"}, containerTags(&c.Spec)...))
	// Not two at once: what Proxmox says of all files is compared before and after.
	b.steps[len(b.steps)-1].Uses = []string{"firewall"}
}

func guestFirewallID(ctid int) string { return fmt.Sprintf("firewall:%d", ctid) }
