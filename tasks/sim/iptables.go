package sim

import (
	"slices"
	"strings"
)

// natRules holds the rules of the nat table, as `iptables -S` prints them.
const natRules = "/.sim/nat"

// iptables keeps the rules of the nat table: -S, -A, -I, -C and -D of a chain, as
// iptables 1.8.9 does.
func iptables(c *call) int {
	table, op, chain := "filter", "", ""
	var spec []string
	for i := 1; i < len(c.argv); i++ {
		value := ""
		if i+1 < len(c.argv) {
			value = c.argv[i+1]
		}
		switch word := c.argv[i]; {
		case word == "-w" || word == "--wait":
		case word == "-t":
			table = value
			i++
		case slices.Contains([]string{"-S", "-A", "-I", "-C", "-D"}, word):
			op, chain = word, value
			i++
		default:
			spec = append(spec, word)
		}
	}
	if table != "nat" || op == "" || chain == "" {
		c.errorf("iptables v1.8.9 (nf_tables): no command specified\nTry `iptables -h' or 'iptables --help' for more information.\n")
		return 2
	}
	code := 0
	err := c.m.exclusive(func() (err error) {
		code, err = c.natRule(op, chain, "-A "+chain+" "+strings.Join(spec, " "))
		return err
	})
	if err != nil {
		return c.died(err, 4)
	}
	return code
}

func (c *call) natRule(op, chain, rule string) (int, error) {
	rules := slices.Collect(strings.Lines(c.m.text(natRules)))
	at := slices.Index(rules, rule+"\n")
	switch op {
	case "-S":
		c.printf("-P %s ACCEPT\n", chain)
		for _, r := range rules {
			if strings.HasPrefix(r, "-A "+chain+" ") {
				c.printf("%s", r)
			}
		}
		return 0, nil
	case "-A":
		rules = append(rules, rule+"\n")
	case "-I":
		rules = append([]string{rule + "\n"}, rules...)
	default:
		if at < 0 {
			c.errorf("iptables: Bad rule (does a matching rule exist in that chain?).\n")
			return 1, nil
		}
		if op == "-C" {
			return 0, nil
		}
		rules = slices.Delete(rules, at, at+1)
	}
	return 0, c.m.write(natRules, []byte(strings.Join(rules, "")), 0o644)
}
