package network

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/ifupdown"
)

// forwarding is the line of Proxmox's own documentation that switches it on.
const forwarding = "echo 1 > /proc/sys/net/ipv4/ip_forward"

// rule is a masquerading rule that says nothing but subnet and interface.
type rule struct{ subnet, out string }

func (r rule) String() string { return r.subnet + " by " + r.out }

// argv is a call of iptables about the rule. It waits for the lock of xtables.
func (r rule) argv(op string) string {
	return "iptables -w -t nat " + op + " POSTROUTING -s " + r.subnet + " -o " + r.out + " -j MASQUERADE"
}

// up adds the rule unless it is there: ifupdown2 runs the line at every reload.
func (r rule) up() string { return r.argv("-C") + " 2>/dev/null || " + r.argv("-A") }

func (r rule) down() string { return r.argv("-D") }

// call is one call of iptables about a rule: its letter is A (or I), C or D.
type call struct {
	op   string
	rule rule
}

var (
	// redirection is where a command's words go to.
	redirection = regexp.MustCompile(`[0-9&]?>>?\s*(&[0-9]|/dev/null)`)
	// switchOn are the spellings of switching forwarding on.
	switchOn = regexp.MustCompile(`^(echo 1 ?> ?/proc/sys/net/ipv4/ip_forward|sysctl( -[qw]+| --quiet| --write)* net[./]ipv4[./]ip_forward ?= ?1)$`)
)

// calls finds the calls about rules in a line of shell, whether it switches
// forwarding on, and whether it does anything else. A call that says more than a
// rule does is something else.
func calls(command string) (found []call, forward, more bool) {
	command = redirection.ReplaceAllString(strings.NewReplacer("'", "", `"`, "").Replace(command), " ")
	for _, part := range strings.FieldsFunc(command, func(r rune) bool { return strings.ContainsRune(";|&", r) }) {
		words := strings.Fields(part)
		if len(words) == 0 || words[0] == "true" {
			continue
		}
		if switchOn.MatchString(strings.Join(words, " ")) {
			forward = true
			continue
		}
		c, ok := parseRule(words[1:])
		if ok && path.Base(words[0]) == "iptables" {
			found = append(found, c)
		} else {
			more = true
		}
	}
	return found, forward, more
}

// parseRule reads the arguments of iptables, also as `iptables -S` prints them.
func parseRule(args []string) (call, bool) {
	var c call
	table, target := "nat", ""
	for i := 0; i < len(args); i++ {
		value := ""
		if i+1 < len(args) {
			value = args[i+1]
		}
		switch args[i] {
		case "-t", "--table":
			table = value
		case "-A", "--append", "-I", "--insert", "-C", "--check", "-D", "--delete":
			c.op = strings.ToUpper(strings.TrimLeft(args[i], "-")[:1])
			if value != "POSTROUTING" {
				return c, false
			}
		case "-s", "--source", "--src":
			c.rule.subnet = subnet(value)
		case "-o", "--out-interface":
			c.rule.out = value
		case "-j", "--jump":
			target = value
		case "-w", "--wait":
			if _, err := strconv.Atoi(value); err != nil {
				i--
			}
		default:
			return c, false
		}
		i++
	}
	c.op = strings.Replace(c.op, "I", "A", 1)
	return c, c.op != "" && table == "nat" && target == "MASQUERADE" && c.rule.subnet != "" && c.rule.out != ""
}

// subnet is a subnet as iptables prints it.
func subnet(s string) string {
	if p, err := prefix(s); err == nil {
		return p.Masked().String()
	}
	return s
}

// upKeys and downKeys are the options whose lines run when an interface comes up or
// goes down.
func upKeys() []string { return []string{"pre-up", "up", "post-up"} }

func downKeys() []string { return []string{"pre-down", "down", "post-down"} }

// natState is what the stanzas of a bridge say of masquerading.
type natState struct {
	rules   []rule        // that are added when it comes up
	again   map[rule]bool // added once more by each reload
	stays   map[rule]bool // not taken away when it goes down
	forward bool
}

func readNAT(i ifupdown.Interface) *natState {
	s := &natState{again: map[rule]bool{}, stays: map[rule]bool{}}
	for _, key := range upKeys() {
		guarded := map[rule]bool{}
		for _, command := range i.Values(key) {
			found, forward, _ := calls(command)
			s.forward = s.forward || forward
			for _, c := range found {
				switch {
				case c.op == "C" && strings.Contains(command, "||") || c.op == "D":
					guarded[c.rule] = true
				case c.op == "A" && slices.Contains(s.rules, c.rule):
					s.again[c.rule] = s.again[c.rule] || !guarded[c.rule]
				case c.op == "A":
					s.rules = append(s.rules, c.rule)
					s.again[c.rule], s.stays[c.rule] = !guarded[c.rule], true
				}
			}
		}
	}
	for _, key := range downKeys() {
		for _, command := range i.Values(key) {
			found, _, _ := calls(command)
			for _, c := range found {
				if c.op == "D" {
					s.stays[c.rule] = false
				}
			}
		}
	}
	return s
}

// describe says how the state differs from what is wanted; it is want.String() when
// it does not.
func (s *natState) describe(want rule) string {
	if !slices.Contains(s.rules, want) {
		var all []string
		for _, r := range s.rules {
			all = append(all, r.String())
		}
		return strings.Join(all, ", ")
	}
	text := want.String()
	if s.again[want] {
		text += ", added once more by every reload"
	}
	if s.stays[want] {
		text += ", not taken away with the bridge"
	}
	if !s.forward {
		text += ", without ip_forward"
	}
	return text
}

// edit makes the stanzas masquerade as wanted. Where the wanted rule is among those
// written, the others stay; where it is not, they were its predecessors.
func (s *natState) edit(i ifupdown.Interface, want rule) error {
	replaced := append([]rule{want}, s.rules...)
	if slices.Contains(s.rules, want) {
		replaced = []rule{want}
	}
	for n, stanza := range i.Stanzas {
		for _, key := range append(upKeys(), downKeys()...) {
			line := map[string]string{"post-up": want.up(), "post-down": want.down()}[key]
			var added []string
			if n == 0 && key == "post-up" && !s.forward {
				added = append(added, forwarding)
			}
			if n == 0 && line != "" {
				added = append(added, line)
			}
			if err := replaceCalls(stanza, key, replaced, added); err != nil {
				return err
			}
		}
	}
	return nil
}

// replaceCalls takes the lines about rules out of a stanza and puts others in.
func replaceCalls(stanza *ifupdown.Stanza, key string, gone []rule, added []string) error {
	about := func(command string) bool {
		found, _, _ := calls(command)
		return slices.ContainsFunc(found, func(c call) bool { return slices.Contains(gone, c.rule) })
	}
	for _, command := range stanza.Values(key) {
		_, forward, more := calls(command)
		if about(command) && more {
			return fmt.Errorf("change NAT of %s: the line %q does more than that (write one command on each line)", stanza.Name(), key+" "+command)
		}
		if about(command) && forward && key == "post-up" && !slices.Contains(added, forwarding) {
			added = append([]string{forwarding}, added...)
		}
	}
	return stanza.Replace(key, about, added...)
}
