package sim

import (
	"regexp"
	"slices"
	"strings"
)

// firewallFile is one file of the firewall as pve-firewall reads it.
type firewallFile struct {
	options      map[string]string
	sets, groups map[string]bool
	aliases      map[string]bool
	rules        []string
	// members are the entries of sets.
	members []string
	faults  []string
}

var (
	fwSection = regexp.MustCompile(`(?i)^\[(options|aliases|rules|(ipset|group)\s+(\S+))\]\s*(#.*)?$`)
	fwRule    = regexp.MustCompile(`^\|?(IN|OUT|FORWARD|GROUP) (\S+)((?: +--?\S+ \S+)*)\s*$`)
	fwOption  = regexp.MustCompile(`^(enable|ebtables|policy_in|policy_out|policy_forward|log_ratelimit|nosmurfs|tcpflags|ndp|nftables|` +
		`nf_conntrack_\w+|protection_synflood\w*|log_nf_conntrack|log_level_\w+|smurf_log_level|tcp_flags_log_level):\s*\S+$`)
	fwAction = regexp.MustCompile(`^(?:(\S+)\()?(ACCEPT|DROP|REJECT)\)?$`)
	fwPort   = regexp.MustCompile(`-[ds]port (\S+)`)
	fwAway   = regexp.MustCompile(`--?(?:source|dest) (\S+)`)
	fwAlias  = regexp.MustCompile(`^(?:dc/|guest/)?([A-Za-z][\w-]+)$`)
)

// firewallMacros are the services that Proxmox has names for, of which the case does not
// count.
func firewallMacros() []string {
	return strings.Fields(`amanda auth bgp bittorrent bittorrent32 ceph citrix cvs daap dcc dhcpfwd dhcpv6 distcc dns finger ftp git gnunet gre hkp http http/3
		https icpv2 icq imap imaps ipip ipsec ipsecah ipsecnat irc jetdirect l2tp ldap ldaps mail mdns minio msnp mssql munin mysql neighbordiscovery nntp nntps ntp
		openvpn ospf pbs pca ping pmg pop3 pop3s postgresql pptp printer razor rdate rdp rip rndc rsync sane sixxs smb smbswat smtp smtps snmp spamd spiceproxy
		squid ssh submission svn syslog telnet telnets tftp time trcrt vnc vncl web webcache webmin whois`)
}

// readFirewall reads a file as Proxmox does: what it cannot read it names, and skips.
func (m *Machine) readFirewall(path string, option *regexp.Regexp) firewallFile {
	f := firewallFile{options: map[string]string{}, sets: map[string]bool{}, groups: map[string]bool{}, aliases: map[string]bool{}}
	kind := ""
	for line := range strings.Lines(m.text(path)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if s := fwSection.FindStringSubmatch(line); s != nil {
			kind = strings.ToLower(strings.Fields(s[1])[0])
			switch kind {
			case "ipset":
				f.sets[strings.ToLower(s[3])] = true
			case "group":
				f.groups[strings.ToLower(s[3])] = true
			}
			continue
		}
		text, _, _ := strings.Cut(line, "#")
		text = strings.TrimRight(text, " \t")
		switch {
		case kind == "":
			f.faults = append(f.faults, "skip line - no section")
		case kind == "options" && !option.MatchString(text):
			f.faults = append(f.faults, "can't parse option '"+text+"'")
		case kind == "options":
			key, value, _ := strings.Cut(text, ":")
			f.options[key] = strings.TrimSpace(value)
		case kind == "aliases":
			name, _, _ := strings.Cut(strings.TrimSpace(text), " ")
			f.aliases[strings.ToLower(name)] = true
		case kind == "ipset":
			f.members = append(f.members, strings.TrimLeft(strings.TrimSpace(text), "! "))
		case kind == "rules" || kind == "group":
			if fault := firewallRule(text); fault != "" {
				f.faults = append(f.faults, fault)
			} else {
				f.rules = append(f.rules, text)
			}
		}
	}
	return f
}

// firewallRule is what Proxmox says of a rule that it skips.
func firewallRule(text string) string {
	m := fwRule.FindStringSubmatch(text)
	if m == nil || m[1] != "GROUP" && !fwAction.MatchString(m[2]) {
		return "unable to parse rule: " + text
	}
	if a := fwAction.FindStringSubmatch(m[2]); m[1] != "GROUP" && a[1] != "" && !slices.Contains(firewallMacros(), strings.ToLower(a[1])) {
		return "macro: unknown macro '" + a[1] + "'"
	}
	for _, p := range fwPort.FindAllStringSubmatch(m[3], -1) {
		for item := range strings.FieldsFuncSeq(p[1], func(r rune) bool { return r == ',' || r == ':' }) {
			if len(item) > 5 || item > "65535" && len(item) == 5 {
				return "dport: invalid port '" + item + "'"
			}
		}
		if !strings.Contains(m[3], "-p ") && !strings.Contains(m[3], "-proto ") {
			return "proto: missing property - 'dport' or 'sport' need it"
		}
	}
	return ""
}

// pveFirewall serves compile, status, restart, start and stop. Faults are told on
// standard error and change the status to nothing but 0.
func pveFirewall(c *call) int {
	if len(c.argv) < 2 {
		c.errorf("ERROR: no command specified\n")
		return 255
	}
	switch verb := c.argv[1]; verb {
	case "compile", "status":
		cluster := c.m.readFirewall("/etc/pve/firewall/cluster.fw", fwOption)
		host := c.m.readFirewall("/etc/pve/nodes/"+c.m.Node+"/host.fw", fwOption)
		c.sayFirewall("/etc/pve/firewall/cluster.fw", cluster, cluster)
		c.sayFirewall("/etc/pve/nodes/"+c.m.Node+"/host.fw", host, cluster)
		c.sayGuests(cluster)
		on := cluster.options["enable"] == "1"
		if verb == "status" {
			active, _ := c.m.activity("pve-firewall.service")
			running := map[bool]string{true: "running", false: "stopped"}[active == "active"]
			c.printf("Status: %s/%s\n", map[bool]string{true: "enabled", false: "disabled"}[on], running)
		}
		return 0
	case "restart", "start", "stop":
		err := c.m.exclusive(func() error { return c.m.setActive("pve-firewall.service", verb != "stop") })
		return c.died(err, 255)
	default:
		c.errorf("ERROR: unknown command 'pve-firewall %s'\n", verb)
		return 255
	}
}

// sayFirewall prints what is wrong in a file, sets and groups of the cluster known.
func (c *call) sayFirewall(path string, f, cluster firewallFile) {
	for _, fault := range f.faults {
		c.errorf("%s (line 1) - %s\n", path, fault)
	}
	for _, r := range f.rules {
		words := strings.Fields(r)
		if slices.Contains([]string{"GROUP", "|GROUP"}, words[0]) && !cluster.groups[strings.ToLower(words[1])] {
			c.errorf("no such security group '%s'\n", words[1])
		}
		for _, m := range fwAway.FindAllStringSubmatch(r, -1) {
			for item := range strings.SplitSeq(m[1], ",") {
				c.sayAddress(item, cluster)
			}
		}
	}
	for _, item := range f.members {
		c.sayAddress(item, cluster)
	}
}

// sayAddress prints what is wrong with a set or an alias; addresses are not looked at.
func (c *call) sayAddress(item string, cluster firewallFile) {
	if set, ok := strings.CutPrefix(item, "+"); ok {
		set = strings.TrimPrefix(strings.TrimPrefix(set, "dc/"), "guest/")
		if !cluster.sets[strings.ToLower(set)] && set != "management" {
			c.errorf("no such ipset '%s'\n", set)
		}
		return
	}
	m := fwAlias.FindStringSubmatch(item)
	if m != nil && !cluster.aliases[strings.ToLower(m[1])] && m[1] != "local_network" {
		c.errorf("no such alias '%s'\n", item)
	}
}
