package ruleset

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
)

// The longest names. Chains of iptables are made of that of a group.
const (
	maxName      = 64
	maxGroupName = 18
)

// Place is what can stand in the rules of one kind of file.
type Place struct {
	// Types of rules: "in", "out", "forward", "group".
	Types []string
	// Iface matches the names of interfaces; IfaceHint is how they look.
	Iface     *regexp.Regexp
	IfaceHint string
	// Macros are those that there are, in lower case; nil leaves them to Proxmox.
	Macros []string
}

// ParsePrefix reads a network, or an address as the network of it alone.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

// CheckPolicy refuses what is no policy of those in may; empty is none.
func CheckPolicy(out *tasks.Problems, path, value string, may ...string) {
	if value != "" && !slices.Contains(may, value) {
		out.Add(path, fmt.Sprintf("%q is no policy", value), strings.Join(may, ", "))
	}
}

// CheckAliases refuses names, and what they stand for, that Proxmox does not take.
func CheckAliases(out *tasks.Problems, path string, aliases map[string]string) {
	checkNames(out, path, aliases, maxName)
	for _, name := range tasks.Keys(aliases) {
		address := aliases[name]
		if _, err := ParsePrefix(address); err != nil {
			out.Add(path+"."+name, fmt.Sprintf("%q is neither an address nor a network", address), "such as 10.0.0.0/24")
		} else if err := fwfile.CheckAddress(address); err != nil {
			out.Add(path+"."+name, err.Error(), "")
		}
	}
}

// CheckIPSets refuses names of sets, and entries, that Proxmox does not take.
func CheckIPSets(out *tasks.Problems, path string, sets map[string][]string) {
	checkNames(out, path, sets, maxName)
	for _, name := range tasks.Keys(sets) {
		for i, e := range sets[name] {
			if err := fwfile.CheckAddress(strings.TrimPrefix(e, "!")); err != nil {
				out.Add(fmt.Sprintf("%s.%s.%d", path, name, i), err.Error(), `"!" before an entry excludes it`)
			}
		}
	}
}

// CheckGroups refuses names of groups, and rules in them, that Proxmox does not take.
func (p *Place) CheckGroups(out *tasks.Problems, path string, groups map[string][]Rule) {
	checkNames(out, path, groups, maxGroupName)
	for _, name := range tasks.Keys(groups) {
		p.CheckRules(out, path+"."+name, groups[name])
	}
}

// checkNames refuses names that Proxmox refuses, and two that it takes for one.
func checkNames[V any](out *tasks.Problems, path string, named map[string]V, longest int) {
	seen := map[string]string{}
	for _, name := range tasks.Keys(named) {
		if !fwfile.Name.MatchString(name) || len(name) > longest {
			out.Add(path+"."+name, fmt.Sprintf("%q is no name", name), fmt.Sprintf("a letter, then letters, digits, - or _, 2 to %d in all", longest))
		}
		if other, twice := seen[strings.ToLower(name)]; twice {
			out.Add(path+"."+name, fmt.Sprintf("is the same as %s to Proxmox, which does not tell case apart", other), "")
		}
		seen[strings.ToLower(name)] = name
	}
}

// CheckRules returns every fault of rules. Proxmox skips a line that it cannot read, so
// that a mistake in a rule opens or closes more than was meant.
func (p *Place) CheckRules(out *tasks.Problems, path string, rules []Rule) {
	for i, r := range rules {
		at := fmt.Sprintf("%s.%d.", path, i)
		p.checkHead(out, at, r)
		p.checkMatch(out, at, r)
		if r.Log != "" {
			CheckLevel(out, at+"log", r.Log)
		}
		switch {
		case strings.ContainsFunc(r.Comment, func(c rune) bool { return c < ' ' || c == 0x7f }) || strings.TrimSpace(r.Comment) != r.Comment:
			out.Add(at+"comment", "has a line break, a control character or blanks around it", "")
		case Marked(r.Comment) == ManagementComment:
			out.Add(at+"comment", "is that of the rule that phoenix writes itself", "choose another")
		}
	}
}

func (p *Place) checkHead(out *tasks.Problems, at string, r Rule) {
	known := slices.Contains(p.Types, r.Type)
	switch {
	case r.Type == "group" && !known:
		out.Add(at+"type", "a group cannot hold another group", strings.Join(p.Types, ", "))
		return
	case r.Type == "group":
		if !fwfile.Name.MatchString(r.Action) || len(r.Action) > maxGroupName {
			out.Add(at+"action", fmt.Sprintf("%q is no name of a group", r.Action), "")
		}
		if r.Macro != "" || r.Source+r.Dest+r.Proto+r.Dport+r.Sport+r.ICMPType+r.Log != "" {
			out.Add(at+"type", "a group has an interface only; its rules say the rest", "")
		}
		return
	case !known:
		out.Add(at+"type", fmt.Sprintf("%q is no type", r.Type), strings.Join(p.Types, ", "))
	}
	if !slices.Contains([]string{"ACCEPT", "DROP", "REJECT"}, r.Action) {
		out.Add(at+"action", fmt.Sprintf("%q is no action", r.Action), "ACCEPT, DROP or REJECT; a service goes into macro")
	}
	if r.Macro == "" {
		return
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_/-]+$`).MatchString(r.Macro) || p.Macros != nil && !slices.Contains(p.Macros, strings.ToLower(r.Macro)) {
		out.Add(at+"macro", fmt.Sprintf("%q is no macro", r.Macro), "such as SSH, Ping or HTTPS; any service can be said with proto and dport")
	}
}

func (p *Place) checkMatch(out *tasks.Problems, at string, r Rule) {
	if r.Iface != "" && !p.Iface.MatchString(r.Iface) {
		out.Add(at+"iface", fmt.Sprintf("%q is no interface", r.Iface), p.IfaceHint)
	}
	for _, a := range []struct{ key, value string }{{"source", r.Source}, {"dest", r.Dest}} {
		if a.value == "" {
			continue
		}
		if err := fwfile.CheckAddresses(a.value); err != nil {
			out.Add(at+a.key, err.Error(), "")
		}
	}
	if r.Proto != "" && !regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`).MatchString(r.Proto) {
		out.Add(at+"proto", fmt.Sprintf("%q is no protocol", r.Proto), "such as tcp, udp or icmp")
	}
	for _, p := range []struct{ key, value string }{{"dport", r.Dport}, {"sport", r.Sport}} {
		switch {
		case p.value == "":
		case !validPorts(p.value):
			out.Add(at+p.key, fmt.Sprintf("%q are no ports", p.value), "such as 22, 8000:8010 or https,8080")
		case !slices.Contains([]string{"tcp", "udp", "sctp", "dccp", "udplite"}, r.Proto):
			out.Add(at+p.key, "ports need a protocol that has them", "set proto to tcp or udp")
		}
	}
	switch {
	case r.ICMPType == "":
	case !regexp.MustCompile(`^[a-z0-9][a-z0-9/-]*$`).MatchString(r.ICMPType):
		out.Add(at+"icmp_type", fmt.Sprintf("%q is no type of ICMP", r.ICMPType), "such as echo-request")
	case !slices.Contains([]string{"icmp", "icmpv6", "ipv6-icmp"}, r.Proto):
		out.Add(at+"icmp_type", "needs the protocol", "set proto to icmp or ipv6-icmp")
	}
}

// validPorts takes Proxmox's lists: numbers, names of services, and ranges a:b.
func validPorts(list string) bool {
	for _, item := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(item, ":")
		switch {
		case isRange && (Port(from) < 0 || Port(to) < Port(from)):
			return false
		case !isRange && Port(item) < 0 && !regexp.MustCompile(`^[a-z][a-z0-9-]*$`).MatchString(item):
			return false
		}
	}
	return true
}

// Port is a number of a port, or -1.
func Port(s string) int {
	if !regexp.MustCompile(`^[0-9]{1,5}$`).MatchString(s) {
		return -1
	}
	n := 0
	for _, d := range s {
		n = n*10 + int(d-'0')
	}
	if n > 65535 {
		return -1
	}
	return n
}
