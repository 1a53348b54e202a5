package fwfile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Rule is one rule. Values are as in the file; Canonical makes them comparable.
type Rule struct {
	// Disabled rules have no effect.
	Disabled bool
	// Type is "IN", "OUT", "FORWARD" or "GROUP".
	Type string
	// Macro is Proxmox's name for a service, such as SSH; empty for none.
	Macro string
	// Action is "ACCEPT", "DROP" or "REJECT"; of a GROUP the name of the group.
	Action string
	// Iface is the interface; empty for all.
	Iface string
	// Source and Dest are addresses, networks, ranges, sets or aliases.
	Source, Dest string
	// Proto is a protocol; Dport and Sport are ports, which need one.
	Proto, Dport, Sport string
	// Log is a level of the log; empty for none of the rule's own.
	Log string
	// ICMPType is a type by name or number.
	ICMPType string
	// Comment behind the rule.
	Comment string
	// Unread is the line, where it is no rule; then all else is empty. Proxmox skips
	// such a line and goes on.
	Unread string
}

// flag is one of the options of a rule: as it is written, and as it may be read.
type flag struct {
	write string
	read  []string
	value *string
}

// flags are in the order in which Proxmox writes them.
func (r *Rule) flags() []flag {
	return []flag{
		{"-i", []string{"-i"}, &r.Iface},
		{"-source", []string{"-source", "--source"}, &r.Source},
		{"-dest", []string{"-dest", "--dest"}, &r.Dest},
		{"-p", []string{"-p", "-proto", "--proto"}, &r.Proto},
		{"-dport", []string{"-dport", "--dport"}, &r.Dport},
		{"-sport", []string{"-sport", "--sport"}, &r.Sport},
		{"-log", []string{"-log", "--log"}, &r.Log},
		{"-icmp-type", []string{"-icmp-type", "--icmp-type"}, &r.ICMPType},
	}
}

var (
	ruleHead   = regexp.MustCompile(`^(\S+)\s+(\S+)\s*`)
	ruleFlag   = regexp.MustCompile(`^(-\S+) (\S+)\s*`)
	ruleAction = regexp.MustCompile(`^(?:(\S+)\()?(ACCEPT|DROP|REJECT)(\))?$`)
)

// ParseRule reads one line. It takes what Proxmox takes: the first # begins the
// comment, one blank stands between a flag and its value.
func ParseRule(line string) (Rule, error) {
	var r Rule
	text, comment, _ := strings.Cut(line, "#")
	r.Comment = strings.TrimSpace(comment)
	text, r.Disabled = strings.CutPrefix(strings.TrimRight(text, " \t\r\n"), "|")
	m := ruleHead.FindStringSubmatch(text)
	if m == nil {
		return Rule{}, fmt.Errorf("read rule: %q has no type and action", line)
	}
	if err := r.head(m[1], m[2]); err != nil {
		return Rule{}, err
	}
	text = text[len(m[0]):]
	for text != "" {
		m := ruleFlag.FindStringSubmatch(text)
		if m == nil || !r.set(m[1], m[2]) {
			return Rule{}, fmt.Errorf("read rule: %q is no flag with a value", text)
		}
		text = text[len(m[0]):]
	}
	return r, nil
}

func (r *Rule) head(kind, action string) error {
	r.Type, r.Action = strings.ToUpper(kind), action
	switch r.Type {
	case "GROUP":
		return nil
	case "IN", "OUT", "FORWARD":
	default:
		return fmt.Errorf("read rule: %q is no type", kind)
	}
	m := ruleAction.FindStringSubmatch(action)
	if m == nil || (m[1] == "") != (m[3] == "") {
		return fmt.Errorf("read rule: %q is no action", action)
	}
	r.Macro, r.Action = m[1], m[2]
	return nil
}

func (r *Rule) set(name, value string) bool {
	for _, f := range r.flags() {
		if slices.Contains(f.read, name) {
			*f.value = value
			return true
		}
	}
	return false
}

// read is the rule of a line, or what could not be read.
func read(line string) Rule {
	r, err := ParseRule(line)
	if err != nil {
		return Rule{Unread: line}
	}
	return r
}

// String is the rule as Proxmox writes it. The values must hold no line break and,
// but for the comment, no blank and no #.
func (r Rule) String() string {
	if r.Unread != "" {
		return r.Unread
	}
	action := r.Action
	if r.Macro != "" {
		action = r.Macro + "(" + r.Action + ")"
	}
	words := []string{r.Type, action}
	for _, f := range r.flags() {
		if *f.value != "" {
			words = append(words, f.write, *f.value)
		}
	}
	if r.Comment != "" {
		words = append(words, "#", r.Comment)
	}
	out := strings.Join(words, " ")
	if r.Disabled {
		out = "|" + out
	}
	return out
}

// Canonical is the rule with every value in one way of writing it: lists sorted,
// addresses without needless prefixes, names of sets, groups and macros in lower case.
func (r Rule) Canonical() Rule {
	r.Macro = strings.ToLower(r.Macro)
	r.Source, r.Dest = CanonicalAddresses(r.Source), CanonicalAddresses(r.Dest)
	r.Proto, r.Log, r.ICMPType = strings.ToLower(r.Proto), strings.ToLower(r.Log), strings.ToLower(r.ICMPType)
	r.Dport, r.Sport = sortedList(r.Dport), sortedList(r.Sport)
	if r.Type == "GROUP" {
		r.Action = strings.ToLower(r.Action)
	}
	return r
}

func sortedList(s string) string {
	if !strings.Contains(s, ",") {
		return s
	}
	words := strings.Split(s, ",")
	slices.Sort(words)
	return strings.Join(slices.Compact(words), ",")
}
