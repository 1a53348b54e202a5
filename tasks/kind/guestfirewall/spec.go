// Package guestfirewall keeps Proxmox's firewall of one container: options, aliases,
// sets and rules in /etc/pve/firewall/CTID.fw.
//
// A check reads that file, the cluster's and the list of guests, and starts nothing. The
// file is written as a whole under Proxmox's own lock; what is ours in it, and that the
// rest stays as it is, is the matter of tasks/ruleset. It can be written before there is
// such a container, so that no container starts without its rules; Proxmox looks only at
// files of guests that exist, and only then is it asked whether it understands this one.
// What the rules name is therefore looked for here: a group, set or alias that neither
// the file nor the cluster has is an error, because Proxmox would skip the rule. Nothing
// here can shut the operator out of the host, so a change needs no confirmation. The file
// goes with the container (pct destroy) and is copied by pct clone; it is never removed
// here. Start reading at Spec.
package guestfirewall

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/ruleset"
)

// Name of the family in steps.
const Name = "guestfirewall"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Spec is the firewall of one container. It acts only on interfaces with `firewall`, and
// only while the firewall of the cluster is on.
type Spec struct {
	// CTID is the number of the container, 100 to 999999999.
	CTID int `json:"ctid"`
	// Enabled switches the firewall of the container on or off; nil is not managed, and
	// off for Proxmox.
	Enabled *bool `json:"enabled,omitempty"`
	// PolicyIn and PolicyOut are ACCEPT, DROP or REJECT, for packets that no rule is for;
	// empty is not managed.
	PolicyIn  string `json:"policy_in,omitempty"`
	PolicyOut string `json:"policy_out,omitempty"`
	// LogLevelIn and LogLevelOut are the levels that dropped packets are logged with.
	LogLevelIn  string `json:"log_level_in,omitempty"`
	LogLevelOut string `json:"log_level_out,omitempty"`
	// DHCP, NDP and RADV let the container ask for an address, find its neighbours, and
	// send router advertisements. nil is not managed.
	DHCP *bool `json:"dhcp,omitempty"`
	NDP  *bool `json:"ndp,omitempty"`
	RADV *bool `json:"radv,omitempty"`
	// IPFilter and MACFilter drop what the container sends from addresses that are not its
	// own. nil is not managed.
	IPFilter  *bool `json:"ipfilter,omitempty"`
	MACFilter *bool `json:"macfilter,omitempty"`
	// Aliases are names for addresses and networks. Others are left alone.
	Aliases map[string]string `json:"aliases,omitempty"`
	// IPSets are sets of addresses, by name, compared as sets. Others are left alone.
	// That of the name ipfilter-netN has the addresses that IPFilter lets out of netN.
	IPSets map[string][]string `json:"ipsets,omitempty"`
	// Rules stand before all others of the file, in this order. Those of security groups
	// of the cluster are taken in with type "group".
	Rules []ruleset.Rule `json:"rules,omitempty"`
}

// ifaceName is how Proxmox names the interfaces of a guest; filterSet is the set for one.
const (
	ifaceName = `^net[0-9]{1,2}$`
	filterSet = "ipfilter-"
)

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if s.CTID < 100 || s.CTID > 999999999 {
		out.Add("ctid", fmt.Sprintf("%d is no CTID", s.CTID), "from 100 to 999999999")
	}
	ruleset.CheckPolicy(&out, "policy_in", s.PolicyIn, "ACCEPT", "DROP", "REJECT")
	ruleset.CheckPolicy(&out, "policy_out", s.PolicyOut, "ACCEPT", "DROP", "REJECT")
	for _, l := range []struct{ key, value string }{{"log_level_in", s.LogLevelIn}, {"log_level_out", s.LogLevelOut}} {
		if l.value != "" {
			ruleset.CheckLevel(&out, l.key, l.value)
		}
	}
	ruleset.CheckAliases(&out, "aliases", s.Aliases)
	ruleset.CheckIPSets(&out, "ipsets", s.IPSets)
	iface := regexp.MustCompile(ifaceName)
	for _, name := range tasks.Keys(s.IPSets) {
		if of, is := strings.CutPrefix(name, filterSet); is && !iface.MatchString(of) {
			out.Add("ipsets."+name, fmt.Sprintf("%q is no interface", of), filterSet+"net0 is the set for net0, the first interface")
		}
	}
	(&ruleset.Place{
		Types: []string{"in", "out", "group"}, Iface: iface, IfaceHint: "net0 is the first interface, net1 the second", Macros: macros(),
	}).CheckRules(&out, "rules", s.Rules)
	return out
}

// Interface is a place of the spec that names an interface of the container.
type Interface struct {
	// Path is that place: "rules.0.iface".
	Path string
	// Number is N of netN.
	Number int
}

// Interfaces lists the interfaces that a valid spec names, in a stable order.
func (s *Spec) Interfaces() []Interface {
	var out []Interface
	add := func(path, name string) {
		if n, err := strconv.Atoi(strings.TrimPrefix(name, "net")); err == nil {
			out = append(out, Interface{path, n})
		}
	}
	for _, name := range tasks.Keys(s.IPSets) {
		if of, is := strings.CutPrefix(name, filterSet); is {
			add("ipsets."+name, of)
		}
	}
	for i, r := range s.Rules {
		add(fmt.Sprintf("rules.%d.iface", i), r.Iface)
	}
	return out
}

// macros are the services that Proxmox has names for (pve-firewall 5.1), of which the
// case does not count. Nobody looks for an unknown one in the file of a container that is
// not there yet, and its rule would be skipped.
func macros() []string {
	return strings.Fields(`amanda auth bgp bittorrent bittorrent32 ceph citrix cvs daap dcc dhcpfwd dhcpv6 distcc dns finger ftp
		git gnunet gre hkp http http/3 https icpv2 icq imap imaps ipip ipsec ipsecah ipsecnat irc jetdirect l2tp ldap ldaps mail mdns
		minio msnp mssql munin mysql neighbordiscovery nntp nntps ntp openvpn ospf pbs pca ping pmg pop3 pop3s postgresql pptp printer
		razor rdate rdp rip rndc rsync sane sixxs smb smbswat smtp smtps snmp spamd spiceproxy squid ssh submission svn syslog telnet
		telnets tftp time trcrt vnc vncl web webcache webmin whois`)
}
