package firewall

import (
	"fmt"
	"regexp"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/ruleset"
)

// Validate returns every fault of the spec. Proxmox skips a line that it cannot read,
// so that a mistake in a rule that lets people in would lock them out.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if s.Cluster == nil && s.Host == nil {
		out.Add("", "says nothing about the firewall", "set cluster, host or both")
	}
	for i, from := range s.ManagementFrom {
		if a, err := ruleset.ParsePrefix(from); err != nil || a != a.Masked() {
			out.Add(fmt.Sprintf("management_from.%d", i), fmt.Sprintf("%q is neither an address nor a network", from), "such as 10.0.0.0/24 or fd00::5, without bits behind the prefix")
		}
	}
	if len(s.ManagementFrom) > 0 && s.waived() {
		out.Add("management_from", "is for the rule that keep_management_open leaves out", "leave out one of them")
	}
	if s.ConfirmTimeoutS != 0 && (s.ConfirmTimeoutS < 10 || s.ConfirmTimeoutS > 3600) {
		out.Add("confirm_timeout_s", fmt.Sprintf("%d is not from 10 to 3600", s.ConfirmTimeoutS), "seconds; 60 when absent")
	}
	if s.Cluster != nil {
		s.Cluster.check(&out)
	}
	if s.Host != nil {
		checkOptions(&out, "host.options.", s.Host.Options, hostFormats())
		place("group").CheckRules(&out, "host.rules", s.Host.Rules)
	}
	return out
}

// place is where the rules of a file stand; those of a group hold no others.
func place(also ...string) *ruleset.Place {
	return &ruleset.Place{
		Types: append([]string{"in", "out", "forward"}, also...),
		Iface: regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:+-]{0,19}$`), IfaceHint: "such as vmbr0",
	}
}

func (c *Cluster) check(out *tasks.Problems) {
	ruleset.CheckPolicy(out, "cluster.policy_in", c.PolicyIn, "ACCEPT", "DROP", "REJECT")
	ruleset.CheckPolicy(out, "cluster.policy_out", c.PolicyOut, "ACCEPT", "DROP", "REJECT")
	ruleset.CheckPolicy(out, "cluster.policy_forward", c.PolicyForward, "ACCEPT", "DROP")
	checkOptions(out, "cluster.options.", c.Options, clusterFormats())
	ruleset.CheckAliases(out, "cluster.aliases", c.Aliases)
	ruleset.CheckIPSets(out, "cluster.ipsets", c.IPSets)
	place().CheckGroups(out, "cluster.groups", c.Groups)
	place("group").CheckRules(out, "cluster.rules", c.Rules)
}

func checkOptions(out *tasks.Problems, path string, values map[string]string, known map[string]format) {
	for _, k := range tasks.Keys(values) {
		f, ok := known[k]
		switch {
		case !ok:
			out.Add(path+k, "is no option that can be set here", "one of "+strings.Join(tasks.Keys(known), ", "))
		case !f.ok(values[k]):
			out.Add(path+k, fmt.Sprintf("%q is no value of it", values[k]), f.looks)
		}
	}
}
