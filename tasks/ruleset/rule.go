// Package ruleset is what two families want of a file of Proxmox's firewall: the rules
// as people write them, which of a file's lines are ours, how a file differs from what
// is wanted, and how it is written.
//
// An alias, a set, a group is ours by its name, a rule by its comment, which begins with
// "phoenix": Proxmox's writers keep nothing else. Our rules stand before all others. It
// never removes what others wrote, and does not know whose file it is: paths, options
// and what may stand where are its callers' (tasks/kind/firewall, guestfirewall).
// Start reading at Rule and Wanted; check.go has the faults, write.go the writing.
package ruleset

import (
	"strings"

	"phoenix/tasks/fwfile"
)

// mark begins the comment of each rule that is ours.
const mark = "phoenix"

// ManagementComment is the comment of the rule that keeps people in. No other rule can
// have it.
const ManagementComment = mark + ": keeps SSH and the web interface reachable"

// Rule is one rule.
type Rule struct {
	// Type is "in", "out", "forward" or "group".
	Type string `json:"type"`
	// Action is ACCEPT, DROP or REJECT; of a group, its name.
	Action string `json:"action"`
	// Macro is Proxmox's name for a service: "SSH".
	Macro string `json:"macro,omitempty"`
	// Iface is an interface; empty for all.
	Iface string `json:"iface,omitempty"`
	// Source and Dest are addresses, networks, ranges with commas between them, an
	// alias, or a set: "+management". Empty for all.
	Source string `json:"source,omitempty"`
	Dest   string `json:"dest,omitempty"`
	// Proto is a protocol: "tcp".
	Proto string `json:"proto,omitempty"`
	// Dport and Sport are ports: "22", "8000:8010,https". They need a protocol.
	Dport string `json:"dport,omitempty"`
	Sport string `json:"sport,omitempty"`
	// ICMPType is a type of ICMP by name or number.
	ICMPType string `json:"icmp_type,omitempty"`
	// Log is the level that matches are logged with; empty for not at all.
	Log string `json:"log,omitempty"`
	// Enabled says whether the rule has an effect; nil means true.
	Enabled *bool `json:"enabled,omitempty"`
	// Comment is shown beside the rule.
	Comment string `json:"comment,omitempty"`
}

// Marked is the comment that a rule of the configuration gets in a file whose other
// rules are not ours.
func Marked(comment string) string {
	if comment == "" {
		return mark
	}
	return mark + ": " + comment
}

func ours(r fwfile.Rule) bool {
	return r.Comment == mark || strings.HasPrefix(r.Comment, mark+": ")
}

// IsManagement tells whether it is a rule that keeps people in.
func IsManagement(r fwfile.Rule) bool { return r.Comment == ManagementComment }

// Lines are rules as a file has them; comment makes theirs of what is written.
func Lines(rr []Rule, comment func(string) string) []fwfile.Rule {
	var out []fwfile.Rule
	for _, r := range rr {
		out = append(out, fwfile.Rule{
			Disabled: r.Enabled != nil && !*r.Enabled, Type: strings.ToUpper(r.Type), Macro: r.Macro, Action: r.Action, Iface: r.Iface,
			Source: r.Source, Dest: r.Dest, Proto: r.Proto, Dport: r.Dport, Sport: r.Sport, Log: r.Log, ICMPType: r.ICMPType, Comment: comment(r.Comment),
		})
	}
	return out
}
