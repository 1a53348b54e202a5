package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"strings"
)

// guestRules is the file of the firewall of a guest.
func guestRules(id int) string { return fmt.Sprintf("/etc/pve/firewall/%d.fw", id) }

// removeRules goes with a guest that is destroyed, or could not be made
// (PVE::Firewall::Helpers::remove_vmfw_conf).
func (m *Machine) removeRules(id int) error {
	if err := os.Remove(m.path(guestRules(id))); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// cloneRules gives a clone what its parent has now, whatever was there under its number
// (clone_vmfw_conf).
func (m *Machine) cloneRules(from, to int) error {
	data, err := m.read(guestRules(from))
	if errors.Is(err, fs.ErrNotExist) {
		return m.removeRules(to)
	}
	if err != nil {
		return err
	}
	return m.write(guestRules(to), data, 0o640)
}

var (
	fwGuestOption = regexp.MustCompile(`^((enable|dhcp|ndp|radv|macfilter|ipfilter|ips):\s*[01]|policy_(in|out):\s*(ACCEPT|DROP|REJECT)|` +
		`log_level_(in|out):\s*(emerg|alert|crit|err|warning|notice|info|debug|nolog)|(ips_queues|layer2_protocols):\s*\S+)$`)
	fwGuestIface = regexp.MustCompile(` -i (\S+)`)
	fwNet        = regexp.MustCompile(`^net\d+$`)
)

// sayGuests prints what is wrong in the files of this node's containers. One without a
// configuration is not looked at.
func (c *call) sayGuests(cluster firewallFile) {
	for _, id := range c.m.containers() {
		f := c.m.readFirewall(guestRules(id), fwGuestOption)
		var good []string
		for _, r := range f.rules {
			nic := fwGuestIface.FindStringSubmatch(r)
			switch {
			case strings.HasPrefix(strings.TrimPrefix(r, "|"), "FORWARD"):
				f.faults = append(f.faults, "unable to parse rule: "+r)
			case nic != nil && !fwNet.MatchString(nic[1]):
				f.faults = append(f.faults, `iface: value does not match the regex pattern 'net\d+'`)
			default:
				good = append(good, r)
			}
		}
		f.rules = good
		known := firewallFile{groups: cluster.groups, sets: maps.Clone(f.sets), aliases: maps.Clone(f.aliases)}
		maps.Copy(known.sets, cluster.sets)
		maps.Copy(known.aliases, cluster.aliases)
		c.sayFirewall(guestRules(id), f, known)
	}
}
