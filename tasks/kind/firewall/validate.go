package firewall

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
)

// maxGroupName is the longest name of a group: chains of iptables are made of it.
const maxGroupName = 18

// problems collects the faults of a spec.
type problems []tasks.Problem

func (p *problems) add(path, summary, hint string) {
	*p = append(*p, tasks.Problem{Path: path, Summary: summary, Hint: hint})
}

// Validate returns every fault of the spec. Proxmox skips a line that it cannot read,
// so that a mistake in a rule that lets people in would lock them out.
func (s *Spec) Validate() []tasks.Problem {
	var out problems
	if s.Cluster == nil && s.Host == nil {
		out.add("", "says nothing about the firewall", "set cluster, host or both")
	}
	for i, from := range s.ManagementFrom {
		if a, err := parsePrefix(from); err != nil || a != a.Masked() {
			out.add(fmt.Sprintf("management_from.%d", i), fmt.Sprintf("%q is neither an address nor a network", from), "such as 10.0.0.0/24 or fd00::5, without bits behind the prefix")
		}
	}
	if len(s.ManagementFrom) > 0 && s.waived() {
		out.add("management_from", "is for the rule that keep_management_open leaves out", "leave out one of them")
	}
	if s.ConfirmTimeoutS != 0 && (s.ConfirmTimeoutS < 10 || s.ConfirmTimeoutS > 3600) {
		out.add("confirm_timeout_s", fmt.Sprintf("%d is not from 10 to 3600", s.ConfirmTimeoutS), "seconds; 60 when absent")
	}
	if s.Cluster != nil {
		s.Cluster.check(&out)
	}
	if s.Host != nil {
		checkOptions(&out, "host.options.", s.Host.Options, hostFormats())
		checkRules(&out, "host.rules", s.Host.Rules, true)
	}
	return out
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func (c *Cluster) check(out *problems) {
	for _, p := range []struct {
		key, value string
		may        []string
	}{
		{"policy_in", c.PolicyIn, []string{"ACCEPT", "DROP", "REJECT"}},
		{"policy_out", c.PolicyOut, []string{"ACCEPT", "DROP", "REJECT"}},
		{"policy_forward", c.PolicyForward, []string{"ACCEPT", "DROP"}},
	} {
		if p.value != "" && !slices.Contains(p.may, p.value) {
			out.add("cluster."+p.key, fmt.Sprintf("%q is no policy", p.value), strings.Join(p.may, ", "))
		}
	}
	checkOptions(out, "cluster.options.", c.Options, clusterFormats())
	checkNames(out, "cluster.aliases", c.Aliases, 64)
	for _, name := range slices.Sorted(maps.Keys(c.Aliases)) {
		address := c.Aliases[name]
		if _, err := parsePrefix(address); err != nil {
			out.add("cluster.aliases."+name, fmt.Sprintf("%q is neither an address nor a network", address), "such as 10.0.0.0/24")
		} else if err := fwfile.CheckAddress(address); err != nil {
			out.add("cluster.aliases."+name, err.Error(), "")
		}
	}
	checkNames(out, "cluster.ipsets", c.IPSets, 64)
	for _, name := range slices.Sorted(maps.Keys(c.IPSets)) {
		for i, e := range c.IPSets[name] {
			if err := fwfile.CheckAddress(strings.TrimPrefix(e, "!")); err != nil {
				out.add(fmt.Sprintf("cluster.ipsets.%s.%d", name, i), err.Error(), `"!" before an entry excludes it`)
			}
		}
	}
	checkNames(out, "cluster.groups", c.Groups, maxGroupName)
	for _, name := range slices.Sorted(maps.Keys(c.Groups)) {
		checkRules(out, "cluster.groups."+name, c.Groups[name], false)
	}
	checkRules(out, "cluster.rules", c.Rules, true)
}

// checkNames refuses names that Proxmox refuses, and two that it takes for one.
func checkNames[V any](out *problems, path string, named map[string]V, longest int) {
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if !fwfile.Name.MatchString(name) || len(name) > longest {
			out.add(path+"."+name, fmt.Sprintf("%q is no name", name), fmt.Sprintf("a letter, then letters, digits, - or _, 2 to %d in all", longest))
		}
		if other, twice := seen[strings.ToLower(name)]; twice {
			out.add(path+"."+name, fmt.Sprintf("is the same as %s to Proxmox, which does not tell case apart", other), "")
		}
		seen[strings.ToLower(name)] = name
	}
}

func checkOptions(out *problems, path string, values map[string]string, known map[string]format) {
	for _, k := range slices.Sorted(maps.Keys(values)) {
		f, ok := known[k]
		switch {
		case !ok:
			out.add(path+k, "is no option that can be set here", "one of "+strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		case !f.ok(values[k]):
			out.add(path+k, fmt.Sprintf("%q is no value of it", values[k]), f.looks)
		}
	}
}

func checkRules(out *problems, path string, rules []Rule, groups bool) {
	for i, r := range rules {
		at := fmt.Sprintf("%s.%d.", path, i)
		r.checkHead(out, at, groups)
		r.checkMatch(out, at)
		if r.Log != "" && !levelFormat().ok(r.Log) {
			out.add(at+"log", fmt.Sprintf("%q is no level", r.Log), levelFormat().looks)
		}
		switch {
		case strings.ContainsFunc(r.Comment, func(c rune) bool { return c < ' ' || c == 0x7f }) || strings.TrimSpace(r.Comment) != r.Comment:
			out.add(at+"comment", "has a line break, a control character or blanks around it", "")
		case marked(r.Comment) == managementComment:
			out.add(at+"comment", "is that of the rule that phoenix writes itself", "choose another")
		}
	}
}

func (r Rule) checkHead(out *problems, at string, groups bool) {
	switch {
	case r.Type == "group" && !groups:
		out.add(at+"type", "a group cannot hold another group", "in, out or forward")
		return
	case r.Type == "group":
		if !fwfile.Name.MatchString(r.Action) || len(r.Action) > maxGroupName {
			out.add(at+"action", fmt.Sprintf("%q is no name of a group", r.Action), "")
		}
		if r.Macro != "" || r.Source+r.Dest+r.Proto+r.Dport+r.Sport+r.ICMPType+r.Log != "" {
			out.add(at+"type", "a group has an interface only; its rules say the rest", "")
		}
		return
	case !slices.Contains([]string{"in", "out", "forward"}, r.Type):
		out.add(at+"type", fmt.Sprintf("%q is no type", r.Type), "in, out, forward or group")
	}
	if !slices.Contains([]string{"ACCEPT", "DROP", "REJECT"}, r.Action) {
		out.add(at+"action", fmt.Sprintf("%q is no action", r.Action), "ACCEPT, DROP or REJECT; a service goes into macro")
	}
	if r.Macro != "" && !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(r.Macro) {
		out.add(at+"macro", fmt.Sprintf("%q is no macro", r.Macro), "such as SSH, Ping or HTTPS")
	}
}

func (r Rule) checkMatch(out *problems, at string) {
	if r.Iface != "" && !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:+-]{0,19}$`).MatchString(r.Iface) {
		out.add(at+"iface", fmt.Sprintf("%q is no interface", r.Iface), "such as vmbr0")
	}
	for _, a := range []struct{ key, value string }{{"source", r.Source}, {"dest", r.Dest}} {
		if a.value == "" {
			continue
		}
		if err := fwfile.CheckAddresses(a.value); err != nil {
			out.add(at+a.key, err.Error(), "")
		}
	}
	if r.Proto != "" && !regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`).MatchString(r.Proto) {
		out.add(at+"proto", fmt.Sprintf("%q is no protocol", r.Proto), "such as tcp, udp or icmp")
	}
	for _, p := range []struct{ key, value string }{{"dport", r.Dport}, {"sport", r.Sport}} {
		switch {
		case p.value == "":
		case !validPorts(p.value):
			out.add(at+p.key, fmt.Sprintf("%q are no ports", p.value), "such as 22, 8000:8010 or https,8080")
		case !slices.Contains([]string{"tcp", "udp", "sctp", "dccp", "udplite"}, r.Proto):
			out.add(at+p.key, "ports need a protocol that has them", "set proto to tcp or udp")
		}
	}
	switch {
	case r.ICMPType == "":
	case !regexp.MustCompile(`^[a-z0-9][a-z0-9/-]*$`).MatchString(r.ICMPType):
		out.add(at+"icmp_type", fmt.Sprintf("%q is no type of ICMP", r.ICMPType), "such as echo-request")
	case !slices.Contains([]string{"icmp", "icmpv6", "ipv6-icmp"}, r.Proto):
		out.add(at+"icmp_type", "needs the protocol", "set proto to icmp or ipv6-icmp")
	}
}

// validPorts takes Proxmox's lists: numbers, names of services, and ranges a:b.
func validPorts(list string) bool {
	for item := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(item, ":")
		switch {
		case isRange && (port(from) < 0 || port(to) < port(from)):
			return false
		case !isRange && port(item) < 0 && !regexp.MustCompile(`^[a-z][a-z0-9-]*$`).MatchString(item):
			return false
		}
	}
	return true
}

// port is a number of a port, or -1.
func port(s string) int {
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
